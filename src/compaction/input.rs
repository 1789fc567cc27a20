//! One input of a merge: decodes, counts every row that it decodes, and leaves out what no longer
//! counts, before the rows of all inputs are merged.
//!
//! A chunk that does not verify is noted and handed on as lost, as is one that was lost before, unless the
//! rows come from another store. Lost rows are counted as rows are, in an account of their own. Damage of
//! the index ends the merge: what is unknown cannot be noted. So do an I/O error, which may not come again, and a
//! file that is not as long as it was written, which may be put back.

use std::sync::{Arc, PoisonError};

use super::damage::DamageList;
use super::proof::{Account, SeriesHash};
use crate::cursor::{
    Columns, Extent, Footprint, HiddenRanges, Replaced, SeriesCursor, Summary, Unread,
};
use crate::error::{Error, Result};
use crate::segment::{ChunkReader, ChunkWalk, Segment};
use crate::sys::sync::{Mutex, MutexGuard};
use crate::types::{DecodeError, Labels, LostChunk, TimeRange, Timestamp};

/// What the inputs of a merge and its job count together.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) account: Account,
    /// The same of lost rows whose times are known; their values count as 0.
    pub(super) lost: Account,
    pub(super) damage: DamageList,
    /// The present series.
    pub(super) series: SeriesHash,
    labels: Option<Labels>,
    /// What deletes hide of the present series in each input, sorted and apart.
    hidden: Vec<Vec<TimeRange>>,
    /// Earlier rows are expired.
    expired_before: Timestamp,
    /// What is done with losses.
    losses: Losses,
}

/// What a merge does with what is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Losses {
    /// The outputs carry it on.
    Carry,
    /// The outputs carry it on as accepted.
    Accept,
    /// It ends the merge; masks are left out, once they have hidden what is older in the inputs.
    Refuse,
}

/// Shared by a job and its cursors. One thread works on a merge at a time: it never waits.
#[derive(Debug, Clone)]
pub(super) struct SharedLedger(Arc<Mutex<Ledger>>);

