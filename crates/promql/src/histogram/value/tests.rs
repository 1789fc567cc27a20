//! Tests of building histograms and of their equality.

use super::*;
use crate::histogram::Span;

fn parts(schema: i32, bounds: &[f64]) -> HistogramParts {
    HistogramParts { schema, custom_bounds: bounds.into(), ..HistogramParts::default() }
}

fn refused(parts: HistogramParts) -> HistogramError {
    Histogram::try_from(parts).unwrap_err()
}

#[test]
fn hostile_parts_are_refused() {
    for schema in [-54, -52, -10, 53, i32::MIN, i32::MAX] {
        assert_eq!(refused(parts(schema, &[])), HistogramError::UnknownSchema(schema));
    }
    assert_eq!(refused(parts(0, &[1.0])), HistogramError::BoundsOfExponential);
    assert_eq!(refused(parts(-53, &[2.0, 1.0])), HistogramError::BoundsNotIncreasing(2.0, 1.0));
    let with = |change: fn(&mut HistogramParts)| {
        let mut parts = parts(-53, &[1.0, 2.0]);
        change(&mut parts);
        refused(parts)
    };
    assert_eq!(with(|parts| parts.zero_count = 1.0), HistogramError::ZeroBucketOfCustom);
    assert_eq!(with(|parts| parts.zero_threshold = 1.0), HistogramError::ZeroBucketOfCustom);
    assert_eq!(
        with(|parts| parts.negative = Buckets::from_dense(0, &[1.0]).unwrap()),
        HistogramError::NegativeBucketsOfCustom
    );
    assert_eq!(
        with(|parts| parts.positive = Buckets::from_dense(2, &[1.0, 1.0]).unwrap()),
        HistogramError::BoundsTooFew { bounds: 2, index: 3 }
    );
    assert_eq!(
        with(|parts| parts.positive = Buckets::from_dense(-1, &[1.0, 1.0]).unwrap()),
        HistogramError::BoundsTooFew { bounds: 2, index: -1 }
    );
    for zero_threshold in [-1.0, f64::NAN] {
        let parts = HistogramParts { zero_threshold, ..HistogramParts::default() };
        assert!(matches!(refused(parts), HistogramError::ZeroThreshold(_)));
    }
}

#[test]
fn the_extremes_of_what_is_accepted() {
    let spans = [Span { offset: i32::MIN, length: 1 }, Span { offset: i32::MAX, length: 1 }];
    let far = Buckets::from_spans(&spans, &[1.0, 2.0]).unwrap();
    for schema in [-9, 0, 8, 9, 52] {
        let made = HistogramParts { positive: far.clone(), ..parts(schema, &[]) };
        let mut histogram = Histogram::try_from(made).unwrap();
        assert_eq!(histogram.schema(), schema.min(8));
        assert_eq!(histogram.buckets().map(|bucket| bucket.count).sum::<f64>(), 3.0);
        histogram.reduce_to(-100);
        assert_eq!(histogram.schema(), -9);
    }
    let last = HistogramParts {
        positive: Buckets::from_dense(2, &[1.0]).unwrap(),
        ..parts(-53, &[f64::NEG_INFINITY, 2.0])
    };
    assert!(Histogram::try_from(last).is_ok());
}

#[test]
fn reading_a_schema_above_eight_merges_its_buckets() {
    // Schema 10 has four buckets for each of schema 8: 1..=4 make 1, 5 and 6 go into 2.
    let positive = Buckets::from_dense(1, &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0]).unwrap();
    let histogram = Histogram::try_from(HistogramParts { positive, ..parts(10, &[]) }).unwrap();
    assert_eq!(histogram.positive().iter().collect::<Vec<_>>(), [(1, 15.0), (2, 48.0)]);
}

#[test]
fn only_the_stale_bits_are_stale() {
    let with = |bits| {
        let sum = f64::from_bits(bits);
        Histogram::try_from(HistogramParts { sum, ..HistogramParts::default() }).unwrap()
    };
    assert!(with(0x7ff0_0000_0000_0002).is_stale());
    assert!(!with(0x7ff8_0000_0000_0001).is_stale());
    assert!(!with(0).is_stale());
}

#[test]
fn equality_looks_at_bits_and_at_empty_buckets_but_not_at_the_hint() {
    let base = HistogramParts {
        sum: f64::NAN,
        count: 3.0,
        positive: Buckets::from_dense(1, &[1.0, 2.0]).unwrap(),
        ..HistogramParts::default()
    };
    let make = |change: fn(&mut HistogramParts)| {
        let mut parts = base.clone();
        change(&mut parts);
        Histogram::try_from(parts).unwrap()
    };
    let histogram = make(|_| {});
    assert!(histogram.same(&make(|_| {})), "NaN equals NaN");
    assert!(histogram.same(&make(|parts| parts.hint = CounterResetHint::Gauge)));
    assert!(!histogram.same(&make(|parts| parts.sum = 1.0)));
    assert!(!histogram.same(&make(|parts| parts.count = 4.0)));
    assert!(!histogram.same(&make(|parts| parts.zero_count = -0.0)));
    assert!(!histogram.same(&make(|parts| parts.zero_threshold = 1.0)));
    assert!(!histogram.same(&make(|parts| parts.schema = 1)));
    assert!(!histogram.same(&make(|parts| {
        parts.positive = Buckets::from_dense(0, &[0.0, 1.0, 2.0]).unwrap();
    })));
    assert!(!histogram.same(&make(|parts| {
        parts.negative = Buckets::from_dense(0, &[0.0]).unwrap();
    })));
    let custom = |bounds: &[f64]| Histogram::try_from(parts(-53, bounds)).unwrap();
    assert!(custom(&[1.0]).same(&custom(&[1.0])));
    assert!(!custom(&[1.0]).same(&custom(&[2.0])));
    assert!(!custom(&[]).same(&Histogram::try_from(parts(0, &[])).unwrap()));
}

#[test]
fn all_that_is_held_counts() {
    let empty = Histogram::default().heap_bytes();
    assert!(empty >= size_of::<Histogram>(), "{empty}");
    let bounds: Vec<f64> = (0..1000).map(f64::from).collect();
    let custom = Histogram::try_from(parts(-53, &bounds)).unwrap().heap_bytes();
    assert!((8000..9000).contains(&(custom - empty)), "{custom}");
}
