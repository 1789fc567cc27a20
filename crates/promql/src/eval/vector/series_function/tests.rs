//! Each function of one series on floats, histograms and steps without values.

use super::*;
use crate::histogram::{Histogram, HistogramParts};
use crate::value::{ABSENT, Point};

const GRID: Grid = Grid { start: -1500, step: 1000, count: 4 };

/// A histogram of `count` observations that sum up to `sum`.
fn histogram(count: f64, sum: f64) -> Arc<Histogram> {
    let parts = HistogramParts { count, sum, ..HistogramParts::default() };
    Arc::new(Histogram::try_from(parts).unwrap())
}

/// 1.5, nothing, a histogram, -2.5.
fn column() -> StepColumn {
    let mut column = StepColumn::from_floats(vec![1.5, ABSENT, ABSENT, -2.5]);
    column.push_histogram(2, histogram(4.0, 6.0));
    column
}

fn applied(
    function: Function,
    parameters: &[[f64; 4]],
    mut column: StepColumn,
) -> Vec<Option<f64>> {
    let parameters = parameters.iter().map(|p| p.to_vec()).collect();
    let call = SeriesFunction::prepare(function, parameters, GRID).expect("of this kind");
    call.apply(&mut column);
    assert!(column.histograms().is_empty(), "all results are floats");
    column.floats().iter().map(|value| (!is_absent(*value)).then_some(*value)).collect()
}

#[test]
fn functions_of_floats_drop_histograms() {
    assert_eq!(applied(Function::Floor, &[], column()), [Some(1.0), None, None, Some(-3.0)]);
    assert_eq!(applied(Function::Abs, &[], column()), [Some(1.5), None, None, Some(2.5)]);
    assert_eq!(applied(Function::Hour, &[], column()), [Some(0.0), None, None, Some(23.0)]);
}

#[test]
fn functions_of_histograms_drop_floats() {
    assert_eq!(applied(Function::HistogramAvg, &[], column()), [None, None, Some(1.5), None]);
    assert_eq!(applied(Function::HistogramCount, &[], column()), [None, None, Some(4.0), None]);
}

#[test]
fn timestamp_is_the_time_of_the_step_for_both_kinds() {
    let expected = [Some(-1.5), None, Some(0.5), Some(1.5)];
    assert_eq!(applied(Function::Timestamp, &[], column()), expected);
}

#[test]
fn halves_are_rounded_up() {
    let floats = || StepColumn::from_floats(vec![2.5, -2.5, 0.35, f64::INFINITY]);
    let expected = [Some(3.0), Some(-2.0), Some(0.0), Some(f64::INFINITY)];
    assert_eq!(applied(Function::Round, &[], floats()), expected);
    let expected = [Some(2.5), Some(-3.0), Some(0.4), Some(f64::INFINITY)];
    assert_eq!(applied(Function::Round, &[[0.5, 1.5, 0.1, 10.0]], floats()), expected);
}

#[test]
fn clamp_with_bounds_that_cross_is_empty() {
    let floats = || StepColumn::from_floats(vec![-5.0, 5.0, 50.0, 5.0]);
    let (low, high) = ([0.0, 0.0, 0.0, 10.0], [9.0, 9.0, 9.0, 1.0]);
    let expected = [Some(0.0), Some(5.0), Some(9.0), None];
    assert_eq!(applied(Function::Clamp, &[low, high], floats()), expected);
    let expected = [Some(0.0), Some(5.0), Some(50.0), Some(10.0)];
    assert_eq!(applied(Function::ClampMin, &[low], floats()), expected);
    let expected = [Some(-5.0), Some(5.0), Some(9.0), Some(1.0)];
    assert_eq!(applied(Function::ClampMax, &[high], floats()), expected);
}

#[test]
fn clamping_nan_gives_nan() {
    let nan = f64::NAN;
    let floats = || StepColumn::from_floats(vec![nan, 1.0, 1.0, nan]);
    let bounds = [[0.0, nan, 0.0, 0.0], [9.0, 9.0, nan, f64::NEG_INFINITY]];
    let values = applied(Function::Clamp, &bounds, floats());
    assert!(values[..3].iter().all(|value| value.is_some_and(f64::is_nan)), "{values:?}");
    assert_eq!(values[3], None, "-Inf is below 0");
    let minus = [f64::NEG_INFINITY; 4];
    assert_eq!(applied(Function::ClampMax, &[minus], floats())[0], Some(f64::NEG_INFINITY));
}

#[test]
fn the_minus_turns_floats_and_histograms() {
    let mut values = column();
    let shared = values.histograms()[0].1.clone();
    negate(&mut values);
    assert_eq!(values.get(0), Some(Point::Float(-1.5)));
    assert!(!values.is_present(1));
    let turned = values.histogram(2).unwrap();
    assert_eq!((turned.count, turned.sum), (-4.0, -6.0));
    assert_eq!(shared.sum, 6.0, "others that share the histogram keep it");
}

#[test]
fn a_nan_never_turns_into_an_absent_value() {
    // The stale marker with its sign set.
    let signalling = f64::from_bits(ABSENT.to_bits() | 1 << 63);
    let mut values = StepColumn::from_floats(vec![signalling]);
    negate(&mut values);
    assert!(values.is_present(0));
    let mut values = StepColumn::from_floats(vec![signalling]);
    SeriesFunction::prepare(Function::Abs, vec![], Grid::instant(0)).unwrap().apply(&mut values);
    assert!(values.is_present(0));
}

#[test]
fn other_functions_are_not_taken() {
    assert!(SeriesFunction::prepare(Function::Rate, vec![], GRID).is_none());
    assert!(SeriesFunction::prepare(Function::Clamp, vec![vec![0.0; 4]], GRID).is_none());
}
