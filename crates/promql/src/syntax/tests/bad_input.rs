//! Limits, and texts that nobody writes: an error, never a panic.

use proptest::prelude::*;

use siltstone::Matcher;

use super::{error, features};
use crate::ast::{Aggregate, Ast, Binary, Expr, ExprId, ExprKind, Selector, Subquery};
use crate::syntax::{
    DEPTH_MAX, MATCHERS_MAX, NODES_MAX, QUERY_BYTES_MAX, REGEXES_MAX, tree_bytes_max,
};
use crate::{parse, print};

/// Runs `test` on a thread with the stack of a worker, 2 MiB.
fn on_a_small_stack(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        thread.spawn_scoped(scope, test).unwrap().join().unwrap();
    });
}

#[test]
fn nesting_is_limited() {
    on_a_small_stack(|| {
        let nest = |open: &str, close: &str, n: usize| open.repeat(n) + "a" + &close.repeat(n);
        for (open, close) in [("(", ")"), ("abs(", ")"), ("sum by (b) (", ")"), ("-(", ")")] {
            let deepest = parse(&nest(open, close, DEPTH_MAX), &features()).unwrap();
            assert!(print(&deepest).len() > 2 * DEPTH_MAX);
            let message = error(&nest(open, close, DEPTH_MAX + 1));
            assert!(message.ends_with("nested deeper than the limit of 512"), "{message}");
            assert!(error(&open.repeat(100_000)).contains("limit"), "{open}");
        }
        for open in ["(", "-", "1+(", "2^", "min_of("] {
            let message = error(&format!("a[{}", open.repeat(2000)));
            assert!(message.contains("limit of 512"), "{message}");
        }
    });
}

#[test]
fn chains_are_limited_by_their_length_only() {
    on_a_small_stack(|| {
        for op in ["+", "^", "== bool", "and on (x)", "* - -"] {
            let ast =
                parse(&format!("a{}", format!(" {op} a").repeat(20_000)), &features()).unwrap();
            assert!(ast.nodes().len() > 40_000, "{op}");
            assert_eq!(parse(&print(&ast), &features()).unwrap().nodes().len(), ast.nodes().len());
        }
        let limit = format!("more than the limit of {NODES_MAX} parts");
        assert!(error(&("a+".repeat(100_000) + "a")).contains(&limit));
        assert!(error(&format!("a[1{}]", "+1".repeat(100_000))).contains(&limit));
        assert!(error(&"-".repeat(QUERY_BYTES_MAX)).contains("unexpected end of input"));
    });
}

/// What a tree holds, in the places that a text can make many of.
fn tree_bytes(ast: &Ast) -> usize {
    let matcher = |m: &Matcher| size_of::<Matcher>() + m.name().len() + 2 * size_of::<String>();
    let of = |expr: &Expr| match &expr.kind {
        ExprKind::Binary(binary) => {
            let labels = binary.matching.iter().flat_map(|m| &m.labels.labels);
            size_of::<Binary>() + labels.map(|l| l.len() + 2 * size_of::<String>()).sum::<usize>()
        }
        ExprKind::Selector(selector) => {
            let name = selector.name.as_ref().map_or(0, |name| name.len() + 16);
            // The first matchers make room for four.
            let matchers = selector.matchers.iter().map(matcher).sum::<usize>();
            size_of::<Selector>() + name + matchers + 3 * size_of::<Matcher>()
        }
        ExprKind::Aggregate(_) => size_of::<Aggregate>(),
        ExprKind::Subquery(_) => size_of::<Subquery>(),
        ExprKind::Call { arguments, .. } => arguments.len().max(4) * size_of::<ExprId>(),
        _ => 0,
    };
    // While the nodes move to a place twice as large, both are there.
    3 * size_of_val(ast.nodes()) + ast.nodes().iter().map(of).sum::<usize>()
}

