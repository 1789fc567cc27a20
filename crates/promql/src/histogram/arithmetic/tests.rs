//! Tests of `+`, `-`, `*` and `/`.

use proptest::prelude::*;

use super::*;
use crate::histogram::tests::{
    any_exponential, any_histogram, any_pair, custom, exponential, pairs,
};

fn sum(left: &Histogram, right: &Histogram) -> Histogram {
    let mut sum = left.clone();
    sum.add(right).unwrap();
    sum.compact();
    sum
}

#[test]
fn totals_and_buckets_add_up() {
    let left = exponential(0, 1, &[1.0, 2.0]).zero(0.5, 3.0).totals(6.0, 10.0).build();
    let right = exponential(0, 2, &[4.0, 8.0]).zero(0.5, 1.0).totals(13.0, 5.0).build();
    let sum = sum(&left, &right);
    assert_eq!((sum.count, sum.sum, sum.zero_count), (19.0, 15.0, 4.0));
    assert_eq!(pairs(sum.positive()), [(1, 1.0), (2, 6.0), (3, 8.0)]);
}

#[test]
fn a_finer_histogram_is_reduced_on_either_side() {
    // (1,2] and (2,4] of schema 0; schema 1 has (1,1.4], (1.4,2], (2,2.8], (2.8,4].
    let coarse = exponential(0, 1, &[1.0, 2.0]).build();
    let fine = exponential(1, 1, &[10.0, 20.0, 30.0, 40.0]).build();
    for sum in [sum(&coarse, &fine), sum(&fine, &coarse)] {
        assert_eq!(sum.schema(), 0);
        assert_eq!(pairs(sum.positive()), [(1, 31.0), (2, 72.0)]);
    }
}

#[test]
fn subtraction_may_leave_negative_counts_and_compaction_drops_zeros() {
    let left = exponential(0, 1, &[1.0, 2.0, 3.0]).totals(6.0, 1.0).build();
    let right = exponential(0, 2, &[2.0, 5.0, 7.0]).totals(14.0, 4.0).build();
    let mut difference = left.clone();
    difference.sub(&right).unwrap();
    assert_eq!((difference.count, difference.sum), (-8.0, -3.0));
    assert_eq!(pairs(difference.positive()), [(1, 1.0), (2, 0.0), (3, -2.0), (4, -7.0)]);
    difference.compact();
    assert_eq!(pairs(difference.positive()), [(1, 1.0), (3, -2.0), (4, -7.0)]);
}

#[test]
fn the_wider_zero_bucket_takes_in_the_buckets_of_the_other() {
    // Threshold 2: (0.5,1] and (1,2] and their mirrors go into the zero bucket.
    let wide = exponential(0, 2, &[7.0]).zero(2.0, 5.0).build();
    let narrow = exponential(0, 0, &[1.0, 2.0, 4.0])
        .negative(0, &[10.0, 20.0, 40.0])
        .zero(0.25, 100.0)
        .build();
    for sum in [sum(&wide, &narrow), sum(&narrow, &wide)] {
        assert_eq!(sum.zero_threshold(), 2.0);
        assert_eq!(sum.zero_count, 5.0 + 100.0 + 3.0 + 30.0);
        assert_eq!(pairs(sum.positive()), [(2, 11.0)]);
        assert_eq!(pairs(sum.negative()), [(2, 40.0)]);
    }
}

#[test]
fn a_zero_bucket_that_would_cut_a_populated_bucket_includes_it() {
    let threshold = exponential(0, 5, &[1.0]).zero(1.5, 2.0).build();
    let cut = exponential(0, 1, &[4.0, 8.0]).build();
    for sum in [sum(&threshold, &cut), sum(&cut, &threshold)] {
        assert_eq!(sum.zero_threshold(), 2.0);
        assert_eq!(sum.zero_count, 6.0);
        assert_eq!(pairs(sum.positive()), [(2, 8.0), (5, 1.0)]);
    }
    // An empty bucket does not have to be whole.
    let empty = exponential(0, 1, &[0.0, 8.0]).build();
    assert_eq!(sum(&empty, &threshold).zero_threshold(), 1.5);
    // A bucket of the negative side counts as well.
    let mirrored = exponential(0, 0, &[1.0]).negative(1, &[4.0]).build();
    let sum = sum(&threshold, &mirrored);
    assert_eq!((sum.zero_threshold(), sum.zero_count), (2.0, 7.0));
}

/// Prometheus's rule: what a reduction of the schema brings together across the bound of the zero
/// bucket is counted in both.
#[test]
fn a_bucket_that_a_reduction_widens_across_the_zero_bucket_is_counted_twice() {
    let coarse = exponential(-2, 0, &[]).zero(4.0, 1.0).build();
    let fine = exponential(0, 0, &[]).negative(1, &[1.0]).zero(1.0, 0.0).build();
    let total = sum(&coarse, &fine);
    assert_eq!((total.zero_count, pairs(total.negative())), (2.0, vec![(1, 1.0)]));
    // As the left operand it gives up what lies within before it is reduced.
    let total = sum(&fine, &coarse);
    assert_eq!((total.zero_count, pairs(total.negative())), (2.0, vec![]));
}

