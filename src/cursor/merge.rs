//! The merge of one series' samples from several layers, for queries (`read`) and for compaction.
//!
//! A layer has a *rank*; the higher rank wins at equal timestamps. The extents of the opened
//! series are grouped into *spans* that do not overlap in time. A span of one input is appended
//! straight to the output; within the others runs are copied: as many rows as one input leads by,
//! or as several agree in their timestamps ([`heads`]). No sample is handled by a virtual call of its
//! own. What is read ahead of an input is its own affair ([`input`]).

mod heads;
mod input;
mod summaries;

use self::heads::{Heads, equal_rows, rows_below};
use self::input::Input;
use super::{BATCH_ROWS_MAX, Columns, HiddenRanges, ReadCost, SeriesCursor, Summary, Unread};
use crate::error::Result;
use crate::types::{TimeRange, Timestamp};

/// Merges the samples of one series after the other; used by one thread at a time. Cursors and
/// buffers are kept from series to series.
///
/// For each series: [`Merge::start`], [`Merge::add`] for each layer that lists the series, then
/// [`Merge::append`] until it returns 0.
///
/// Rows that a later write replaced are told to `R`; queries, which do not ask, pay nothing for it.
pub(crate) struct Merge<R = ()> {
    range: TimeRange,
    replaced: R,
    /// One per rank; empty until the rank is first used.
    inputs: Vec<Option<Box<Input>>>,
    /// The ranks that have samples of the present series and are not read yet.
    waiting: Vec<usize>,
    /// The ranks of the present span that still have rows, ascending.
    live: Vec<usize>,
    planned: bool,
    /// Whether batches end where a summary may be next.
    summaries: bool,
}

/// Is told of the rows that a merge leaves out because a later write has the same timestamp.
pub(crate) trait Replaced {
    /// Rows of the present series, as they were before they were replaced.
    fn rows(&mut self, timestamps: &[Timestamp], values: &[f64]);

    /// The same of rows that are lost.
    fn lost(&mut self, timestamps: &[Timestamp]);
}

impl Replaced for () {
    #[inline]
    fn rows(&mut self, _timestamps: &[Timestamp], _values: &[f64]) {}

    #[inline]
    fn lost(&mut self, _timestamps: &[Timestamp]) {}
}

impl Merge {
    /// A merge of up to `ranks` layers that yields the samples within `range`.
    #[must_use]
    pub(crate) fn new(range: TimeRange, ranks: usize) -> Self {
        Self::telling(range, ranks, ())
    }
}

impl<R: Replaced> Merge<R> {
    /// As [`Merge::new`], telling `replaced` of every row that is left out.
    #[must_use]
    pub(crate) fn telling(range: TimeRange, ranks: usize, replaced: R) -> Self {
        let mut inputs = Vec::new();
        inputs.resize_with(ranks, || None);
        Self {
            range,
            replaced,
            inputs,
            waiting: Vec::new(),
            live: Vec::new(),
            planned: false,
            summaries: false,
        }
    }

    /// Forgets the present series.
    pub(crate) fn start(&mut self) {
        self.waiting.clear();
        self.live.clear();
        self.planned = false;
    }

    /// As [`add_hidden`](Self::add_hidden), with nothing hidden.
    ///
    /// # Errors
    /// Those of [`SeriesCursor::open`].
    ///
    /// # Panics
    /// As [`add_hidden`](Self::add_hidden).
    pub(crate) fn add(
        &mut self,
        rank: usize,
        key: u32,
        cursor: impl FnOnce() -> Box<dyn SeriesCursor>,
    ) -> Result<()> {
        self.add_hidden(rank, key, &HiddenRanges::default(), cursor)
    }

