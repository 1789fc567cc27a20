//! Aggregation against a fold of the oracle's samples.

use proptest::prelude::*;

use super::model::{matchers, range, split, spread};
use super::prepared::Prepared;
use super::*;
use crate::error::Error;
use crate::read::{Aggregation, Cancel, Steps};
use crate::types::STALE_MARKER_BITS;

/// A bucket as bits: (start, stale markers, (count, sum, min, max, first, last)).
type Flat = (i64, u64, Option<(u64, u64, u64, u64, (i64, u64), (i64, u64))>);
type FlatSeries = (Labels, Vec<Flat>);

fn flat(aggregation: Aggregation) -> Result<Vec<FlatSeries>> {
    let series = aggregation.map(|series| {
        let series = series?;
        let bucket = |bucket: &crate::read::Bucket| {
            let values = bucket.values.map(|v| {
                let [sum, min, max] = [v.sum, v.min, v.max].map(f64::to_bits);
                let ends = [v.first, v.last].map(|s| (s.timestamp, s.value.to_bits()));
                (v.count, sum, min, max, ends[0], ends[1])
            });
            (bucket.start, bucket.stale_markers, values)
        };
        Ok((series.labels, series.buckets.iter().map(bucket).collect()))
    });
    series.collect()
}

/// The decimal sum by definition.
fn decimal_sum(values: &[f64]) -> Option<f64> {
    (0..=18).find_map(|exponent| {
        let power = 10f64.powi(exponent);
        let integers = values.iter().map(|&value| {
            let near = (value * power).round() as i64;
            let fits = |i: &i64| {
                i.unsigned_abs() < 1 << 52 && (*i as f64 / power).to_bits() == value.to_bits()
            };
            [near, near.saturating_sub(1), near.saturating_add(1)].into_iter().find(fits)
        });
        let sum: Option<i128> = integers.map(|i| i.map(i128::from)).sum();
        sum.map(|sum| sum as f64 / power)
    })
}

/// The exact sum of infinities and of multiples of 2^-60 below 2^60.
fn float_sum(values: &[f64]) -> f64 {
    let endless: f64 = values.iter().filter(|v| v.is_infinite()).sum();
    if endless != 0.0 {
        return if endless.is_nan() { f64::NAN } else { endless };
    }
    let unit = 2f64.powi(-60);
    let exact: i128 = values.iter().map(|&v| (v / unit) as i128).sum();
    exact as f64 * unit
}

fn fold(samples: &[(i64, u64)], start: i64, step: i64) -> Vec<Flat> {
    let number = |t: i64| (i128::from(t) - i128::from(start)) / i128::from(step);
    let buckets = samples.chunk_by(|a, b| number(a.0) == number(b.0));
    let bucket = |bucket: &[(i64, u64)]| {
        let live: Vec<(i64, u64)> =
            bucket.iter().copied().filter(|s| s.1 != STALE_MARKER_BITS).collect();
        let all: Vec<f64> = live.iter().map(|s| f64::from_bits(s.1)).collect();
        let mut numbers: Vec<f64> = all.iter().copied().filter(|v| !v.is_nan()).collect();
        let sum = match decimal_sum(&numbers) {
            _ if numbers.len() < all.len() => f64::NAN,
            Some(sum) => sum,
            None => float_sum(&numbers),
        };
        numbers.sort_by(f64::total_cmp);
        let end = |v: Option<&f64>| v.copied().unwrap_or(f64::NAN).to_bits();
        let (min, max) = (end(numbers.first()), end(numbers.last()));
        let ends = live.first().zip(live.last());
        let values =
            ends.map(|(first, last)| (all.len() as u64, sum.to_bits(), min, max, *first, *last));
        let at = i128::from(start) + number(bucket[0].0) * i128::from(step);
        (at as i64, (bucket.len() - live.len()) as u64, values)
    };
    buckets.map(bucket).collect()
}

/// Buckets from the start of the range.
fn aggregate(
    sources: &Arc<Sources>,
    matchers: &[Matcher],
    range: TimeRange,
    step: i64,
    options: &QueryOptions,
) -> Result<Aggregation> {
    sources.aggregate(matchers, range, Steps::new(range.start, step)?, options)
}

