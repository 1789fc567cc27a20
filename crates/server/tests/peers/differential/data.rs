//! The series that both sides hold: an hour, of which a part comes late.

use siltstone_server_testing::harness::series;

use crate::seeded::Seeded;

/// 2026-01-01T00:00:00Z.
pub(super) const START_S: i64 = 1_767_225_600;
/// How long the series are.
pub(super) const LENGTH_S: i64 = 3600;
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

type Labels = Vec<(&'static str, String)>;

/// A series, and which of its samples come with the first requests.
struct Written {
    labels: Labels,
    samples: Vec<(i64, f64)>,
    /// Places of those that come when all others are there.
    late: Vec<bool>,
}

/// Bodies of remote write, in the order in which they are to be sent: four parts in the order of time, then
/// one with what is late.
pub(super) fn requests() -> Vec<Vec<u8>> {
    let all = all();
    let part_ms = LENGTH_S * 1000 / 4;
    let part_of = |time: i64| ((time - START_S * 1000) / part_ms).min(3);
    let mut requests = Vec::new();
    for part in 0..=4 {
        let mut body = Vec::new();
        for written in &all {
            let here = |(sample, late): (&(i64, f64), &bool)| {
                let is_here = if *late { part == 4 } else { part == part_of(sample.0) };
                is_here.then_some(*sample)
            };
            let samples: Vec<_> =
                written.samples.iter().zip(&written.late).filter_map(here).collect();
            if !samples.is_empty() {
                let labels: Vec<_> = written.labels.iter().map(|(n, v)| (*n, v.as_str())).collect();
                body.extend(series(&labels, &samples));
            }
        }
        requests.push(body);
    }
    requests
}

fn all() -> Vec<Written> {
    let mut random = Seeded(9);
    let mut all = Vec::new();
    counters(&mut random, &mut all);
    gauges(&mut random, &mut all);
    histograms(&mut random, &mut all);
    joins(&mut random, &mut all);
    all
}

/// Adds a series with samples at these times, none of them late.
fn add(all: &mut Vec<Written>, labels: Labels, samples: Vec<(i64, f64)>) {
    let late = vec![false; samples.len()];
    all.push(Written { labels, samples, late });
}

/// Times every `step_s`, each up to `jitter_ms` later.
fn times(random: &mut Seeded, step_s: i64, jitter_ms: usize) -> Vec<i64> {
    let jitter = |random: &mut Seeded| random.below(jitter_ms + 1) as i64;
    let steps = (0..LENGTH_S).step_by(step_s as usize);
    steps.map(|s| (START_S + s) * 1000 + jitter(random)).collect()
}

/// `requests_total` of three jobs, one of which is scraped at uneven times; all are reset now and then, some
/// end with a stale marker and come again, and of some every third sample is late.
fn counters(random: &mut Seeded, all: &mut Vec<Written>) {
    for (j, (job, jitter)) in [("api", 0), ("db", 0), ("web", 900)].into_iter().enumerate() {
        for instance in 0..4 {
            for code in ["200", "500"] {
                let labels = vec![
                    ("__name__", "requests_total".to_owned()),
                    ("code", code.to_owned()),
                    ("instance", format!("i{instance}")),
                    ("job", job.to_owned()),
                ];
                let mut value = 0.0;
                let mut samples = Vec::new();
                for time in times(random, 15, jitter) {
                    value += if random.below(5) == 0 { 0.0 } else { random.unit() * 40.0 };
                    if random.below(60) == 0 {
                        value = 0.0;
                    }
                    samples.push((time, value));
                }
                if instance == 1 {
                    samples[100].1 = STALE;
                    samples.drain(101..160);
                }
                add(all, labels, samples);
                if (instance + j) % 3 == 2 {
                    let late = &mut all.last_mut().unwrap().late;
                    late.iter_mut().skip(1).step_by(3).for_each(|late| *late = true);
                }
            }
        }
    }
}

/// `temperature` with values that are no numbers and with gaps, `sparse` with samples just within and just
/// beyond the lookback, `large`, and one whose names are not ASCII.
fn gauges(random: &mut Seeded, all: &mut Vec<Written>) {
    for (r, room) in ["attic", "cellar", "hall", "kitchen", "study"].into_iter().enumerate() {
        let mut samples: Vec<_> =
            times(random, 30, 0).into_iter().map(|t| (t, random.unit() * 60.0 - 20.0)).collect();
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, STALE];
        samples[20 + r].1 = odd[r];
        samples[21 + r].1 = f64::NAN;
        samples.drain(60 + r..75 + r);
        let labels = vec![("__name__", "temperature".to_owned()), ("room", room.to_owned())];
        add(all, labels, samples);
        // All of a stretch is late, and with it a stale marker.
        if r == 2 {
            let written = all.last_mut().unwrap();
            written.late[40..60].fill(true);
            written.samples[50].1 = STALE;
        }
    }
    for (name, step_s) in [("within", 290), ("beyond", 310), ("at", 300)] {
        let samples =
            times(random, step_s, 0).into_iter().map(|t| (t, random.unit() * 1e3)).collect();
        let labels = vec![("__name__", "sparse".to_owned()), ("kind", name.to_owned())];
        add(all, labels, samples);
    }
    for instance in 0..3 {
        let value = |random: &mut Seeded| (random.unit() * 1e18).round();
        let samples = times(random, 20, 0).into_iter().map(|t| (t, value(random))).collect();
        let labels =
            vec![("__name__", "large_bytes".to_owned()), ("instance", format!("i{instance}"))];
        add(all, labels, samples);
    }
    for city in ["تبریز", "یزد"] {
        let samples = times(random, 60, 0).into_iter().map(|t| (t, random.unit())).collect();
        add(all, vec![("__name__", "دما".to_owned()), ("شهر", city.to_owned())], samples);
    }
}