impl SharedLedger {
    pub(super) fn new(inputs: usize, expired_before: Timestamp, losses: Losses) -> Self {
        Self(Arc::new(Mutex::new(Ledger {
            account: Account::default(),
            lost: Account::default(),
            damage: DamageList::default(),
            series: SeriesHash::default(),
            labels: None,
            hidden: vec![Vec::new(); inputs],
            expired_before,
            losses,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replaced for SharedLedger {
    fn rows(&mut self, timestamps: &[Timestamp], values: &[f64]) {
        let ledger = &mut *self.lock();
        ledger.account.superseded.add(ledger.series, timestamps, values);
    }

    fn lost(&mut self, timestamps: &[Timestamp]) {
        let ledger = &mut *self.lock();
        ledger.lost.superseded.add_lost(ledger.series, timestamps);
    }
}

impl Ledger {
    /// Starts a series. `hidden` adds what deletes hide of it in an input.
    pub(super) fn start(
        &mut self,
        labels: &Labels,
        mut hidden: impl FnMut(usize, &mut Vec<TimeRange>),
    ) {
        self.series = SeriesHash::of(labels);
        self.labels = Some(labels.clone());
        for (input, ranges) in self.hidden.iter_mut().enumerate() {
            ranges.clear();
            hidden(input, ranges);
            coalesce(ranges);
        }
    }

    /// Counts a chunk of `input` that is lost, and takes out of it what no longer counts; whether
    /// anything is left.
    fn take_lost(&mut self, input: usize, lost: &mut LostChunk) -> bool {
        lost.is_accepted |= self.losses == Losses::Accept;
        let hidden = &self.hidden[input];
        if lost.times.is_empty() {
            lost.first = lost.first.max(self.expired_before);
            let hides_all =
                |range: &TimeRange| range.start <= lost.first && lost.last <= range.last();
            return lost.first <= lost.last && !hidden.iter().any(hides_all);
        }
        let series = self.series;
        self.lost.read.add_lost(series, &lost.times);
        let Account { deleted, expired, .. } = &mut self.lost;
        lost.times.retain(|&t| {
            let is_expired = t < self.expired_before;
            let is_deleted = !is_expired && hidden.iter().any(|range| range.contains(t));
            if is_expired {
                expired.add_lost(series, &[t]);
            } else if is_deleted {
                deleted.add_lost(series, &[t]);
            }
            !is_expired && !is_deleted
        });
        lost.rows = lost.times.len() as u32;
        let ends = (lost.times.first(), lost.times.last());
        let (Some(&first), Some(&last)) = ends else { return false };
        (lost.first, lost.last) = (first, last);
        true
    }

    /// Counts the rows from `base` on, just decoded from `input`, and removes those that no longer
    /// count.
    fn take(&mut self, input: usize, base: usize, columns: &mut Columns) {
        let series = self.series;
        let (timestamps, values) = (&columns.timestamps[base..], &columns.values.f64()[base..]);
        self.account.read.add(series, timestamps, values);
        let expired = timestamps.partition_point(|&t| t < self.expired_before);
        if expired > 0 {
            self.account.expired.add(series, &timestamps[..expired], &values[..expired]);
            columns.remove_rows(base..base + expired);
        }
        for range in &self.hidden[input] {
            let timestamps = &columns.timestamps[base..];
            let start = timestamps.partition_point(|&t| t < range.start);
            let end = timestamps.partition_point(|&t| t <= range.last());
            if start < end {
                let hidden = base + start..base + end;
                let times = &columns.timestamps[hidden.clone()];
                self.account.deleted.add(series, times, &columns.values.f64()[hidden.clone()]);
                columns.remove_rows(hidden);
            }
        }
    }
}

/// Sorts ranges, drops empty ones and joins those that touch.
fn coalesce(ranges: &mut Vec<TimeRange>) {
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, kept| {
        let touches = next.start <= kept.end;
        if touches {
            kept.end = kept.end.max(next.end);
        }
        touches
    });
}

/// Reads the series of one input, each once and in order.
pub(super) struct InputCursor {
    input: usize,
    segment: Arc<Segment>,
    walk: ChunkWalk,
    reader: ChunkReader,
    ledger: SharedLedger,
    /// The open series.
    key: u32,
    /// The time of the last row of the open series.
    last: Option<Timestamp>,
}

impl InputCursor {
    /// A cursor that keeps at most about `column_rows_kept` decoded timestamps.
    pub(super) fn new(
        input: usize,
        segment: &Arc<Segment>,
        column_rows_kept: usize,
        ledger: SharedLedger,
    ) -> Self {
        Self {
            input,
            segment: Arc::clone(segment),
            walk: ChunkWalk::new(Arc::clone(segment)),
            reader: ChunkReader::keeping(Arc::clone(segment), column_rows_kept),
            ledger,
            key: 0,
            last: None,
        }
    }

    fn misplaced(&self, what: &'static str) -> Error {
        self.segment.damaged("chunk index", 0, DecodeError::Invalid(what))
    }
}

impl SeriesCursor for InputCursor {
    fn open(&mut self, key: u32) -> Result<Option<Extent>> {
        self.key = key;
        self.last = None;
        let meta = *self.segment.meta();
        let first = match self.walk.peek()? {
            Some(chunk) if chunk.ordinal() == key => chunk.first_timestamp(),
            _ => return Err(self.misplaced("series of a chunk")),
        };
        // Where the series ends is seen if another one begins in the same group.
        let ahead = self.walk.ahead();
        let own = ahead.partition_point(|chunk| chunk.ordinal() == key);
        let last = match own < ahead.len() {
            true => ahead[own - 1].last_timestamp(),
            false => meta.max_timestamp,
        };
        Ok(Some(Extent { first, last: last.max(first), rows: meta.samples, has_lost: false }))
    }

    /// Merges count what is hidden: every row is read.
    fn skip_hidden(&mut self, _hidden: &HiddenRanges) {}

    fn footprint(&mut self, hidden: &HiddenRanges) -> Result<Footprint> {
        let mut found = Footprint::default();
        while let Some(chunk) = self.walk.peek()?.filter(|chunk| chunk.ordinal() == self.key) {
            if !hidden.hides_all(chunk.first_timestamp(), chunk.last_timestamp()) {
                found.rows += u64::from(chunk.rows());
                found.bytes += u64::from(chunk.value_bytes());
            }
            self.walk.advance();
        }
        Ok(found)
    }

    fn append(&mut self, columns: &mut Columns) -> Result<usize, Unread> {
        let base = columns.len();
        loop {
            let Some(chunk) = self.walk.peek()?.filter(|chunk| chunk.ordinal() == self.key) else {
                return Ok(0);
            };
            let (first, last) = (chunk.first_timestamp(), chunk.last_timestamp());
            if self.last.is_some_and(|before| first <= before) {
                return Err(self.misplaced("order of chunks").into());
            }
            self.last = Some(last);
            let Columns { timestamps, values } = columns;
            let lost = self.reader.append_or_lose(chunk, timestamps, values.f64_mut())?;
            self.walk.advance();
            let ledger = &mut *self.ledger.lock();
            let Some(mut lost) = lost else {
                ledger.take(self.input, base, columns);
                if columns.len() > base {
                    return Ok(columns.len() - base);
                }
                continue;
            };
            if let Some(error) = changed_file(&lost) {
                return Err(error.into());
            }
            let labels = ledger.labels.clone().expect("a series was started");
            if ledger.losses == Losses::Refuse && !lost.is_accepted {
                return Err(Error::Lost(Box::new(lost.samples(Some(labels)))).into());
            }
            if lost.place.source.is_some() {
                ledger.damage.note(&self.segment, &lost, &labels);
            }
            if ledger.take_lost(self.input, &mut lost) {
                return Err(Unread::Lost(lost));
            }
        }
    }

    /// A merge reads everything.
    fn summary(&self) -> Option<Summary> {
        None
    }

    fn skip(&mut self) {
        unreachable!("there is no summary")
    }
}

/// The error that stops a merge of a file that was truncated under it. What a merge carries on as lost is so for
/// good; such a file may be put back from a copy, and until then its segment is as one that was found
/// short when the store was opened: not merged, and every query that needs it says so.
fn changed_file(lost: &LostChunk) -> Option<Error> {
    let place = &lost.place;
    let source = place.source.filter(|_| place.is_whole_file())?;
    let (path, section, offset) = (place.path.clone(), place.section, place.offset);
    Some(Error::Corrupt { path, section, offset, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(times: std::ops::Range<i64>) -> Columns {
        let mut columns = Columns::default();
        for t in times {
            columns.timestamps.push(t);
            columns.values.f64_mut().push(t as f64);
        }
        columns
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let range = TimeRange::new;
        let mut ranges = vec![range(5, 7), range(1, 3), range(3, 4), range(6, 6), range(2, 3)];
        coalesce(&mut ranges);
        assert_eq!(ranges, [range(1, 4), range(5, 7)]);
        let mut ranges = vec![TimeRange::ALL, range(1, 3)];
        coalesce(&mut ranges);
        assert_eq!(ranges, [TimeRange::ALL]);
    }

    #[test]
    fn expired_and_hidden_rows_are_counted_apart_and_earlier_columns_stay() {
        let shared = SharedLedger::new(2, 4, Losses::Carry);
        let ledger = &mut *shared.lock();
        let labels = Labels::from_pairs([("__name__", "up")]).unwrap();
        ledger.start(&labels, |input, out| {
            if input == 1 {
                out.extend([TimeRange::new(8, 10), TimeRange::new(0, 6)]);
            }
        });
        let mut out = columns(0..3);
        out.append_rows(&columns(2..12), 0..10);
        ledger.take(1, 3, &mut out);
        assert_eq!(out.timestamps, [0, 1, 2, 6, 7, 10, 11]);
        assert_eq!(out.values.f64(), [0.0, 1.0, 2.0, 6.0, 7.0, 10.0, 11.0]);
        let account = ledger.account;
        assert_eq!([account.read, account.expired, account.deleted].map(|d| d.rows), [10, 2, 4]);
        ledger.account.written.add(ledger.series, &out.timestamps[3..], &out.values.f64()[3..]);
        ledger.account.check().unwrap();
        let mut out = columns(2..12);
        ledger.take(0, 0, &mut out);
        assert_eq!(out.len(), 8, "the other input is not hidden");
    }
}
