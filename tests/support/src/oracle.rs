//! What every answer of the engine is compared with: a map, in which the last write wins.
//!
//! The types of the engine come from the parent module: the unit tests of the read path include this
//! file, and theirs are the crate's own.

use std::collections::{BTreeMap, BTreeSet};

use super::{Labels, Matcher, TimeRange};

/// One series with its samples: (timestamp, bits of the value).
pub type OracleSeries = (Labels, Vec<(i64, u64)>);

/// Every sample that was ever written and not replaced.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    samples: BTreeMap<(Labels, i64), u64>,
}

impl Oracle {
    /// Writes one sample, in the place of an older one with the same time.
    pub fn write(&mut self, labels: &Labels, timestamp: i64, bits: u64) {
        self.samples.insert((labels.clone(), timestamp), bits);
    }

    /// Deletes the samples in `range` of every series that satisfies every matcher.
    pub fn delete(&mut self, matchers: &[Matcher], range: TimeRange) {
        self.samples.retain(|(labels, timestamp), _| {
            !(range.contains(*timestamp) && satisfies(labels, matchers))
        });
    }

    /// Forgets the samples before `horizon`.
    pub fn expire(&mut self, horizon: i64) {
        self.samples.retain(|(_, timestamp), _| *timestamp >= horizon);
    }

    /// The series that satisfy every matcher, with their samples in `range`, at least one; in label
    /// order.
    pub fn select(&self, matchers: &[Matcher], range: TimeRange) -> Vec<OracleSeries> {
        let mut found: Vec<OracleSeries> = Vec::new();
        for ((labels, time), bits) in &self.samples {
            if !range.contains(*time) || !satisfies(labels, matchers) {
                continue;
            }
            match found.last_mut() {
                Some((last, samples)) if last == labels => samples.push((*time, *bits)),
                _ => found.push((labels.clone(), vec![(*time, *bits)])),
            }
        }
        found
    }

    /// The label names of the series of [`Oracle::select`], sorted.
    pub fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Vec<String> {
        let series = self.select(matchers, range);
        let names: BTreeSet<&str> =
            series.iter().flat_map(|(labels, _)| labels.iter().map(|(name, _)| name)).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// The values that the label `name` has among the series of [`Oracle::select`], sorted.
    pub fn label_values(&self, name: &str, matchers: &[Matcher], range: TimeRange) -> Vec<String> {
        let series = self.select(matchers, range);
        let values: BTreeSet<&str> =
            series.iter().filter_map(|(labels, _)| labels.get(name)).collect();
        values.into_iter().map(str::to_owned).collect()
    }
}

/// Whether a series satisfies every matcher.
pub fn satisfies(labels: &Labels, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
}
