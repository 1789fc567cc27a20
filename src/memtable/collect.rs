//! Reading one series back: its chain, newest row first, becomes columns in time order.

use super::row::{Link, Row};
use super::{Memtable, PAGE_ROWS};
use crate::sys::sync::atomic::Ordering;

impl Memtable {
    /// Appends the samples of `slot` with `start <= t < end` (an `end` of `i64::MAX` includes that
    /// tick) among the first `visible_rows` rows, in time order, to `timestamps` and `values`. At
    /// equal timestamps only the latest row is kept; returns the number of rows so superseded.
    ///
    /// `visible_rows` is a length that [`Memtable::published`] has returned.
    pub fn collect(
        &self,
        slot: u32,
        visible_rows: u32,
        (start, end): (i64, i64),
        timestamps: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> u64 {
        assert_eq!(timestamps.len(), values.len(), "columns have equal lengths");
        let base = timestamps.len();
        let mut superseded = 0;
        let mut descending = true;
        self.walk(slot, visible_rows, |row| {
            let t = row.timestamp();
            if t < start || (t >= end && end != i64::MAX) {
                return;
            }
            // The walk goes from new to old: an equal neighbour was overwritten by the one before.
            match timestamps[base..].last() {
                Some(&newer) if newer == t => {
                    superseded += 1;
                    return;
                }
                Some(&newer) => descending &= t < newer,
                None => {}
            }
            timestamps.push(t);
            values.push(row.value());
        });
        timestamps[base..].reverse();
        values[base..].reverse();
        if descending {
            return superseded;
        }
        superseded + sort_columns(base, timestamps, values)
    }

    /// The slots that have at least one of the first `visible_rows` rows, ascending.
    #[must_use]
    pub fn slots(&self, visible_rows: u32) -> Vec<u32> {
        let mut slots = Vec::new();
        for (first, heads) in self.heads.pages() {
            for (slot, head) in (first..=u32::MAX).zip(heads) {
                let mut link = Link(head.load(Ordering::Acquire));
                while let Some(row) = link.row().filter(|&row| row >= visible_rows) {
                    link = self.row(row).previous();
                }
                if link.row().is_some() {
                    slots.push(slot);
                }
            }
        }
        slots
    }

    /// Visits the first `visible_rows` rows of `slot` from the newest to the oldest.
    #[inline]
    fn walk(&self, slot: u32, visible_rows: u32, mut visit: impl FnMut(&Row)) {
        let mut link = self.head(slot);
        while let Some(number) = link.row() {
            let row = self.row(number);
            debug_assert_eq!(row.slot(), slot, "a chain stays in its slot");
            if number < visible_rows {
                visit(row);
            }
            link = row.previous();
            debug_assert!(link.row().is_none_or(|older| older < number), "chains lead back");
        }
    }

    #[inline]
    fn row(&self, number: u32) -> &Row {
        match self.rows.page(number) {
            Some(page) => &page[number as usize % PAGE_ROWS],
            None => unreachable!("a linked row is in an allocated page"),
        }
    }
}

/// Sorts the columns from `base` on by timestamp and keeps the last of equal ones; returns how many
/// were dropped.
fn sort_columns(base: usize, timestamps: &mut Vec<i64>, values: &mut Vec<f64>) -> u64 {
    let mut samples: Vec<(i64, f64)> = timestamps.drain(base..).zip(values.drain(base..)).collect();
    // Stable, so that among equal timestamps the latest row stays last.
    samples.sort_by_key(|&(t, _)| t);
    let all = samples.len();
    for (i, &(t, value)) in samples.iter().enumerate() {
        if samples.get(i + 1).is_none_or(|&(next, _)| next != t) {
            timestamps.push(t);
            values.push(value);
        }
    }
    (all - (timestamps.len() - base)) as u64
}
