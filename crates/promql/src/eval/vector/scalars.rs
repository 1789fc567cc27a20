//! Scalars: what has one number at each step, and the ways between scalars and instant vectors.
//!
//! Scalars are vectors of one `f64` for each step. `scalar()` streams: a [`SoleValue`] observes the
//! series one by one, and those of several shares are merged.

use std::f64::consts::PI;

use siltstone::Timestamp;

use super::calendar::{Moment, date_function};
use super::math::{go_max, go_min};
use crate::eval::grid::Grid;
use crate::functions::Function;
use crate::value::{LabelSet, Series, StepColumn, is_absent};

/// The times of the query as it was asked, which `start()`, `end()`, `step()` and `range()` tell,
/// also inside of subqueries. Milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueryTimes {
    /// The first step.
    pub(crate) start: Timestamp,
    /// The last step; that of an instant query is its first.
    pub(crate) end: Timestamp,
    /// The distance of the steps; 0 for an instant query.
    pub(crate) step: i64,
}

/// The value of a function without arguments at each step of `grid`; `None` for other functions.
///
/// `time()` is the time of the step in seconds since the Unix epoch. The others are the same at all
/// steps: `pi()`, and of the query `start()`, `end()`, `step()` and `range()` (end less start), in
/// seconds.
pub(crate) fn constant(function: Function, query: QueryTimes, grid: Grid) -> Option<Vec<f64>> {
    let seconds = |milliseconds: i64| milliseconds as f64 / 1000.0;
    let value = match function {
        Function::Time => return Some((0..grid.count).map(|at| seconds(grid.time(at))).collect()),
        Function::Pi => PI,
        Function::Start => seconds(query.start),
        Function::End => seconds(query.end),
        Function::Step => seconds(query.step),
        Function::Range => seconds(query.end.saturating_sub(query.start)),
        _ => return None,
    };
    Some(vec![value; grid.count])
}

/// `min_of` or `max_of` of two scalars, with Go's `math.Min` and `math.Max`: NaN if one is, unless
/// the other is the infinity that decides. `None` for other functions.
pub(crate) fn extreme(function: Function, left: &[f64], right: &[f64]) -> Option<Vec<f64>> {
    let choose = match function {
        Function::MinOf => go_min,
        Function::MaxOf => go_max,
        _ => return None,
    };
    Some(left.iter().zip(right).map(|(a, b)| choose(*a, *b)).collect())
}

/// `vector(s)`: one series without labels.
pub(crate) fn vector_of(scalar: Vec<f64>) -> Vec<Series> {
    debug_assert!(!scalar.iter().any(|value| is_absent(*value)), "a scalar has a value everywhere");
    let values = StepColumn::from_floats(scalar);
    vec![Series { labels: LabelSet::default(), drop_name: false, values }]
}

/// `hour()` and the other functions of dates without argument: of the times of the steps, cut to
/// seconds towards zero. One series without labels; `None` for other functions.
pub(crate) fn date_of_steps(function: Function, grid: Grid) -> Option<Vec<Series>> {
    let date = date_function(function)?;
    let at = |step| date(Moment::from_seconds(grid.time(step) / 1000)) as f64;
    Some(vector_of((0..grid.count).map(at).collect()))
}

/// `scalar(v)`: at each step the value of the only float, NaN where there are none or several.
/// Histograms do not count.
#[derive(Debug, Clone)]
pub(crate) struct SoleValue {
    values: Vec<f64>,
    /// How many floats were seen: 0, 1, or 2 for more than one.
    seen: Vec<u8>,
}

impl SoleValue {
    /// Of no series yet, at `steps` steps.
    pub(crate) fn new(steps: usize) -> Self {
        Self { values: vec![f64::NAN; steps], seen: vec![0; steps] }
    }

    /// Takes one series into account.
    pub(crate) fn observe(&mut self, column: &StepColumn) {
        for (step, value) in column.floats().iter().enumerate() {
            if !is_absent(*value) {
                self.add(step, *value, 1);
            }
        }
    }

