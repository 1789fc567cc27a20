//! `limitk` and `limit_ratio`: some series of an aggregation's operand, whatever their values. Both
//! keep floats and native histograms.
//!
//! `limitk` keeps at each step the first `k` series of a group that have a value there, in order of
//! rank. It streams, and holds up to `k` values of 16 bytes for each group and step.
//!
//! `limit_ratio` keeps the series whose hash, as a fraction of the largest hash, is below the ratio;
//! for a negative ratio `-r` those from `1 - r` on, which a ratio of `1 - r` leaves out. No series
//! depends on another. It streams, and holds its output.

use std::sync::Arc;

use crate::annotations::Annotations;
use crate::histogram::Histogram;
use crate::value::{ABSENT, LabelSet, Series, StepColumn, is_absent};

use super::call::AggregateCall;
use super::group_state::{Choice, GroupState};
use super::input::InputSeries;

/// The first series of one group.
#[derive(Debug)]
pub(super) struct Limit {
    /// How many series are kept at each step.
    taken: Vec<u32>,
    /// How many steps have no series kept yet, or fewer than `k`.
    open: usize,
    /// What is kept, by rank.
    kept: Vec<Kept>,
    heap_bytes: usize,
}

/// The values of a series that are kept.
#[derive(Debug)]
struct Kept {
    rank: u32,
    labels: LabelSet,
    drop_name: bool,
    floats: Vec<(u32, f64)>,
    histograms: Vec<(u32, Arc<Histogram>)>,
}

impl Kept {
    fn heap_bytes(&self) -> usize {
        let histograms: usize = self.histograms.iter().map(|(_, h)| h.heap_bytes() + 16).sum();
        size_of::<Self>() + 16 * self.floats.capacity() + histograms
    }
}

impl Limit {
    /// Keeps those values of `series` that are among the first `k` of their step.
    fn take(&mut self, counts: &[u32], mut series: Kept) {
        let mut is_among = |step: u32| {
            let (taken, k) = (&mut self.taken[step as usize], counts[step as usize]);
            if *taken >= k {
                return false;
            }
            *taken += 1;
            self.open -= usize::from(*taken == k);
            true
        };
        series.floats.retain(|(step, _)| is_among(*step));
        series.histograms.retain(|(step, _)| is_among(*step));
        if !series.floats.is_empty() || !series.histograms.is_empty() {
            series.floats.shrink_to_fit();
            self.heap_bytes += series.heap_bytes();
            self.kept.push(series);
        }
    }
}

impl GroupState for Limit {
    fn new(call: &AggregateCall) -> Self {
        let open = call.parameter.counts().iter().filter(|k| **k > 0).count();
        Self { taken: vec![0; call.steps], open, kept: Vec::new(), heap_bytes: 0 }
    }

    fn add(&mut self, call: &AggregateCall, input: &InputSeries<'_>, _: &mut Annotations) {
        if self.open == 0 {
            return;
        }
        let counts = call.parameter.counts();
        let is_open = |step: u32| self.taken[step as usize] < counts[step as usize];
        let floats = (0..).zip(input.values.floats().iter().copied());
        let floats = floats.filter(|(step, value)| !is_absent(*value) && is_open(*step)).collect();
        let histograms = input.values.histograms().iter();
        let histograms = histograms.filter(|(step, _)| is_open(*step)).cloned().collect();
        let InputSeries { rank, drop_name, .. } = *input;
        let labels = input.labels.clone();
        self.take(counts, Kept { rank, labels, drop_name, floats, histograms });
    }

    fn merge(&mut self, call: &AggregateCall, later: Self) {
        let mut all = std::mem::take(&mut self.kept);
        all.extend(later.kept);
        all.sort_unstable_by_key(|series| series.rank);
        *self = Self::new(call);
        for series in all {
            self.take(call.parameter.counts(), series);
        }
    }

    fn heap_bytes(&self) -> usize {
        4 * self.taken.len() + self.heap_bytes
    }
}

impl Choice for Limit {
    fn result_bytes(&self, call: &AggregateCall) -> usize {
        let series = size_of::<Series>() + call.steps * size_of::<f64>();
        self.kept.len().saturating_mul(series)
    }

    fn finish(self, call: &AggregateCall, _: &LabelSet, out: &mut Vec<Series>) {
        for Kept { labels, drop_name, floats, histograms, .. } in self.kept {
            let mut values = StepColumn::absent(call.steps);
            for (step, value) in floats {
                values.set_float(step as usize, value);
            }
            for (step, histogram) in histograms {
                values.push_histogram(step as usize, histogram);
            }
            out.push(Series { labels, drop_name, values });
        }
    }
}

/// The series that `limit_ratio` keeps, with their ranks.
#[derive(Debug, Default)]
pub(super) struct RatioSample {
    kept: Vec<(u32, Series)>,
    heap_bytes: usize,
}

impl RatioSample {
    /// Keeps the values of a series at those steps whose ratio it falls under.
    pub(super) fn add(&mut self, call: &AggregateCall, input: &InputSeries<'_>) {
        let ratios = call.parameter.ratios();
        let offset = input.labels.prometheus_hash() as f64 / u64::MAX as f64;
        if !ratios.iter().any(|ratio| falls_under(*ratio, offset)) {
            return;
        }
        let mut values = input.values.clone();
        for (value, ratio) in values.floats_mut().iter_mut().zip(ratios) {
            *value = if falls_under(*ratio, offset) { *value } else { ABSENT };
        }
        values.histograms_mut().retain(|(step, _)| falls_under(ratios[*step as usize], offset));
        if !values.is_empty() {
            self.heap_bytes += size_of::<(u32, Series)>() + values.heap_bytes();
            let series =
                Series { labels: input.labels.clone(), drop_name: input.drop_name, values };
            self.kept.push((input.rank, series));
        }
    }

    pub(super) fn merge(&mut self, later: Self) {
        self.kept.extend(later.kept);
        self.heap_bytes += later.heap_bytes;
    }

    pub(super) fn finish(self) -> Vec<Series> {
        let mut kept = self.kept;
        kept.sort_unstable_by_key(|(rank, _)| *rank);
        kept.into_iter().map(|(_, series)| series).collect()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }
}

/// Whether a series at `offset`, from 0 to 1, is in the sample of `ratio`, from -1 to 1.
fn falls_under(ratio: f64, offset: f64) -> bool {
    if ratio < 0.0 { offset >= 1.0 + ratio } else { offset < ratio }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_and_its_complement_share_the_series() {
        for offset in [0.0, 0.2, 0.5, 0.75, 0.999_999] {
            for ratio in [0.0, 0.25, 0.5, 0.75, 1.0] {
                let complement = falls_under(ratio - 1.0, offset);
                // -0 is no negative ratio: it keeps nothing, as 0 does.
                let is_kept_once = falls_under(ratio, offset) != complement;
                assert_eq!(is_kept_once, ratio < 1.0 || offset < 1.0, "{ratio} {offset}");
            }
            assert!(falls_under(1.0, offset) && falls_under(-1.0, offset));
            assert!(!falls_under(0.0, offset) && !falls_under(-0.0, offset));
        }
    }
}
