//! Named cases of the functions over windows as they are, with floats.

use super::{Data, Test, assert_near};
use crate::ast::RangeMode;
use crate::functions::Function as F;
use crate::histogram::Histogram;

use super::histograms::counts;

#[test]
fn windows_are_open_at_their_start() {
    let data = Data::floats(15, &[1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(Test::new(F::CountOverTime, 60.0, 60.0).float(&data), Some(4.0));
    assert_eq!(Test::new(F::CountOverTime, 60.001, 60.0).float(&data), Some(5.0));
    assert_eq!(Test::new(F::FirstOverTime, 60.0, 60.0).float(&data), Some(2.0));
    assert_eq!(Test::new(F::LastOverTime, 60.0, 59.999).float(&data), Some(4.0));
    assert_eq!(Test::new(F::CountOverTime, 60.0, -0.001).float(&data), None);
}

#[test]
fn offset_and_at_shift_the_window_and_not_the_prediction() {
    let data = Data::floats(10, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let mut test = Test::new(F::LastOverTime, 15.0, 60.0).steps(10.0, 3);
    test.call.windows.shift.offset = 20_000;
    assert_eq!(test.run(&data).floats(), [Some(4.0), Some(5.0), Some(6.0)]);
    test.call.windows.shift.at = Some(40_000);
    assert_eq!(test.run(&data).floats(), [Some(2.0); 3]);
    let mut test = Test::new(F::PredictLinear, 60.0, 100.0).steps(10.0, 2).parameter(5.0);
    test.call.windows.shift.at = Some(60_000);
    let found = test.run(&data).floats();
    assert_near(found[0], 10.5);
    assert_near(found[1], 11.5);
}

#[test]
fn nan_is_a_value() {
    let nan = f64::NAN;
    let data = Data::floats(10, &[nan, 2.0, nan, 1.0]);
    let at = |function| Test::new(function, 60.0, 30.0).float(&data);
    assert_eq!(at(F::CountOverTime), Some(4.0));
    assert_eq!(at(F::MinOverTime), Some(1.0));
    assert_eq!(at(F::TsOfMaxOverTime), Some(10.0));
    assert!(at(F::SumOverTime).is_some_and(f64::is_nan));
    assert!(at(F::MadOverTime).is_some_and(f64::is_nan));
    let all = Data::floats(10, &[nan, nan]);
    assert!(Test::new(F::MaxOverTime, 60.0, 30.0).float(&all).is_some_and(f64::is_nan));
    assert_eq!(Test::new(F::Changes, 60.0, 30.0).float(&all), Some(0.0));
}

#[test]
fn rates_are_extrapolated_to_both_ends() {
    // Four samples in (0, 60]: 45 s between them, 15 s before them.
    let data = Data::floats(15, &[1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_near(Test::new(F::Increase, 60.0, 60.0).float(&data), 4.0);
    assert_near(Test::new(F::Rate, 60.0, 60.0).float(&data), 4.0 / 60.0);
    assert_near(Test::new(F::Delta, 60.0, 60.0).float(&data), 4.0);
    // Far from the start of the window: half a distance beyond the first sample.
    assert_near(Test::new(F::Delta, 600.0, 60.0).float(&data), 4.0 * 67.5 / 60.0);
    // A counter was zero 15 s before its first sample, and no earlier.
    let late = Data::floats(15, &[0.5, 1.5, 2.5, 3.5]);
    assert_near(Test::new(F::Increase, 600.0, 45.0).float(&late), 3.0 * (45.0 + 7.5) / 45.0);
    let low = Data::floats(15, &[0.2, 1.2, 2.2, 3.2]);
    assert_near(Test::new(F::Increase, 600.0, 45.0).float(&low), 3.2);
    assert_near(Test::new(F::Delta, 600.0, 45.0).float(&low), 3.0 * (45.0 + 7.5) / 45.0);
}

#[test]
fn a_sample_counts_as_near_below_one_and_a_tenth_of_the_distance() {
    let data = Data::floats(10, &[0.0, 10.0, 20.0]);
    let at = |end: f64| Test::new(F::Delta, 100.0, end).float(&data);
    assert_near(at(30.999), 20.0 * (20.0 + 5.0 + 10.999) / 20.0);
    assert_near(at(31.0), 20.0 * (20.0 + 5.0 + 5.0) / 20.0);
}

#[test]
fn a_reset_adds_the_value_before_it() {
    let data = Data::floats(10, &[10.0, 20.0, 5.0, 15.0, 3.0]);
    // 3 - 10 + 20 + 15 over 40 s; 9 s ahead of the first sample, where it was zero later.
    let found = Test::new(F::Increase, 49.0, 40.0).float(&data);
    assert_near(found, 28.0 * (40.0 + 9.0) / 40.0);
    assert_eq!(Test::new(F::Resets, 49.0, 40.0).float(&data), Some(2.0));
    assert_eq!(Test::new(F::Irate, 49.0, 40.0).float(&data), Some(0.3));
    assert_eq!(Test::new(F::Irate, 49.0, 30.0).float(&data), Some(1.0));
    assert_eq!(Test::new(F::Idelta, 49.0, 40.0).float(&data), Some(-12.0));
}

#[test]
fn a_single_sample_has_no_rate() {
    let data = Data::floats(10, &[10.0, 20.0]);
    for function in [F::Rate, F::Increase, F::Delta, F::Irate, F::Idelta, F::Deriv] {
        assert_eq!(Test::new(function, 10.0, 10.0).float(&data), None, "{function:?}");
    }
    assert_eq!(Test::new(F::Changes, 10.0, 10.0).float(&data), Some(0.0));
}

#[test]
fn what_left_the_window_leaves_no_trace() {
    let data = Data::floats(10, &[f64::INFINITY, 1e300, 1.0, 2.0, f64::NAN, 3.0, 4.0]);
    let test = Test::new(F::SumOverTime, 20.0, 0.0).steps(10.0, 7);
    let found = test.run(&data).floats();
    assert_eq!(found[0], Some(f64::INFINITY));
    assert_eq!(found[1], Some(f64::INFINITY));
    assert_eq!(found[3], Some(3.0));
    assert!(found[4].is_some_and(f64::is_nan) && found[5].is_some_and(f64::is_nan));
    assert_eq!(found[6], Some(7.0));
}

#[test]
fn sums_are_compensated() {
    let data = Data::floats(10, &[1.0, 1e100, 1.0, -1e100]);
    assert_eq!(Test::new(F::SumOverTime, 60.0, 30.0).float(&data), Some(2.0));
    assert_eq!(Test::new(F::AvgOverTime, 60.0, 30.0).float(&data), Some(0.5));
    // The same while the window moves, so that the sum is put together from two parts.
    let values = [5.0, 1.0, 1e100, 1.0, -1e100, 3.0];
    let test = Test::new(F::SumOverTime, 40.0, 30.0).steps(10.0, 3);
    let found = test.run(&Data::floats(10, &values)).floats();
    assert_eq!(found[1], Some(2.0));
    assert_eq!(found[2], Some(4.0));
}

#[test]
fn an_average_does_not_overflow_where_a_sum_does() {
    let data = Data::floats(10, &[1e308, 1e308, 1e308]);
    assert_eq!(Test::new(F::SumOverTime, 60.0, 30.0).float(&data), Some(f64::INFINITY));
    assert_near(Test::new(F::AvgOverTime, 60.0, 30.0).float(&data), 1e308);
    let data = Data::floats(10, &[f64::INFINITY, f64::NEG_INFINITY]);
    assert!(Test::new(F::AvgOverTime, 60.0, 30.0).float(&data).is_some_and(f64::is_nan));
    let data = Data::floats(10, &[1.0, f64::NEG_INFINITY]);
    assert_eq!(Test::new(F::AvgOverTime, 60.0, 30.0).float(&data), Some(f64::NEG_INFINITY));
}

#[test]
fn a_small_deviation_beside_a_large_mean_is_exact() {
    let values: Vec<f64> = (0..40).map(|at| 1e9 + f64::from(at % 2)).collect();
    let test = Test::new(F::StdvarOverTime, 100.0, 100.0).steps(20.0, 10);
    for found in test.run(&Data::floats(10, &values)).floats() {
        assert_near(found, 0.25);
    }
    let same = Data::floats(10, &[0.1; 30]);
    let found = Test::new(F::StddevOverTime, 70.0, 70.0).steps(10.0, 9).run(&same).floats();
    assert_eq!(found, [Some(0.0); 9]);
}

#[test]
fn quantiles_outside_of_zero_to_one_are_infinite_and_warned_of() {
    let data = Data::floats(10, &[0.0, 1.0, 4.0]);
    let at = |q: f64| Test::new(F::QuantileOverTime, 60.0, 30.0).parameter(q);
    assert_near(at(0.75).float(&data), 2.5);
    assert_eq!(at(-1.0).float(&data), Some(f64::NEG_INFINITY));
    assert_eq!(at(2.0).float(&data), Some(f64::INFINITY));
    assert!(at(f64::NAN).float(&data).is_some_and(f64::is_nan));
    assert_eq!(
        at(2.0).run(&data).warnings(),
        ["PromQL warning: quantile value should be between 0 and 1, got 2 (1:1)"]
    );
    assert!(at(1.0).run(&data).notes.is_empty());
}

#[test]
fn the_line_through_equal_values_is_flat() {
    let data = Data::floats(10, &[9.0, 0.1, 0.1, 0.1, 0.1]);
    assert_eq!(Test::new(F::Deriv, 40.0, 40.0).float(&data), Some(0.0));
    let found = Test::new(F::PredictLinear, 40.0, 40.0).parameter(3600.0).float(&data);
    assert_eq!(found, Some(0.1));
    let infinite = Data::floats(10, &[f64::INFINITY; 3]);
    assert!(Test::new(F::Deriv, 40.0, 40.0).float(&infinite).is_some_and(f64::is_nan));
}

#[test]
fn the_line_is_exact_far_from_the_epoch() {
    let mut data = Data::default();
    for at in 0..2000 {
        data.floats.push(1_700_000_000_000 + at * 15_000, 0, 1e6 + 0.5 * at as f64);
    }
    let test = Test::new(F::Deriv, 600.0, 1_700_020_000.0).steps(30.0, 100);
    for found in test.run(&data).floats() {
        assert_near(found, 0.5 / 15.0);
    }
}

#[test]
fn the_line_through_samples_close_to_each_other_is_exact() {
    let mut data = Data::default();
    for (time, value) in [(0, 0.5), (600_000_000, 1.0), (600_000_004, 1.25), (600_000_008, 1.5)] {
        data.floats.push(time, 0, value);
    }
    let found = Test::new(F::Deriv, 1.0, 600_000.010).float(&data).unwrap();
    assert!((found / 62.5 - 1.0).abs() < 1e-14, "{found}");
}

#[test]
fn smoothing_refuses_factors_out_of_range_where_there_are_samples() {
    let data = Data::floats(10, &[1.0, 2.0, 3.0]);
    let test =
        |at| Test::new(F::DoubleExponentialSmoothing, 60.0, at).parameter(0.5).parameter(1.0);
    let error = test(30.0).try_run(&data).err().unwrap();
    assert_eq!(error.to_string(), "invalid trend factor. Expected: 0 < tf < 1, got: 1.000000");
    assert_eq!(test(-30.0).float(&data), None);
}

#[test]
fn what_does_not_look_like_a_counter_is_told() {
    let data = Data::floats(10, &[1.0, 2.0, 3.0]);
    let infos = |function, labels: &[(&str, &str)], by_type| {
        let mut test = Test::new(function, 60.0, 30.0).labels(labels);
        test.call.features.type_and_unit_labels = by_type;
        test.run(&data).infos()
    };
    let name = [("__name__", "m")];
    assert_eq!(
        infos(F::Rate, &name, false),
        ["PromQL info: metric might not be a counter, name does not end in \
          _total/_sum/_count/_bucket: \"m\" (1:1)"]
    );
    assert!(infos(F::Delta, &name, false).is_empty());
    assert!(infos(F::Irate, &name, false).is_empty());
    assert!(infos(F::Rate, &[("__name__", "m_bucket")], false).is_empty());
    assert!(infos(F::Rate, &[("a", "m")], false).is_empty());
    assert!(infos(F::Rate, &[("__name__", "m"), ("__type__", "counter")], true).is_empty());
    assert_eq!(
        infos(F::Increase, &[("__name__", "m_total"), ("__type__", "gauge")], true),
        [
            "PromQL info: metric might not be a counter, __type__ label is not set to \"counter\" or \
          \"histogram\", got \"gauge\": \"m_total\" (1:1)"
        ]
    );
    let before = Test::new(F::Rate, 60.0, 0.0).labels(&name).run(&data);
    assert!(before.notes.is_empty(), "no result");
}

#[test]
fn windows_that_a_function_does_not_know_are_refused() {
    let refused = |function, mode| {
        Test::new(function, 60.0, 30.0).mode(mode).call.check().err().map(|e| e.to_string())
    };
    assert_eq!(
        refused(F::Deriv, RangeMode::Anchored).unwrap(),
        "anchored modifier can only be used with: changes, delta, increase, rate, resets - not with \
         deriv"
    );
    assert_eq!(
        refused(F::Resets, RangeMode::Smoothed).unwrap(),
        "smoothed modifier can only be used with: delta, increase, rate - not with resets"
    );
    for (function, anchored, smoothed) in [
        (F::Rate, true, true),
        (F::Delta, true, true),
        (F::Changes, true, false),
        (F::Irate, false, false),
    ] {
        assert_eq!(refused(function, RangeMode::Anchored).is_none(), anchored);
        assert_eq!(refused(function, RangeMode::Smoothed).is_none(), smoothed);
        assert_eq!(refused(function, RangeMode::Inside), None);
    }
}

/// Two floats at 0 and 10 s, a histogram at 20 s.
fn mixed() -> Data {
    let mut data = Data::floats(10, &[1.0, 5.0]);
    data.histograms.push(20_000, 0, std::sync::Arc::new(counts(&[1.0])));
    data
}

#[test]
fn sums_and_rates_of_mixed_windows_have_no_result() {
    for function in [F::Rate, F::Delta, F::SumOverTime, F::AvgOverTime, F::Irate, F::Idelta] {
        let answer = Test::new(function, 60.0, 30.0).run(&mixed());
        assert!(answer.column.is_empty(), "{function:?}");
        assert_eq!(
            answer.warnings(),
            ["PromQL warning: encountered a mix of histograms and floats for metric name \
              \"m_total\" (1:1)"],
            "{function:?}"
        );
    }
}

#[test]
fn the_last_two_samples_are_those_of_either_kind() {
    let mut data = Data::default();
    for time in [0, 5_000, 20_000, 25_000] {
        data.floats.push(time, 0, time as f64);
    }
    for time in [2_000, 10_000, 30_000, 40_000] {
        data.histograms.push(time, 0, std::sync::Arc::new(counts(&[time as f64])));
    }
    let at = |end| Test::new(F::Idelta, 60.0, end).run(&data);
    let is_mixed = |answer: super::Answer| {
        assert!(answer.column.is_empty());
        answer.warnings().len() == 1
    };
    assert!(is_mixed(at(2.0)) && is_mixed(at(5.0)) && is_mixed(at(10.0)) && is_mixed(at(20.0)));
    assert_eq!(at(25.0).floats(), [Some(5000.0)]);
    assert!(is_mixed(at(30.0)));
    assert_eq!(at(40.0).histogram().map(|h| h.count), Some(10_000.0));
}

#[test]
fn histograms_beside_floats_are_ignored_where_only_floats_count() {
    for (function, value) in [
        (F::MinOverTime, 1.0),
        (F::MaxOverTime, 5.0),
        (F::TsOfMaxOverTime, 10.0),
        (F::StdvarOverTime, 4.0),
        (F::MadOverTime, 2.0),
        (F::Deriv, 0.4),
    ] {
        let answer = Test::new(function, 60.0, 30.0).run(&mixed());
        assert_near(answer.floats()[0], value);
        assert_eq!(
            answer.infos(),
            [
                "PromQL info: ignored histograms in a range containing both floats and histograms for \
              metric name \"m_total\" (1:1)"
            ],
            "{function:?}"
        );
        let only = Data { floats: super::Column::default(), ..mixed() };
        let answer = Test::new(function, 60.0, 30.0).run(&only);
        assert!(answer.column.is_empty() && answer.notes.is_empty(), "{function:?}");
    }
}

#[test]
fn samples_of_both_kinds_have_positions_and_transitions() {
    let data = mixed();
    let at = |function| Test::new(function, 60.0, 30.0).run(&data);
    assert_eq!(at(F::CountOverTime).floats()[0], Some(3.0));
    assert_eq!(at(F::FirstOverTime).floats()[0], Some(1.0));
    assert!(at(F::LastOverTime).histogram().is_some_and(|h: &Histogram| h.count == 1.0));
    assert_eq!(at(F::TsOfLastOverTime).floats()[0], Some(20.0));
    assert_eq!(at(F::Changes).floats()[0], Some(2.0));
    assert_eq!(at(F::Resets).floats()[0], Some(1.0));
}
