//! Queries that cost much: joins, subqueries, all points of all series, expressions without end.

use std::time::Duration;

use siltstone_rig::http::query_value;

use crate::arena::{Arena, Outcomes};
use crate::requests::everything;
use crate::socket::{FORM, ask, get, post};
use crate::stored::ALL;

use super::Attack;

const CLIENTS: usize = 30;
const PARSED: usize = 8;
/// Deeper than an expression may be.
const DEPTH: usize = 5000;
/// More than an expression may have.
const PARTS: usize = 60_000;
/// Points of a series that the API allows.
const POINTS_MAX: i64 = 10_999;

/// What an expensive query may be told; one that is still under way ends when its client leaves.
const COSTLY: &[&str] = &["200", "422", "503", "left", "200 left"];

pub(super) const ATTACKS: &[Attack] = &[
    Attack::new("joins", COSTLY, joins).leaving(),
    Attack::new("subqueries", COSTLY, subqueries).leaving(),
    Attack::new("all-points", COSTLY, all_points).leaving(),
    // 422 is a tree that might not fit into the memory of queries.
    Attack::new("endless-expressions", &["400", "413", "422"], endless),
    Attack::new("long-chains", &["200", "204", "422", "503"], chains),
    Attack::new(
        "everything-at-once",
        &["200", "400", "422", "503", "left", "200 left"],
        all_of_everything,
    )
    .leaving(),
];

/// Asks each of these of every endpoint that evaluates.
fn evaluate(arena: &Arena<'_>, expressions: &[String], points: i64) -> Outcomes {
    let mut requests = Vec::new();
    for expression in expressions {
        let range = arena.stored.range(expression, points);
        let instant = arena.stored.instant(expression);
        requests.push(get(arena, &format!("/api/v1/query_range?{range}")));
        requests.push(get(arena, &format!("/api/v1/query?{instant}")));
        requests.push(post(arena, "/api/v1/query_range", FORM, range.as_bytes()));
        requests.push(post(arena, "/api/v1/query", FORM, instant.as_bytes()));
    }
    arena.repeat(CLIENTS, Duration::ZERO, |_, random| {
        ask(arena, &requests[random.below(requests.len() as u64) as usize])
    })
}

fn joins(arena: &Arena<'_>) -> Outcomes {
    let all = ALL;
    let expressions = [
        format!("{all} * on(instance, zone, __name__) {all}"),
        format!("{all} and on(zone) {all} unless on(instance) {all}"),
        format!("{all} * on(zone) group_left() {all}"),
        format!(
            "{all} or label_replace({all}, \"x\", \"$1-$1\", \"instance\", \"(.*)\") or \
             label_join({all}, \"y\", \"-\", \"instance\", \"zone\", \"__name__\")"
        ),
        format!("count_values(\"v\", {all} * on(instance, zone) group_left() siege_m1)"),
    ];
    evaluate(arena, &expressions, 500)
}

fn subqueries(arena: &Arena<'_>) -> Outcomes {
    let all = ALL;
    let expressions = [
        format!("max_over_time(sum by (instance) ({all})[1d:100ms])"),
        format!("sum(sum_over_time({all}[7d:1s]))"),
        "max_over_time(max_over_time(max_over_time(siege_m1[1h:1s])[1h:1s])[1h:1s])".to_owned(),
        format!("quantile_over_time(0.5, {all}[30d:1m])"),
        "sum_over_time(vector(1)[365d:1ms])".to_owned(),
    ];
    evaluate(arena, &expressions, 100)
}

fn all_points(arena: &Arena<'_>) -> Outcomes {
    let all = ALL;
    let expressions =
        [all.to_owned(), format!("sort({all})"), format!("topk(4000, {all})"), format!("-{all}")];
    evaluate(arena, &expressions, POINTS_MAX)
}

/// Expressions that are deeper, or have more parts, than is allowed.
fn endless(arena: &Arena<'_>) -> Outcomes {
    let nested =
        |open: &str, close: &str| format!("{}1{}", open.repeat(DEPTH), close.repeat(DEPTH));
    let expressions = [
        nested("(", ")"),
        nested("abs(vector(", "))"),
        nested("-(", ")"),
        nested("sum(vector(", "))"),
        format!("siege_m1{}", "[1h:1s]".repeat(DEPTH)),
        format!("1{}", "+1".repeat(PARTS)),
        format!("x{}", " or x".repeat(PARTS)),
    ];
    parse(arena, &expressions)
}

/// Expressions that are long and allowed.
fn chains(arena: &Arena<'_>) -> Outcomes {
    let expressions = [
        format!("1{}", "+1".repeat(9000)),
        format!("siege_m1{}", " or siege_m1".repeat(1300)),
        format!("siege_m1{}", "^siege_m1".repeat(1700)),
        format!("{ALL}{}", format!(" unless {ALL}").repeat(100)),
    ];
    parse(arena, &expressions)
}

/// Asks these of every endpoint that parses; a success says of which.
fn parse(arena: &Arena<'_>, expressions: &[String]) -> Outcomes {
    let mut requests = Vec::new();
    for expression in expressions {
        let form = format!("query={}", query_value(expression));
        for (path, range) in [
            ("query", ""),
            ("format_query", ""),
            ("parse_query", ""),
            ("query_exemplars", "&start=0&end=1"),
            ("query_range", "&start=0&end=1&step=1"),
        ] {
            let target = format!("/api/v1/{path}");
            requests.push(post(arena, &target, FORM, format!("{form}{range}").as_bytes()));
        }
    }
    arena.repeat(PARSED, Duration::ZERO, |_, random| {
        ask(arena, &requests[random.below(requests.len() as u64) as usize])
    })
}

fn all_of_everything(arena: &Arena<'_>) -> Outcomes {
    let requests = everything(arena);
    arena.repeat(CLIENTS, Duration::ZERO, |_, random| {
        ask(arena, &requests[random.below(requests.len() as u64) as usize])
    })
}
