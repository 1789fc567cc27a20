//! Tests of classic histograms.

use proptest::prelude::*;

use super::*;

const INF: f64 = f64::INFINITY;

fn buckets(pairs: &[(f64, f64)]) -> Vec<ClassicBucket> {
    pairs.iter().map(|&(upper_bound, count)| ClassicBucket { upper_bound, count }).collect()
}

fn quantile(q: f64, pairs: &[(f64, f64)]) -> f64 {
    classic_quantile(q, &mut buckets(pairs)).value
}

fn fraction(lower: f64, upper: f64, pairs: &[(f64, f64)]) -> f64 {
    classic_fraction(lower, upper, &mut buckets(pairs))
}

#[test]
fn quantiles_outside_of_the_range_come_before_all_checks() {
    assert!(quantile(f64::NAN, &[]).is_nan());
    assert_eq!(quantile(-0.1, &[]), -INF);
    assert_eq!(quantile(1.1, &[]), INF);
}

#[test]
fn incomplete_histograms_have_no_quantile() {
    for pairs in [
        &[][..],
        &[(INF, 5.0)],
        &[(1.0, 5.0), (2.0, 6.0)],
        &[(1.0, 0.0), (INF, 0.0)],
        &[(INF, 1.0), (INF, 2.0)],
    ] {
        assert!(quantile(0.5, pairs).is_nan(), "{pairs:?}");
    }
}

#[test]
fn quantiles_are_interpolated_linearly() {
    // Given out of order.
    let pairs = [(INF, 20.0), (2.0, 8.0), (1.0, 4.0), (4.0, 16.0)];
    for (q, value) in [
        (0.0, 0.0),
        (0.1, 0.5),
        (0.2, 1.0),
        (0.3, 1.5),
        (0.6, 3.0),
        (0.8, 4.0),
        (0.9, 4.0),
        (1.0, 4.0),
    ] {
        assert!((quantile(q, &pairs) - value).abs() < 1e-12, "{q}");
    }
    assert_eq!(quantile(0.1, &[(-1.0, 10.0), (INF, 20.0)]), -1.0, "first bound not above zero");
    assert_eq!(quantile(0.75, &[(-1.0, 10.0), (1.0, 20.0), (INF, 20.0)]), 0.0);
}

#[test]
fn equal_bounds_are_added_up() {
    let pairs = [(1.0, 1.0), (1.0, 3.0), (2.0, 8.0), (INF, 4.0), (INF, 4.0)];
    assert_eq!(quantile(0.25, &pairs), 0.5);
    assert_eq!(quantile(0.5, &[(-0.0, 2.0), (0.0, 2.0), (INF, 8.0)]), 0.0);
}

#[test]
fn decreases_are_made_up_and_reported() {
    let pairs = [(1.0, 10.0), (2.0, 8.0), (3.0, 12.0), (4.0, 5.0), (5.0, 11.0), (INF, 20.0)];
    let found = classic_quantile(0.25, &mut buckets(&pairs));
    let expected = ForcedMonotonicity { bound_min: 2.0, bound_max: 5.0, difference_max: 7.0 };
    assert_eq!((found.value, found.forced), (0.5, Some(expected)));
    let last = classic_quantile(0.5, &mut buckets(&[(1.0, 10.0), (INF, 8.0)]));
    assert_eq!((last.value, last.forced.map(|forced| forced.bound_min)), (0.5, Some(INF)));
}

#[test]
fn roundings_are_no_decreases_nor_increases() {
    let nearly = 10.0 * (1.0 - 1e-13);
    for pairs in
        [[(1.0, 10.0), (2.0, nearly), (INF, 10.0)], [(1.0, nearly), (2.0, 10.0), (INF, nearly)]]
    {
        let found = classic_quantile(1.0, &mut buckets(&pairs));
        assert_eq!((found.value, found.forced), (1.0, None));
    }
    let real = 10.0 * (1.0 - 1e-11);
    assert!(classic_quantile(1.0, &mut buckets(&[(1.0, 10.0), (INF, real)])).forced.is_some());
    assert!(!nearly_equal(0.0, f64::MIN_POSITIVE) && nearly_equal(0.0, 5e-324 * 0.0));
    assert!(nearly_equal(f64::MAX, f64::MAX * (1.0 - 1e-13)), "the sum overflows");
}

#[test]
fn a_count_of_nan_neither_panics_nor_forces() {
    let found = classic_quantile(0.5, &mut buckets(&[(1.0, f64::NAN), (2.0, 5.0), (INF, 10.0)]));
    assert_eq!(found.forced, None);
}

#[test]
fn fractions_are_differences_of_ranks() {
    let pairs = [(1.0, 4.0), (2.0, 8.0), (INF, 10.0)];
    for (lower, upper, share) in [
        (-INF, INF, 1.0),
        (-INF, 0.0, 0.0),
        (0.0, 0.5, 0.2),
        (0.5, 1.5, 0.4),
        (1.5, 1e9, 0.2),
        (1.5, INF, 0.4),
        (2.0, 1.0, 0.0),
    ] {
        assert!((fraction(lower, upper, &pairs) - share).abs() < 1e-12, "{lower} {upper}");
    }
    assert_eq!(fraction(-INF, -5.0, &[(-1.0, 5.0), (INF, 10.0)]), 0.5, "all of the first bucket");
    assert!(fraction(f64::NAN, 1.0, &pairs).is_nan());
    assert!(fraction(0.0, f64::NAN, &pairs).is_nan());
    assert!(fraction(0.0, 1.0, &[]).is_nan());
    assert!(fraction(0.0, 1.0, &[(1.0, 1.0)]).is_nan());
    assert!(fraction(0.0, 1.0, &[(1.0, 0.0), (INF, 0.0)]).is_nan());
    assert_eq!(fraction(-INF, INF, &[(INF, 3.0)]), 1.0);
}

fn any_buckets() -> impl Strategy<Value = Vec<ClassicBucket>> {
    prop::collection::vec((-50i32..50, 0u16..100), 1..12).prop_map(|pairs| {
        let mut count = 0.0;
        let mut pairs = pairs;
        pairs.sort_unstable();
        pairs.dedup_by_key(|pair| pair.0);
        let mut buckets: Vec<ClassicBucket> = Vec::new();
        for (bound, more) in pairs {
            count += f64::from(more);
            buckets.push(ClassicBucket { upper_bound: bound.into(), count });
        }
        buckets.push(ClassicBucket { upper_bound: INF, count: count + 1.0 });
        buckets
    })
}

proptest! {
    #[test]
    fn quantiles_do_not_decrease(
        mut buckets in any_buckets(), low in 0.0f64..1.0, high in 0.0f64..1.0
    ) {
        let (low, high) = (low.min(high), low.max(high));
        let (lower, upper) =
            (classic_quantile(low, &mut buckets).value, classic_quantile(high, &mut buckets).value);
        prop_assert!(lower <= upper + 1e-9, "{lower} {upper}");
    }

    #[test]
    fn any_counts_give_an_answer_without_a_panic(
        pairs in prop::collection::vec((any::<f64>(), any::<f64>()), 0..8), q in any::<f64>()
    ) {
        let pairs: Vec<_> = pairs.into_iter().filter(|pair| !pair.0.is_nan()).collect();
        let found = classic_quantile(q, &mut buckets(&pairs));
        prop_assert!(found.forced.is_none_or(|forced| forced.bound_min <= forced.bound_max));
        let _ = fraction(-q, q, &pairs);
    }
}
