//! Generated queries against the crate `promql-parser`, in the language that both know.
//!
//! What the crate prints of a query must read back as our tree of it. What it is known not to know is
//! left out by its text. Nothing is compared of wrong queries: it accepts many that Prometheus refuses,
//! and refuses some that Prometheus accepts.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use siltstone_promql::ast::{Ast, ExprKind, UnaryOp};
use siltstone_promql::{Features, parse};
use support::generator::{choices, query};
use support::meaning;

/// All that the crate knows.
fn features() -> Features {
    Features { experimental_functions: true, ..Features::default() }
}

/// Texts whose meaning the crate does not know: newer keywords, operators, functions and numbers, raw
/// strings with a backslash, bytes that are not UTF-8, lists of labels for `info`, and the parameters
/// of `limitk` and `limit_ratio`, which it does not check.
const UNKNOWN: &[&str] = &[
    "anchored",
    "</",
    ">/",
    "min_of",
    "max_of",
    "start_timestamp",
    "histogram_quantiles",
    "1_",
    "0x",
    "017",
    "`",
    "\\x",
    "info(",
    "limit",
];

fn is_known(text: &str) -> bool {
    !UNKNOWN.iter().any(|unknown| text.contains(unknown))
}

/// Whether the crate prints it as it is: it drops a plus before an operand and an empty
/// `ignoring ()` before `group_left`, and has no times before the epoch.
fn is_printed(ast: &Ast, text: &str) -> bool {
    let is_plus = |kind: &ExprKind| matches!(kind, ExprKind::Unary { op: UnaryOp::Plus, .. });
    !text.contains("@ -")
        && !text.contains("ignoring () group")
        && !ast.nodes().iter().any(|node| is_plus(&node.kind))
}

/// The meaning without what the crate forgets: that a number was written as a length of time.
fn remembered(ast: &Ast) -> String {
    meaning(ast).replace("is_duration: true", "is_duration: false")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn generated_queries_mean_the_same_to_both(bytes in vec(any::<u8>(), 0..150)) {
        let text = query(features(), &mut choices(&bytes));
        if !is_known(&text) {
            return Ok(());
        }
        let ast = parse(&text, &features()).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let theirs = promql_parser::parser::parse(&text)
            .map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
        let printed = theirs.to_string();
        if is_printed(&ast, &text) {
            let again = parse(&printed, &features())
                .map_err(|e| TestCaseError::fail(format!("{text}: {printed}: {e}")))?;
            prop_assert_eq!(remembered(&again), remembered(&ast), "{} / {}", text, printed);
        }
    }
}