    /// Opens the series `key` in the layer `rank`, whose cursor is made by `cursor` when the rank
    /// is first used; its samples in `hidden` are left out.
    ///
    /// # Errors
    /// Those of [`SeriesCursor::open`].
    ///
    /// # Panics
    /// If `rank` is not below the number of ranks, or samples were already read.
    pub(crate) fn add_hidden(
        &mut self,
        rank: usize,
        key: u32,
        hidden: &HiddenRanges,
        cursor: impl FnOnce() -> Box<dyn SeriesCursor>,
    ) -> Result<()> {
        assert!(!self.planned, "a series is opened before it is read");
        debug_assert!(!self.waiting.contains(&rank), "a series is in a layer once");
        let input = self.inputs[rank].get_or_insert_with(|| Box::new(Input::new(cursor())));
        if let Some(extent) = input.open(key)?
            && self.range.overlaps(extent.first, extent.last)
            && !hidden.hides_all(extent.first, extent.last)
        {
            input.extent = extent;
            input.hidden.clone_from(hidden);
            if !hidden.is_empty() {
                input.cursor.skip_hidden(hidden);
            }
            self.waiting.push(rank);
        }
        Ok(())
    }

    /// What reading the series takes if the batches whose summaries `passed` takes are passed over,
    /// wherever that is possible; before any was read.
    #[must_use]
    pub(crate) fn cost(&self, passed: &dyn Fn(&Summary) -> bool) -> ReadCost {
        let mut cost = ReadCost::default();
        for &rank in &self.waiting {
            let input = self.input(rank);
            let in_memory = ReadCost { samples: input.extent.rows, ..ReadCost::default() };
            cost.add(input.cursor.cost(passed).unwrap_or(in_memory));
        }
        cost
    }

    /// The most samples that the series can have, before any was read.
    #[must_use]
    pub(crate) fn rows_max(&self) -> u64 {
        let rows = self.waiting.iter().map(|&rank| self.input(rank).extent.rows);
        rows.fold(0, u64::saturating_add)
    }

    /// Whether the series has a sample in the range for certain, before any was read. If not, it may
    /// still have one.
    #[must_use]
    pub(crate) fn surely_has_samples(&self) -> bool {
        let has_lost = self.waiting.iter().any(|&rank| self.input(rank).extent.has_lost);
        !has_lost
            && self.waiting.iter().any(|&rank| {
                let Input { extent, hidden, .. } = self.input(rank);
                let seen = |t| self.range.contains(t) && !hidden.hides(t);
                seen(extent.first) || seen(extent.last)
            })
    }

    /// Appends the next batch, at most [`BATCH_ROWS_MAX`] rows; returns how many, 0 at the end.
    ///
    /// # Errors
    /// [`Unread::Lost`] for samples that are lost, not hidden by a delete and not replaced; rows that may
    /// have been appended before are earlier. Those of [`SeriesCursor::append`]. The next call goes on.
    pub(crate) fn append(&mut self, out: &mut Columns) -> Result<usize, Unread> {
        if !self.planned {
            self.plan();
        }
        loop {
            let rows = match self.live[..] {
                [] if self.waiting.is_empty() => return Ok(0),
                [] => {
                    self.next_span();
                    continue;
                }
                [rank] => self.append_single(rank, out)?,
                _ => self.append_merged(out)?,
            };
            if rows > 0 {
                return Ok(rows);
            }
        }
    }

    /// Orders the inputs so that the one that starts first is last in `waiting`.
    fn plan(&mut self) {
        self.planned = true;
        let inputs = &self.inputs;
        let first = |&rank: &usize| inputs[rank].as_ref().map(|input| input.extent.first);
        self.waiting.sort_unstable_by_key(|rank| std::cmp::Reverse(first(rank)));
    }

    /// Makes the inputs live that start first and overlap, directly or through others.
    fn next_span(&mut self) {
        let mut end = None;
        while let Some(&rank) = self.waiting.last() {
            let extent = self.input(rank).extent;
            if end.is_some_and(|end| extent.first > end) {
                break;
            }
            end = end.max(Some(extent.last));
            self.waiting.pop();
            self.live.push(rank);
        }
        self.live.sort_unstable();
    }

