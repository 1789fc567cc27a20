//! Series that have what recordings lack: counter resets, gaps, stale markers, NaN and infinities,
//! metrics that match each other by some of their labels, broken buckets, native histograms.

use std::sync::Arc;

use siltstone_promql::LabelSet;

use crate::native::{CUSTOM, Native};
use crate::random::Random;
use crate::stored::{STALE, Stored, StoredSeries};

/// The distance of samples.
const STEP_MS: i64 = 15_000;

/// The synthetic series between two times, in milliseconds.
pub(crate) fn series(start_ms: i64, end_ms: i64) -> Vec<StoredSeries> {
    let mut made = Maker { start_ms, end_ms, random: Random::new(20), series: Vec::new() };
    made.counters();
    made.gauges();
    made.descriptions();
    made.special_floats();
    made.classic_histograms();
    made.native_histograms();
    made.mixed();
    made.series
}

struct Maker {
    start_ms: i64,
    end_ms: i64,
    random: Random,
    series: Vec<StoredSeries>,
}

impl Maker {
    /// Adds a series whose sample number `n` is what `value` gives, if anything.
    fn add(
        &mut self,
        labels: &[(&str, &str)],
        mut value: impl FnMut(&mut Random, usize) -> Option<Stored>,
    ) {
        let count = usize::try_from((self.end_ms - self.start_ms) / STEP_MS).unwrap_or(0);
        // Half of the series are scraped at one time, half at times of their own.
        let shift = if self.random.chance(50) { 0 } else { self.random.between(0, STEP_MS - 1) };
        let mut samples = Vec::new();
        for n in 0..count {
            let time = self.start_ms + n as i64 * STEP_MS + shift;
            samples.extend(value(&mut self.random, n).map(|value| (time, value)));
        }
        let labels = LabelSet::from_pairs(labels.iter().copied());
        self.series.push(StoredSeries { labels, samples });
    }

    fn counters(&mut self) {
        for (at, (job, instance)) in TARGETS.iter().enumerate() {
            for path in ["/", "/api", "/login"] {
                let labels =
                    [("__name__", "c_total"), ("job", job), ("instance", instance), ("path", path)];
                let mut total = 0.0;
                self.add(&labels, |random, n| {
                    total += random.between(0, 20) as f64;
                    if random.chance(3) {
                        total = random.between(0, 3) as f64;
                    }
                    gap(at, n, || Stored::Float(total))
                });
            }
            let mut total = 0.0;
            let labels = [("__name__", "errors_total"), ("job", job), ("instance", instance)];
            self.add(&labels, |random, n| {
                total += if random.chance(20) { 1.0 } else { 0.0 };
                gap(at, n, || Stored::Float(total))
            });
        }
    }

    fn gauges(&mut self) {
        for (at, (job, instance)) in TARGETS.iter().enumerate() {
            let target = [("job", *job), ("instance", *instance)];
            let mut walk = 50.0;
            self.add(&named("g", &target), |random, n| {
                walk += random.unit() * 10.0 - 5.0;
                gap(at, n, || Stored::Float(walk))
            });
            self.add(&named("level", &target), |random, n| {
                gap(at + 1, n, || Stored::Float(random.between(-3, 3) as f64))
            });
            self.add(&named("sparse", &target), |random, n| {
                (n % 13 == at).then(|| Stored::Float(random.unit()))
            });
            for zone in ["eu", "us"] {
                let labels = [("job", *job), ("instance", *instance), ("zone", zone)];
                self.add(&named("zoned", &labels), |random, n| {
                    (n > 60 && n < 180).then(|| Stored::Float(random.unit() * 1e6))
                });
            }
        }
        for version in ["1", "2", "10", "1.2.3", "a10b", "a9b", "ä"] {
            self.add(&named("natural", &[("v", version), ("w", "x")]), |random, _| {
                Some(Stored::Float(random.between(0, 2) as f64))
            });
        }
        for x in ["1", "2"] {
            let labels = [("job", "api"), ("x", x), ("label.with.dots", "é")];
            self.add(&named("dup", &labels), |_, n| Some(Stored::Float(n as f64)));
        }
    }

    /// Metrics of which a job or a target has one: the *one* side of matches.
    fn descriptions(&mut self) {
        for job in ["api", "web", "db"] {
            self.add(&named("limit", &[("job", job), ("team", "t1")]), |_, _| {
                Some(Stored::Float(42.0))
            });
        }
        for (at, (job, instance)) in TARGETS.iter().enumerate() {
            for version in ["v1", "v2"] {
                let labels =
                    [("job", *job), ("instance", *instance), ("version", version), ("env", "prod")];
                self.add(&named("target_info", &labels), |_, n| {
                    // The second version replaces the first, which ends by a marker or by age.
                    let (first, last) = if version == "v1" { (0, 100) } else { (101, usize::MAX) };
                    match n {
                        n if n < first || n > last => None,
                        n if n == last && at % 2 == 0 => Some(Stored::Float(STALE)),
                        _ => Some(Stored::Float(1.0)),
                    }
                });
            }
            let labels = [("job", *job), ("instance", *instance), ("rev", "abc")];
            self.add(&named("build_info", &labels), |_, _| Some(Stored::Float(1.0)));
        }
    }

