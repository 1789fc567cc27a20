//! Generated queries against the crate `promql-parser`, in the language that both know.
//!
//! What the crate prints of a query must read back as our tree of it. What it is known not to know is
//! left out by its text. Nothing is compared of wrong queries: it accepts many that Prometheus refuses,
//! and refuses some that Prometheus accepts.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use siltstone_promql::ast::{Ast, ExprKind, UnaryOp};
use siltstone_promql::{Features, parse};
use siltstone_promql_reference::generate::{ANY_TEXT, choices, query};
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

/// Compares one query; false if the crate does not know it or does not print it as it is.
fn compare(text: &str) -> Result<bool, TestCaseError> {
    if !is_known(text) {
        return Ok(false);
    }
    let ast = parse(text, &features()).map_err(|e| TestCaseError::fail(e.to_string()))?;
    let theirs = promql_parser::parser::parse(text)
        .map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
    if !is_printed(&ast, text) {
        return Ok(false);
    }
    let printed = theirs.to_string();
    let again = parse(&printed, &features())
        .map_err(|e| TestCaseError::fail(format!("{text}: {printed}: {e}")))?;
    prop_assert_eq!(remembered(&again), remembered(&ast), "{} / {}", text, printed);
    Ok(true)
}

#[test]
fn generated_queries_mean_the_same_to_both() {
    const CASES: u32 = 2000;
    let compared = AtomicU32::new(0);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(CASES));
    let outcome = runner.run(&vec(any::<u8>(), 0..150), |bytes| {
        let was_compared = compare(&query(features(), &ANY_TEXT, &mut choices(&bytes)))?;
        compared.fetch_add(u32::from(was_compared), Ordering::Relaxed);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    // If few were compared, the generator or the list of what is unknown would be to blame.
    let compared = compared.into_inner();
    assert!(compared > CASES / 4, "only {compared} of {CASES}");
}
