//! Tests of `</` and `>/`.

use proptest::prelude::*;

use super::*;
use crate::histogram::tests::{any_histogram, custom, exponential, pairs};

const INF: f64 = f64::INFINITY;

/// Buckets of schema -1, in which the share below a value has a short logarithm: 4 in (1, 4], 8 in
/// (4, 16], and the same below zero.
fn both_sides() -> Histogram {
    exponential(-1, 1, &[4.0, 8.0])
        .negative(1, &[4.0, 8.0])
        .zero(1.0, 2.0)
        .totals(26.0, 99.0)
        .build()
}

fn totals(histogram: &Histogram) -> (f64, f64, f64) {
    (histogram.count, histogram.zero_count, histogram.sum)
}

#[test]
fn a_trim_that_changes_nothing_keeps_count_and_sum() {
    let mut histogram = both_sides();
    histogram.count = 100.0;
    for same in [
        histogram.trimmed_below(INF),
        histogram.trimmed_below(16.0),
        histogram.trimmed_above(-INF),
        histogram.trimmed_above(-16.0),
    ] {
        assert!(same.same(&histogram));
    }
}

#[test]
fn part_of_a_positive_bucket_stays() {
    let below = both_sides().trimmed_below(8.0);
    // Half of (4, 16] on the logarithmic scale; it stands for sqrt(4 · 8), the others for ±2, ±8, 0.
    assert_eq!(pairs(below.positive()), [(1, 4.0), (2, 4.0)]);
    assert_eq!(pairs(below.negative()), [(1, 4.0), (2, 8.0)]);
    let sum = 4.0 * 2.0 + 4.0 * 32f64.sqrt() - 4.0 * 2.0 - 8.0 * 8.0;
    assert_eq!(totals(&below), (22.0, 2.0, sum));

    let above = both_sides().trimmed_above(8.0);
    assert_eq!(pairs(above.positive()), [(2, 4.0)]);
    assert!(above.negative().is_empty());
    assert_eq!(totals(&above), (4.0, 0.0, 4.0 * 128f64.sqrt()));
}

#[test]
fn part_of_a_negative_bucket_stays() {
    let below = both_sides().trimmed_below(-8.0);
    assert_eq!(pairs(below.negative()), [(2, 4.0)]);
    assert_eq!(totals(&below), (4.0, 0.0, -4.0 * 128f64.sqrt()));
    let above = both_sides().trimmed_above(-8.0);
    assert_eq!(pairs(above.negative()), [(1, 4.0), (2, 4.0)]);
    assert_eq!(above.count, 22.0);
}

#[test]
fn part_of_the_zero_bucket_stays() {
    let below = both_sides().trimmed_below(0.5);
    // Three quarters of [-1, 1], which stand for -0.25.
    assert_eq!(totals(&below), (13.5, 1.5, -4.0 * 2.0 - 8.0 * 8.0 - 0.25 * 1.5));
    let above = both_sides().trimmed_above(0.5);
    assert_eq!(totals(&above), (12.5, 0.5, 4.0 * 2.0 + 8.0 * 8.0 + 0.75 * 0.5));

    let positive = exponential(-1, 1, &[4.0]).zero(1.0, 2.0).counted().build();
    assert_eq!(totals(&positive.trimmed_below(0.5)), (1.0, 1.0, 0.25));
    assert_eq!(totals(&positive.trimmed_below(0.0)), (0.0, 0.0, 0.0));
    let negative = exponential(0, 0, &[]).negative(1, &[4.0]).zero(1.0, 2.0).counted().build();
    assert_eq!(totals(&negative.trimmed_above(-0.5)), (1.0, 1.0, -0.25));
    // An empty bucket does not make a side, other than for quantiles.
    let empty = exponential(-1, 1, &[4.0]).negative(1, &[0.0]).zero(1.0, 2.0).counted().build();
    assert_eq!(totals(&empty.trimmed_below(0.5)), (1.0, 1.0, 0.25));
}