#[test]
fn the_memory_of_a_tree_is_known_beforehand() {
    let chains = ["x or x", "1+1", "a{b=\"c\",d=\"e\"} and on (f, g) h", "sum(x) - -sum(x)"];
    let chains = chains.map(|pair| format!("{pair}{}", format!(" + {pair}").repeat(5000)));
    let nested = ["-(", "abs(", "sum by (b) ("]
        .map(|open| format!("{}x{}", open.repeat(DEPTH_MAX), ")".repeat(DEPTH_MAX)));
    let subqueries = "x[1h:1s]".to_owned();
    for text in chains.iter().chain(&nested).chain([&subqueries]) {
        let ast = parse(text, &features()).unwrap();
        let (bound, bytes) = (tree_bytes_max(text), tree_bytes(&ast) as u64);
        assert!(bytes <= bound, "{}: {bytes} of {bound}", &text[..text.len().min(40)]);
        assert!(bound < 24 * bytes + 4096, "{}: {bytes} of {bound}", &text[..text.len().min(40)]);
    }
    // Up to where it is no query; and no more than are parsed.
    assert!(tree_bytes_max(&format!("1+\u{0}{}", "1+".repeat(1000))) < 4096 + 2000);
    let most = tree_bytes_max(&"1+".repeat(NODES_MAX));
    assert_eq!(most, tree_bytes_max(&"1+".repeat(NODES_MAX + 50_000)) - 100_000);
}

#[test]
fn texts_are_limited() {
    let longest = "a".repeat(QUERY_BYTES_MAX);
    assert!(parse(&longest, &features()).is_ok());
    let message = error(&(longest + " "));
    assert!(message.ends_with("the query is longer than the limit of 1048576 bytes"), "{message}");
}

#[test]
fn matchers_and_regular_expressions_are_limited() {
    let selector = |n: usize| format!("{{{}}}", "a=\"b\",".repeat(n));
    assert!(parse(&selector(MATCHERS_MAX), &features()).is_ok());
    assert!(error(&selector(MATCHERS_MAX + 1)).ends_with("a selector has at most 64 matchers"));
    let query = |n: usize, different: usize| {
        let terms: Vec<String> =
            (0..n).map(|i| format!("a{{b=~\"x.*{}\"}}", i % different)).collect();
        terms.join("+")
    };
    assert!(parse(&query(REGEXES_MAX + 1, REGEXES_MAX), &features()).is_ok());
    let message = error(&query(REGEXES_MAX + 1, REGEXES_MAX + 1));
    assert!(message.ends_with("a query has at most 512 regular expressions"), "{message}");
}

#[test]
fn regular_expressions_are_long_but_share_a_budget() {
    let long = format!("up{{pod=~\"{}\"}}", "web-7d4b9c6f5d-00000|".repeat(3000));
    assert!(parse(&long, &features()).is_ok());
    assert!(crate::parse_selector(&long).is_ok());
    let large = |count: usize| -> String {
        let pattern = |i: usize| format!("{{a=~\"[^x]{{900}}y{i}\"}}");
        (0..count).map(pattern).collect::<Vec<_>>().join("+")
    };
    assert!(parse(&large(1), &features()).is_ok());
    let message = error(&large(MATCHERS_MAX));
    assert!(message.contains("limit of 8388608 bytes together"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_parsed_or_refused_inside_its_bounds(
        text in "(\\PC|[ \n\"'`\\\\{}()\\[\\]@:=!~<>^#0-9a-z_]|sum|offset|5m|by|rate|\\\\x|0x|1e){0,24}"
    ) {
        match parse(&text, &features()) {
            Ok(ast) => prop_assert!(parse(&print(&ast), &features()).is_ok()),
            Err(error) => {
                prop_assert!(text.get(error.span.range()).is_some(), "{error:?}");
                prop_assert!(error.line > 0 || text.is_empty());
            }
        }
        let _ = crate::parse_selector(&text);
        if let Ok((_, rest)) = crate::parse_series_labels(&text) {
            prop_assert!(text.get(rest..).is_some());
        }
    }
}
