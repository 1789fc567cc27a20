//! The rows of the table and their requests, all made from a seed before anything is asked.

use siltstone_rig::http::query_value;
use siltstone_rig::seeded::{Seeded, mix};
use siltstone_rig::tsbs::METRICS;

use crate::queries::Load;
use crate::queries::span::Span;

/// Hosts of a row that asks about some.
pub const HOSTS_OF_SOME: u64 = 8;
/// Ends of rows over all hours, and times of instant queries, lie in these last seconds.
const END_WITHIN_S: u64 = 600;
/// What every request carries besides: without it VictoriaMetrics answers from its cache of results.
const NO_CACHE: &str = "&nocache=1";

/// How a row asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// A range query over so many hours (0 for all) with a step in seconds, each step looking back by
    /// at most that step or as long as the rate does.
    Range { hours: u64, step_s: u64 },
    /// An instant query.
    Instant,
    /// The label sets of the selector.
    Series,
    /// The values of the label.
    LabelValues,
}

/// What a row is made from.
struct Shape {
    /// With `$span` for all hours and `$series` for the number of series.
    name: &'static str,
    /// Times faster than VictoriaMetrics that are wanted.
    goal: Option<f64>,
    ask: Ask,
    /// Metrics, each asked in a request of its own.
    metrics: usize,
    /// With `$metric`, `$host` for one, `$hosts` for alternatives of eight.
    query: &'static str,
}

const HOUR_AT_1M: Ask = Ask::Range { hours: 1, step_s: 60 };
const ALL_AT_1M: Ask = Ask::Range { hours: 0, step_s: 60 };
const ALL_AT_1H: Ask = Ask::Range { hours: 0, step_s: 3600 };

const SHAPES: &[Shape] = &[
    Shape {
        name: "max_over_time 1m of one series, 1 h at 1m",
        goal: Some(2.0),
        ask: HOUR_AT_1M,
        metrics: 1,
        query: "max_over_time($metric{hostname=\"$host\"}[1m])",
    },
    Shape {
        name: "max by host, 5 metrics, 8 hosts, 1 h at 1m",
        goal: Some(3.0),
        ask: HOUR_AT_1M,
        metrics: 5,
        query: "max by (hostname) (max_over_time($metric{hostname=~\"$hosts\"}[1m]))",
    },
    Shape {
        name: "max_over_time 1m of one series, $span at 1m",
        goal: Some(1.3),
        ask: ALL_AT_1M,
        metrics: 1,
        query: "max_over_time($metric{hostname=\"$host\"}[1m])",
    },
    Shape {
        name: "max by host, ten metrics, 8 hosts, $span at 1h",
        goal: Some(3.0),
        ask: ALL_AT_1H,
        metrics: 10,
        query: "max by (hostname) (max_over_time($metric{hostname=~\"$hosts\"}[1h]))",
    },
    Shape {
        name: "avg by host of avg_over_time 1h, one metric, all hosts, $span at 1h",
        goal: Some(3.0),
        ask: ALL_AT_1H,
        metrics: 1,
        query: "avg by (hostname) (avg_over_time($metric[1h]))",
    },
    Shape {
        name: "the same, five metrics",
        goal: Some(4.0),
        ask: ALL_AT_1H,
        metrics: 5,
        query: "avg by (hostname) (avg_over_time($metric[1h]))",
    },
    Shape {
        name: "max_over_time 1m > 90, all hosts, 1 h at 1m",
        goal: Some(3.0),
        ask: HOUR_AT_1M,
        metrics: 1,
        query: "max_over_time($metric[1m]) > 90",
    },
    Shape {
        name: "last point of all $series series",
        goal: Some(3.0),
        ask: Ask::Instant,
        metrics: 1,
        query: "{__name__=~\"cpu_usage_.+\"}",
    },
    Shape {
        name: "sum by region of rate 5m, all hosts, $span at 1m",
        goal: Some(3.0),
        ask: ALL_AT_1M,
        metrics: 1,
        query: "sum by (region) (rate($metric[5m]))",
    },
    Shape {
        name: "raw $span of one host",
        goal: Some(2.0),
        ask: Ask::Instant,
        metrics: 1,
        query: "{hostname=\"$host\"}[$range]",
    },
    Shape {
        name: "/series of all $series series",
        goal: None,
        ask: Ask::Series,
        metrics: 1,
        query: "{__name__=~\"cpu_usage_.+\"}",
    },
    Shape {
        name: "label values of hostname",
        goal: None,
        ask: Ask::LabelValues,
        metrics: 1,
        query: "hostname",
    },
];

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The expression, selector or label as it is.
    pub query: String,
    /// The path with its query, percent-encoded.
    pub target: String,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What it asks, in words.
    pub name: String,
    /// Times faster than VictoriaMetrics that are wanted.
    pub goal: Option<f64>,
    /// The requests of each time that the row asks: one after the other.
    pub askings: Vec<Vec<Request>>,
}

/// All rows with their requests, the same for the same load and span.
#[must_use]
pub fn rows(load: &Load, span: &Span) -> Vec<Row> {
    let rows = SHAPES.iter().enumerate().map(|(index, shape)| {
        let mut random = Seeded::new(mix(load.seed ^ (index as u64 + 1)));
        let askings = (0..load.times).map(|_| asking(shape, span, &mut random));
        Row {
            name: shape
                .name
                .replace("$span", &format!("{} h", span.hours))
                .replace("$series", &siltstone_rig::report::grouped(span.series())),
            goal: shape.goal,
            askings: askings.collect(),
        }
    });
    rows.collect()
}

