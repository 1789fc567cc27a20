//! Native histograms.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Data, Test, assert_near};
use crate::ast::RangeMode::{Anchored, Smoothed};
use crate::functions::Function as F;
use crate::histogram::{Buckets, CUSTOM_SCHEMA, CounterResetHint, Histogram, HistogramParts};

/// With buckets from 1 on, and the sum equal to the count.
pub(super) fn counts(buckets: &[f64]) -> Histogram {
    build(0, &[], buckets)
}

fn custom(bounds: &[f64], buckets: &[f64]) -> Histogram {
    build(CUSTOM_SCHEMA, bounds, buckets)
}

fn build(schema: i32, bounds: &[f64], buckets: &[f64]) -> Histogram {
    let count = buckets.iter().sum();
    let first = i32::from(schema != CUSTOM_SCHEMA);
    let parts = HistogramParts {
        schema,
        custom_bounds: bounds.into(),
        count,
        sum: count,
        positive: Buckets::from_dense(first, buckets).unwrap(),
        ..HistogramParts::default()
    };
    parts.try_into().unwrap()
}

fn hinted(mut histogram: Histogram, hint: CounterResetHint) -> Histogram {
    histogram.hint = hint;
    histogram
}

/// `1, 2, .. n` observations in one bucket.
fn growing(n: u32) -> Vec<Histogram> {
    (1..=n).map(|count| counts(&[count.into()])).collect()
}

fn count(test: &Test, data: &Data) -> Option<f64> {
    test.run(data).histogram().map(|histogram| histogram.count)
}

const NOT_COUNTER: &str =
    "PromQL warning: this native histogram metric is not a counter: \"m_total\" (1:1)";
const NOT_GAUGE: &str =
    "PromQL warning: this native histogram metric is not a gauge: \"m_total\" (1:1)";
const MIXED_LAYOUTS: &str = "PromQL warning: vector contains a mix of histograms with exponential \
                             and custom buckets schemas for metric name \"m_total\" (1:1)";

#[test]
fn rates_follow_the_counts() {
    let data = Data::histograms(15, &growing(8));
    let answer = Test::new(F::Rate, 60.0, 50.0).run(&data);
    let rate = answer.histogram().unwrap();
    assert_near(Some(rate.count), 4.0 / 60.0);
    assert_near(Some(rate.sum), 4.0 / 60.0);
    assert_near(Some(rate.positive().counts()[0]), 4.0 / 60.0);
    assert_eq!(rate.hint, CounterResetHint::Gauge);
    assert!(answer.notes.is_empty());
    assert_near(count(&Test::new(F::Increase, 60.0, 50.0), &data), 4.0);
    let delta = Test::new(F::Delta, 60.0, 50.0).run(&data);
    assert_eq!(delta.warnings(), [NOT_GAUGE]);
    let irate = Test::new(F::Irate, 60.0, 50.0).run(&data);
    assert_near(irate.histogram().map(|h| h.count), 1.0 / 15.0);
    assert!(irate.notes.is_empty());
    let idelta = Test::new(F::Idelta, 60.0, 50.0).run(&data);
    assert_eq!(
        (idelta.histogram().unwrap().count, idelta.warnings()),
        (1.0, vec![NOT_GAUGE.into()])
    );
}

#[test]
fn a_reset_adds_the_histogram_before_it() {
    let data = Data::histograms(10, &[4.0, 9.0, 2.0, 5.0].map(|count| counts(&[count, count])));
    let increase = Test::new(F::Increase, 30.001, 30.0).run(&data);
    assert_near(increase.histogram().map(|h| h.count), 2.0 * (5.0 - 4.0 + 9.0) * 30.001 / 30.0);
    assert_eq!(Test::new(F::Resets, 60.0, 30.0).float(&data), Some(1.0));
    assert_eq!(Test::new(F::Changes, 60.0, 30.0).float(&data), Some(3.0));
}

