//! Expressions beside a real Prometheus: each is parsed and formatted, or refused, alike.

use serde_json::Value;
use siltstone_server_testing::client::{Answer, get};
use siltstone_server_testing::harness::{percent, server};

use crate::prometheus::Prometheus;

const QUERIES: &[&str] = &[
    "1",
    "-1",
    "+1",
    "0x1F",
    "1e-7",
    "1e21",
    "Inf",
    "-Inf",
    "NaN",
    "5m",
    "-5m",
    "1h30m",
    "\"text\"",
    "'it\\'s'",
    "`raw\\n`",
    "\"\\u00e9\\t\"",
    "\"دما\"",
    "up",
    "up{}",
    "{__name__=\"up\"}",
    "{\"up\"}",
    "{\"http.requests\", a=\"b\"}",
    "{__name__=~\"a.*\"}",
    "up{job=\"a\",job!=\"b\",x=~\"y|z\",u!~\"v\"}",
    "{b=\"1\",a=\"2\"}",
    "up{\"label name\"=\"x\"}",
    "up offset 5m",
    "up offset -5m",
    "up @ 10",
    "up @ -1.5",
    "up @ start()",
    "up @ end() offset 1h",
    "up[5m]",
    "up[1h30m] offset 1d",
    "up[5m] @ 100 offset 3s",
    "(up)",
    "((up))",
    "-up",
    "+(up)",
    "--1",
    "up[5m:]",
    "up[5m:30s]",
    "(up + 1)[1h:5m] offset 1m @ 5",
    "rate(up[1m])[10m:]",
    "max_over_time(rate(up[1m])[10m:1m] @ end())",
    "sum(up)",
    "sum by (job) (up)",
    "sum(up) by (job, x)",
    "sum without () (up)",
    "sum by () (up)",
    "avg without (a, b) (up)",
    "topk(5, up)",
    "quantile by (x) (0.9, up)",
    "count_values(\"v\", up)",
    "stddev(up)",
    "group by (\"a.b\") (up)",
    "bottomk(scalar(up), up)",
    "a + b",
    "a + 1",
    "1 + 1",
    "a == bool b",
    "1 == bool 2",
    "a > 3",
    "2 < a",
    "a ^ b ^ c",
    "-a ^ 2",
    "a and b",
    "a or on () b",
    "a unless ignoring (x) b",
    "a * on (x, y) group_left (z) b",
    "a / ignoring (x) group_right b",
    "a % b",
    "a atan2 b",
    "a != b",
    "a >= b",
    "a <= 1",
    "a + b * c - d / e",
    "a + on () group_left () b",
    "rate(up[5m])",
    "time()",
    "pi()",
    "vector(1)",
    "scalar(up)",
    "round(up)",
    "round(up, 5)",
    "hour()",
    "hour(up)",
    "label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\")",
    "label_join(up, \"a\", \",\", \"b\", \"c\")",
    "label_join(up, \"a\", \",\")",
    "clamp(up, 0, 1)",
    "clamp_max(up, 1)",
    "histogram_quantile(0.9, up)",
    "histogram_fraction(0, 1, up)",
    "predict_linear(up[1h], 3600)",
    "quantile_over_time(0.5, up[1m])",
    "absent(up)",
    "absent_over_time(up[1m])",
    "sort_desc(up)",
    "timestamp(up)",
    "days_in_month()",
    "present_over_time(up[1m])",
    "last_over_time(up[1m])",
    "changes(up[1m])",
    "deriv(up[1m])",
    "sum by (job) (rate(http_requests_total{job=~\"a.*\"}[5m])) / on (job) group_left sum(up) > bool 0.5",
];

/// Errors of ranges and offsets are not among them, since 3.5 allows less there and says so, nor those of
/// regular expressions, which say here what Go leaves out: where.
const BROKEN: &[&str] = &[
    "",
    " ",
    "foo{",
    "foo}",
    "sum(",
    "1 +",
    "a +",
    "rate(up)",
    "up[5m",
    "{}",
    "{a=\"\"}",
    "{a=~\".*\"}",
    "sum by",
    "1 and 2",
    "a == bool",
    "topk(up)",
    "unknown(up)",
    "up @ x",
    "\"open",
    "'a",
    "5mm",
    "a b",
    "up{a}",
    "up{a=b}",
    "rate(up[5m]",
    "count_values(1, up)",
    "-\"a\"",
    "up[5m][5m]",
    "a group_left b",
    "1 + on (x) a",
    "foo{__name__=\"bar\"}",
];

/// Takes away what Prometheus 3.5 does not say yet.
fn without_newer_fields(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for newer in
                ["anchored", "smoothed", "fillValues", "rangeExpr", "offsetExpr", "stepExpr"]
            {
                fields.remove(newer);
            }
            fields.values_mut().for_each(without_newer_fields);
        }
        Value::Array(items) => items.iter_mut().for_each(without_newer_fields),
        _ => {}
    }
}

/// What the two answers to `what` differ in.
fn difference(ours: &Answer, theirs: &Answer, what: &str) -> Option<String> {
    let mut json = ours.json();
    without_newer_fields(&mut json);
    let is_same = ours.status == theirs.status && json == theirs.json();
    let (ours, theirs) = (ours.text(), theirs.text());
    (!is_same).then(|| format!("{what}\n  ours:   {ours}\n  theirs: {theirs}"))
}

#[test]
fn expressions_are_parsed_and_formatted_alike() {
    let server = server();
    let Some(prometheus) = Prometheus::start("global: {}\n") else { return };
    let mut differences = Vec::new();
    for query in QUERIES.iter().chain(BROKEN) {
        for path in ["parse_query", "format_query"] {
            let path = format!("/api/v1/{path}?query={}", percent(query));
            let theirs = get(prometheus.address, &path);
            differences.extend(difference(&server.get(&path), &theirs, query));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
