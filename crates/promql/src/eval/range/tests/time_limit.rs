//! The time limit within one series.

use super::*;
use crate::histogram::HistogramParts;

/// Of so many looks at the clock, each a second later, the first few may find time left.
fn hurried() -> Limits {
    Limits { time: Some(Duration::from_secs(3)), ..Limits::default() }
}

/// Samples every second, and windows that hold a half of them.
fn long(function: Function, samples: usize) -> Test {
    Test::new(function, (samples / 2) as f64, 0.0).steps(1.0, samples)
}

fn is_stopped(test: &Test, data: &Data) -> bool {
    matches!(test.try_run_within(data, hurried()), Err(QueryError::Timeout))
}

#[test]
fn long_windows_of_floats_are_stopped() {
    let samples = 2000;
    let mut values: Vec<f64> = (0..samples).map(|at| (at * 7919 % 1009) as f64).collect();
    let data = Data::floats(1, &values);
    let smoothing =
        long(Function::DoubleExponentialSmoothing, samples).parameter(0.5).parameter(0.5);
    assert!(is_stopped(&smoothing, &data));
    // Those that look at all samples of a window only where some are not ordinary.
    for at in (0..samples).step_by(10) {
        values[at] = 1e300;
    }
    let huge = Data::floats(1, &values);
    for function in [Function::SumOverTime, Function::AvgOverTime, Function::StddevOverTime] {
        assert!(!is_stopped(&long(function, samples), &data), "{function:?}");
        assert!(is_stopped(&long(function, samples), &huge), "{function:?}");
    }
    values[samples / 2] = f64::INFINITY;
    assert!(is_stopped(&long(Function::MadOverTime, samples), &Data::floats(1, &values)));
}

#[test]
fn long_windows_of_histograms_are_stopped() {
    let histogram = |at: usize| {
        let parts = HistogramParts {
            count: at as f64,
            zero_threshold: (at % 2) as f64,
            ..HistogramParts::default()
        };
        Histogram::try_from(parts).unwrap()
    };
    let values: Vec<Histogram> = (0..300).map(histogram).collect();
    let data = Data::histograms(1, &values);
    assert!(is_stopped(&long(Function::Rate, 300), &data));
    assert!(is_stopped(&long(Function::Rate, 300).mode(RangeMode::Smoothed), &data));
    assert!(is_stopped(&long(Function::SumOverTime, 300), &data), "summed up one by one");
}

#[test]
fn many_steps_are_stopped() {
    let data = Data::floats(1, &[1.0, 2.0, 3.0]);
    for function in [Function::Rate, Function::CountOverTime, Function::Resets, Function::Irate] {
        let many = Test::new(function, 10.0, 0.0).steps(0.001, 1 << 19);
        assert!(is_stopped(&many, &data), "{function:?}");
        let few = Test::new(function, 10.0, 0.0).steps(0.001, 1 << 12);
        assert!(!is_stopped(&few, &data), "{function:?}");
    }
}