/// The requests of one time that a row asks.
fn asking(shape: &Shape, span: &Span, random: &mut Seeded) -> Vec<Request> {
    let host = format!("host_{}", random.below(span.hosts));
    let hosts = some_hosts(span, random).join("|");
    let first_metric = random.below(METRICS.len() as u64) as usize;
    let end_s = end_s(shape.ask, span, random);
    let queries = (first_metric..first_metric + shape.metrics).map(|metric| {
        // `$hosts` before `$host`, which it begins with.
        shape
            .query
            .replace("$metric", METRICS[metric % METRICS.len()])
            .replace("$hosts", &hosts)
            .replace("$host", &host)
            .replace("$range", &format!("{}h", span.hours))
    });
    queries.map(|query| Request { target: target(shape.ask, &query, span, end_s), query }).collect()
}

/// Different hosts, in ascending order.
fn some_hosts(span: &Span, random: &mut Seeded) -> Vec<String> {
    let mut chosen = std::collections::BTreeSet::new();
    while (chosen.len() as u64) < HOSTS_OF_SOME.min(span.hosts) {
        chosen.insert(random.below(span.hosts));
    }
    chosen.into_iter().map(|host| format!("host_{host}")).collect()
}

/// When a request ends: a whole second, seldom one with samples.
fn end_s(ask: Ask, span: &Span, random: &mut Seeded) -> i64 {
    let back = match ask {
        Ask::Range { hours, .. } if hours > 0 => (span.hours - hours) * 3600,
        _ => 0,
    };
    span.last_s - random.below(back.max(END_WITHIN_S)).cast_signed()
}

fn target(ask: Ask, query: &str, span: &Span, end_s: i64) -> String {
    let value = query_value(query);
    match ask {
        Ask::Range { hours, step_s } => {
            let hours = if hours == 0 { span.hours } else { hours };
            // The first step looks back over what lies before it.
            let start_s = end_s - (hours * 3600 - step_s).cast_signed();
            format!(
                "/api/v1/query_range?query={value}&start={start_s}&end={end_s}&step={step_s}{NO_CACHE}"
            )
        }
        Ask::Instant => format!("/api/v1/query?query={value}&time={end_s}{NO_CACHE}"),
        Ask::Series => {
            format!("/api/v1/series?match[]={value}&start={}&end={end_s}{NO_CACHE}", span.first_s())
        }
        Ask::LabelValues => {
            format!("/api/v1/label/{value}/values?start={}&end={end_s}{NO_CACHE}", span.first_s())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const LOAD: Load = Load { hosts: 1_000, hours: 6, times: 15, seed: 1 };
    const NOW_MS: i64 = 1_795_000_003_500;

    fn parameter(request: &Request, name: &str) -> i64 {
        let (_, rest) = request.target.split_once(&format!("&{name}=")).unwrap();
        rest.split('&').next().unwrap().parse().unwrap()
    }

    #[test]
    fn the_rows_of_the_table() {
        let span = Span::of(&LOAD, NOW_MS);
        let rows = rows(&LOAD, &span);
        let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names.len(), 12);
        assert_eq!(names[2], "max_over_time 1m of one series, 6 h at 1m");
        assert_eq!(names[7], "last point of all 10,000 series");
        assert_eq!(rows.iter().filter(|row| row.goal.is_some()).count(), 10);
        let requests: Vec<_> = rows.iter().map(|row| row.askings[0].len()).collect();
        assert_eq!(requests, [1, 5, 1, 10, 1, 5, 1, 1, 1, 1, 1, 1]);
        assert!(rows.iter().all(|row| row.askings.len() == 15));
        for request in rows.iter().flat_map(|row| row.askings.iter().flatten()) {
            assert!(!request.query.contains('$'), "{}", request.query);
            assert!(request.target.ends_with("&nocache=1"), "{}", request.target);
        }
        let ten: BTreeSet<_> = rows[3].askings[4].iter().map(|request| &request.query).collect();
        assert_eq!(ten.len(), 10, "each of the ten asks about another metric");
    }

    #[test]
    fn a_seed_repeats_and_requests_vary() {
        let span = Span::of(&LOAD, NOW_MS);
        let one = rows(&LOAD, &span);
        assert_eq!(one, rows(&LOAD, &span));
        assert_ne!(one, rows(&Load { seed: 2, ..LOAD }, &span));
        for row in &one {
            let distinct: BTreeSet<_> = row.askings.iter().map(|a| &a[0].target).collect();
            assert!(distinct.len() > 10, "{}: {} of 15", row.name, distinct.len());
        }
    }

    #[test]
    fn requests_stay_within_the_samples() {
        for load in [LOAD, Load { hosts: 8, hours: 1, times: 200, seed: 3 }] {
            let span = Span::of(&load, NOW_MS);
            assert_eq!(span.last_s % 10, 0);
            assert!(span.last_s * 1000 < NOW_MS - 30_000);
            let rows = rows(&load, &span);
            for request in &rows[0].askings.concat() {
                let (start, end) = (parameter(request, "start"), parameter(request, "end"));
                assert_eq!((end - start, parameter(request, "step")), (59 * 60, 60));
                assert!(end <= span.last_s && end > span.first_s());
                if load.hours > 1 {
                    assert!(start - 60 >= span.first_s() - 10, "the whole hour has samples");
                }
            }
            for request in &rows[8].askings.concat() {
                let (start, end) = (parameter(request, "start"), parameter(request, "end"));
                assert_eq!(end - start, load.hours.cast_signed() * 3600 - 60);
                assert!((span.last_s - 600..=span.last_s).contains(&end));
            }
            for asking in &rows[1].askings {
                assert_eq!(asking[0].query.matches("host_").count(), 8);
            }
        }
    }
}
