//! Runs `load`: the samples of its series, as a Prometheus store gives them back.

use std::collections::BTreeMap;

use crate::model::{Hint, Histogram, Labels, Sample, is_stale};
use crate::nhcb;
use crate::script::{Load, LoadedSeries};
use crate::series::Slot;

/// A sample with its times in milliseconds; a start of 0 is unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSample {
    /// When it was taken.
    pub time: i64,
    /// When its counter began.
    pub start: i64,
    /// What it says.
    pub value: Sample,
}

/// What was stored last of each series since `clear`.
///
/// Prometheus's store does not keep the counter reset hints of histograms: it writes neighbours
/// into one chunk as long as each continues the one before, and on reading says `not_reset` within
/// a chunk, `unknown` at its start and `gauge` in chunks of gauges.
#[derive(Debug, Default)]
pub(crate) struct LastSamples {
    of_series: BTreeMap<Labels, Option<Histogram>>,
}

impl LastSamples {
    /// Forgets all series.
    pub(crate) fn clear(&mut self) {
        self.of_series.clear();
    }

    /// The samples that `load` adds, series by series and each in order of time.
    pub(crate) fn samples_of(
        &mut self,
        load: &Load,
    ) -> Result<Vec<(Labels, Vec<StoredSample>)>, String> {
        let written = load.series.iter().map(|series| {
            let samples = samples_of_series(load.step, series);
            (series.labels.clone(), samples)
        });
        let mut all: Vec<(Labels, Vec<StoredSample>)> = written.collect();
        if load.with_nhcb {
            for (labels, slots) in nhcb::convert(&load.series)? {
                let samples = slots.into_iter().map(|(slot, value)| StoredSample {
                    time: time_of(load.step, slot),
                    start: 0,
                    value,
                });
                all.push((labels, samples.collect()));
            }
        }
        for (labels, samples) in &mut all {
            let last = self.of_series.entry(labels.clone()).or_default();
            samples.iter_mut().for_each(|sample| set_hint(last, &mut sample.value));
        }
        Ok(all)
    }
}

fn time_of(step: i64, slot: usize) -> i64 {
    step * i64::try_from(slot).unwrap_or(i64::MAX)
}

fn samples_of_series(step: i64, series: &LoadedSeries) -> Vec<StoredSample> {
    let of_slot = |(at, slot): (usize, &Slot)| {
        let value = match slot {
            Slot::Omitted => return None,
            Slot::Float(value) => Sample::Float(*value),
            Slot::Histogram(written) => Sample::Histogram(Box::new(written.histogram.clone())),
        };
        let time = time_of(step, at);
        let start = series.starts.get(at).copied().flatten().map_or(0, |offset| time + offset);
        Some(StoredSample { time, start, value })
    };
    series.slots.iter().enumerate().filter_map(of_slot).collect()
}

/// Sets the hint of a histogram by the sample before it, and makes it the one before the next.
fn set_hint(last: &mut Option<Histogram>, value: &mut Sample) {
    let Sample::Histogram(histogram) = value else {
        // A float, or a stale marker of whatever kind, ends a chunk of histograms.
        *last = None;
        return;
    };
    let written = (**histogram).clone();
    let continued = last.as_ref().is_some_and(|last| {
        last.hint != Hint::Gauge && !is_stale(last.sum) && written.continues(last)
    });
    histogram.hint = match written.hint {
        Hint::Gauge => Hint::Gauge,
        _ if continued => Hint::NotReset,
        _ => Hint::Unknown,
    };
    *last = Some(written);
}