#[test]
fn custom_bounds_are_reduced_to_those_in_common() {
    let left = custom(&[1.0, 2.0, 3.0, 5.0], 0, &[1.0, 2.0, 4.0, 8.0, 16.0]);
    let right = custom(&[2.0, 4.0, 5.0], 0, &[100.0, 200.0, 300.0, 400.0]);
    let mut total = left.clone();
    let combined = total.add(&right).unwrap();
    assert!(combined.bounds_reconciled);
    assert_eq!(total.custom_bounds().unwrap().as_ref(), [2.0, 5.0]);
    // Up to 2; (2, 5]; above.
    assert_eq!(pairs(total.positive()), [(0, 103.0), (1, 512.0), (2, 416.0)]);

    let mut same = left.clone();
    assert!(!same.sub(&left).unwrap().bounds_reconciled);
    assert_eq!(same.custom_bounds().unwrap().len(), 4);

    let mut nothing_in_common = custom(&[1.0], 0, &[1.0, 2.0]);
    nothing_in_common.sub(&custom(&[7.0], 0, &[10.0, 20.0])).unwrap();
    assert_eq!(nothing_in_common.custom_bounds().unwrap().len(), 0);
    assert_eq!(pairs(nothing_in_common.positive()), [(0, -27.0)]);
}

#[test]
fn exponential_and_custom_buckets_do_not_mix() {
    let mut left = exponential(0, 1, &[1.0]).totals(1.0, 1.0).build();
    let before = left.clone();
    assert_eq!(left.add(&custom(&[1.0], 0, &[1.0])), Err(MixedLayouts));
    assert!(left.same(&before) && left.hint == before.hint);
    assert_eq!(custom(&[1.0], 0, &[1.0]).sub(&before), Err(MixedLayouts));
}

#[test]
fn hints_of_sums() {
    use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
    for (left, right, expected) in [
        (Reset, Reset, (Reset, false)),
        (NotReset, NotReset, (NotReset, false)),
        (Reset, NotReset, (Unknown, true)),
        (Reset, Unknown, (Unknown, false)),
        (NotReset, Unknown, (Unknown, false)),
        (Gauge, Reset, (Gauge, false)),
        (Gauge, Unknown, (Gauge, false)),
        (Gauge, Gauge, (Gauge, false)),
    ] {
        for (left, right) in [(left, right), (right, left)] {
            let (mut own, mut theirs) =
                (exponential(0, 0, &[]).build(), exponential(0, 0, &[]).build());
            (own.hint, theirs.hint) = (left, right);
            let combined = own.add(&theirs).unwrap();
            assert_eq!((own.hint, combined.hints_collided), expected, "{left:?} {right:?}");
        }
    }
}

#[test]
fn scaling_by_a_negative_number_makes_a_gauge() {
    let mut histogram =
        exponential(0, 1, &[2.0]).negative(1, &[4.0]).zero(0.5, 6.0).totals(12.0, 8.0).build();
    histogram.mul(0.5);
    assert_eq!(histogram.hint, CounterResetHint::Unknown);
    histogram.mul(-1.0);
    assert_eq!(histogram.hint, CounterResetHint::Gauge);
    histogram.hint = CounterResetHint::NotReset;
    histogram.div(-2.0);
    assert_eq!(histogram.hint, CounterResetHint::Gauge);
    assert_eq!((histogram.count, histogram.sum, histogram.zero_count), (3.0, 2.0, 1.5));
    assert_eq!(pairs(histogram.positive()), [(1, 0.5)]);
    assert_eq!(pairs(histogram.negative()), [(1, 1.0)]);
}

#[test]
fn dividing_by_zero_removes_the_buckets() {
    let mut histogram = exponential(0, 1, &[2.0]).negative(1, &[1.0]).totals(3.0, -1.0).build();
    histogram.div(0.0);
    assert!(histogram.positive().is_empty() && histogram.negative().is_empty());
    assert_eq!((histogram.count, histogram.sum), (f64::INFINITY, f64::NEG_INFINITY));
    assert!(histogram.zero_count.is_nan());
}

proptest! {
    #[test]
    fn addition_commutes((left, right) in any_pair()) {
        prop_assert!(sum(&left, &right).same(&sum(&right, &left)));
    }

    #[test]
    fn what_was_added_can_be_subtracted((left, right) in any_pair()) {
        let mut back = sum(&left, &right);
        back.sub(&right).unwrap();
        back.compact();
        // The layout of the sum stays; bring the original to it by adding nothing.
        let mut nothing = right.clone();
        nothing.mul(0.0);
        let expected = sum(&left, &nothing);
        prop_assert_eq!(back.count, expected.count);
        if back.zero_threshold() == expected.zero_threshold() {
            prop_assert!(back.same(&expected), "{:?}\n{:?}", back, expected);
        }
    }

    #[test]
    fn reduction_keeps_every_count(histogram in any_histogram(), schema in -9i32..9) {
        let total = |histogram: &Histogram| -> f64 {
            histogram.buckets().map(|bucket| bucket.count).sum()
        };
        let mut reduced = histogram.clone();
        reduced.reduce_to(schema);
        prop_assert_eq!(total(&reduced), total(&histogram));
        prop_assert!(histogram.is_custom() || reduced.schema() == schema.min(histogram.schema()));
    }

    #[test]
    fn any_two_exponential_histograms_can_be_added(
        left in any_exponential(), right in any_exponential()
    ) {
        let sum = sum(&left, &right);
        prop_assert_eq!(sum.count, left.count + right.count);
        prop_assert_eq!(sum.schema(), left.schema().min(right.schema()));
        prop_assert!(sum.zero_threshold() >= left.zero_threshold().max(right.zero_threshold()));
    }

    #[test]
    fn a_sum_holds_the_counts_of_both((left, right) in any_pair()) {
        let total = |histogram: &Histogram| -> f64 {
            histogram.buckets().map(|bucket| bucket.count).sum()
        };
        prop_assert_eq!(total(&sum(&left, &right)), total(&left) + total(&right));
    }
}