fn check(
    sources: &Arc<Sources>,
    oracle: &Oracle,
    matchers: &[Matcher],
    range: TimeRange,
    step: i64,
) {
    let expected: Vec<FlatSeries> = oracle
        .select(matchers, range)
        .into_iter()
        .map(|(labels, samples)| (labels, fold(&samples, range.start, step)))
        .collect();
    let found = aggregate(sources, matchers, range, step, &QueryOptions::default());
    assert_eq!(flat(found.unwrap()).unwrap(), expected, "{range:?}, step {step}");
}

fn bits() -> impl Strategy<Value = u64> {
    let special = vec![
        STALE_MARKER_BITS,
        STALE_MARKER_BITS,
        0x7ff8_dead_beef_0001,
        (-0.0f64).to_bits(),
        f64::INFINITY.to_bits(),
        f64::NEG_INFINITY.to_bits(),
    ];
    prop_oneof![
        20 => (-50i64..50).prop_map(|i| (i as f64).to_bits()),
        8 => (-999i64..999, 1i32..4).prop_map(|(i, e)| (i as f64 / 10f64.powi(e)).to_bits()),
        2 => (-(1i64 << 53)..1 << 53).prop_map(|i| (i as f64).to_bits()),
        2 => (-(1i64 << 53)..1 << 53).prop_map(|i| (i as f64 * 2f64.powi(-60)).to_bits()),
        1 => prop::sample::select(special),
    ]
}

