//! `anchored` and `smoothed` windows of floats.

use proptest::prelude::*;

use super::{Data, Test, assert_near, near};
use crate::ast::RangeMode::{Anchored, Smoothed};
use crate::functions::Function as F;

#[test]
fn anchored_counts_from_the_last_sample_up_to_the_start() {
    let data = Data::floats(15, &[1.0, 2.0, 3.0, 4.0, 5.0, 9.0, 10.0, 11.0, 12.0, 13.0]);
    let at = |end| Test::new(F::Increase, 60.0, end).mode(Anchored).float(&data);
    assert_eq!(at(5.0), Some(0.0));
    assert_eq!(at(20.0), Some(1.0));
    assert_eq!(at(65.0), Some(4.0));
    assert_eq!(at(75.0), Some(7.0), "a sample right at the start");
    assert_eq!(at(200.0), None, "all samples are before the window");
    assert_eq!(at(-1.0), None);
}

#[test]
fn smoothed_interpolates_at_both_ends() {
    let mut data = Data::floats(15, &[1.0, 2.0, 3.0]);
    for (time, value) in [(75, 9.0), (90, 10.0), (105, 11.0), (120, 12.0), (135, 13.0)] {
        data.floats.push(time * 1000, 0, value);
    }
    let at = |end| Test::new(F::Increase, 60.0, end).mode(Smoothed).float(&data);
    for (end, expected) in
        [(5.0, 1.0 / 3.0), (20.0, 4.0 / 3.0), (50.0, 14.0 / 3.0), (65.0, 19.0 / 3.0), (80.0, 7.0)]
    {
        assert_near(at(end), expected);
    }
    let rate = Test::new(F::Rate, 60.0, 80.0).mode(Smoothed).float(&data);
    assert_near(rate, 7.0 / 60.0);
    assert_eq!(at(-1.0), None, "only samples behind the window");
    assert_eq!(at(1000.0), None);
}

#[test]
fn the_start_of_an_extended_window_is_exclusive_too() {
    let mut data = Data::floats(60, &[1.0, 2.0]);
    data.floats.push(180_000, 0, 4.0);
    assert_near(Test::new(F::Increase, 60.0, 120.0).mode(Smoothed).float(&data), 1.0);
    assert_eq!(Test::new(F::Increase, 60.0, 120.0).mode(Anchored).float(&data), None);
}

#[test]
fn counters_begin_anew_from_zero_between_samples() {
    let data = Data::floats(15, &[100.0, 10.0]);
    let found = Test::new(F::Rate, 10.0, 12.0).mode(Smoothed).float(&data);
    assert_near(found, 10.0 * 10.0 / 15.0 / 10.0);
    let data = Data::floats(60, &[9.0, 8.0, 5.0, 4.0]);
    let found = Test::new(F::Increase, 120.0, 135.0).mode(Smoothed).float(&data);
    assert_near(found, 12.0);
    let found = Test::new(F::Delta, 120.0, 135.0).mode(Smoothed).float(&data);
    assert_near(found, 4.75 - 8.75);
}

#[test]
fn samples_beyond_the_lookback_are_not_looked_at() {
    let mut data = Data::default();
    for (minute, value) in [(0, 2.0), (2, 1.0), (8, 0.0)] {
        data.floats.push(minute * 60_000, 0, value);
    }
    let at = |function, range, end| Test::new(function, range, end).mode(Anchored).float(&data);
    for function in [F::Changes, F::Resets] {
        assert_eq!(at(function, 60.0, 120.0), Some(1.0));
        assert_eq!(at(function, 60.0, 180.0), None, "no sample in the window");
        assert_eq!(at(function, 60.0, 480.0), Some(0.0));
        assert_eq!(at(function, 60.001, 480.0), Some(1.0));
    }
    assert_eq!(at(F::Delta, 60.0, 480.0), Some(0.0));
    assert_eq!(at(F::Delta, 60.001, 480.0), Some(-1.0));
}

/// Increase or difference over one window, as it is defined, from all samples.
fn expected(test: &Test, data: &Data, (start, end): (i64, i64)) -> Option<f64> {
    let smoothed = test.call.windows.mode == Smoothed;
    let lookback = test.call.windows.lookback;
    let ahead = if smoothed { lookback } else { 0 };
    let all = data.floats.times.iter().copied().zip(data.floats.values.iter().copied());
    let held: Vec<(i64, f64)> =
        all.filter(|(time, _)| start - lookback < *time && *time <= end + ahead).collect();
    let counter = test.call.function != F::Delta;
    if !held.iter().any(|(time, _)| *time > start) || held.iter().all(|(time, _)| *time > end) {
        return None;
    }
    let value_at = |time: i64| {
        let before = *held.iter().rfind(|sample| sample.0 <= time)?;
        let behind = held.iter().find(|sample| sample.0 > time);
        Some(match behind {
            Some(behind) if smoothed && before.0 < time => {
                let low = if counter && behind.1 < before.1 { 0.0 } else { before.1 };
                low + (behind.1 - low) * (time - before.0) as f64 / (behind.0 - before.0) as f64
            }
            _ => before.1,
        })
    };
    let inside: Vec<f64> =
        held.iter().filter(|s| start < s.0 && s.0 < end).map(|s| s.1).collect();
    let first = held.iter().find(|sample| sample.0 > start).map(|sample| sample.1);
    let mut path = vec![value_at(start).or(first)?];
    path.extend(&inside);
    path.push(value_at(end)?);
    let lost = path.windows(2).filter(|pair| counter && pair[1] < pair[0]).map(|pair| pair[0]);
    Some(path[path.len() - 1] - path[0] + lost.sum::<f64>())
}

proptest! {
    #[test]
    fn windows_are_as_defined(
        smoothed in any::<bool>(),
        counter in any::<bool>(),
        gaps in prop::collection::vec((1i64..90, -20i16..60), 1..50),
        (range, step, start) in (1i64..200, 1i64..90, -100i64..300),
    ) {
        let mut data = Data::default();
        let mut time = 0;
        for (gap, value) in gaps {
            time += gap * 1000;
            data.floats.push(time, 0, value.into());
        }
        let function = if counter { F::Increase } else { F::Delta };
        let mut test = Test::new(function, range as f64, start as f64)
            .mode(if smoothed { Smoothed } else { Anchored })
            .steps(step as f64, 40);
        test.call.windows.lookback = 60_000;
        let found = test.run(&data).floats();
        for (step, found) in found.iter().enumerate() {
            let (start, end) = (test.call.windows.start(step), test.call.windows.end(step));
            let same = match (*found, expected(&test, &data, (start, end))) {
                (Some(a), Some(b)) => near(a, b, 1e-9) || (a - b).abs() < 1e-9,
                (a, b) => a == b,
            };
            let expected = expected(&test, &data, (start, end));
            prop_assert!(same, "{found:?} instead of {expected:?} at step {step}: ({start}, {end}]");
        }
    }
}
