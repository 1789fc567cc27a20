//! Aggregation through the public API: the same buckets as folding what `select` returns, however
//! writes, deletes, flushes and merges follow each other.

use std::ops::ControlFlow;
use std::time::Duration;

use proptest::prelude::*;
use siltstone::sys::SimFs;
use siltstone::{BucketValues, Db, Labels, Matcher, Options, QueryOptions, Snapshot, TimeRange};
use siltstone_testing::answers::{STORE, labels, open_sim, select, sim_clock, sim_options, write};

const HOUR: i64 = 3_600_000;
const STALE: u64 = 0x7ff0_0000_0000_0002;

#[derive(Debug, Clone)]
enum Op {
    /// Rows 0, 1, .. of a series from a time on, a tick of 1,000 apart, each of the value plus its
    /// number.
    Write(usize, i64, usize, u64),
    Delete(usize, i64, i64),
    Flush,
    Compact,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let value = prop_oneof![
        8 => (-40i32..40).prop_map(|i| f64::from(i).to_bits()),
        4 => (-400i32..400).prop_map(|i| (f64::from(i) / 4.0).to_bits()),
        1 => Just(STALE),
    ];
    let write = (0usize..3, 0i64..4000, 1usize..1500, value);
    let op = prop_oneof![
        6 => write.prop_map(|(s, t, n, v)| Op::Write(s, t * 1000, n, v)),
        2 => (0usize..3, 0i64..4000, 1i64..900).prop_map(|(s, t, n)| Op::Delete(s, t * 1000, n * 1000)),
        3 => Just(Op::Flush),
        1 => Just(Op::Compact),
    ];
    prop::collection::vec(op, 1..14)
}

fn series(number: usize) -> Labels {
    labels(&[("__name__", "m"), ("n", &number.to_string())])
}

fn run(db: &Db, op: &Op) {
    match *op {
        Op::Write(number, start, rows, bits) => {
            let value = |row: usize| match bits {
                STALE => STALE,
                _ => (f64::from_bits(bits) + row as f64).to_bits(),
            };
            let rows = (0..rows).map(|row| (start + row as i64 * 1000, value(row)));
            write(db, &series(number), &rows.collect::<Vec<_>>());
        }
        Op::Delete(number, start, ticks) => {
            let matchers = [Matcher::equal("n", number.to_string())];
            db.delete(&matchers, TimeRange::new(start, start + ticks)).unwrap();
        }
        Op::Flush => db.flush().unwrap(),
        Op::Compact => {
            db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
        }
    }
}

/// (start, stale markers, [count, sum, min, max, first, last]) as numbers: none is a NaN.
type Flat = (i64, u64, Option<[f64; 6]>);

fn flat(values: &BucketValues) -> [f64; 6] {
    [values.count as f64, values.sum, values.min, values.max, values.first.value, values.last.value]
}

fn aggregated(snapshot: &Snapshot, range: TimeRange, step: i64) -> Vec<(Labels, Vec<Flat>)> {
    let found = snapshot.aggregate(&[], range, step, &QueryOptions::default()).unwrap();
    let series = found.map(|series| {
        let series = series.unwrap();
        let bucket =
            |b: &siltstone::Bucket| (b.start, b.stale_markers, b.values.as_ref().map(flat));
        (series.labels, series.buckets.iter().map(bucket).collect())
    });
    series.collect()
}

