//! Scripts with mistakes, run against the crate itself: each must be a miss, and the same case
//! without the mistake must pass.

use crate::run::run_script;
use crate::under_test::Siltstone;

const DATA: &str = r#"
load 1m
  requests_total{job="a"} 0+60x10
  requests_total{job="b"} 0+120x10
  size{job="a"} 3
  size{job="b"} 4
  h {{count:1 sum:1 buckets:[1]}} {{count:2 sum:2 buckets:[2]}}
  delta 5 6
"#;

/// Cases with the line that is changed, and what it is changed to.
const CASES: &[(&str, &str, &str)] = &[
    // A value.
    (
        "eval instant at 5m rate(requests_total[2m])\n {job=\"a\"} 1\n {job=\"b\"} 2",
        "\"b\"} 2",
        "\"b\"} 2.001",
    ),
    (
        "eval range from 0 to 2m step 1m requests_total{job=\"a\"}\n requests_total{job=\"a\"} 0 60 120",
        "0 60",
        "0 61",
    ),
    ("eval instant at 0 1 + 1\n 2", "\n 2", "\n 3"),
    // A step.
    ("eval range from 9m to 17m step 4m size + 0\n", "\n", "\n {job=\"a\"} 3"),
    // A missing series and a surplus one.
    ("eval instant at 0 size\n size{job=\"a\"} 3\n size{job=\"b\"} 4", "\n size{job=\"a\"} 3", ""),
    (
        "eval instant at 0 size\n size{job=\"a\"} 3\n size{job=\"b\"} 4",
        "=\"b\"} 4",
        "=\"b\"} 4\n size 1",
    ),
    // A label.
    (
        "eval instant at 0 size * 1\n {job=\"a\"} 3\n {job=\"b\"} 4",
        "{job=\"a\"}",
        "size{job=\"a\"}",
    ),
    // An order.
    (
        "eval instant at 0 bottomk(2, size)\n expect ordered\n size{job=\"a\"} 3\n size{job=\"b\"} 4",
        "bottomk",
        "topk",
    ),
    // An annotation: that it comes, its text, its place, that there is no other.
    ("eval instant at 1m rate(size[2m])\n expect no_warn", "no_warn", "warn"),
    (
        "eval instant at 1m sum(rate(delta[2m]))\n expect info msg: PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"delta\" (1:10)\n {} 0.016666666666666666",
        "(1:10)",
        "(1:5)",
    ),
    // An error.
    (
        "eval instant at 0 size + on() size\n expect fail regex: found duplicate series for the match group",
        "duplicate series",
        "surplus series",
    ),
    ("eval instant at 0 size\n size{job=\"a\"} 3\n size{job=\"b\"} 4", "\n", "\n expect fail\n"),
    // A hint.
    (
        "eval instant at 1m h\n h {{count:2 sum:2 buckets:[2] counter_reset_hint:not_reset}}",
        "not_reset",
        "reset",
    ),
    // A kind.
    (
        "eval instant at 1m h\n h {{count:2 sum:2 buckets:[2]}}",
        "{{count:2 sum:2 buckets:[2]}}",
        "2",
    ),
    ("eval instant at 0 \"a\"\n expect string \"a\"", "string \"a\"", "string \"b\""),
];

#[test]
fn every_mistake_is_found_and_nothing_else() {
    for (case, right, wrong) in CASES {
        assert!(case.contains(right), "{case}: {right}");
        for (text, misses) in [((*case).to_owned(), 0), (case.replacen(right, wrong, 1), 1)] {
            let script = format!("{DATA}\n{text}\n");
            let report = run_script(&Siltstone, "own.test", &script, None).unwrap();
            assert_eq!((report.lines.len(), report.misses.len()), (1, misses), "{report:#?}");
        }
    }
}
