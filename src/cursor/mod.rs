//! Sources of samples as cursors over column batches, and the one merge of them.
//!
//! `read` turns segments and memtables into [`SeriesSource`]s and asks a [`Merge`] for the samples of
//! one series after the other; nothing above sees which source a sample came from. This floor knows
//! no file and no memtable.
//!
//! # Invariants
//!
//! - A batch is a [`Columns`] with strictly increasing timestamps, at most [`BATCH_ROWS_MAX`] rows.
//! - At equal timestamps the source with the higher rank wins. Ranks follow the seq ranges of the
//!   sources, so this is the rule "the later write wins". It is applied here and nowhere else.
//! - What deletes hide in a layer is taken out here too, before layers are compared, and nowhere
//!   else.
//! - A lost sample takes part as what it was: it hides older samples of its time, a newer one hides it,
//!   and one that is neither deleted nor replaced is handed out as a loss ([`Unread::Lost`]), in its
//!   place among the samples. Where the times of lost samples are unknown, what is older from the first
//!   to the last possible one is left out.
//! - Sources and merge only *append* to the columns that they are given: a series that lies in one
//!   source is decoded straight into its reader's memory.

mod columns;
mod hidden;
mod merge;
mod source;

pub use columns::{Column, Columns, Samples};
pub(crate) use hidden::HiddenRanges;
pub(crate) use merge::{Merge, Replaced};
pub use source::ReadCost;
pub(crate) use source::{
    DecimalTotal, Extent, Footprint, Layer, ListedSeries, SeriesCursor, SeriesList, SeriesSource,
    Summary, Unread, ValueSummary,
};

/// Most rows in a batch.
pub(crate) const BATCH_ROWS_MAX: usize = 8192;
