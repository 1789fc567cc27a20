//! Every kind of answer to one question, against the oracle's.

use siltstone::{Labels, Matcher, QueryOptions, Result, Snapshot, TimeRange};
use siltstone_testing::oracle::{Oracle, OracleSeries};

/// A bucket: start, samples, bits of sum, least and greatest value, first and last sample.
type Bucket = (i64, u64, [u64; 3], [(i64, u64); 2]);

/// Asks for the series that satisfy every matcher, in `range`, and for their aggregates in buckets of
/// `step` ticks.
pub(crate) fn check(
    snapshot: &Snapshot,
    oracle: &Oracle,
    matchers: &[Matcher],
    range: TimeRange,
    step: i64,
) {
    let options = QueryOptions::default();
    let expected = oracle.select(matchers, range);
    let found = select(snapshot, matchers, range).expect("undamaged");
    assert_same(&found, &expected, "a query");
    let series = snapshot.series(matchers, range, &options, usize::MAX).expect("undamaged");
    assert!(series.iter().eq(expected.iter().map(|(labels, _)| labels)));
    let names = snapshot.label_names(matchers, range, &options, usize::MAX);
    assert_eq!(names.expect("undamaged"), oracle.label_names(matchers, range));
    let values = snapshot.label_values("job", matchers, range, &options, usize::MAX);
    assert_eq!(values.expect("undamaged"), oracle.label_values("job", matchers, range));

    let folded = snapshot.aggregate(matchers, range, step, &options).expect("undamaged");
    let folded: Vec<(Labels, Vec<Bucket>)> = folded
        .map(|series| {
            let series = series.expect("undamaged");
            let buckets = series.buckets.iter().map(|bucket| {
                assert_eq!(bucket.stale_markers, 0, "none is written");
                let values = bucket.values.expect("a bucket has a sample");
                let ends = [values.first, values.last].map(|s| (s.timestamp, s.value.to_bits()));
                let sums = [values.sum, values.min, values.max].map(f64::to_bits);
                (bucket.start, values.count, sums, ends)
            });
            (series.labels, buckets.collect())
        })
        .collect();
    let fold =
        |(labels, samples): &OracleSeries| (labels.clone(), fold(samples, range.start, step));
    assert_eq!(folded, expected.iter().map(fold).collect::<Vec<_>>(), "{range:?}, {step}");
}

/// The samples in `range` of the series that satisfy every matcher.
pub(crate) fn select(
    snapshot: &Snapshot,
    matchers: &[Matcher],
    range: TimeRange,
) -> Result<Vec<OracleSeries>> {
    let found = snapshot.select(matchers, range, &QueryOptions::default())?;
    let series = found.map(|series| {
        let series = series?;
        let samples = series.columns.iter().map(|(t, v)| (t, v.to_bits())).collect();
        Ok((series.labels, samples))
    });
    series.collect()
}

fn fold(samples: &[(i64, u64)], start: i64, step: i64) -> Vec<Bucket> {
    let number = |t: i64| (i128::from(t) - i128::from(start)) / i128::from(step);
    let buckets = samples.chunk_by(|a, b| number(a.0) == number(b.0));
    let bucket = |bucket: &[(i64, u64)]| {
        let mut numbers: Vec<f64> = bucket.iter().map(|s| f64::from_bits(s.1)).collect();
        numbers.retain(|value| !value.is_nan());
        let sum = if numbers.len() < bucket.len() { f64::NAN } else { decimal_sum(&numbers) };
        numbers.sort_by(f64::total_cmp);
        let [min, max] = [numbers.first(), numbers.last()].map(|v| v.copied().unwrap_or(f64::NAN));
        let ends = [bucket[0], bucket[bucket.len() - 1]];
        let at = i128::from(start) + number(bucket[0].0) * i128::from(step);
        (at as i64, bucket.len() as u64, [sum, min, max].map(f64::to_bits), ends)
    };
    buckets.map(bucket).collect()
}

/// The sum of numbers with at most two decimals.
fn decimal_sum(values: &[f64]) -> f64 {
    let at = |exponent: i32| {
        let power = 10f64.powi(exponent);
        let integer = |&value: &f64| {
            let integer = (value * power).round();
            (integer / power == value).then_some(integer as i128)
        };
        values.iter().map(integer).sum::<Option<i128>>().map(|sum| sum as f64 / power)
    };
    (0..=2).find_map(at).expect("only such numbers are written")
}

/// Fails with the difference.
pub(crate) fn assert_same(found: &[OracleSeries], expected: &[OracleSeries], what: &str) {
    if found == expected {
        return;
    }
    let flat = |all: &[OracleSeries]| -> Vec<(Labels, i64, u64)> {
        let rows = all.iter().flat_map(|(l, s)| s.iter().map(|&(t, b)| (l.clone(), t, b)));
        rows.collect()
    };
    let (found, expected) = (flat(found), flat(expected));
    let surplus: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
    let missing: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
    panic!("{what}: surplus {surplus:?}, missing {missing:?}");
}
