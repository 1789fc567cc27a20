//! Every function over random series and windows, against its definition in the reference.

use proptest::prelude::*;
use siltstone_promql_reference::{Window, over_window};

use super::{Data, Test, near};
use crate::functions::Function;

const FUNCTIONS: [Function; 26] = [
    Function::Rate,
    Function::Increase,
    Function::Delta,
    Function::Irate,
    Function::Idelta,
    Function::Deriv,
    Function::PredictLinear,
    Function::Changes,
    Function::Resets,
    Function::SumOverTime,
    Function::AvgOverTime,
    Function::MinOverTime,
    Function::MaxOverTime,
    Function::TsOfMinOverTime,
    Function::TsOfMaxOverTime,
    Function::StddevOverTime,
    Function::StdvarOverTime,
    Function::QuantileOverTime,
    Function::MadOverTime,
    Function::CountOverTime,
    Function::PresentOverTime,
    Function::FirstOverTime,
    Function::LastOverTime,
    Function::TsOfFirstOverTime,
    Function::TsOfLastOverTime,
    Function::DoubleExponentialSmoothing,
];

/// Values as counters, gauges and broken clients make them.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-40i16..200).prop_map(|value| f64::from(value) / 4.0),
        2 => prop::sample::select(vec![0.0, -0.0, 1.0, 7.0]),
    ]
}

fn special_value() -> impl Strategy<Value = f64> {
    let special = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
    prop_oneof![9 => value(), 1 => prop::sample::select(special)]
}

fn series(value: impl Strategy<Value = f64>) -> impl Strategy<Value = Data> {
    let gap = prop_oneof![4 => Just(15_000i64), 2 => 1i64..20_000, 1 => 20_000i64..200_000];
    (-200_000i64..200_000, prop::collection::vec((gap, value), 0..80)).prop_map(
        |(mut time, samples)| {
            let mut data = Data::default();
            for (gap, value) in samples {
                time += gap;
                data.floats.push(time, 0, value);
            }
            data
        },
    )
}

fn any_series() -> impl Strategy<Value = Data> {
    let counter = series(value()).prop_map(|mut data| {
        data.floats.values.iter_mut().for_each(|value| *value = value.abs());
        // Grows for a while, then starts anew.
        for at in 1..data.floats.values.len() {
            if at % 9 != 0 {
                data.floats.values[at] += data.floats.values[at - 1];
            }
        }
        data
    });
    prop_oneof![3 => series(value()), 2 => series(special_value()), 2 => counter]
}

/// A call of a function with windows shorter and longer than steps, with offsets and `@`.
fn any_test() -> impl Strategy<Value = Test> {
    let long = prop_oneof![1i64..400_000, prop::sample::select(vec![15_000, 60_000, 300_000])];
    let fixed = prop_oneof![4 => Just(None), 1 => (-100_000i64..500_000).prop_map(Some)];
    (
        prop::sample::select(&FUNCTIONS[..]),
        (long, 1i64..100_000, 1usize..60),
        (-300_000i64..300_000, fixed, -50_000i64..50_000),
        prop::collection::vec((0.01f64..0.99, 0.01f64..0.99), 60),
        any::<bool>(),
    )
        .prop_map(
            |(function, (range, step, count), (start, at, offset), parameters, steady)| {
                let mut test = Test::new(function, 1.0, 0.0).steps(1.0, count);
                let windows = &mut test.call.windows;
                (windows.grid.start, windows.grid.step, windows.range) = (start, step, range);
                (windows.shift.at, windows.shift.offset) = (at, offset);
                let (mut first, mut second): (Vec<_>, Vec<_>) = parameters.into_iter().unzip();
                if steady {
                    (first, second) = (vec![first[0]; 60], vec![second[0]; 60]);
                }
                test.call.parameters = vec![first, second];
                test
            },
        )
}

/// What the reference gives at each step.
fn expected(test: &Test, data: &Data) -> Vec<Option<f64>> {
    // The reference is built on the crate as a library, whose types are not those of this test.
    let function = siltstone_promql_reference::Function::from_name(test.call.function.name());
    let function = function.expect("a function of both");
    let windows = &test.call.windows;
    let samples: Vec<(i64, f64)> =
        data.floats.times.iter().copied().zip(data.floats.values.iter().copied()).collect();
    let step = |step: usize| {
        let time = windows.grid.start + windows.grid.step * i64::try_from(step).unwrap();
        let end = windows.shift.at.unwrap_or(time) - windows.shift.offset;
        let start = end - windows.range;
        let held: Vec<(i64, f64)> =
            samples.iter().copied().filter(|(at, _)| start < *at && *at <= end).collect();
        let parameters: Vec<f64> = test.call.parameters.iter().map(|p| p[step]).collect();
        let window = Window { start, end, time, samples: &held, parameters: &parameters };
        over_window(function, &window)
    };
    (0..windows.grid.count).map(step).collect()
}

/// How large the numbers are that a result is made of: what rounding is relative to.
fn scale(test: &Test, data: &Data) -> f64 {
    let values = data.floats.values.iter().filter(|value| value.is_finite());
    let largest = values.fold(1.0f64, |largest, value| largest.max(value.abs()));
    match test.call.function {
        Function::StdvarOverTime => largest * largest,
        _ => largest,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn every_function_gives_what_it_is_defined_as(test in any_test(), data in any_series()) {
        let found = test.run(&data).floats();
        let expected = expected(&test, &data);
        let scale = scale(&test, &data);
        for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let same = match (found, expected) {
                (Some(a), Some(b)) => near(*a, *b, 1e-10) || (a - b).abs() <= 1e-12 * scale,
                (a, b) => a == b,
            };
            let function = test.call.function;
            prop_assert!(same, "{function:?}: {found:?} instead of {expected:?} at step {step}");
        }
    }

    #[test]
    fn a_step_does_not_depend_on_other_steps_or_samples(test in any_test(), data in any_series()) {
        let all = test.run(&data).floats();
        let scale = scale(&test, &data);
        let windows = test.call.windows;
        for (step, whole) in all.iter().enumerate() {
            let mut single = Test::new(test.call.function, 1.0, 0.0);
            single.call.windows = windows;
            single.call.windows.grid.count = 1;
            single.call.windows.grid.start = windows.grid.time(step);
            single.call.parameters =
                test.call.parameters.iter().map(|values| vec![values[step]]).collect();
            let (start, end) = single.call.windows.needed();
            let mut part = Data::default();
            for (time, value) in data.floats.times.iter().zip(&data.floats.values) {
                if start <= *time && *time <= end {
                    part.floats.push(*time, 0, *value);
                }
            }
            let alone = single.run(&part).floats()[0];
            let same = match (alone, whole) {
                (Some(a), Some(b)) => near(a, *b, 1e-12) || (a - b).abs() <= 1e-14 * scale,
                (a, b) => a == *b,
            };
            let function = test.call.function;
            prop_assert!(same, "{function:?}: {alone:?} alone, {whole:?} with others");
        }
    }
}
