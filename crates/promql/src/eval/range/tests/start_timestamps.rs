//! Counters with start timestamps.

use super::{Data, Test, assert_near};
use crate::functions::Function as F;

/// Samples each minute from 2 min on, with starts relative to their times (`None` is unknown).
fn samples(starts: &[Option<i64>], values: &[f64]) -> Data {
    let mut data = Data::default();
    for (at, (start, value)) in (2..).zip(starts.iter().zip(values)) {
        let time = at * 60_000;
        data.floats.push(time, start.map_or(0, |start| time + start), *value);
    }
    data
}

#[test]
fn deltas_are_summed_up_as_counters() {
    for (start, expected) in [
        (Some(-60_000), 300.0),
        (Some(-59_999), 300.0),
        (Some(-1), 300.0),
        (Some(0), 0.0),
        (None, 0.0),
    ] {
        let data = samples(&[start; 16], &[60.0; 16]);
        let test = Test::new(F::Increase, 300.0, 600.0).steps(60.0, 6);
        for found in test.run(&data).floats() {
            assert!((found.unwrap() - expected).abs() < 0.01, "{start:?}: {found:?}");
        }
        let rate = Test::new(F::Irate, 300.0, 600.0).float(&data).unwrap();
        assert!((rate - expected / 300.0).abs() < 1e-9, "{start:?}: {rate}");
    }
}

#[test]
fn a_start_in_the_window_is_where_the_counter_was_zero() {
    let values = [1.0, 2.0, 3.0, 4.0, 5.0];
    let starting = |first: i64| {
        let starts: Vec<_> = (0..5).map(|at| Some(first - at * 60_000)).collect();
        samples(&starts, &values)
    };
    let at = |first, end| Test::new(F::Increase, 300.0, end).float(&starting(first));
    // The window begins at 1 min, exclusive; the first sample is at 2 min.
    assert_near(at(-60_000, 360.0), 5.0);
    assert_near(at(-30_000, 360.0), 5.0);
    let without = samples(&[Some(-30_000), Some(-90_000), Some(-150_000), Some(-210_000)], &values);
    assert_near(Test::new(F::Increase, 300.0, 360.0).float(&without), 4.0 * 270.0 / 210.0);
    let mut test = Test::new(F::Increase, 300.0, 360.0);
    test.call.features.start_timestamps = false;
    assert_near(test.float(&without), 5.0);
}

#[test]
fn one_sample_is_enough_if_its_start_is_in_the_window() {
    let at = |start| {
        let data = samples(&[Some(start)], &[3.0]);
        Test::new(F::Increase, 120.0, 180.0).float(&data)
    };
    assert_near(at(-30_000), 3.0);
    assert_eq!(at(-60_000), None, "at the start of the window, which is not in it");
    assert_eq!(at(0), None);
    assert_eq!(at(1), None);
    let data = samples(&[Some(-30_000)], &[3.0]);
    assert_near(Test::new(F::Rate, 120.0, 180.0).float(&data), 3.0 / 120.0);
    assert_eq!(Test::new(F::Delta, 120.0, 180.0).float(&data), None);
}

#[test]
fn resets_are_counted_by_starts() {
    let data = samples(&[Some(-30_000), Some(-90_000), Some(-1000), None], &[1.0, 2.0, 3.0, 4.0]);
    assert_eq!(Test::new(F::Resets, 600.0, 600.0).float(&data), Some(1.0));
    assert_eq!(Test::new(F::Changes, 600.0, 600.0).float(&data), Some(3.0));
}

#[test]
fn overlapping_samples_are_warned_of() {
    let data = samples(&[Some(-120_000); 3], &[60.0, 120.0, 180.0]);
    let warning = "PromQL warning: sample has start time that overlaps with previous sample \
                   timestamp for metric \"m_total\" (1:1)";
    assert_eq!(Test::new(F::Rate, 180.0, 240.0).run(&data).warnings(), [warning]);
    assert!(Test::new(F::Delta, 180.0, 240.0).run(&data).notes.is_empty());
    assert!(Test::new(F::Rate, 30.0, 240.0).run(&data).notes.is_empty(), "only one of them");
    let same = samples(&[Some(-30_000), Some(-90_000)], &[60.0, 120.0]);
    assert!(Test::new(F::Rate, 180.0, 240.0).run(&same).notes.is_empty());
}