fn folded(snapshot: &Snapshot, range: TimeRange, step: i64) -> Vec<(Labels, Vec<Flat>)> {
    let number = |t: i64| (t - range.start) / step;
    let bucket = |bucket: &[(i64, u64)]| {
        let live: Vec<f64> =
            bucket.iter().filter(|s| s.1 != STALE).map(|s| f64::from_bits(s.1)).collect();
        let values = live.first().zip(live.last()).map(|(&first, &last)| {
            let (min, max) = live.iter().fold((first, first), |(a, b), &v| (v.min(a), v.max(b)));
            // Quarters: the sum is exact in any order.
            [live.len() as f64, live.iter().sum(), min, max, first, last]
        });
        let start = range.start + number(bucket[0].0) * step;
        (start, (bucket.len() - live.len()) as u64, values)
    };
    let series = select(snapshot, &[], range).into_iter();
    series
        .map(|(labels, samples)| {
            let buckets = samples.chunk_by(|a, b| number(a.0) == number(b.0));
            (labels, buckets.map(bucket).collect())
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn buckets_are_those_of_the_samples(ops in ops(), from in -3_000i64..4_000_000) {
        let fs = SimFs::new();
        let db = open_sim(&fs).unwrap();
        for op in &ops {
            run(&db, op);
        }
        let snapshot = db.snapshot().unwrap();
        for (range, step) in [
            (TimeRange::new(0, 6_000_000), 6_000_000),
            (TimeRange::new(0, 6_000_000), 675_000),
            (TimeRange::new(from, 5_000_000), 1_000_000),
            (TimeRange::new(from, from + 500_000), 7_001),
        ] {
            let expected = folded(&snapshot, range, step);
            prop_assert!(aggregated(&snapshot, range, step) == expected, "{range:?} by {step}");
        }
    }
}

/// (count, sum) of each bucket of the only series.
fn sums(db: &Db, range: TimeRange, step: i64) -> Vec<(f64, f64)> {
    let found = aggregated(&db.snapshot().unwrap(), range, step);
    let values = found.iter().flat_map(|(_, buckets)| buckets).filter_map(|bucket| bucket.2);
    values.map(|[count, sum, ..]| (count, sum)).collect()
}

fn compact(db: &Db) {
    db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
}

#[test]
fn what_has_expired_is_in_no_sum() {
    let (fs, clock) = (SimFs::new(), sim_clock());
    let retention = Some(Duration::from_secs(24 * 3600));
    let options = Options { retention, ..sim_options(&fs, &clock) };
    let start = 1_700_000_000_000;
    let db = Db::open(STORE, options).unwrap();
    // No decimals have this sum, so that it is computed from the samples again.
    let floats = [0.5f64, 0.1 + 0.2].map(f64::to_bits);
    let expired = (start, 1000f64.to_bits());
    let kept = [(start + 20 * HOUR, floats[0]), (start + 21 * HOUR, floats[1])];
    write(&db, &series(0), &[expired, kept[0], kept[1]]);
    db.flush().unwrap();
    db.pause();
    for _ in 0..26 {
        clock.advance(Duration::from_secs(3600));
        db.tick().unwrap();
    }
    write(&db, &series(1), &[(start + 26 * HOUR, STALE)]);
    db.flush().unwrap();
    db.resume();
    db.tick().unwrap();
    assert!(db.stats().retention_horizon.unwrap() > start);
    let day = TimeRange::new(start, start + 24 * HOUR);
    assert_eq!(sums(&db, day, 24 * HOUR), [(2.0, 0.5 + (0.1 + 0.2))]);
}

#[test]
fn the_last_tick_is_in_its_own_bucket_only() {
    let db = open_sim(&SimFs::new()).unwrap();
    let values = [0.5, 0.1 + 0.2, 1000.0].map(f64::to_bits);
    let ticks = [i64::MAX - 2, i64::MAX - 1, i64::MAX];
    let rows: Vec<_> = ticks.into_iter().zip(values).collect();
    write(&db, &series(0), &rows);
    // The first bucket ends with the tick before the last.
    let expected = [(2.0, 0.5 + (0.1 + 0.2)), (1.0, 1000.0)];
    assert_eq!(sums(&db, TimeRange::ALL, 3), expected);
    db.flush().unwrap();
    assert_eq!(sums(&db, TimeRange::ALL, 3), expected);
}

/// Decimals that are integers around 2^52 at one exponent, some with a smaller exponent of their own,
/// and small ones that ask for the large one.
fn decimals() -> impl Strategy<Value = Vec<f64>> {
    (0u32..15).prop_flat_map(|exponent| {
        let value = move |(integer, zeros): (i64, u32)| {
            (integer / 10i64.pow(zeros)) as f64 / 10f64.powi((exponent - zeros) as i32)
        };
        let value = prop_oneof![
            3 => (1i64 << 51..1 << 54, 0..=exponent).prop_map(value),
            2 => (1i64..100, Just(0u32)).prop_map(value),
            1 => (-100_000i64..100_000, 0..=exponent.min(3)).prop_map(value),
        ];
        prop::collection::vec(value, 2..5)
    })
}

/// One sum, in whichever of these layouts its samples are.
fn sums_by_layout(values: &[f64]) -> Vec<u64> {
    // Each in a window of its own, so that each is a chunk.
    let rows: Vec<(i64, u64)> =
        (0i64..).map(|i| i * 24 * HOUR).zip(values.iter().map(|v| v.to_bits())).collect();
    let (together, one_by_one) =
        (open_sim(&SimFs::new()).unwrap(), open_sim(&SimFs::new()).unwrap());
    let sum = |db: &Db| {
        let range = TimeRange::new(0, 1000 * HOUR);
        sums(db, range, 1000 * HOUR)[0].1.to_bits()
    };
    let mut found = Vec::new();
    write(&together, &series(0), &rows);
    found.push(sum(&together));
    together.flush().unwrap();
    found.push(sum(&together));
    for row in rows.iter().rev() {
        write(&one_by_one, &series(0), &[*row]);
        one_by_one.flush().unwrap();
    }
    found.push(sum(&one_by_one));
    compact(&one_by_one);
    found.push(sum(&one_by_one));
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_sum_does_not_depend_on_the_layout(values in decimals()) {
        let found = sums_by_layout(&values);
        prop_assert!(found.iter().all(|sum| *sum == found[0]), "{values:?}: {found:?}");
    }
}

#[test]
fn a_decimal_that_is_two_integers_sums_alike_in_every_layout() {
    let found = sums_by_layout(&[3e-12, 8718.11]);
    assert!(found.iter().all(|sum| *sum == found[0]), "{found:?}");
}
