//! Makes a finding smaller: simpler queries, fewer steps, as long as it stays a finding.

use siltstone_promql::Features;
use siltstone_promql::ast::Ast;

use crate::answer::Times;
use crate::tokens;

/// Most candidates that are tried for one finding.
const TRIES_MAX: usize = 600;
/// Tokens that are removed at once at most.
const WINDOW_MAX: usize = 8;

/// A query and when it is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    pub(crate) query: String,
    pub(crate) times: Times,
}

/// The smallest case found for which `holds`; it does for `case`.
///
/// # Errors
/// Those of `holds`.
pub(crate) fn shrink<E>(
    mut case: Case,
    features: Features,
    holds: &mut dyn FnMut(&Case) -> Result<bool, E>,
) -> Result<Case, E> {
    let mut tries = 0;
    'again: loop {
        for candidate in candidates(&case, features) {
            tries += 1;
            if tries > TRIES_MAX {
                return Ok(case);
            }
            if holds(&candidate)? {
                case = candidate;
                continue 'again;
            }
        }
        return Ok(case);
    }
}

/// Simpler cases, the simplest first.
fn candidates(case: &Case, features: Features) -> Vec<Case> {
    let mut all = Vec::new();
    for times in simpler_times(case.times) {
        all.push(Case { times, query: case.query.clone() });
    }
    let mut queries = Vec::new();
    if let Ok(ast) = siltstone_promql::parse(&case.query, &features) {
        queries.extend(sub_expressions(&case.query, &ast));
    }
    queries.extend(fewer_tokens(&case.query));
    queries.retain(|query| query.len() < case.query.len() && !query.trim().is_empty());
    queries.sort_by_key(String::len);
    queries.dedup();
    all.extend(queries.into_iter().map(|query| Case { query, times: case.times }));
    all
}

fn simpler_times(times: Times) -> Vec<Times> {
    let Times::Range { start, end, step } = times else { return Vec::new() };
    let steps = (end - start) / step;
    let mut simpler: Vec<Times> = Vec::new();
    if steps > 0 {
        simpler.push(Times::Range { start, end: start, step });
        simpler.push(Times::Range { start: start + steps * step, end, step });
        let middle = start + steps / 2 * step;
        simpler.push(Times::Range { start: middle, end, step });
        simpler.push(Times::Range { start, end: middle, step });
        simpler.push(Times::Range { start: start + step, end, step });
        simpler.push(Times::Range { start, end: end - step, step });
    } else {
        simpler.push(Times::Instant(start));
    }
    simpler.retain(|simpler| *simpler != times);
    simpler
}

/// Each expression alone, and each expression replaced by an operand of it or by a number.
fn sub_expressions(query: &str, ast: &Ast) -> Vec<String> {
    let spans: Vec<_> = ast.nodes().iter().map(|node| node.span.range()).collect();
    let mut all: Vec<String> = Vec::new();
    for outer in &spans {
        all.push(query[outer.clone()].to_owned());
        let inside = spans.iter().filter(|s| s.start >= outer.start && s.end <= outer.end);
        let put = |text: &str| format!("{}{text}{}", &query[..outer.start], &query[outer.end..]);
        for inner in inside.filter(|inner| *inner != outer) {
            all.push(put(&query[inner.clone()]));
        }
        all.push(put("1"));
        all.push(put("vector(1)"));
    }
    all
}

fn fewer_tokens(query: &str) -> Vec<String> {
    let parts = tokens::split(query);
    let mut all = Vec::new();
    for window in 1..=WINDOW_MAX.min(parts.len()) {
        for at in 0..=parts.len() - window {
            all.push([&parts[..at], &parts[at + window..]].concat().concat());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_matters_is_left() {
        let case = Case {
            query: "sum by (job) (rate(c_total{job=\"api\"}[5m] offset 1m)) + (1 - 2)".into(),
            times: Times::Range { start: 0, end: 100, step: 7 },
        };
        let mut holds = |case: &Case| -> Result<bool, ()> {
            let parses = siltstone_promql::parse(&case.query, &Features::default()).is_ok();
            let late = matches!(case.times, Times::Range { end, .. } if end > 50);
            Ok(parses && case.query.contains("rate(") && late)
        };
        let small = shrink(case, Features::default(), &mut holds).unwrap();
        assert_eq!(small.query, "rate(c_total[5m])");
        assert_eq!(small.times, Times::Range { start: 98, end: 100, step: 7 });
    }
}