    /// Takes the series of another share into account.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (step, (value, seen)) in other.values.iter().zip(&other.seen).enumerate() {
            self.add(step, *value, *seen);
        }
    }

    fn add(&mut self, step: usize, value: f64, seen: u8) {
        match (self.seen[step], seen) {
            (_, 0) => return,
            (0, 1) => self.values[step] = value,
            _ => self.values[step] = f64::NAN,
        }
        self.seen[step] = self.seen[step].saturating_add(seen).min(2);
    }

    /// Bytes of heap that it holds.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(self.values.as_slice()) + self.seen.len()
    }

    /// The scalar.
    pub(crate) fn finish(self) -> Vec<f64> {
        self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::ABSENT;
    use std::sync::Arc;

    const GRID: Grid = Grid { start: 90_500, step: 60_000, count: 3 };
    const QUERY: QueryTimes = QueryTimes { start: 90_500, end: 210_500, step: 60_000 };

    #[test]
    fn time_is_that_of_the_step_and_the_rest_that_of_the_query() {
        let values = |function| constant(function, QUERY, GRID).unwrap();
        assert_eq!(values(Function::Time), [90.5, 150.5, 210.5]);
        assert_eq!(values(Function::Start), [90.5; 3]);
        assert_eq!(values(Function::End), [210.5; 3]);
        assert_eq!(values(Function::Step), [60.0; 3]);
        assert_eq!(values(Function::Range), [120.0; 3]);
        assert_eq!(values(Function::Pi), [PI; 3]);
        assert!(constant(Function::Abs, QUERY, GRID).is_none());
    }

    #[test]
    fn dates_without_argument_are_those_of_the_steps() {
        let minutes = date_of_steps(Function::Minute, GRID).unwrap();
        assert_eq!(minutes[0].values.floats(), [1.0, 2.0, 3.0]);
        assert!(minutes[0].labels.is_empty());
        // -1.5 s is cut to -1 s.
        let before = Grid::instant(-1500);
        assert_eq!(date_of_steps(Function::Year, before).unwrap()[0].values.floats(), [1969.0]);
        let before = Grid::instant(-500);
        assert_eq!(date_of_steps(Function::Year, before).unwrap()[0].values.floats(), [1970.0]);
        assert!(date_of_steps(Function::Time, GRID).is_none());
    }

    #[test]
    fn scalar_needs_exactly_one_float() {
        let one = StepColumn::from_floats(vec![1.0, 1.0, ABSENT, ABSENT]);
        let mut other = StepColumn::from_floats(vec![ABSENT, 2.0, f64::NAN, ABSENT]);
        other.push_histogram(0, Arc::default());
        let mut sole = SoleValue::new(4);
        sole.observe(&one);
        sole.observe(&other);
        let values = sole.clone().finish();
        assert_eq!(values[0], 1.0, "histograms do not count");
        assert!(values[1..].iter().all(|value| value.is_nan()));
        // In shares: the same.
        let (mut left, mut right) = (SoleValue::new(4), SoleValue::new(4));
        left.observe(&one);
        right.observe(&other);
        left.merge(&right);
        assert_eq!(left.seen, sole.seen);
        left.merge(&right);
        assert_eq!(left.seen, [1, 2, 2, 0]);
        assert_eq!(left.finish()[0], 1.0);
    }

    #[test]
    fn extremes_are_chosen_step_by_step() {
        let (left, right) = ([1.0, 5.0, f64::NAN], [2.0, 3.0, 1.0]);
        assert_eq!(extreme(Function::MinOf, &left, &right).unwrap()[..2], [1.0, 3.0]);
        assert_eq!(extreme(Function::MaxOf, &left, &right).unwrap()[..2], [2.0, 5.0]);
        assert!(extreme(Function::MaxOf, &left, &right).unwrap()[2].is_nan());
    }
}
