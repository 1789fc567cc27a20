//! `changes` and `resets`: how often something happens between neighbouring samples of a window.
//!
//! Floats and histograms are one sequence in order of time. From one kind to the other is a change
//! and a reset. Between floats, a change is another value (from NaN to NaN is none), and a reset a
//! lower one; between histograms, a change is another content and a reset what the counter of a
//! histogram calls one. Start timestamps tell resets as well. A window counts the pairs that it holds
//! both samples of: the difference of two counts of the whole sequence.
//!
//! With `anchored`, the last sample up to the start of the window is one of it if it is within the
//! lookback and the window has another one.

use siltstone::Timestamp;

use crate::ast::RangeMode;
use crate::eval::meter::Ticker;
use crate::query_error::QueryError;
use crate::source::SampleColumns;
use crate::value::StepColumn;

use super::call::Input;
use super::counter_resets::starts_anew;
use super::window::Slider;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transition {
    Change,
    Reset,
}

/// A sample of the sequence: its index in the column of its kind.
#[derive(Debug, Clone, Copy)]
enum Place {
    Float(usize),
    Histogram(usize),
}

/// Memory that is used again for every series.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Timestamps of floats and histograms together.
    timestamps: Vec<Timestamp>,
    /// For each sample how often something happened before it.
    counts: Vec<u64>,
}

/// Evaluates one of the functions.
pub(super) fn evaluate(
    input: &Input<'_>,
    transition: Transition,
    scratch: &mut Scratch,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let counter = Counter::new(input, transition);
    let (timestamps, counts) = (&mut scratch.timestamps, &mut scratch.counts);
    timestamps.clear();
    counts.clear();
    let timestamps = if input.samples.histograms.is_empty() {
        counter.count_floats(counts);
        input.samples.floats.timestamps
    } else {
        counter.count_all(timestamps, counts);
        timestamps
    };
    let windows = &input.windows;
    let anchored = windows.mode == RangeMode::Anchored;
    let mut samples = Slider::new(timestamps);
    let mut ticker = Ticker::new(input.meter);
    for step in 0..windows.grid.count {
        ticker.tick(1)?;
        let end = windows.end(step);
        let start = end.saturating_sub(windows.range);
        let run = samples.move_to(start, end);
        if run.is_empty() {
            continue;
        }
        let mut first = run.first;
        if anchored && first > 0 && timestamps[first - 1] > start.saturating_sub(windows.lookback) {
            first -= 1;
        }
        out.set_float(step, (counts[run.last()] - counts[first]) as f64);
    }
    Ok(())
}

struct Counter<'a> {
    samples: SampleColumns<'a>,
    float_starts: &'a [Timestamp],
    histogram_starts: &'a [Timestamp],
    transition: Transition,
}

impl<'a> Counter<'a> {
    fn new(input: &Input<'a>, transition: Transition) -> Self {
        let samples = input.samples;
        let (float_starts, histogram_starts) = match transition {
            Transition::Change => (&[][..], &[][..]),
            Transition::Reset => (input.starts(&samples.floats), input.starts(&samples.histograms)),
        };
        Self { samples, float_starts, histogram_starts, transition }
    }

    /// For each float, how often it happened up to it.
    fn count_floats(&self, counts: &mut Vec<u64>) {
        let mut count = 0;
        let len = self.samples.floats.len();
        counts.extend((0..len).map(|at| {
            count += u64::from(at > 0 && self.between_floats(at - 1, at));
            count
        }));
    }

    /// For each sample in order of time, its time and how often it happened up to it.
    fn count_all(&self, timestamps: &mut Vec<Timestamp>, counts: &mut Vec<u64>) {
        let (floats, histograms) =
            (self.samples.floats.timestamps, self.samples.histograms.timestamps);
        let (mut float, mut histogram, mut count) = (0, 0, 0);
        let mut before = None;
        while float < floats.len() || histogram < histograms.len() {
            let is_float = match (floats.get(float), histograms.get(histogram)) {
                (Some(float), Some(histogram)) => float < histogram,
                (float, _) => float.is_some(),
            };
            let place = if is_float {
                timestamps.push(floats[float]);
                float += 1;
                Place::Float(float - 1)
            } else {
                timestamps.push(histograms[histogram]);
                histogram += 1;
                Place::Histogram(histogram - 1)
            };
            count += u64::from(before.is_some_and(|before| self.happens(before, place)));
            counts.push(count);
            before = Some(place);
        }
    }

    fn happens(&self, before: Place, sample: Place) -> bool {
        match (before, sample) {
            (Place::Float(before), Place::Float(at)) => self.between_floats(before, at),
            (Place::Histogram(before), Place::Histogram(at)) => self.between_histograms(before, at),
            _ => true,
        }
    }

    #[inline]
    fn between_floats(&self, before: usize, at: usize) -> bool {
        let floats = &self.samples.floats;
        let (old, new) = (floats.values[before], floats.values[at]);
        match self.transition {
            Transition::Change => new != old && !(new.is_nan() && old.is_nan()),
            Transition::Reset => {
                new < old || anew(self.float_starts, floats.timestamps, (before, at))
            }
        }
    }

    fn between_histograms(&self, before: usize, at: usize) -> bool {
        let histograms = &self.samples.histograms;
        let (old, new) = (&histograms.values[before], &histograms.values[at]);
        match self.transition {
            Transition::Change => !new.same(old),
            Transition::Reset => {
                anew(self.histogram_starts, histograms.timestamps, (before, at))
                    || new.is_reset_after(old)
            }
        }
    }
}

/// Whether start timestamps, if there are any, say that a counter began anew between two samples.
#[inline]
fn anew(starts: &[Timestamp], times: &[Timestamp], (before, at): (usize, usize)) -> bool {
    !starts.is_empty() && starts_anew((starts[before], times[before]), (starts[at], times[at]))
}