    fn special_floats(&mut self) {
        let values = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            1e9,
            -7.25,
            3.0,
        ];
        for (job, instance) in TARGETS {
            let target = [("job", *job), ("instance", *instance)];
            self.add(&named("special", &target), |random, _| {
                Some(Stored::Float(*random.pick(&values)))
            });
            self.add(&named("nans", &target), |random, n| {
                Some(Stored::Float(if n % 7 == 3 { f64::NAN } else { random.unit() }))
            });
            self.add(&named("date", &target), |random, _| {
                Some(Stored::Float(random.between(-2_000_000_000, 4_000_000_000) as f64 + 0.5))
            });
            self.add(&named("extreme", &target), |random, _| {
                Some(Stored::Float(*random.pick(&[1e308, -1e308, 1e-300, -1e-300, 1.7e308, 1e16])))
            });
        }
    }

    fn classic_histograms(&mut self) {
        for (job, instance) in TARGETS {
            let mut totals = [0.0; 5];
            for (at, le) in ["0.1", "0.5", "1", "5", "+Inf"].iter().enumerate() {
                let labels = [("job", *job), ("instance", *instance), ("le", *le)];
                self.add(&named("h_bucket", &labels), |_, n| {
                    // All buckets of a target draw the same observations.
                    let mut random = Random::new(n as u64);
                    let observed = random.below(5);
                    totals[at] += if observed <= at { 1.0 } else { 0.0 };
                    Some(Stored::Float(totals[at]))
                });
            }
        }
        let broken: &[(&str, &[&str])] = &[
            ("no_inf", &["0.1", "1", "10"]),
            ("malformed", &["0.1", "x", "1", "+Inf"]),
            ("twice", &["0.1", "1", "1.0", "+Inf"]),
            ("only_inf", &["+Inf"]),
            ("negative", &["-10", "-1", "0", "+Inf"]),
            ("falling", &["1", "2", "3", "+Inf"]),
        ];
        for (kind, bounds) in broken {
            for (at, le) in bounds.iter().enumerate() {
                let labels = [("kind", *kind), ("le", *le)];
                self.add(&named("broken_bucket", &labels), |random, n| {
                    let fall = if *kind == "falling" { random.between(-30, 0) as f64 } else { 0.0 };
                    Some(Stored::Float((n * (at + 1)) as f64 + fall))
                });
            }
        }
    }

    fn native_histograms(&mut self) {
        for (at, (job, instance)) in TARGETS.iter().enumerate() {
            let target = [("job", *job), ("instance", *instance)];
            let schema = [0, 1, 3, -1][at % 4];
            let mut total = exponential(schema);
            self.add(&named("native", &target), |random, n| {
                grow(&mut total, random);
                if random.chance(3) {
                    total = exponential(schema);
                }
                gap(at, n, || Stored::Native(Arc::new(total.clone())))
            });
            self.add(&named("native_gauge", &target), |random, _| {
                let mut value = Native { is_gauge: true, ..exponential(schema) };
                grow(&mut value, random);
                Some(Stored::Native(Arc::new(value)))
            });
            let custom = if at < 3 { vec![0.1, 1.0, 10.0] } else { vec![0.1, 0.5, 1.0, 10.0] };
            let mut total = Native {
                schema: CUSTOM,
                positive: (0, vec![0.0; custom.len() + 1]),
                custom,
                ..Native::default()
            };
            self.add(&named("custom", &target), |random, _| {
                grow(&mut total, random);
                Some(Stored::Native(Arc::new(total.clone())))
            });
        }
    }

    /// Metrics with floats and histograms, in one series or in several.
    fn mixed(&mut self) {
        for (at, (job, instance)) in TARGETS.iter().enumerate() {
            let target = [("job", *job), ("instance", *instance)];
            let mut total = exponential(0);
            self.add(&named("mixed", &target), |random, n| {
                grow(&mut total, random);
                let is_float = if at < 2 { n % 40 < 15 } else { at == 2 };
                Some(if is_float {
                    Stored::Float(n as f64)
                } else {
                    Stored::Native(Arc::new(total.clone()))
                })
            });
            let mut total = exponential(1);
            let mut nans = 0.0;
            self.add(&named("native_nans", &target), |random, _| {
                grow(&mut total, random);
                nans += 1.0;
                let sum = f64::NAN;
                Some(Stored::Native(Arc::new(Native { outside: nans, sum, ..total.clone() })))
            });
        }
    }
}

/// The targets: job and instance.
const TARGETS: &[(&str, &str)] =
    &[("api", "a:1"), ("api", "a:2"), ("api", "b:1"), ("web", "a:1"), ("db", "d:1")];

fn named<'a>(name: &'a str, labels: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![("__name__", name)];
    all.extend_from_slice(labels);
    all
}

/// The value, but for gaps: with a stale marker, or without.
fn gap(kind: usize, n: usize, value: impl FnOnce() -> Stored) -> Option<Stored> {
    match (kind % 5, n) {
        (1, 50) | (2, 90) => Some(Stored::Float(STALE)),
        (1, 51..80) | (2, 91..95) | (3, 100..150) => None,
        (4, 0..70) => None,
        _ => Some(value()),
    }
}

fn exponential(schema: i32) -> Native {
    Native {
        schema,
        zero_threshold: 0.001,
        positive: (-2, vec![0.0; 6]),
        negative: (0, vec![0.0; 3]),
        ..Native::default()
    }
}

/// Adds observations.
fn grow(native: &mut Native, random: &mut Random) {
    for count in native.positive.1.iter_mut().chain(&mut native.negative.1) {
        *count += random.between(0, 4) as f64;
    }
    if native.schema != CUSTOM {
        native.zero_count += random.between(0, 2) as f64;
    }
    native.sum += random.unit() * 20.0;
}