/// A history in which most values are of one kind, so that whole chunks are.
fn history() -> impl Strategy<Value = Vec<Write>> {
    let write = (super::model::series(), super::model::time(), bits(), any::<bool>());
    (0u8..3, prop::collection::vec(write, 0..200)).prop_map(|(kind, writes)| {
        let value = |bits: u64, plain: bool| match kind {
            0 => bits,
            1 if plain => ((bits % 100) as f64).to_bits(),
            2 if plain => ((bits % 1000) as f64 / 10.0).to_bits(),
            _ => bits,
        };
        writes.into_iter().map(|(l, t, b, plain)| (l, t, value(b, plain || b % 7 > 0))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_bucket_depends_on_the_layout(
        history in history(),
        split in split(),
        questions in prop::collection::vec((matchers(), range()), 1..3),
        step in prop_oneof![4 => 1i64..40, 1 => Just(i64::MAX), 1 => 40i64..10_000],
    ) {
        let oracle = oracle(&history);
        let sources = sources(spread(&history, &split), &Executor::Inline);
        for (matchers, range) in &questions {
            check(&sources, &oracle, matchers, *range, step);
        }
        let times = TimeRange::new(-10, 60);
        check(&sources, &oracle, &[], times, step);
    }
}

/// `series` series of `rows` samples at 0, 10, 20, ..., with values by `value`.
fn regular(series: usize, rows: i64, value: impl Fn(i64) -> f64) -> Vec<Write> {
    let at = |n: usize| labels(&[("__name__", "m"), ("n", &format!("{n:04}"))]);
    let rows = |n: usize| (0..rows).map(move |t| (n, t));
    let writes = (0..series).flat_map(rows);
    writes.map(|(n, t)| (at(n), t * 10, value(t).to_bits())).collect()
}

#[test]
fn chunks_within_a_bucket_are_not_decoded() {
    for value in [|t: i64| t as f64, |t: i64| t as f64 / 4.0, |_| f64::from_bits(STALE_MARKER_BITS)]
    {
        let history = regular(40, 70, value);
        let oracle = oracle(&history);
        let mut maker = in_segments::SegmentMaker::new();
        let segment = maker.segment(&history, 1);
        // Every value block is damaged: what is decoded fails.
        maker.damage_values(&segment);
        let sources = sources(vec![maker.reopen(&segment)], &Executor::Inline);
        let options = QueryOptions::default();
        assert!(select(&sources, &[], TimeRange::ALL, &options).is_err());
        // Chunks have seven rows.
        for (range, step) in [(TimeRange::ALL, i64::MAX), (TimeRange::new(0, 700), 70)] {
            check(&sources, &oracle, &[], range, step);
        }
        for (range, step) in [(TimeRange::new(0, 690), 70), (TimeRange::new(0, 700), 60)] {
            let cut = aggregate(&sources, &[], range, step, &options).unwrap();
            assert!(matches!(flat(cut), Err(Error::Lost(_))), "{range:?}, {step}");
        }
    }
}

#[test]
fn what_another_source_holds_between_the_ends_of_a_chunk_counts() {
    let history = regular(1, 70, |t| t as f64);
    let label = history[0].0.clone();
    for time in [-5, 0, 5, 60, 65, 70, 71, 345, 690, 695] {
        for newer in [false, true] {
            let late = vec![(label.clone(), time, 1000f64.to_bits())];
            let parts = if newer { [&history[..], &late] } else { [&late[..], &history] };
            let oracle = oracle(&parts.concat());
            let mut maker = in_segments::SegmentMaker::new();
            let segments = [maker.segment(parts[0], 1), maker.segment(parts[1], 100)];
            let sources = sources(segments.map(|s| s as _).to_vec(), &Executor::Inline);
            check(&sources, &oracle, &[], TimeRange::new(-70, 700), 70);
            check(&sources, &oracle, &[], TimeRange::ALL, i64::MAX);
        }
    }
}

#[test]
fn a_chunk_of_decimals_beside_other_floats_is_summed_again() {
    // The first chunks are decimals, of which the index has sums; later values are not.
    let history =
        regular(1, 70, |t| if t < 50 { t as f64 / 10.0 } else { t as f64 * 2f64.powi(-60) });
    let oracle = oracle(&history);
    let sources =
        sources(vec![in_segments::SegmentMaker::new().segment(&history, 1)], &Executor::Inline);
    for step in [i64::MAX, 300, 70, 7] {
        check(&sources, &oracle, &[], TimeRange::new(0, 1000), step);
    }
}

#[test]
fn what_is_folded_ahead_keeps_the_order_and_the_limits() {
    let history = regular(600, 20, |t| t as f64);
    let oracle = oracle(&history);
    for executor in [Executor::Inline, pool(3)] {
        let sources = sources(vec![Arc::new(Prepared::new(&history, 1, 8))], &executor);
        check(&sources, &oracle, &[], TimeRange::ALL, 50);
        let limited = |options: &QueryOptions| {
            flat(aggregate(&sources, &[], TimeRange::new(0, 200), 50, options).unwrap())
        };
        let all = limited(&QueryOptions::default()).unwrap();
        // The list of series takes what it takes; beyond it one series at a time is enough.
        let tight = (10..24).map(|bits| 1u64 << bits).find_map(|bytes_max| {
            limited(&QueryOptions { bytes_max: Some(bytes_max), ..QueryOptions::default() })
                .ok()
                .map(|r| (bytes_max, r))
        });
        let (bytes_max, found) = tight.unwrap();
        assert!(found == all);
        assert!(bytes_max < 128 << 10, "{bytes_max} bytes");
        for (options, enough) in [
            (QueryOptions { samples_max: 2400, ..QueryOptions::default() }, true),
            (QueryOptions { samples_max: 2399, ..QueryOptions::default() }, false),
            (QueryOptions { series_max: 600, ..QueryOptions::default() }, true),
            (QueryOptions { series_max: 599, ..QueryOptions::default() }, false),
        ] {
            match limited(&options) {
                Ok(found) => assert!(enough && found == all),
                Err(Error::LimitExceeded(_)) => assert!(!enough, "{options:?}"),
                Err(e) => panic!("{e}"),
            }
        }
    }
}

#[test]
fn an_aggregation_is_cancelled_and_its_step_is_checked() {
    let history = regular(600, 20, |t| t as f64);
    let sources = sources(vec![Arc::new(Prepared::new(&history, 1, 8))], &Executor::Inline);
    let cancel = Cancel::default();
    let options = QueryOptions { cancel: Some(cancel.clone()), ..QueryOptions::default() };
    let mut aggregation = aggregate(&sources, &[], TimeRange::ALL, 50, &options).unwrap();
    assert!(aggregation.next().is_some_and(|series| series.is_ok()));
    cancel.cancel();
    let rest: Vec<_> = aggregation.by_ref().collect();
    assert!(matches!(rest.last(), Some(Err(Error::Cancelled))) && rest.len() < 599);
    assert!(aggregation.next().is_none());
    for step in [0, -1, i64::MIN] {
        let refused = aggregate(&sources, &[], TimeRange::ALL, step, &QueryOptions::default());
        assert!(matches!(refused, Err(Error::InvalidArgument(_))));
    }
    let empty = TimeRange::new(5, 5);
    let none = aggregate(&sources, &[], empty, 1, &QueryOptions::default()).unwrap();
    assert_eq!(none.count(), 0);
}
