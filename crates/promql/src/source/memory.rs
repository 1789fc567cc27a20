//! Series in memory: for tests, benches, and embedders with few of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use siltstone::{Outline, ReadCost, Timestamp};

use super::{
    Control, KindColumn, Queryable, SampleColumns, SelectRequest, SeriesList, SourceError,
};
use crate::histogram::Histogram;
use crate::value::{LabelSet, Point};

/// Series in memory, ordered as Prometheus orders them.
#[derive(Debug, Default)]
pub struct MemorySource {
    series: BTreeMap<LabelSet, MemorySeries>,
}

#[derive(Debug, Default)]
struct MemorySeries {
    floats: OwnedColumn<f64>,
    histograms: OwnedColumn<Arc<Histogram>>,
}

#[derive(Debug)]
struct OwnedColumn<T> {
    timestamps: Vec<Timestamp>,
    values: Vec<T>,
    /// As many as timestamps, or none while all are 0.
    start_timestamps: Vec<Timestamp>,
}

impl<T> Default for OwnedColumn<T> {
    fn default() -> Self {
        Self { timestamps: Vec::new(), values: Vec::new(), start_timestamps: Vec::new() }
    }
}

impl<T> OwnedColumn<T> {
    /// Adds a sample at its place in time; one at the same time is replaced.
    fn insert(&mut self, timestamp: Timestamp, start_timestamp: Timestamp, value: T) {
        let is_newest = self.timestamps.last().is_none_or(|last| *last < timestamp);
        if is_newest && start_timestamp == 0 && self.start_timestamps.is_empty() {
            self.timestamps.push(timestamp);
            self.values.push(value);
            return;
        }
        if start_timestamp != 0 && self.start_timestamps.is_empty() {
            self.start_timestamps.resize(self.timestamps.len(), 0);
        }
        let with_starts = start_timestamp != 0 || !self.start_timestamps.is_empty();
        match self.timestamps.binary_search(&timestamp) {
            Ok(at) => {
                self.values[at] = value;
                if with_starts {
                    self.start_timestamps[at] = start_timestamp;
                }
            }
            Err(at) => {
                self.timestamps.insert(at, timestamp);
                self.values.insert(at, value);
                if with_starts {
                    self.start_timestamps.insert(at, start_timestamp);
                }
            }
        }
    }

    fn remove(&mut self, timestamp: Timestamp) {
        if self.timestamps.last().is_none_or(|last| *last < timestamp) {
            return;
        }
        if let Ok(at) = self.timestamps.binary_search(&timestamp) {
            self.timestamps.remove(at);
            self.values.remove(at);
            if !self.start_timestamps.is_empty() {
                self.start_timestamps.remove(at);
            }
        }
    }

    /// The samples from `start` to `end`, both inclusive.
    fn within(&self, start: Timestamp, end: Timestamp) -> KindColumn<'_, T> {
        let all = KindColumn {
            timestamps: &self.timestamps,
            values: &self.values,
            start_timestamps: &self.start_timestamps,
        };
        let first = self.timestamps.partition_point(|t| *t < start);
        let last = self.timestamps.partition_point(|t| *t <= end);
        all.slice(first..last.max(first))
    }
}

impl MemorySource {
    /// A source without series.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sample; one at the same time is replaced, of whatever kind. Times are in milliseconds;
    /// a start timestamp of 0 is an unknown one.
    pub fn insert(
        &mut self,
        labels: &LabelSet,
        timestamp: Timestamp,
        start_timestamp: Timestamp,
        value: Point,
    ) {
        self.extend(labels, [(timestamp, start_timestamp, value)]);
    }

    /// As [`insert`](Self::insert), samples of one series: (timestamp, start timestamp, value).
    pub fn extend(
        &mut self,
        labels: &LabelSet,
        samples: impl IntoIterator<Item = (Timestamp, Timestamp, Point)>,
    ) {
        let series = self.series.entry(labels.clone()).or_default();
        for (timestamp, start_timestamp, value) in samples {
            match value {
                Point::Float(value) => {
                    series.histograms.remove(timestamp);
                    series.floats.insert(timestamp, start_timestamp, value);
                }
                Point::Histogram(histogram) => {
                    series.floats.remove(timestamp);
                    series.histograms.insert(timestamp, start_timestamp, histogram);
                }
            }
        }
    }

    /// Removes all series.
    pub fn clear(&mut self) {
        self.series.clear();
    }
}

impl Queryable for MemorySource {
    fn list<'a>(
        &'a self,
        selection: &SelectRequest<'_>,
        _control: &Control,
    ) -> Result<Box<dyn SeriesList + 'a>, SourceError> {
        let matching = self.series.iter().filter(|(labels, _)| {
            selection.matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name())))
        });
        let (labels, series) = matching.map(|(labels, series)| (labels.clone(), series)).unzip();
        Ok(Box::new(Listed { labels, series, start: selection.start, end: selection.end }))
    }
}

struct Listed<'a> {
    labels: Vec<LabelSet>,
    series: Vec<&'a MemorySeries>,
    start: Timestamp,
    end: Timestamp,
}

impl SeriesList for Listed<'_> {
    fn labels(&self) -> &[LabelSet] {
        &self.labels
    }

    fn cost(&self, _outline: Option<&Outline>) -> Option<ReadCost> {
        let count = |series: &&MemorySeries| {
            let floats = series.floats.within(self.start, self.end);
            floats.len() + series.histograms.within(self.start, self.end).len()
        };
        let samples = self.series.iter().map(|series| count(series) as u64).sum();
        Some(ReadCost { samples, ..ReadCost::default() })
    }

    fn fold(
        &self,
        numbers: &[u32],
        visit: &mut dyn FnMut(u32, SampleColumns<'_>) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        for number in numbers {
            let series = self.series[*number as usize];
            let floats = series.floats.within(self.start, self.end);
            let histograms = series.histograms.within(self.start, self.end);
            visit(*number, SampleColumns { floats, histograms, ..SampleColumns::default() })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_one_sample_of_whatever_kind() {
        let mut source = MemorySource::new();
        let labels = LabelSet::from_pairs([("a", "1")]);
        source.insert(&labels, 2, 0, Point::Float(1.0));
        source.insert(&labels, 1, 7, Point::Float(2.0));
        source.insert(&labels, 2, 0, Point::Histogram(Arc::new(Histogram::default())));
        let matchers = [siltstone::Matcher::equal("a", "1")];
        let hints = super::super::Hints::default();
        let selection = SelectRequest { matchers: &matchers, start: 0, end: 5, hints };
        let list = source.list(&selection, &Control::default()).unwrap();
        assert_eq!(list.labels(), [labels]);
        let mut seen = 0;
        list.fold(&[0], &mut |_, columns| {
            assert_eq!(columns.floats.timestamps, [1]);
            assert_eq!(columns.floats.start_timestamps, [7]);
            assert_eq!(columns.histograms.timestamps, [2]);
            seen += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, 1);
    }
}
