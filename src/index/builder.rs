//! Builds the index of one segment from its label sets in label order.

use std::collections::HashMap;

use super::IndexParts;
use super::keys::{KeyWriter, SEPARATOR};
use super::postings::StreamWriter;
use super::series::SeriesWriter;
use super::top;
use crate::types::Labels;

/// Collects label sets. Memory until it is finished: 4 bytes per label of each series and the
/// distinct keys once; while it finishes, another 4 bytes per label.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    /// Number of each key, in order of first sight.
    numbers: HashMap<Box<[u8]>, u32>,
    /// Key numbers of all series, flat.
    labels: Vec<u32>,
    /// Where in `labels` each series ends.
    ends: Vec<u64>,
    /// The encoding of the last label set.
    last: Vec<u8>,
    last_keys: Vec<(std::ops::Range<usize>, u32)>,
}

impl IndexBuilder {
    /// An empty builder.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series and returns its ordinal: 0, 1, and so on.
    ///
    /// # Panics
    /// If `labels` is not greater, in label order, than the set before; or at the 2^32nd series.
    pub fn push(&mut self, labels: &Labels) -> u32 {
        let encoded = labels.encoded();
        assert!(self.last.as_slice() < encoded, "label sets are pushed in label order");
        let ordinal =
            u32::try_from(self.ends.len()).expect("an index holds fewer than 2^32 series");
        assert!(ordinal < u32::MAX, "an index holds fewer than 2^32 series");
        let mut keys = Vec::with_capacity(self.last_keys.len());
        let mut start = 0;
        for (i, end) in key_ends(encoded).enumerate() {
            let key = &encoded[start..end];
            let number = match self.last_keys.get(i) {
                Some((range, number)) if self.last[range.clone()] == *key => *number,
                _ => self.number(key),
            };
            self.labels.push(number);
            keys.push((start..end, number));
            start = end + 1;
        }
        self.ends.push(self.labels.len() as u64);
        self.last.clear();
        self.last.extend_from_slice(encoded);
        self.last_keys = keys;
        ordinal
    }

    fn number(&mut self, key: &[u8]) -> u32 {
        if let Some(&number) = self.numbers.get(key) {
            return number;
        }
        let number =
            u32::try_from(self.numbers.len()).expect("an index holds fewer than 2^32 keys");
        self.numbers.insert(key.into(), number);
        number
    }

    /// Encodes the index of the series pushed.
    #[must_use]
    pub fn finish(self) -> IndexParts {
        let Self { numbers, mut labels, ends, .. } = self;
        let mut keys: Vec<(Box<[u8]>, u32)> = numbers.into_iter().collect();
        keys.sort_unstable();
        let mut rank = vec![0u32; keys.len()];
        for (ordinal, (_, number)) in keys.iter().enumerate() {
            rank[*number as usize] = ordinal as u32;
        }
        labels.iter_mut().for_each(|label| *label = rank[*label as usize]);
        drop(rank);

        let mut stream = StreamWriter::default();
        let mut key_writer = KeyWriter::default();
        let (postings, starts) = invert(&labels, &ends, keys.len());
        for (ordinal, (key, _)) in keys.iter().enumerate() {
            let list = &postings[starts[ordinal] as usize..starts[ordinal + 1] as usize];
            key_writer.push(key, stream.push(list));
        }
        drop((postings, starts));

        let names = name_numbers(&keys);
        drop(keys);
        let mut series_writer = SeriesWriter::default();
        let mut start = 0;
        for &end in &ends {
            let series = &labels[start..end as usize];
            start = end as usize;
            series_writer.push(series.iter().copied(), |key| names[key as usize]);
        }
        let (series_blocks, series_entries) = series_writer.finish(|key| names[key as usize]);
        let (mut blocks, stream_bytes) = stream.finish();
        let (key_blocks, key_entries) = key_writer.finish();
        blocks.extend_from_slice(&key_blocks);
        blocks.extend_from_slice(&series_blocks);
        IndexParts { blocks, top: top::encode(stream_bytes, &key_entries, &series_entries) }
    }
}

/// Where each key `name FF value` of an encoded label set ends: at every second separator.
fn key_ends(encoded: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let separators = encoded.iter().enumerate().filter(|(_, byte)| **byte == SEPARATOR);
    separators.map(|(at, _)| at).skip(1).step_by(2)
}

/// The series of each key, sorted and back to back, and where each key's start.
fn invert(labels: &[u32], ends: &[u64], keys: usize) -> (Vec<u32>, Vec<u64>) {
    let mut starts = vec![0u64; keys + 1];
    for &key in labels {
        starts[key as usize + 1] += 1;
    }
    for key in 0..keys {
        starts[key + 1] += starts[key];
    }
    let mut postings = vec![0; labels.len()];
    let mut next = starts.clone();
    let mut start = 0;
    for (ordinal, &end) in ends.iter().enumerate() {
        for &key in &labels[start..end as usize] {
            let at = &mut next[key as usize];
            postings[*at as usize] = ordinal as u32;
            *at += 1;
        }
        start = end as usize;
    }
    (postings, starts)
}

/// For each sorted key a number that it shares with the keys of the same name.
fn name_numbers(keys: &[(Box<[u8]>, u32)]) -> Vec<u32> {
    let name = |key: &'_ [u8]| key.iter().position(|&b| b == SEPARATOR);
    let mut numbers = Vec::with_capacity(keys.len());
    let mut number = 0;
    for (i, (key, _)) in keys.iter().enumerate() {
        let same = i > 0 && keys[i - 1].0[..].starts_with(&key[..=name(key).unwrap_or(0)]);
        number += u32::from(!same);
        numbers.push(number);
    }
    numbers
}
