//! A source out of a map, whose batches and faults a test chooses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Write;
use crate::cursor::{
    Columns, Extent, Footprint, HiddenRanges, Layer, ListedSeries, SeriesCursor, SeriesList,
    SeriesSource, Summary, Unread,
};
use crate::error::{Error, Result};
use crate::types::{DecodeError, Labels, Matcher, TimeRange, Timestamp};

/// What one source holds.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) seq: u64,
    pub(super) batch_rows: usize,
    /// The last batch of this series is damaged.
    pub(super) damaged: Option<Labels>,
    /// Called before each batch.
    pub(super) on_batch: Option<fn()>,
    /// Batches read.
    pub(super) batches: AtomicUsize,
    pub(super) series: Vec<(Labels, Vec<(i64, u64)>)>,
}

impl Prepared {
    pub(super) fn new(writes: &[Write], seq: u64, batch_rows: usize) -> Self {
        let mut series: BTreeMap<&Labels, BTreeMap<i64, u64>> = BTreeMap::new();
        for (labels, time, bits) in writes {
            series.entry(labels).or_default().insert(*time, *bits);
        }
        let series = series.into_iter().map(|(l, s)| (l.clone(), s.into_iter().collect()));
        Self { seq, batch_rows, series: series.collect(), ..Self::default() }
    }

    fn matching(&self, matchers: &[Matcher]) -> Vec<ListedSeries> {
        let all = self.series.iter().zip(0..);
        let satisfies = |labels: &Labels| {
            matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or_default()))
        };
        all.filter(|((labels, _), _)| satisfies(labels))
            .map(|((labels, _), key)| ListedSeries { labels: labels.clone(), key })
            .collect()
    }
}

impl SeriesSource for Prepared {
    fn layers(&self) -> Vec<Layer> {
        vec![Layer { min_seq: self.seq, tombstone_seq: 0 }]
    }

    fn extent(&self) -> Option<(Timestamp, Timestamp)> {
        let times = || self.series.iter().flat_map(|(_, samples)| samples).map(|s| s.0);
        Some((times().min()?, times().max()?))
    }

    fn series(
        self: Arc<Self>,
        matchers: &[Matcher],
        _range: TimeRange,
    ) -> Result<Box<dyn SeriesList>> {
        let mut series = self.matching(matchers);
        series.reverse();
        Ok(Box::new(List { series }))
    }

    fn cursor(self: Arc<Self>, _layer: usize, _range: TimeRange) -> Box<dyn SeriesCursor> {
        Box::new(Cursor { source: self, key: 0, at: 0 })
    }

    fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<String>> {
        let series = self.matching(matchers);
        let mut names: Vec<String> =
            series.iter().flat_map(|s| s.labels.iter().map(|(n, _)| n.to_owned())).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<Vec<String>> {
        let series = self.matching(matchers);
        let mut values: Vec<String> =
            series.iter().filter_map(|s| s.labels.get(name).map(str::to_owned)).collect();
        values.sort();
        values.dedup();
        Ok(values)
    }

    fn lists_are_exact(&self) -> bool {
        true
    }
}

struct List {
    series: Vec<ListedSeries>,
}

impl SeriesList for List {
    fn next_block(&mut self, block: &mut Vec<ListedSeries>) -> Result<bool> {
        let before = block.len();
        block.extend((0..2).map_while(|_| self.series.pop()));
        Ok(block.len() > before)
    }

    fn series_max(&self) -> usize {
        self.series.len()
    }

    fn held_bytes(&self) -> u64 {
        100
    }

    /// Two pieces: `series` is in reverse.
    fn split(mut self: Box<Self>, parts: usize) -> Vec<Box<dyn SeriesList>> {
        let second = self.series.drain(..self.series.len() / parts.clamp(1, 2)).collect();
        vec![self, Box::new(Self { series: second })]
    }
}

struct Cursor {
    source: Arc<Prepared>,
    key: usize,
    at: usize,
}

impl SeriesCursor for Cursor {
    fn open(&mut self, key: u32) -> Result<Option<Extent>> {
        self.key = key as usize;
        self.at = 0;
        let samples = &self.source.series[self.key].1;
        let ends = samples.first().zip(samples.last());
        let rows = samples.len() as u64;
        Ok(ends.map(|(a, b)| Extent { first: a.0, last: b.0, rows, has_lost: false }))
    }

    fn skip_hidden(&mut self, _hidden: &HiddenRanges) {}

    fn footprint(&mut self, _hidden: &HiddenRanges) -> Result<Footprint> {
        unreachable!("prepared sources are read")
    }

    fn append(&mut self, columns: &mut Columns) -> Result<usize, Unread> {
        self.source.batches.fetch_add(1, Ordering::Relaxed);
        self.source.on_batch.inspect(|call| call());
        let (labels, samples) = &self.source.series[self.key];
        let rows = self.source.batch_rows.min(samples.len() - self.at);
        let batch = &samples[self.at..self.at + rows];
        self.at += rows;
        let is_last = rows > 0 && self.at == samples.len();
        if is_last && self.source.damaged.as_ref() == Some(labels) {
            let source = DecodeError::Checksum("value block");
            let path = "000001.seg".into();
            return Err(Error::Corrupt { path, section: "value block", offset: 64, source }.into());
        }
        for &(time, bits) in batch {
            columns.timestamps.push(time);
            columns.values.f64_mut().push(f64::from_bits(bits));
        }
        Ok(rows)
    }

    fn summary(&self) -> Option<Summary> {
        None
    }

    fn skip(&mut self) {
        unreachable!("there is no summary")
    }
}
