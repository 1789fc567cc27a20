//! `stdvar` and `stddev`: the population variance of a group, and its square root.
//!
//! Both stream and hold three floats for each group and step: the number of values, their mean and
//! the sum of the squares of their distances from the mean, by Welford's algorithm (Technometrics 4,
//! 1962); two such states combine by the formula of Chan, Golub and LeVeque (1979). A group with NaN
//! or an infinity has NaN. Native histograms are ignored, with an info.

use crate::annotations::Annotations;
use crate::ast::AggregateOp;
use crate::value::{ABSENT, StepColumn, is_absent};

use super::call::AggregateCall;
use super::group_state::GroupState;
use super::group_state::Reduction;
use super::input::InputSeries;

/// The spread of one group at each step.
#[derive(Debug)]
pub(super) struct Deviation {
    counts: Vec<f64>,
    means: Vec<f64>,
    /// Sums of squared distances from the mean.
    squares: Vec<f64>,
}

impl GroupState for Deviation {
    fn new(call: &AggregateCall) -> Self {
        let zeros = vec![0.0; call.steps];
        Self { counts: zeros.clone(), means: zeros.clone(), squares: zeros }
    }

    fn add(&mut self, call: &AggregateCall, input: &InputSeries<'_>, notes: &mut Annotations) {
        if !input.values.histograms().is_empty() {
            call.histogram_ignored(notes);
        }
        let columns = self.counts.iter_mut().zip(&mut self.means).zip(&mut self.squares);
        for (((count, mean), squares), &value) in columns.zip(input.values.floats()) {
            let is_present = !is_absent(value);
            let next_count = *count + 1.0;
            let distance = value - *mean;
            let next_mean = *mean + distance / next_count;
            let next_squares = *squares + distance * (value - next_mean);
            *count = if is_present { next_count } else { *count };
            *mean = if is_present { next_mean } else { *mean };
            *squares = if is_present { next_squares } else { *squares };
        }
    }

    fn merge(&mut self, _: &AggregateCall, later: Self) {
        for (step, &theirs) in later.counts.iter().enumerate() {
            let own = self.counts[step];
            let (mean, squares) = (later.means[step], later.squares[step]);
            if theirs == 0.0 {
                continue;
            }
            if own == 0.0 {
                (self.means[step], self.squares[step]) = (mean, squares);
            } else {
                let distance = mean - self.means[step];
                let share = theirs / (own + theirs);
                self.means[step] += distance * share;
                self.squares[step] += squares + distance * distance * own * share;
            }
            self.counts[step] = own + theirs;
        }
    }

    fn heap_bytes(&self) -> usize {
        24 * self.counts.len()
    }
}

impl Reduction for Deviation {
    fn finish(self, call: &AggregateCall, _: &mut Annotations) -> StepColumn {
        let Self { counts, mut squares, .. } = self;
        for (result, &count) in squares.iter_mut().zip(&counts) {
            let variance = *result / count;
            *result = match call.op {
                _ if count == 0.0 => ABSENT,
                AggregateOp::Stddev => variance.sqrt(),
                _ => variance,
            };
        }
        StepColumn::from_floats(squares)
    }
}
