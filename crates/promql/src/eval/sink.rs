//! Where a chain puts its series: a result that is held, or something that is gathered of them.

use super::aggregate::{Accumulator, InputSeries};
use super::vector::{Presence, SoleValue};
use crate::annotations::Annotations;
use crate::value::{LabelSet, Series, StepColumn};

/// A series that comes out of a chain.
pub(super) struct Row<'l, 'v> {
    /// Its place in the order of the chain's series.
    pub(super) rank: u32,
    pub(super) labels: &'l LabelSet,
    pub(super) drop_name: bool,
    /// Its values; a sink may take them.
    pub(super) values: &'v mut StepColumn,
}

/// Takes the series of one share in order of rank; sinks of two shares are merged, the earlier share
/// first.
pub(super) trait Sink: Send + Sized {
    /// Takes a series that has a value at one step at least.
    fn add(&mut self, row: Row<'_, '_>, notes: &mut Annotations);

    /// Takes what the sink of a later share has gathered.
    fn merge(&mut self, later: Self);

    /// About how many bytes of heap are held.
    fn heap_bytes(&self) -> usize;
}

/// Holds the series.
#[derive(Default)]
pub(super) struct Collect {
    rows: Vec<(u32, Series)>,
    bytes: usize,
}

impl Collect {
    /// The series in order of rank.
    pub(super) fn finish(mut self) -> Vec<Series> {
        self.rows.sort_unstable_by_key(|(rank, _)| *rank);
        self.rows.into_iter().map(|(_, series)| series).collect()
    }
}

impl Sink for Collect {
    fn add(&mut self, row: Row<'_, '_>, _notes: &mut Annotations) {
        let values = row.values.take(StepColumn::default());
        let series = Series { labels: row.labels.clone(), drop_name: row.drop_name, values };
        self.bytes += series.held_bytes();
        self.rows.push((row.rank, series));
    }

    fn merge(&mut self, later: Self) {
        self.rows.extend(later.rows);
        self.bytes += later.bytes;
    }

    fn heap_bytes(&self) -> usize {
        self.bytes
    }
}

impl Sink for Presence {
    fn add(&mut self, row: Row<'_, '_>, _notes: &mut Annotations) {
        self.observe(row.values);
    }

    fn merge(&mut self, later: Self) {
        Self::merge(self, &later);
    }

    fn heap_bytes(&self) -> usize {
        Self::heap_bytes(self)
    }
}

impl Sink for SoleValue {
    fn add(&mut self, row: Row<'_, '_>, _notes: &mut Annotations) {
        self.observe(row.values);
    }

    fn merge(&mut self, later: Self) {
        Self::merge(self, &later);
    }

    fn heap_bytes(&self) -> usize {
        Self::heap_bytes(self)
    }
}

impl Sink for Accumulator<'_> {
    fn add(&mut self, row: Row<'_, '_>, notes: &mut Annotations) {
        let Row { rank, labels, drop_name, values } = row;
        Self::add(self, &InputSeries { rank, labels, drop_name, values }, notes);
    }

    fn merge(&mut self, later: Self) {
        Self::merge(self, later);
    }

    fn heap_bytes(&self) -> usize {
        Self::heap_bytes(self)
    }
}
