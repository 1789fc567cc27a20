//! What a source of samples offers to the merge: its series in label order, and cursors over them.

use std::sync::Arc;

use super::{Columns, HiddenRanges};
use crate::error::{Error, Result};
use crate::types::{Labels, LostChunk, Matcher, TimeRange, Timestamp};

/// One series of a source, named by a key that only the source understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedSeries {
    /// The labels.
    pub labels: Labels,
    /// A segment's ordinal or the registry's slot.
    pub key: u32,
}

/// What is known about the samples of a series before they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The time of a sample of the series; no sample that the cursor will yield is earlier.
    pub first: Timestamp,
    /// The time of a sample of the series; no sample that the cursor will yield is later.
    pub last: Timestamp,
    /// The cursor yields at most so many samples.
    pub rows: u64,
    /// Whether there are lost chunks: then a sample of an older layer is not seen for certain either.
    pub has_lost: bool,
}

/// Why a batch was not appended.
#[derive(Debug)]
pub(crate) enum Unread {
    /// Its samples are lost, or a mask lies in their place. The next call goes on behind them.
    Lost(Box<LostChunk>),
    /// It could not be looked for.
    Failed(Error),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What is known of the next batch of a cursor without decoding it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// The time of the first sample.
    pub first: Timestamp,
    /// The time of the last sample, inclusive.
    pub last: Timestamp,
    /// The number of samples, stale markers included.
    pub rows: u32,
    /// The number of stale markers.
    pub stale_markers: u32,
    /// The other values, if there are any and none is a NaN.
    pub values: Option<ValueSummary>,
}

/// Values of which none is a NaN, stale markers left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ValueSummary {
    /// The first.
    pub first: f64,
    /// The last.
    pub last: f64,
    /// The smallest, -0 below +0.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Their sum, if they are decimal numbers and it is below 2^53 by magnitude.
    pub sum: Option<DecimalTotal>,
}

/// The exact sum of decimal numbers. None of them is -0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DecimalTotal {
    /// The smallest decimal exponent, 0 to 18, at which all values are integers below 2^53.
    pub exponent: u8,
    /// Their sum at that exponent.
    pub sum: i64,
}

/// One layer of a source: samples that share a place in the order of recency. A segment is one layer,
/// and so is each memtable; of samples at the same time the one in the newer layer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layer {
    /// The lowest seq of its samples: the order of recency among all layers of a query.
    pub min_seq: u64,
    /// The seq up to which deletes are carried out in it, 0 if none are.
    pub tombstone_seq: u64,
}

/// What a series takes up in one layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Samples.
    pub rows: u64,
    /// About how many bytes of a file hold their values.
    pub bytes: u64,
}

/// What reading a series takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReadCost {
    /// Samples that are decoded at most.
    pub samples: u64,
    /// Chunks of segments that are decoded.
    pub chunks: u64,
    /// Bytes of files that hold the values of these chunks.
    pub bytes: u64,
}

impl ReadCost {
    /// Adds what reading something else takes.
    pub fn add(&mut self, other: Self) {
        self.samples = self.samples.saturating_add(other.samples);
        self.chunks += other.chunks;
        self.bytes += other.bytes;
    }
}

/// A source of samples whose series are listed together. It has one or more *layers*, each with its
/// own place in the order of writes: a segment has one, the memtables of one registry have one each.
pub(crate) trait SeriesSource: Send + Sync {
    /// The layers, in the order of their numbers.
    fn layers(&self) -> Vec<Layer>;

    /// The earliest and the latest time of a sample, over all layers; `None` without samples.
    fn extent(&self) -> Option<(Timestamp, Timestamp)>;

    /// The series that satisfy every matcher, in label order. Series without a sample in `range`
    /// may be among them.
    ///
    /// # Errors
    /// Those of reading the source.
    fn series(
        self: Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Box<dyn SeriesList>>;

    /// A cursor over layer number `layer`, which may skip what lies outside `range`.
    fn cursor(self: Arc<Self>, layer: usize, range: TimeRange) -> Box<dyn SeriesCursor>;

    /// The label names of the series that satisfy every matcher, sorted. Names that no series with
    /// samples has may be among them, if [`Self::lists_are_exact`] is false.
    ///
    /// # Errors
    /// Those of reading the source.
    fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<String>>;

    /// The same for the values of the label `name`.
    ///
    /// # Errors
    /// Those of reading the source.
    fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<Vec<String>>;

    /// The labels of the series `key`, where they can be read at once: to name what is lost.
    fn labels_of(&self, _key: u32) -> Option<Labels> {
        None
    }

    /// Whether every name and value that is listed belongs to a series with samples.
    fn lists_are_exact(&self) -> bool;
}

/// The matching series of a source in label order.
pub(crate) trait SeriesList: Send {
    /// Appends some more series to `block`; false at the end.
    ///
    /// # Errors
    /// Those of reading the source.
    fn next_block(&mut self, block: &mut Vec<ListedSeries>) -> Result<bool>;

    /// Bytes of heap that the list holds at most, apart from the blocks that it hands out.
    fn held_bytes(&self) -> u64;

    /// The most series that are still to come.
    fn series_max(&self) -> usize;

    /// The list in at most `parts` pieces of about the same length, in order, to be read at the same
    /// time; itself if there is nothing to gain by that.
    fn split(self: Box<Self>, parts: usize) -> Vec<Box<dyn SeriesList>>;
}

/// Reads one series after the other. One cursor serves one thread at a time and keeps what it can
/// use again, such as the block that it read last.
pub(crate) trait SeriesCursor: Send {
    /// Goes to the start of the series `key`; `None` if it has no sample in the cursor's range as
    /// far as can be seen without decoding.
    ///
    /// # Errors
    /// Those of reading the source.
    fn open(&mut self, key: u32) -> Result<Option<Extent>>;

    /// Says which samples of the opened series will be left out: batches that hold nothing else need
    /// not be yielded. Called before the first batch, if something is hidden.
    fn skip_hidden(&mut self, hidden: &HiddenRanges);

    /// What the samples of the opened series take up that are in the cursor's range and not in
    /// `hidden`. Decodes no value; in place of [`append`](Self::append).
    ///
    /// # Errors
    /// Those of reading the source.
    fn footprint(&mut self, hidden: &HiddenRanges) -> Result<Footprint>;

    /// Appends the next batch of the opened series, at most [`BATCH_ROWS_MAX`] rows with strictly
    /// increasing timestamps, all above those of the batches before; returns how many, 0 at the end.
    ///
    /// [`BATCH_ROWS_MAX`]: super::BATCH_ROWS_MAX
    ///
    /// # Errors
    /// [`Unread::Lost`] in place of a batch that is lost; those of reading the source. Nothing was appended
    /// then, and after [`Error::Corrupt`] the next call goes on behind what could not be found.
    fn append(&mut self, columns: &mut Columns) -> Result<usize, Unread>;

    /// What reading the opened series takes from files, if the batches whose summaries `passed` takes
    /// are passed over; reads nothing. `None` where all samples are in memory.
    fn cost(&self, _passed: &dyn Fn(&Summary) -> bool) -> Option<ReadCost> {
        None
    }

    /// What the next batch of the opened series will hold, if the source knows without reading it.
    fn summary(&self) -> Option<Summary>;

    /// Passes over the next batch, of which there is a summary.
    fn skip(&mut self);
}