    /// Appends the next batch of the only live input.
    fn append_single(&mut self, rank: usize, out: &mut Columns) -> Result<usize, Unread> {
        let (range, replaced) = (self.range, &mut self.replaced);
        let input = self.inputs[rank].as_mut().expect("ranks in use have an input");
        let left = input.pending().len();
        if left > 0 {
            return input.give(left, out);
        }
        match input.append_visible(range, out, replaced) {
            Ok(0) => {
                self.live.clear();
                Ok(0)
            }
            Err(Unread::Lost(mut lost)) => match input.is_visible(range, &mut lost, replaced) {
                true => Err(Unread::Lost(lost)),
                // The caller asks again.
                false => Ok(0),
            },
            read => read,
        }
    }

    /// Appends up to a batch while at least two inputs are live.
    fn append_merged(&mut self, out: &mut Columns) -> Result<usize, Unread> {
        let mut appended = 0;
        while appended < BATCH_ROWS_MAX {
            if self.summaries && appended > 0 && self.has_read_out() {
                break;
            }
            self.fill_live()?;
            if self.live.len() < 2 {
                break;
            }
            appended += self.append_run(BATCH_ROWS_MAX - appended, out)?;
        }
        Ok(appended)
    }

    /// Gives every live input a pending row; those at their end are no longer live.
    fn fill_live(&mut self) -> Result<(), Unread> {
        let mut at = 0;
        while let Some(&rank) = self.live.get(at) {
            if self.fill(rank)? {
                at += 1;
            } else {
                self.live.remove(at);
            }
        }
        Ok(())
    }

    /// Gives a live input a pending row; false at its end. A loss whose times are unknown hides what is
    /// older: every input that could have such rows has none behind the loss's first tick merged yet,
    /// since rows are merged only while each live input has one pending.
    fn fill(&mut self, rank: usize) -> Result<bool, Unread> {
        let (range, replaced) = (self.range, &mut self.replaced);
        let input = self.inputs[rank].as_mut().expect("ranks in use have an input");
        let filled = input.fill(range, replaced);
        if let Err(Unread::Lost(lost)) = &filled {
            for &older in self.live.iter().filter(|&&older| older < rank) {
                let input = self.inputs[older].as_mut().expect("ranks in use have an input");
                input.hide(lost.first, lost.last, replaced);
            }
        }
        filled
    }

    /// Appends the next run, at most `room` rows: at least one. Every live input has a pending row.
    fn append_run(&mut self, room: usize, out: &mut Columns) -> Result<usize, Unread> {
        let heads = Heads::of(self.live.iter().map(|&rank| self.input(rank).pending()[0]));
        let lead = self.input(self.live[heads.lead]).pending();
        let lead = &lead[..lead.len().min(room)];
        let mut rows = heads.bound.map_or(lead.len(), |bound| rows_below(lead, bound));
        if heads.tied > 1 {
            for &rank in self.live.iter().filter(|&&rank| rank != self.live[heads.lead]) {
                let pending = self.input(rank).pending();
                if pending[0] == lead[0] {
                    rows = equal_rows(&lead[..rows], pending);
                }
            }
            let time = lead[0];
            for at in (0..self.live.len()).filter(|&at| at != heads.lead) {
                let input =
                    self.inputs[self.live[at]].as_mut().expect("ranks in use have an input");
                if input.pending()[0] == time {
                    input.leave_out(rows, &mut self.replaced);
                }
            }
        }
        self.input_mut(self.live[heads.lead]).give(rows, out)
    }

    fn input(&self, rank: usize) -> &Input {
        self.inputs[rank].as_ref().expect("ranks in use have an input")
    }

    fn input_mut(&mut self, rank: usize) -> &mut Input {
        self.inputs[rank].as_mut().expect("ranks in use have an input")
    }
}

#[cfg(test)]
mod tests;