/// What a classic histogram is at one time: cumulative counts of its buckets, and the sum.
struct Row {
    counts: [f64; 7],
    sum: f64,
}

/// `latency_seconds` of two jobs: buckets, sum and count.
fn histograms(random: &mut Seeded, all: &mut Vec<Written>) {
    let bounds = ["0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"];
    for job in ["api", "db"] {
        let times = times(random, 15, 0);
        let mut counts = [0.0; 7];
        let mut sum = 0.0;
        let mut rows: Vec<Row> = Vec::new();
        for _ in &times {
            for _ in 0..random.below(6) {
                let at = random.below(bounds.len());
                counts[at..].iter_mut().for_each(|count| *count += 1.0);
                sum += random.unit();
            }
            rows.push(Row { counts, sum });
        }
        let with = |value: &dyn Fn(&Row) -> f64| -> Vec<(i64, f64)> {
            times.iter().zip(&rows).map(|(time, row)| (*time, value(row))).collect()
        };
        let labels = |part: &str, more: Option<&str>| {
            let name = ("__name__", format!("latency_seconds_{part}"));
            let le = more.map(|bound| ("le", bound.to_owned()));
            [name, ("job", job.to_owned())].into_iter().chain(le).collect()
        };
        for (b, bound) in bounds.into_iter().enumerate() {
            add(all, labels("bucket", Some(bound)), with(&|row| row.counts[b]));
        }
        add(all, labels("count", None), with(&|row| row.counts[6]));
        add(all, labels("sum", None), with(&|row| row.sum));
    }
}

/// `build_info` and `up`, to be joined with others.
fn joins(random: &mut Seeded, all: &mut Vec<Written>) {
    for job in ["api", "db", "web"] {
        for instance in 0..4 {
            let of = |name: &str| {
                let instance = ("instance", format!("i{instance}"));
                vec![("__name__", name.to_owned()), instance, ("job", job.to_owned())]
            };
            let up = times(random, 15, 0).into_iter();
            let up = up.map(|t| (t, f64::from(u8::from(random.below(10) > 0)))).collect();
            add(all, of("up"), up);
            let mut labels = of("build_info");
            labels.push(("version", format!("1.{}", instance % 2)));
            let info = times(random, 60, 0).into_iter().map(|t| (t, 1.0)).collect();
            add(all, labels, info);
        }
    }
}
