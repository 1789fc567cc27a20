//! Where an evaluation gets its series from.
//!
//! The crate knows no store. An embedder implements [`Queryable`] over one, or uses [`MemorySource`].
//! An evaluation *lists* a selection once, which yields the label sets, and then *folds* some series
//! after the other, on several threads at a time: the source hands the samples of one series after the
//! other to the evaluator as columns, and holds them no longer than the call.
//!
//! # Invariants that a source keeps
//!
//! - A list does not change, and folding a series twice hands over the same samples.
//! - Label sets of one list are different.
//! - Samples of a series are in time order, strictly increasing, and all that lie in the range of the
//!   selection are there; others may be.

mod columns;
mod kept;
mod memory;

use std::error::Error;
use std::time::Duration;

use siltstone::{Cancel, Matcher, Outline, QueryMemory, ReadCost, Timestamp};

pub use columns::{KindColumn, SampleColumns};
pub use kept::{KeptLabels, KeptList, LabelKeeper};
pub use memory::MemorySource;

use crate::value::LabelSet;

/// Why a source could not answer.
pub type SourceError = Box<dyn Error + Send + Sync>;

/// What an evaluation asks a source for.
#[derive(Debug, Clone)]
pub struct SelectRequest<'a> {
    /// The series that satisfy all of these.
    pub matchers: &'a [Matcher],
    /// The time of the first sample that is needed, in milliseconds, inclusive.
    pub start: Timestamp,
    /// The time of the last sample that is needed, in milliseconds, inclusive.
    pub end: Timestamp,
    /// What will be done with the samples.
    pub hints: Hints<'a>,
}

/// What a source may use to read less, or to hold less.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints<'a> {
    /// The function or aggregation that the samples go to first, as it is written; `None` where
    /// there is none, or several that differ.
    pub function: Option<&'a str>,
    /// The length of that function's window, in milliseconds.
    pub range: Option<i64>,
    /// The distance of the steps at which samples are needed, in milliseconds; 0 where it is not
    /// told.
    pub step: i64,
    /// The labels that the result keeps (`by`), of series that nothing else is made of; `None` where all
    /// may matter. A source may then hand over a [`KeptList`].
    pub labels_kept: Option<&'a [String]>,
    /// Whether series lose their names before they are gathered: two that are then the same are an error.
    pub names_go: bool,
}

/// What a source keeps to while it lists and reads for one evaluation.
#[derive(Debug, Clone, Default)]
pub struct Control {
    /// Ends the work early.
    pub cancel: Cancel,
    /// The time that is left; `None` for no bound.
    pub time: Option<Duration>,
    /// Where the source counts what it holds; `None` where nobody asks.
    pub memory: Option<QueryMemory>,
}

/// A set of series that can be queried: a snapshot of a store.
pub trait Queryable: Send + Sync {
    /// Lists the series of `selection`. Series without samples in its range may be among them. The
    /// list keeps to `control` as long as it lives.
    ///
    /// # Errors
    /// Those of reading the source.
    fn list<'a>(
        &'a self,
        selection: &SelectRequest<'_>,
        control: &Control,
    ) -> Result<Box<dyn SeriesList + 'a>, SourceError>;
}

/// The series of one selection.
pub trait SeriesList: Send + Sync {
    /// The label sets, in any order. A *series number* is an index into them. None if there is a
    /// [`kept`](Self::kept) list.
    fn labels(&self) -> &[LabelSet];

    /// The series with as much of their labels as the result keeps ([`Hints::labels_kept`]), by number;
    /// `None` if there are all labels.
    fn kept(&self) -> Option<&KeptList> {
        None
    }

    /// Hands the samples of the series with these numbers to `visit`, one after the other in that
    /// order. Called on several threads with different series; mostly with some neighbours in the
    /// order of their numbers.
    ///
    /// # Errors
    /// Those of `visit`, and those of reading the source.
    fn fold(
        &self,
        numbers: &[u32],
        visit: &mut dyn FnMut(u32, SampleColumns<'_>) -> Result<(), SourceError>,
    ) -> Result<(), SourceError>;

    /// As [`fold`](Self::fold), but of floats no more is needed than `outline` says, whose times are in
    /// milliseconds: one sample may stand for several (see [`Outline`]), and
    /// [`SampleColumns::float_counts`] says for how many. A source that knows no better hands over all.
    ///
    /// # Errors
    /// Those of [`fold`](Self::fold).
    fn outline(
        &self,
        numbers: &[u32],
        outline: &Outline,
        visit: &mut dyn FnMut(u32, SampleColumns<'_>) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let _ = outline;
        self.fold(numbers, visit)
    }

    /// What reading all series takes, if that is known without reading them.
    fn cost(&self, outline: Option<&Outline>) -> Option<ReadCost> {
        let _ = outline;
        None
    }
}