#[test]
fn custom_buckets_are_linear() {
    let histogram = custom(&[0.0, 10.0, 20.0], 1, &[4.0, 8.0]);
    let below = histogram.trimmed_below(15.0);
    assert_eq!(pairs(below.positive()), [(1, 4.0), (2, 4.0)]);
    assert_eq!(totals(&below), (8.0, 0.0, 4.0 * 5.0 + 4.0 * 12.5));
    let above = histogram.trimmed_above(15.0);
    assert_eq!(totals(&above), (4.0, 0.0, 4.0 * 17.5));
}

#[test]
fn the_first_custom_bucket_begins_at_zero_or_is_unknown() {
    let positive = custom(&[10.0], 0, &[8.0]);
    assert_eq!(totals(&positive.trimmed_below(5.0)), (4.0, 0.0, 4.0 * 2.5));
    assert_eq!(totals(&positive.trimmed_above(5.0)), (4.0, 0.0, 4.0 * 7.5));
    assert_eq!(positive.trimmed_below(-5.0).count, 0.0);
    assert_eq!(positive.trimmed_above(-5.0).count, 0.0);
    assert_eq!(positive.trimmed_above(0.0).count, 8.0);
    let negative = custom(&[-10.0, 5.0], 0, &[8.0, 1.0]);
    // All of the first bucket is kept, each as -20.
    let kept = negative.trimmed_below(-20.0);
    assert_eq!(totals(&kept), (8.0, 0.0, -160.0));
    assert_eq!(negative.trimmed_above(-20.0).count, 1.0);
    let all = custom(&[], 0, &[8.0]);
    assert_eq!((all.trimmed_below(5.0).count, all.trimmed_above(5.0).count), (0.0, 0.0));
}

#[test]
fn the_last_custom_bucket_stays_whole_above_and_goes_below() {
    let histogram = custom(&[1.0, 10.0], 1, &[2.0, 8.0]);
    assert_eq!(totals(&histogram.trimmed_above(50.0)), (8.0, 0.0, 400.0));
    // Whole buckets above the cut stand for their lower bound if they have no upper one.
    assert_eq!(totals(&histogram.trimmed_above(5.5)), (9.0, 0.0, 7.75 + 80.0));
    assert_eq!(totals(&histogram.trimmed_below(50.0)), (2.0, 0.0, 11.0));
}

#[test]
fn a_bound_of_nan_keeps_nothing_but_an_unknown_zero_bucket() {
    for trimmed in [both_sides().trimmed_below(f64::NAN), both_sides().trimmed_above(f64::NAN)] {
        assert!(trimmed.positive().is_empty() && trimmed.negative().is_empty());
        assert!(trimmed.zero_count.is_nan() && trimmed.sum.is_nan() && trimmed.count.is_nan());
    }
    assert_eq!(custom(&[1.0], 0, &[1.0, 2.0]).trimmed_below(f64::NAN).count, 0.0);
}

#[test]
fn nothing_trimmed_is_nothing() {
    let empty = exponential(0, 0, &[]).build();
    assert!(empty.trimmed_below(1.0).same(&empty));
    assert!(empty.trimmed_above(f64::NAN).same(&empty));
}

proptest! {
    #[test]
    fn both_parts_hold_all_observations_of_exponential_buckets(
        histogram in any_histogram(), bound in -40.0f64..40.0
    ) {
        prop_assume!(!histogram.is_custom());
        let (below, above) = (histogram.trimmed_below(bound), histogram.trimmed_above(bound));
        prop_assert!((below.count + above.count - histogram.count).abs() < 1e-9);
        let mut below = below.buckets().filter(|bucket| bucket.count != 0.0);
        prop_assert!(below.all(|bucket| bucket.lower < bound));
        let mut above = above.buckets().filter(|bucket| bucket.count != 0.0);
        prop_assert!(above.all(|bucket| bucket.upper > bound));
    }

    #[test]
    fn trimming_again_changes_little(histogram in any_histogram(), bound in -40.0f64..40.0) {
        // Within the bucket of the bound, what was kept counts as spread over all of it again.
        let once = histogram.trimmed_below(bound);
        let twice = once.trimmed_below(bound);
        prop_assert!(twice.count <= once.count && once.count <= histogram.count);
        let removed = once.count - twice.count;
        let cut = once.buckets().filter(|bucket| bucket.upper > bound);
        prop_assert!(removed <= cut.map(|bucket| bucket.count).fold(0.0, |a, b| a + b) + 1e-9);
    }
}