#[test]
fn a_first_histogram_that_ended_in_a_reset_does_not_matter() {
    let data = Data::histograms(
        10,
        &[custom(&[5.0], &[100.0]), counts(&[3.0]), counts(&[7.0]), counts(&[8.0])],
    );
    let answer = Test::new(F::Increase, 30.001, 30.0).run(&data);
    assert!(answer.notes.is_empty(), "{:?}", answer.notes);
    assert_near(answer.histogram().map(|h| h.count), 8.0 * 30.001 / 30.0);
    assert_eq!(answer.histogram().map(Histogram::schema), Some(0));
}

#[test]
fn layouts_that_do_not_mix_have_no_result() {
    let data = Data::histograms(10, &[counts(&[1.0]), counts(&[2.0]), custom(&[5.0], &[9.0])]);
    for function in [F::Rate, F::Delta, F::Idelta, F::SumOverTime, F::AvgOverTime] {
        let answer = Test::new(function, 60.0, 30.0).run(&data);
        assert!(answer.column.is_empty(), "{function:?}");
        assert!(answer.warnings().contains(&MIXED_LAYOUTS.into()), "{function:?}");
    }
    for mode in [Anchored, Smoothed] {
        let answer = Test::new(F::Rate, 60.0, 30.0).mode(mode).run(&data);
        assert!(answer.column.is_empty());
        assert_eq!(answer.warnings(), [MIXED_LAYOUTS]);
    }
}

#[test]
fn resolutions_are_brought_to_the_coarsest() {
    let fine = |counts: &[f64]| build(1, &[], counts);
    let data = Data::histograms(10, &[fine(&[1.0, 1.0]), counts(&[3.0]), fine(&[4.0, 4.0])]);
    let answer = Test::new(F::Delta, 20.001, 20.0).run(&data);
    assert_eq!(answer.histogram().map(Histogram::schema), Some(1), "only the ends matter");
    let goes_on = hinted(fine(&[4.0, 4.0]), CounterResetHint::NotReset);
    let counters = Data::histograms(10, &[fine(&[1.0, 1.0]), counts(&[3.0]), goes_on]);
    let answer = Test::new(F::Increase, 20.001, 20.0).run(&counters);
    assert_eq!(answer.histogram().map(Histogram::schema), Some(0), "all of a counter matter");
    let sum = Test::new(F::SumOverTime, 60.0, 30.0).run(&data);
    assert_eq!(sum.histogram().map(|h| (h.schema(), h.count)), Some((0, 13.0)));
}

#[test]
fn gauges_among_counters_are_warned_of() {
    let gauge = |count| hinted(counts(&[count]), CounterResetHint::Gauge);
    let data = Data::histograms(10, &[counts(&[1.0]), gauge(2.0), counts(&[3.0])]);
    for mode in [crate::ast::RangeMode::Inside, Anchored, Smoothed] {
        let answer = Test::new(F::Increase, 60.0, 20.0).mode(mode).run(&data);
        assert_eq!(answer.warnings(), [NOT_COUNTER]);
        assert!(answer.histogram().is_some());
        let answer = Test::new(F::Delta, 60.0, 20.0).mode(mode).run(&data);
        assert_eq!(answer.warnings(), [NOT_GAUGE]);
    }
    let gauges = Data::histograms(10, &[gauge(3.0), gauge(2.0)]);
    let answer = Test::new(F::Delta, 60.0, 10.0).run(&gauges);
    assert!(answer.notes.is_empty());
    assert!(answer.histogram().is_some_and(|delta| delta.count < 0.0));
}

#[test]
fn custom_bounds_are_reconciled_and_told() {
    let data = Data::histograms(
        10,
        &[custom(&[5.0, 10.0], &[1.0, 1.0]), custom(&[5.0, 20.0], &[4.0, 4.0])],
    );
    for (function, during) in [
        (F::Increase, "subtraction"),
        (F::Irate, "subtraction"),
        (F::SumOverTime, "aggregation"),
        (F::AvgOverTime, "aggregation"),
    ] {
        let answer = Test::new(function, 60.0, 10.0).run(&data);
        assert_eq!(
            answer.infos(),
            [format!(
                "PromQL info: mismatched custom buckets were reconciled during {during} (1:1)"
            )]
        );
        let bounds = answer.histogram().unwrap().custom_bounds().unwrap().to_vec();
        assert_eq!(bounds, [5.0]);
    }
}

