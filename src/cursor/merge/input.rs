//! One input of a merge: a cursor, and the rows that were read ahead from it.
//!
//! [`Merge`](super::Merge) owns one per rank and keeps it from series to series.
//!
//! Invariant: what an input gives is in the range of the merge and not hidden; the rows of `buffer`
//! before `at` are merged already.

use super::Replaced;
use crate::cursor::{BATCH_ROWS_MAX, Columns, Extent, HiddenRanges, SeriesCursor};
use crate::error::Result;
use crate::types::TimeRange;

/// One rank of a merge.
pub(super) struct Input {
    pub(super) cursor: Box<dyn SeriesCursor>,
    pub(super) extent: Extent,
    /// What deletes hide of the present series.
    pub(super) hidden: HiddenRanges,
    /// Rows read ahead, in use only where inputs overlap.
    buffer: Columns,
    /// The first row of `buffer` that is not yet merged.
    at: usize,
}

impl Input {
    pub(super) fn new(cursor: Box<dyn SeriesCursor>) -> Self {
        let extent = Extent { first: 0, last: 0, rows: 0 };
        let hidden = HiddenRanges::default();
        Self { cursor, extent, hidden, buffer: Columns::default(), at: 0 }
    }

    /// Forgets the rows of the series before, and opens the series `key`.
    pub(super) fn open(&mut self, key: u32) -> Result<Option<Extent>> {
        self.buffer.clear();
        self.at = 0;
        self.cursor.open(key)
    }

    /// Times of the rows read ahead.
    pub(super) fn pending(&self) -> &[i64] {
        &self.buffer.timestamps[self.at..]
    }

    /// Moves the next `rows` rows to `out`.
    pub(super) fn give(&mut self, rows: usize, out: &mut Columns) {
        out.append_rows(&self.buffer, self.at..self.at + rows);
        self.at += rows;
    }

    /// Leaves out the next `rows` rows.
    pub(super) fn leave_out(&mut self, rows: usize, replaced: &mut impl Replaced) {
        let rows = self.at..self.at + rows;
        self.at = rows.end;
        let Columns { timestamps, values } = &self.buffer;
        replaced.rows(&timestamps[rows.clone()], &values.f64()[rows]);
    }

    /// Reads until there is a pending row in `range`; false at the end.
    pub(super) fn fill(&mut self, range: TimeRange) -> Result<bool> {
        if self.at < self.buffer.len() {
            return Ok(true);
        }
        self.buffer.clear();
        self.at = 0;
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = self.append_visible(range, &mut buffer);
        self.buffer = buffer;
        Ok(read? > 0)
    }

    /// Appends the next batch with a row that is in `range` and not hidden; returns how many such
    /// rows it has, 0 at the end.
    pub(super) fn append_visible(&mut self, range: TimeRange, out: &mut Columns) -> Result<usize> {
        let base = out.len();
        loop {
            let rows = append_clipped(self.cursor.as_mut(), range, out)?;
            if rows == 0 || self.hidden.is_empty() {
                return Ok(rows);
            }
            let removed = self.hidden.remove_from(out, base);
            if removed < rows {
                return Ok(rows - removed);
            }
        }
    }
}

/// Appends the next batch with a row in `range`; returns its rows within, 0 at the end.
fn append_clipped(
    cursor: &mut dyn SeriesCursor,
    range: TimeRange,
    out: &mut Columns,
) -> Result<usize> {
    let base = out.len();
    loop {
        let rows = cursor.append(out)?;
        debug_assert_eq!(out.len() - base, rows, "a cursor appends what it says");
        debug_assert!(rows <= BATCH_ROWS_MAX, "a batch of {rows} rows");
        debug_assert!(out.timestamps[base..].is_sorted_by(|a, b| a < b), "a batch is in order");
        let Some(&last) = out.timestamps[base..].last() else { return Ok(0) };
        out.clip(base, range);
        // Behind the range there is nothing left to find.
        if out.len() > base || last > range.last() {
            return Ok(out.len() - base);
        }
    }
}
