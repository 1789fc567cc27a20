//! The queries: those of `queries.txt`, and random ones over the same series.

use crate::seeded::Seeded;

const SELECTORS: &[&str] = &[
    "requests_total",
    "requests_total{job=\"api\"}",
    "requests_total{job=~\"db|web\",code!=\"500\"}",
    "temperature",
    "temperature{room!~\"a.*|hall\"}",
    "sparse",
    "latency_seconds_bucket",
    "latency_seconds_count",
    "up",
    "large_bytes",
    "{\"دما\"}",
];
const OVER_TIME: &[&str] = &[
    "rate",
    "increase",
    "irate",
    "delta",
    "idelta",
    "resets",
    "changes",
    "sum_over_time",
    "avg_over_time",
    "min_over_time",
    "max_over_time",
    "count_over_time",
    "last_over_time",
    "present_over_time",
];
const RANGES: &[&str] = &["15s", "44s", "1m", "5m", "7m30s", "20m"];
const SHIFTS: &[&str] =
    &["", "", "", " offset 1m", " offset -90s", " @ 1767227400", " @ start()", " offset 11m"];
/// Without those that make large differences of small ones, here and below; `queries.txt` has them.
const FUNCTIONS: &[&str] = &["abs", "sgn", "-"];
const AGGREGATIONS: &[&str] = &["sum", "avg", "min", "max", "count", "group", "quantile(0.4, "];
/// Whose values are never equal, so that it is defined which are the largest.
const DISTINCT: &[&str] = &["requests_total", "large_bytes", "temperature", "{\"دما\"}"];
const GROUPINGS: &[&str] =
    &["", " by (job)", " by (instance, code)", " without (instance)", " by (room)"];
const OPERATORS: &[&str] = &["+", "-", "*", "/", ">", "<=", "== bool", "!=", "and", "or", "unless"];

/// How many queries are drawn with a seed.
const DRAWN: usize = 200;

/// All queries, the same in every run; of the drawn ones, those of the first `seeds`.
pub(super) fn all(seeds: u64) -> Vec<String> {
    let fixed = include_str!("queries.txt").lines();
    let fixed = fixed.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut all: Vec<String> = fixed.map(str::to_owned).collect();
    for seed in 1..=seeds {
        let mut seeded = Seeded(seed);
        all.extend((0..DRAWN).map(|_| vector(&mut seeded, 3)));
    }
    all
}

/// An expression of an instant vector with operators nested up to `depth`.
fn vector(random: &mut Seeded, depth: usize) -> String {
    let choice = if depth == 0 { random.below(3) } else { random.below(10) };
    match choice {
        0 => format!("{}{}", random.pick(SELECTORS), random.pick(SHIFTS)),
        1 | 2 => over_time(random),
        3 => {
            let inner = vector(random, depth - 1);
            format!("max_over_time(({inner})[{}:1m])", random.pick(RANGES))
        }
        4 => format!("{}({})", random.pick(FUNCTIONS), vector(random, depth - 1)),
        5 | 6 => aggregation(random, depth),
        7 => format!("topk{} (2, {})", random.pick(GROUPINGS), random.pick(DISTINCT)),
        8 => {
            let inner = vector(random, depth - 1);
            let operator = random.pick(&OPERATORS[..8]);
            format!("({inner}) {operator} {}", random.below(9))
        }
        _ => {
            let (left, right) = (vector(random, depth - 1), vector(random, depth - 1));
            format!("({left}) {} ({right})", random.pick(OPERATORS))
        }
    }
}

fn over_time(random: &mut Seeded) -> String {
    let (function, selector) = (random.pick(OVER_TIME), random.pick(SELECTORS));
    format!("{function}({selector}[{}]{})", random.pick(RANGES), random.pick(SHIFTS))
}

fn aggregation(random: &mut Seeded, depth: usize) -> String {
    let (operator, grouping) = (random.pick(AGGREGATIONS), random.pick(GROUPINGS));
    let inner = vector(random, depth - 1);
    match operator.split_once('(') {
        Some((name, parameter)) => format!("{name}{grouping} ({parameter}{inner})"),
        None => format!("{operator}{grouping} ({inner})"),
    }
}