#[test]
fn sums_and_means_slide_over_histograms() {
    let data = Data::histograms(10, &growing(40));
    let sums = Test::new(F::SumOverTime, 100.0, 90.0).steps(10.0, 30).run(&data);
    let means = Test::new(F::AvgOverTime, 100.0, 90.0).steps(10.0, 30).run(&data);
    for (step, (sum, mean)) in
        sums.column.histograms().iter().zip(means.column.histograms()).enumerate()
    {
        let expected: f64 = (0..10).map(|back| (step + 10 - back) as f64).sum();
        assert_eq!((sum.0 as usize, sum.1.count), (step, expected));
        assert_near(Some(mean.1.sum), expected / 10.0);
    }
    assert_eq!(sums.column.histograms().len(), 30);
}

fn any_histogram() -> impl Strategy<Value = Histogram> {
    let threshold = prop::sample::select(vec![0.0, 0.1, 0.75, 1.1, 1.3, 3.0]);
    (0i32..3, threshold, 1i32..9, prop::collection::vec(0u8..3, 0..6)).prop_map(
        |(schema, zero_threshold, first, buckets)| {
            let buckets: Vec<f64> = buckets.into_iter().map(f64::from).collect();
            let parts = HistogramParts {
                schema,
                zero_threshold,
                zero_count: 1.0,
                count: 1.0 + buckets.iter().sum::<f64>(),
                positive: Buckets::from_dense(first + 4 * schema, &buckets).unwrap(),
                ..HistogramParts::default()
            };
            parts.try_into().unwrap()
        },
    )
}

proptest! {
    #[test]
    fn a_sum_does_not_depend_on_other_windows(
        values in prop::collection::vec(any_histogram(), 1..12), range in 1u8..8
    ) {
        let range = f64::from(range) * 10.0;
        let data = Data::histograms(10, &values);
        let all = Test::new(F::SumOverTime, range, 0.0).steps(10.0, values.len()).run(&data);
        for (step, sum) in all.column.histograms() {
            let alone = Test::new(F::SumOverTime, range, f64::from(*step) * 10.0).run(&data);
            prop_assert!(sum.same(alone.histogram().unwrap()), "step {step}");
        }
    }
}

#[test]
fn hints_that_contradict_each_other_are_warned_of() {
    let hints = [CounterResetHint::Reset, CounterResetHint::Unknown, CounterResetHint::NotReset];
    let data = Data::histograms(10, &hints.map(|hint| hinted(counts(&[1.0]), hint)));
    for function in [F::SumOverTime, F::AvgOverTime] {
        let answer = Test::new(function, 60.0, 20.0).run(&data);
        assert_eq!(
            answer.warnings(),
            ["PromQL warning: conflicting counter resets during histogram aggregation (1:1)"]
        );
        assert!(answer.histogram().is_some());
        assert!(Test::new(function, 60.0, 10.0).run(&data).notes.is_empty());
    }
}

#[test]
fn start_timestamps_tell_resets_of_histograms() {
    let mut data = Data::default();
    for minute in 2..=17 {
        let time = minute * 60_000;
        data.histograms.push(time, time - 60_000, Arc::new(counts(&[60.0])));
    }
    let increase = Test::new(F::Increase, 300.0, 600.0).steps(60.0, 6).run(&data);
    assert_eq!(increase.column.histograms().len(), 6);
    for (_, histogram) in increase.column.histograms() {
        assert_near(Some(histogram.count), 300.0);
    }
    assert_near(count(&Test::new(F::Irate, 300.0, 600.0), &data), 1.0);
    assert_eq!(Test::new(F::Resets, 300.0, 600.0).float(&data), Some(4.0));
    // A single one, whose start is in the window.
    assert_near(
        count(&Test::new(F::Rate, 300.0, 180.0).steps(60.0, 1), &{
            let mut single = Data::default();
            single.histograms.push(120_000, 60_000, Arc::new(counts(&[60.0])));
            single
        }),
        60.0 / 300.0,
    );
}

