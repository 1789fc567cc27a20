//! `avg`: the mean of a group.
//!
//! Streams; holds three floats for each group and step: a compensated sum as [`sum`](super::sum) has
//! it, and the number of values. The mean is the sum divided by the number.
//!
//! A sum that overflows is where Prometheus turns to an incremental mean. Here the sum of such a step
//! is from then on kept divided by `2^64`, which is exact for numbers of this size: up to `2^64` values
//! add up without overflow, and unlike an incremental mean it has no rounding that depends on the
//! order, so that `avg` of huge numbers that cancel each other is 0 however they are cut into shares.
//!
//! Native histograms have a mean of their own ([`HistogramMean`]).

use crate::annotations::Annotations;
use crate::histogram::{HistogramMean, Kahan};
use crate::value::{ABSENT, StepColumn, is_absent};

use super::call::AggregateCall;
use super::group_state::GroupState;
use super::group_state::Reduction;
use super::histograms::Histograms;
use super::input::InputSeries;
use super::sum::{FloatSums, combined};

/// `2^-64`.
const SCALE: f64 = 1.0 / 18_446_744_073_709_551_616.0;

/// The mean of one group.
#[derive(Debug)]
pub(super) struct Avg {
    floats: FloatSums,
    /// The number of floats at each step.
    counts: Vec<f64>,
    /// At which steps the sum is divided by `2^64`; empty while there are none.
    scaled: Vec<bool>,
    histograms: Histograms<HistogramMean>,
}

impl Avg {
    /// Adds floats one by one, where a sum overflows or did so before.
    fn add_with_scale(&mut self, floats: &[f64]) {
        self.scaled.resize(self.counts.len(), false);
        for (step, value) in floats.iter().enumerate() {
            if !is_absent(*value) {
                self.add_sum(step, Kahan::from(*value), false);
            }
        }
    }

    /// Adds a sum, which may be scaled, to that at `step`. Needs the column `scaled`.
    fn add_sum(&mut self, step: usize, theirs: Kahan, theirs_scaled: bool) {
        let Some(mut own) = self.floats.at(step) else {
            self.scaled[step] = theirs_scaled;
            self.floats.set(step, theirs);
            return;
        };
        let mut theirs = theirs;
        let overflows = (own.sum + theirs.sum).is_infinite();
        let scale = self.scaled[step] || theirs_scaled || overflows;
        if scale && !self.scaled[step] {
            own = scaled_down(own);
        }
        if scale && !theirs_scaled {
            theirs = scaled_down(theirs);
        }
        self.scaled[step] = scale;
        self.floats.set(step, combined(own, theirs));
    }

    fn mean(&self, step: usize) -> f64 {
        let Some(Kahan { sum, compensation }) = self.floats.at(step) else { return ABSENT };
        let mean = sum / self.counts[step] + compensation / self.counts[step];
        if self.scaled.get(step).is_some_and(|scaled| *scaled) { mean / SCALE } else { mean }
    }
}

fn scaled_down(sum: Kahan) -> Kahan {
    Kahan { sum: sum.sum * SCALE, compensation: sum.compensation * SCALE }
}

impl GroupState for Avg {
    fn new(call: &AggregateCall) -> Self {
        Self {
            floats: FloatSums::new(call.steps),
            counts: vec![0.0; call.steps],
            scaled: Vec::new(),
            histograms: Histograms::new(),
        }
    }

    fn add(&mut self, _: &AggregateCall, input: &InputSeries<'_>, _: &mut Annotations) {
        let floats = input.values.floats();
        // A sum with an absent side is NaN, so it is not found here.
        let overflows = |(sum, value): (&f64, &f64)| (sum + value).is_infinite();
        if self.scaled.is_empty() && !self.floats.sums.iter().zip(floats).any(overflows) {
            self.floats.add(floats);
        } else {
            self.add_with_scale(floats);
        }
        for (count, value) in self.counts.iter_mut().zip(floats) {
            *count += f64::from(u8::from(!is_absent(*value)));
        }
        self.histograms.add(input);
    }

    fn merge(&mut self, _: &AggregateCall, later: Self) {
        self.scaled.resize(self.counts.len(), false);
        for (step, count) in later.counts.iter().enumerate() {
            if let Some(theirs) = later.floats.at(step) {
                let scaled = later.scaled.get(step).is_some_and(|scaled| *scaled);
                self.add_sum(step, theirs, scaled);
                self.counts[step] += count;
            }
        }
        self.histograms.merge(later.histograms);
    }

    fn heap_bytes(&self) -> usize {
        let floats = self.floats.heap_bytes() + 8 * self.counts.len() + self.scaled.len();
        floats + self.histograms.heap_bytes()
    }
}

impl Reduction for Avg {
    fn finish(self, call: &AggregateCall, notes: &mut Annotations) -> StepColumn {
        let means = (0..call.steps).map(|step| self.mean(step)).collect();
        let mut column = StepColumn::from_floats(means);
        self.histograms.finish_into(&mut column, call, notes);
        column
    }
}
