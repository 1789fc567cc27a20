//! Cases: series, a query, and its times.

use std::fmt;

use siltstone_promql::ast::ValueType;
use siltstone_promql::{Features, LabelSet, MemorySource, Point};

use super::{Choose, OF_SERIES, query, query_of_type};
use crate::evaluate::{Settings, Times};
use crate::value::Series;

/// What two evaluators are asked.
#[derive(Debug, Clone)]
pub struct Case {
    /// In the order of their labels.
    pub series: Vec<Series>,
    /// The text of the query.
    pub query: String,
    /// What the query may use.
    pub features: Features,
    /// When it is evaluated.
    pub times: Times,
    /// How.
    pub settings: Settings,
}

impl Case {
    /// The series as a source of the evaluator under test.
    #[must_use]
    pub fn source(&self) -> MemorySource {
        let mut source = MemorySource::new();
        for series in &self.series {
            for (time, value) in &series.samples {
                source.insert(&series.labels, *time, 0, Point::Float(*value));
            }
        }
        source
    }
}

/// As a person can read it: the query, how and when, and the series.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{:?}\n{:?}", self.query, self.times, self.settings)?;
        for series in &self.series {
            write!(f, "{}", series.labels)?;
            series.samples.iter().try_for_each(|(time, value)| write!(f, " {time}:{value}"))?;
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A case of a few series with times from -10 to 20 minutes around the epoch; one in eight has more
/// than 64 series.
pub fn case(choose: Choose<'_>) -> Case {
    let features = Features {
        experimental_functions: true,
        fill_modifiers: true,
        delayed_name_removal: choose(2) == 1,
        ..Features::default()
    };
    let settings = Settings {
        lookback: [300_000, 60_000, 1, 15_000][choose(4)],
        subquery_step: [60_000, 15_000, 7_000][choose(3)],
        delayed_names: features.delayed_name_removal,
        rounding: 0.0,
    };
    let times = times(choose);
    // Range queries for other types are refused, which says little about the rest of them.
    let is_vector = matches!(times, Times::Range { .. }) && choose(8) != 7;
    let query = match is_vector {
        true => query_of_type(ValueType::Vector, features, &OF_SERIES, choose),
        false => query(features, &OF_SERIES, choose),
    };
    let series = series(choose);
    Case { series, query, features, times, settings }
}

fn times(choose: Choose<'_>) -> Times {
    let start = choose(60) as i64 * 15_000 - 300_000 + [0, 0, 1, -1, 500][choose(5)];
    if choose(3) == 0 {
        return Times::Instant(start);
    }
    let step = [15_000, 60_000, 30_000, 7_000, 1_000, 300_000, 1, 11_111][choose(8)];
    Times::Range { start, end: start + step * choose(12) as i64 + choose(2) as i64, step }
}

fn series(choose: Choose<'_>) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    let count = if choose(8) == 7 { 65 + choose(40) } else { 4 + choose(16) };
    let is_large = count > 64;
    for number in 0..count {
        let labels = labels(choose, is_large.then_some(number));
        let samples = samples(choose);
        if all.iter().all(|other| other.labels != labels) {
            all.push(Series { labels, samples });
        }
    }
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}

fn labels(choose: Choose<'_>, number: Option<usize>) -> LabelSet {
    let name = ["a", "b_total", "a", "c_bucket"][choose(4)];
    let mut labels = LabelSet::from_pairs([
        ("__name__", name),
        ("x", ["1", "2", "10", ""][choose(4)]),
        ("y", ["u", "v", ""][choose(3)]),
    ]);
    if name == "c_bucket" {
        labels = labels.with("le", ["0.5", "1", "+Inf", "2.5", "bad"][choose(5)]);
    }
    match number {
        Some(number) => labels.with("z", &number.to_string()),
        None => labels,
    }
}

/// Samples about 15 s apart, with gaps; one byte chooses what they are like, one seeds the rest.
fn samples(choose: Choose<'_>) -> Vec<(i64, f64)> {
    let kind = choose(8);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(choose(256) as u64 + 1);
    // Marsaglia's xorshift.
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    };
    let count = 10 + random(60);
    let mut time = random(80) as i64 * 15_000 - 600_000;
    let mut counter = 0.0;
    let mut samples = Vec::new();
    for _ in 0..count {
        time += match random(10) {
            0 => 100_000,
            1 => 1 + random(30_000) as i64,
            _ => 15_000,
        };
        counter = if random(12) == 0 { 0.0 } else { counter + random(64) as f64 / 4.0 };
        let gauge = random(400) as f64 / 8.0 - 20.0;
        samples.push((
            time,
            match kind {
                0..=2 => counter,
                3 | 4 => gauge,
                5 => random(3) as f64,
                _ => special(random(20)).unwrap_or(gauge),
            },
        ));
    }
    samples
}

/// A stale marker, an infinity or a NaN, with some luck.
fn special(choice: u64) -> Option<f64> {
    Some(match choice {
        0 => f64::from_bits(0x7ff0_0000_0000_0002),
        1 => f64::NAN,
        2 => f64::INFINITY,
        3 => f64::NEG_INFINITY,
        4 => -0.0,
        5 => 0.1,
        _ => return None,
    })
}
