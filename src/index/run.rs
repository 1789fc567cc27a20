//! A run: neighbouring series in memory, as numbers of their keys.
//!
//! Called by `builder`, which either writes the index from one run or spills many. A series is the
//! varint number of its labels, then for each a varint: 0 if the label is that of the series before
//! at the same position, else the number of its key, in the order of first sight, plus one.

use std::ops::Range;

use super::key_table::{KeyTable, reserve};
use super::keys::SEPARATOR;
use crate::types::varint::{get_u64, put_u64};

/// Neighbouring series. Their ordinals here count from 0.
#[derive(Debug)]
pub(super) struct Run {
    keys: KeyTable,
    /// The encoded series.
    series: Vec<u8>,
    count: u32,
    /// The encoding of the last label set, and where in it which key lies.
    last: Vec<u8>,
    last_keys: Vec<(Range<usize>, u32)>,
    /// The keys of the set being added; kept for its memory.
    next_keys: Vec<(Range<usize>, u32)>,
}

impl Run {
    pub(super) fn new() -> Self {
        Self {
            keys: KeyTable::new(),
            series: Vec::new(),
            count: 0,
            last: Vec::new(),
            last_keys: Vec::new(),
            next_keys: Vec::new(),
        }
    }

    /// The number of series.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn keys(&self) -> &KeyTable {
        &self.keys
    }

    /// The encoded series.
    pub(super) fn series(&self) -> &[u8] {
        &self.series
    }

    /// The bytes that it occupies.
    pub(super) fn held_bytes(&self) -> usize {
        self.keys.held_bytes() + self.series.capacity()
    }

    /// Appends a series, given as the canonical encoding of its labels.
    pub(super) fn push(&mut self, encoded: &[u8]) {
        self.next_keys.clear();
        let mut start = 0;
        for (i, end) in key_ends(encoded).enumerate() {
            let key = &encoded[start..end];
            let number = match self.last_keys.get(i) {
                Some((range, number)) if self.last[range.clone()] == *key => *number,
                _ => self.keys.number(key),
            };
            self.keys.add(number);
            self.next_keys.push((start..end, number));
            start = end + 1;
        }
        reserve(&mut self.series, 5 * (self.next_keys.len() + 1));
        put_u64(&mut self.series, self.next_keys.len() as u64);
        for (i, (_, number)) in self.next_keys.iter().enumerate() {
            let same = self.last_keys.get(i).is_some_and(|(_, last)| last == number);
            put_u64(&mut self.series, if same { 0 } else { u64::from(*number) + 1 });
        }
        self.last.clear();
        self.last.extend_from_slice(encoded);
        std::mem::swap(&mut self.last_keys, &mut self.next_keys);
        self.count += 1;
    }

    /// Hands the key numbers of each series, in order, to `visit`.
    pub(super) fn for_each_series<E>(
        &self,
        mut visit: impl FnMut(&[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut input = &self.series[..];
        let mut numbers = Vec::new();
        for _ in 0..self.count {
            let varint = || get_u64(&mut input).map_err(|_| ());
            let valid = read_series(&mut numbers, self.keys.len(), varint);
            assert_eq!(valid, Ok(true), "a run decodes what it encoded");
            visit(&numbers)?;
        }
        Ok(())
    }

    /// Hands each key of `order` with the sorted series that carry it to `visit`. Where there are
    /// more than `ordinals_max` ordinals in all, it goes over the series again for each so many.
    pub(super) fn for_each_list<E>(
        &self,
        order: &[u32],
        ordinals_max: usize,
        mut visit: impl FnMut(&[u8], &[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rank = vec![0u32; order.len()];
        for (i, &number) in order.iter().enumerate() {
            rank[number as usize] = i as u32;
        }
        let (mut postings, mut ends): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
        let mut from = 0;
        while from < order.len() {
            let mut total = 0;
            ends.clear();
            for &number in &order[from..] {
                let count = self.keys.count(number) as usize;
                if total > 0 && total + count > ordinals_max {
                    break;
                }
                // Where its list starts; where it ends, once the list is filled.
                ends.push(total as u32);
                total += count;
            }
            postings.resize(total, 0);
            let mut ordinal = 0u32;
            self.for_each_series(|numbers| {
                for &number in numbers {
                    let place = (rank[number as usize] as usize).wrapping_sub(from);
                    if let Some(end) = ends.get_mut(place) {
                        postings[*end as usize] = ordinal;
                        *end += 1;
                    }
                }
                ordinal += 1;
                Ok(())
            })?;
            let mut start = 0;
            for (&number, &end) in order[from..].iter().zip(&ends) {
                visit(self.keys.key(number), &postings[start as usize..end as usize])?;
                start = end;
            }
            from += ends.len();
        }
        Ok(())
    }
}

/// Replaces `numbers`, the keys of one series, by those of the next, which are below `keys`. False if
/// what `varint` yields is no series.
pub(super) fn read_series<E>(
    numbers: &mut Vec<u32>,
    keys: usize,
    mut varint: impl FnMut() -> Result<u64, E>,
) -> Result<bool, E> {
    let len = varint()?;
    let mut at = 0;
    while (at as u64) < len {
        let code = varint()?;
        if code > keys as u64 || (code == 0 && at >= numbers.len()) {
            return Ok(false);
        }
        match numbers.get_mut(at) {
            Some(number) if code > 0 => *number = code as u32 - 1,
            Some(_) => {}
            None => numbers.push(code as u32 - 1),
        }
        at += 1;
    }
    numbers.truncate(at);
    Ok(true)
}

/// Where each key `name FF value` of an encoded label set ends: at every second separator.
fn key_ends(encoded: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let separators = encoded.iter().enumerate().filter(|(_, byte)| **byte == SEPARATOR);
    separators.map(|(at, _)| at).skip(1).step_by(2)
}
