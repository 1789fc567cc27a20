//! Queries that cost too much: patterns, expressions, ranges, memory and time.

use siltstone_rig::bad_requests::{LENGTHS, RANGES};
use siltstone_rig::http::query_value;

use super::beside::{Besieged, DECODING, QUERIES, START_MS};
use super::requests::{form, get};

/// Bytes of a request line that is allowed.
const TARGET_BYTES: usize = 60 << 10;
/// Bytes that the regular expressions of a request may take, compiled.
const PATTERNS: u64 = 8 << 20;
/// Series of `stored`.
const SERIES: usize = 100;

#[test]
fn patterns_without_number() {
    let besieged = Besieged::start(&[]);
    let mut selector = "{__name__=%22healthy%22".to_owned();
    for n in 0..TARGET_BYTES / 32 {
        selector += &format!(",a{n}=~%22\\\\pL{{10}}{n}%22");
    }
    selector.push('}');
    let range = format!("start=0&end=60&step=60&query={selector}");
    let requests = [
        get(&format!("/api/v1/series?match[]={selector}")),
        get(&format!("/api/v1/export?match[]={selector}")),
        get(&format!("/federate?match[]={selector}")),
        get(&format!("/api/v1/labels?match[]={selector}")),
        get(&format!("/api/v1/query?query={selector}")),
        form("/api/v1/query_range", &range),
    ];
    // All clients at the same time, each with a bound of its own.
    besieged.answers(4 * PATTERNS, &requests, &[400, 422]);
}

#[test]
fn expressions_without_end() {
    const DEPTH: usize = 5000;
    let besieged = Besieged::start(&[]);
    let nested =
        |open: &str, close: &str| format!("{}1{}", open.repeat(DEPTH), close.repeat(DEPTH));
    let expressions = [
        nested("(", ")"),
        nested("-(", ")"),
        nested("abs(vector(", "))"),
        format!("healthy{}", "[1h:1s]".repeat(DEPTH)),
        format!("1{}", "%2B1".repeat(60_000)),
        format!("x{}", " or x".repeat(60_000)),
    ];
    let paths = ["query", "format_query", "parse_query", "query_range?start=0&end=1&step=1"];
    let requests: Vec<Vec<u8>> = expressions
        .iter()
        .flat_map(|expression| {
            let body = format!("query={expression}");
            paths.map(|path| form(&format!("/api/v1/{path}"), &body))
        })
        .collect();
    // Those that could be parsed within more memory than there is are told so.
    besieged.answers(QUERIES, &requests, &[400, 422]);
}

#[test]
fn times_and_steps_that_are_no_range() {
    let besieged = Besieged::start(&[]);
    let ranges = RANGES.map(|range| get(&format!("/api/v1/query_range?query=healthy&{range}")));
    let queries = LENGTHS.map(|query| get(&format!("/api/v1/query?query={}", query_value(query))));
    besieged.answers(QUERIES, &[&ranges[..], &queries].concat(), &[400]);
}

/// A server in which a query over all points of all series has many rows.
fn filled(flags: &[&str]) -> Besieged {
    let besieged = Besieged::start(flags);
    besieged.store(SERIES);
    besieged
}

/// All the points that a series may have, of all series.
fn all_points(expression: &str) -> Vec<u8> {
    let start = START_MS / 1000;
    let range = format!("start={start}&end={}&step=1", start + 10_999);
    get(&format!("/api/v1/query_range?query={expression}&{range}"))
}

#[test]
fn a_query_that_needs_too_much_memory() {
    let besieged = filled(&["--query-memory", "1MiB"]);
    let expressions = [
        "last_over_time(stored[4h])",
        "max_over_time(stored[4h:1s])",
        "sort(last_over_time(stored[4h]))",
        "label_replace(last_over_time(stored[4h]),%22x%22,%22$1%22,%22n%22,%22(.*)%22)",
    ];
    besieged.answers(1 << 20, &expressions.map(all_points), &[422]);
}

#[test]
fn a_query_that_takes_too_long() {
    let besieged = filled(&["--query-timeout", "200ms"]);
    let expression = "max_over_time(max_over_time(stored[4h:1s])[4h:1s])";
    besieged.answers(QUERIES + DECODING, &[all_points(expression)], &[422, 503]);
}
