//! One input of a merge: a cursor, and the rows that were read ahead from it.
//!
//! [`Merge`](super::Merge) owns one per rank and keeps it from series to series.
//!
//! Invariant: what an input gives is in the range of the merge and not hidden; the rows of `buffer`
//! before `at` are merged already. Where `lost` is set, the rows of `buffer` are times of lost samples,
//! with values that mean nothing: they are compared like others, and given as a loss.

use super::Replaced;
use crate::cursor::{BATCH_ROWS_MAX, Columns, Extent, HiddenRanges, SeriesCursor, Unread};
use crate::error::Result;
use crate::types::{LostChunk, TimeRange, Timestamp};

/// One rank of a merge.
pub(super) struct Input {
    pub(super) cursor: Box<dyn SeriesCursor>,
    pub(super) extent: Extent,
    /// What deletes, and losses of newer layers whose times are unknown, hide of the present series.
    pub(super) hidden: HiddenRanges,
    /// Rows read ahead, in use only where inputs overlap.
    buffer: Columns,
    /// The first row of `buffer` that is not yet merged.
    at: usize,
    /// If the rows of `buffer` are lost: what they were, without their times.
    lost: Option<Box<LostChunk>>,
}

impl Input {
    pub(super) fn new(cursor: Box<dyn SeriesCursor>) -> Self {
        let extent = Extent { first: 0, last: 0, rows: 0, has_lost: false };
        let hidden = HiddenRanges::default();
        Self { cursor, extent, hidden, buffer: Columns::default(), at: 0, lost: None }
    }

    /// Forgets the rows of the series before, and opens the series `key`.
    pub(super) fn open(&mut self, key: u32) -> Result<Option<Extent>> {
        self.clear();
        self.cursor.open(key)
    }

    fn clear(&mut self) {
        self.buffer.clear();
        self.at = 0;
        self.lost = None;
    }

    /// Times of the rows read ahead.
    pub(super) fn pending(&self) -> &[i64] {
        &self.buffer.timestamps[self.at..]
    }

    /// Moves the next `rows` rows to `out`; how many came there.
    ///
    /// # Errors
    /// [`Unread::Lost`] if they are lost.
    pub(super) fn give(&mut self, rows: usize, out: &mut Columns) -> Result<usize, Unread> {
        let from = self.at..self.at + rows;
        self.at = from.end;
        let Some(lost) = &self.lost else {
            out.append_rows(&self.buffer, from);
            return Ok(rows);
        };
        let times = self.buffer.timestamps[from].to_vec();
        Err(Unread::Lost(lost_at(times, lost)))
    }

    /// Leaves out the next `rows` rows, which a newer input has too.
    pub(super) fn leave_out(&mut self, rows: usize, replaced: &mut impl Replaced) {
        let rows = self.at..self.at + rows;
        self.at = rows.end;
        let Columns { timestamps, values } = &self.buffer;
        match &self.lost {
            None => replaced.rows(&timestamps[rows.clone()], &values.f64()[rows]),
            Some(_) => replaced.lost(&timestamps[rows]),
        }
    }

    /// Hides the ticks from `first` to `last` from now on, in the rows read ahead too.
    pub(super) fn hide(&mut self, first: Timestamp, last: Timestamp, replaced: &mut impl Replaced) {
        self.hidden.insert_closed(first, last);
        let is_lost = self.lost.is_some();
        self.hidden.remove_from(&mut self.buffer, self.at, |times, values| match is_lost {
            false => replaced.rows(times, values),
            true => replaced.lost(times),
        });
    }

    /// Reads until there is a pending row in `range`; false at the end.
    ///
    /// # Errors
    /// [`Unread::Lost`] for a loss whose times are unknown; those of reading the source.
    pub(super) fn fill(
        &mut self,
        range: TimeRange,
        replaced: &mut impl Replaced,
    ) -> Result<bool, Unread> {
        if self.at < self.buffer.len() {
            return Ok(true);
        }
        self.clear();
        loop {
            let mut buffer = std::mem::take(&mut self.buffer);
            let read = self.append_visible(range, &mut buffer, replaced);
            self.buffer = buffer;
            let mut lost = match read {
                Ok(rows) => return Ok(rows > 0),
                Err(Unread::Lost(lost)) => lost,
                Err(failed) => return Err(failed),
            };
            if !self.is_visible(range, &mut lost, replaced) {
                continue;
            }
            if lost.times.is_empty() {
                return Err(Unread::Lost(lost));
            }
            self.buffer.timestamps.append(&mut lost.times);
            self.buffer.values.f64_mut().resize(self.buffer.timestamps.len(), 0.0);
            self.lost = Some(lost);
            return Ok(true);
        }
    }

    /// Appends the next batch with a row that is in `range` and not hidden; returns how many such
    /// rows it has, 0 at the end.
    ///
    /// # Errors
    /// [`Unread::Lost`] for a batch that is lost, whatever is hidden of it; those of reading the source.
    pub(super) fn append_visible(
        &mut self,
        range: TimeRange,
        out: &mut Columns,
        replaced: &mut impl Replaced,
    ) -> Result<usize, Unread> {
        let base = out.len();
        loop {
            let rows = append_clipped(self.cursor.as_mut(), range, out)?;
            if rows == 0 || self.hidden.is_empty() {
                return Ok(rows);
            }
            let hide = |times: &[_], values: &[_]| replaced.rows(times, values);
            let removed = self.hidden.remove_from(out, base, hide);
            if removed < rows {
                return Ok(rows - removed);
            }
        }
    }

    /// Takes out of a loss what is outside of `range` or hidden; whether anything is left of it.
    pub(super) fn is_visible(
        &self,
        range: TimeRange,
        lost: &mut LostChunk,
        replaced: &mut impl Replaced,
    ) -> bool {
        if lost.times.is_empty() {
            lost.first = lost.first.max(range.start);
            lost.last = lost.last.min(range.last());
            return lost.first <= lost.last && !self.hidden.hides_all(lost.first, lost.last);
        }
        lost.times.retain(|&t| {
            let is_hidden = self.hidden.hides(t);
            if is_hidden {
                replaced.lost(&[t]);
            }
            !is_hidden && range.contains(t)
        });
        let (Some(&first), Some(&last)) = (lost.times.first(), lost.times.last()) else {
            return false;
        };
        (lost.first, lost.last, lost.rows) = (first, last, lost.times.len() as u32);
        true
    }
}

/// The part of a loss at `times`.
fn lost_at(times: Vec<Timestamp>, of: &LostChunk) -> Box<LostChunk> {
    let (first, last) = (times[0], times[times.len() - 1]);
    let (is_accepted, place) = (of.is_accepted, of.place.clone());
    Box::new(LostChunk { first, last, rows: times.len() as u32, times, is_accepted, place })
}

/// Appends the next batch with a row in `range`; returns its rows within, 0 at the end.
fn append_clipped(
    cursor: &mut dyn SeriesCursor,
    range: TimeRange,
    out: &mut Columns,
) -> Result<usize, Unread> {
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