#[test]
fn anchored_and_smoothed_windows_do_as_with_floats() {
    let data = Data::histograms(15, &growing(8));
    let at = |function, mode, end| count(&Test::new(function, 60.0, end).mode(mode), &data);
    assert_near(at(F::Increase, Anchored, 50.0), 3.0);
    assert_near(at(F::Increase, Smoothed, 50.0), 10.0 / 3.0);
    assert_near(at(F::Rate, Smoothed, 50.0), 10.0 / 3.0 / 60.0);
    assert_near(at(F::Increase, Smoothed, 5.0), 1.0 / 3.0);
    assert_eq!(at(F::Increase, Anchored, 5.0), Some(0.0));
    assert_eq!(at(F::Increase, Anchored, 400.0), None);
    let custom: Vec<_> = (1..=8).map(|n| custom(&[5.0, 10.0], &[n.into()])).collect();
    let data = Data::histograms(15, &custom);
    assert_near(count(&Test::new(F::Increase, 60.0, 50.0).mode(Smoothed), &data), 10.0 / 3.0);
}

/// Histograms with these counts; a negative one stands for its amount after a reset.
fn with_resets(interval: i64, values: &[f64]) -> Data {
    let histogram = |value: &f64| {
        let hint = if *value < 0.0 { CounterResetHint::Reset } else { CounterResetHint::Unknown };
        hinted(counts(&[value.abs()]), hint)
    };
    Data::histograms(interval, &values.iter().map(histogram).collect::<Vec<_>>())
}

#[test]
fn resets_in_extended_windows_are_counted_once() {
    let at =
        |mode, range, end, data: &Data| count(&Test::new(F::Increase, range, end).mode(mode), data);
    // The left end lies within a reset: 110 * 0.95 .. 110 + 84 * 0.05.
    let data = with_resets(10, &[0.0, 396.0, -110.0, 194.0]);
    assert_near(at(Smoothed, 1.0, 20.5, &data), 9.7);
    // The last sample follows a reset, and is not at the end of the window.
    let data = with_resets(30, &[5.0, 10.0, -3.0]);
    assert_near(at(Anchored, 90.0, 80.0, &data), 8.0);
    let data = with_resets(30, &[5.0, -3.0]);
    assert_near(at(Anchored, 30.0, 30.0, &data), 3.0);
    // A second reset right behind the one that the left end lies in: 0.5 .. 5, then 2, then 3.
    let data = with_resets(10, &[10.0, -5.0, -2.0, 3.0]);
    assert_near(at(Smoothed, 29.0, 30.0, &data), 3.0 - 0.5 + 5.0);
    // Both ends within one reset.
    let data = with_resets(20, &[10.0, -5.0]);
    assert_near(at(Smoothed, 10.0, 15.0, &data), 2.5);
    // The right end within a reset: 7.5 .. 10, then 1.5.
    let data = with_resets(10, &[5.0, 10.0, -3.0]);
    assert_near(at(Smoothed, 10.0, 15.0, &data), 1.5 - 7.5 + 10.0);
}

#[test]
fn anchored_transitions_know_both_kinds() {
    let mut data = Data::default();
    for (minute, count) in [(0, 1.0), (1, 2.0)] {
        data.histograms.push(minute * 60_000, 0, Arc::new(counts(&[count])));
    }
    for (minute, value) in [(2, 5.0), (3, 2.0), (4, 3.0)] {
        data.floats.push(minute * 60_000, 0, value);
    }
    let at = |function, end| Test::new(function, 60.0, end).mode(Anchored).float(&data);
    assert_eq!(at(F::Resets, 120.0), Some(1.0), "from a histogram to a float");
    assert_eq!(at(F::Resets, 180.0), Some(1.0));
    assert_eq!(at(F::Resets, 240.0), Some(0.0));
    assert_eq!(at(F::Changes, 240.0), Some(1.0));
    let answer = Test::new(F::Rate, 60.0, 180.0).mode(Anchored).run(&data);
    assert!(answer.column.is_empty());
    assert_eq!(answer.warnings().len(), 1, "a mix within the lookback");
}
