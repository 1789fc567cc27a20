//! Queries evaluated over small series, in all settings: never a panic. The first byte decides what the
//! others are:
//!
//! 0. a case for both evaluators, whose answers are compared in every setting;
//!
//! and, with an answer in all settings or in none, but for those that exceed a limit:
//!
//! 1. a generated query with numbers and times at all ends, and wild times;
//! 2. the text of a query, and wild times.

#![no_main]

use libfuzzer_sys::fuzz_target;
use siltstone_promql::{Engine, Features, Limits, Query, QueryError};
use siltstone_promql_reference::compare::check;
use siltstone_promql_reference::generate::{Case, WILD, case, choices, query};

#[path = "../input.rs"]
mod input;

use input::Input;

/// Times around which queries are asked for, in milliseconds.
const TIMES: &[i64] =
    &[0, 60_000, 300_000, -300_000, i64::MIN, i64::MAX, i64::MIN / 2, i64::MAX / 1000, 1 << 40];
const STEPS: &[i64] = &[15_000, 1, 60_000, 0, -1, i64::MAX, i64::MIN, 1 << 40, 7];

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 3 {
        0 => {
            let case = case(&mut choices(rest));
            if let Err(difference) = check(&case) {
                panic!("{case}{difference}");
            }
        }
        1 => wild(rest, |features, rest| Some(query(features, &WILD, &mut choices(rest)))),
        _ => wild(rest, |_, rest| std::str::from_utf8(rest).ok().map(str::to_owned)),
    }
});

/// How many bytes decide on features, series and times; the query is made of what follows.
const HEAD: usize = 16;

fn wild(data: &[u8], text: impl Fn(Features, &[u8]) -> Option<String>) {
    let mut input = Input::new(data.get(..HEAD).unwrap_or(data));
    if input.is_empty() {
        return;
    }
    let flags = input.byte();
    let features = Features {
        delayed_name_removal: flags & 1 == 0,
        type_and_unit_labels: flags & 2 == 0,
        start_timestamps: flags & 4 == 0,
        ..Features::experimental()
    };
    let seed = input.byte();
    let series: Vec<u8> =
        (0..=255_u8).map(|at| seed.wrapping_mul(at.wrapping_mul(2) | 1).wrapping_add(at)).collect();
    let case = case(&mut choices(&series));
    let start = input.one_of(TIMES).saturating_add(i64::from(input.u16()) - 32_768);
    let end = match input.byte() & 3 {
        0 => input.one_of(TIMES),
        _ => start.saturating_add(i64::from(input.u16()).saturating_mul(100)),
    };
    let step = input.one_of(STEPS);
    let Some(text) = text(features, data.get(HEAD..).unwrap_or_default()) else { return };
    let Ok(query) = Query::parse(&text, features) else { return };
    ask(&case, &query, (start, end), step);
}

/// Asks in all settings. Where limits are reached depends on the setting.
fn ask(case: &Case, query: &Query, (start, end): (i64, i64), step: i64) {
    let source = case.source();
    let limits =
        Limits { samples: 200_000, bytes: 4 << 20, series: 2_000, steps: 2_000, time: None };
    let mut known: Option<String> = None;
    for (optimise, parallel) in [(true, false), (false, false), (true, true)] {
        let mut engine = Engine::default();
        (engine.limits, engine.optimise, engine.parallel) = (limits, optimise, parallel);
        let _ = engine.explain(&source, query, (start, end), step);
        let instant = engine.instant(&source, query, start);
        let range = engine.range(&source, query, (start, end), step);
        if [&instant, &range].iter().any(|a| matches!(a, Err(QueryError::Limit { .. }))) {
            continue;
        }
        let outcome = format!("{} {}", instant.is_ok(), range.is_ok());
        let known = known.get_or_insert_with(|| outcome.clone());
        assert_eq!(*known, outcome, "{} at {start} {end} {step}", query.text());
    }
}
