//! The resident part of an index and the questions it answers.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use super::BlockSource;
use super::cursor::KeyCursor;
use super::keys::{SEPARATOR, split_key};
use super::ordinal_set::OrdinalSet;
use super::select;
use super::series::SeriesBlock;
use super::top::{self, Top};
use crate::types::{DecodeError, Labels, Matcher};

/// Most series whose labels are assembled at once.
const BATCH_SERIES: usize = 256;
/// Most bytes of their distinct keys, unless one series has more.
const BATCH_BYTES: usize = 4 << 20;
/// Longest label set believed, in bytes: far above any limit that a store can be given.
const SET_BYTES_MAX: usize = 64 << 20;

/// The index of one segment: its top level in memory, its blocks elsewhere.
#[derive(Debug)]
pub struct Index {
    top: Top,
}

impl Index {
    /// Decodes the `top` part.
    ///
    /// # Errors
    /// The bytes are damaged, or of a newer version.
    pub fn from_top(top: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self { top: top::decode(top)? })
    }

    /// The number of series; their ordinals are `0..series_count`.
    #[must_use]
    pub fn series_count(&self) -> u32 {
        self.top.series_count
    }

    /// The lengths in bytes of the key and series blocks.
    #[cfg(test)]
    pub(super) fn block_lens(&self) -> impl Iterator<Item = u32> + '_ {
        let keys = self.top.keys.iter().map(|block| block.place.len);
        keys.chain(self.top.series.iter().map(|block| block.place.len))
    }

    /// The sorted ordinals of the series that all `matchers` match; all series if there are none.
    ///
    /// # Errors
    /// A block could not be had or is damaged.
    pub fn select<S: BlockSource>(
        &self,
        source: &S,
        matchers: &[Matcher],
    ) -> Result<Vec<u32>, S::Error> {
        select::select(&self.top, source, matchers)
    }

    /// Hands the labels of each of `ordinals` to `visit`, in order, until it breaks.
    ///
    /// # Errors
    /// A block could not be had or is damaged.
    ///
    /// # Panics
    /// If `ordinals` is not strictly increasing or not below [`Index::series_count`].
    pub fn labels<S: BlockSource>(
        &self,
        source: &S,
        ordinals: &[u32],
        mut visit: impl FnMut(u32, Labels) -> ControlFlow<()>,
    ) -> Result<(), S::Error> {
        let mut cursor = KeyCursor::new(&self.top, source);
        let mut batch = LabelsBatch::default();
        self.for_each_block(source, ordinals, |block, first, mut ordinals| {
            while !ordinals.is_empty() {
                let here = batch.load(&mut cursor, block, first, ordinals)?;
                for (i, &ordinal) in ordinals[..here].iter().enumerate() {
                    if visit(ordinal, batch.labels(i)?).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                ordinals = &ordinals[here..];
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// The label names of the series `among`, or of all.
    ///
    /// # Errors
    /// A block could not be had or is damaged.
    ///
    /// # Panics
    /// If `among` is not strictly increasing or not below [`Index::series_count`].
    pub fn label_names<S: BlockSource>(
        &self,
        source: &S,
        among: Option<&[u32]>,
    ) -> Result<BTreeSet<String>, S::Error> {
        let names = self.names(source)?;
        let Some(among) = among else {
            return Ok(names.into_iter().map(|(name, _)| name).collect());
        };
        let mut seen = vec![false; names.len()];
        self.for_each_block(source, among, |block, first, ordinals| {
            let mut shapes = vec![false; block.shape_count()];
            for &ordinal in ordinals {
                let shape = block.shape((ordinal - first) as usize);
                if std::mem::replace(&mut shapes[shape], true) {
                    continue;
                }
                for column in block.columns(shape) {
                    let after = names.partition_point(|(_, first)| *first <= column.min());
                    let at = after.checked_sub(1).ok_or(DecodeError::Invalid("key ordinal"))?;
                    seen[at] = true;
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let seen = names.into_iter().zip(seen).filter(|(_, seen)| *seen);
        Ok(seen.map(|((name, _), _)| name).collect())
    }

    /// The first `limit` values, in order, that the label `name` has among the series `among`, or
    /// among all.
    ///
    /// # Errors
    /// A block could not be had or is damaged.
    ///
    /// # Panics
    /// If `among` is not strictly increasing or not below [`Index::series_count`].
    pub fn label_values<S: BlockSource>(
        &self,
        source: &S,
        name: &str,
        among: Option<&[u32]>,
        limit: usize,
    ) -> Result<Vec<String>, S::Error> {
        let mut cursor = KeyCursor::new(&self.top, source);
        let prefix = before_name(name);
        let mut values = Vec::new();
        let Some(among) = among else {
            let mut more = cursor.seek(&prefix)?;
            while more && values.len() < limit && cursor.key().starts_with(&prefix) {
                values.push(split_key(cursor.key())?.1.to_owned());
                more = cursor.next()?;
            }
            return Ok(values);
        };
        let keys = key_range(&mut cursor, name)?;
        if keys.len() > self.series_count() as usize {
            // Every key has a series, and a series has one value of a name.
            return Err(DecodeError::Invalid("number of keys").into());
        }
        let mut seen = OrdinalSet::new(keys.len() as u32);
        self.for_each_block(source, among, |block, first, ordinals| {
            for &ordinal in ordinals {
                let position = (ordinal - first) as usize;
                let columns = block.columns(block.shape(position));
                if let Some(column) = columns.iter().find(|column| keys.contains(&column.min())) {
                    let key = block.key(position, *column)?;
                    if !keys.contains(&key) {
                        return Err(DecodeError::Invalid("key ordinal").into());
                    }
                    seen.insert_run(key - keys.start, 1);
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for key in seen.iter().take(limit) {
            cursor.seek_ordinal(keys.start + key)?;
            values.push(split_key(cursor.key())?.1.to_owned());
        }
        Ok(values)
    }

    /// All names, each with the ordinal of its first key, in key order.
    fn names<S: BlockSource>(&self, source: &S) -> Result<Vec<(String, u32)>, S::Error> {
        let mut cursor = KeyCursor::new(&self.top, source);
        let mut names: Vec<(String, u32)> = Vec::new();
        let mut more = cursor.seek(&[])?;
        while more {
            let first = cursor.ordinal();
            if names.last().is_some_and(|(_, before)| *before >= first) {
                return Err(DecodeError::Invalid("order of keys").into());
            }
            let (name, _) = split_key(cursor.key())?;
            names.push((name.to_owned(), first));
            let (name, _) = &names[names.len() - 1];
            more = cursor.seek(&after_name(name))?;
        }
        Ok(names)
    }

    /// Opens each series block that holds some of `ordinals`, with the ordinal of its first series.
    fn for_each_block<S: BlockSource>(
        &self,
        source: &S,
        mut ordinals: &[u32],
        mut visit: impl FnMut(&SeriesBlock, u32, &[u32]) -> Result<ControlFlow<()>, S::Error>,
    ) -> Result<(), S::Error> {
        assert!(ordinals.is_sorted_by(|a, b| a < b), "ordinals are strictly increasing");
        assert!(ordinals.last().is_none_or(|&o| o < self.series_count()), "ordinals are in range");
        while let Some(&ordinal) = ordinals.first() {
            let after = self.top.series.partition_point(|block| block.first_ordinal <= ordinal);
            let entry = &self.top.series[after - 1];
            let end = entry.first_ordinal + entry.count;
            let (here, rest) = ordinals.split_at(ordinals.partition_point(|&o| o < end));
            let block = SeriesBlock::new(source.block(entry.place)?, entry.count)?;
            if visit(&block, entry.first_ordinal, here)?.is_break() {
                return Ok(());
            }
            ordinals = rest;
        }
        Ok(())
    }
}

/// What is greater than every key of a name and not above any key of a later one.
fn after_name(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[SEPARATOR, SEPARATOR]].concat()
}

/// What every key of a name starts with.
fn before_name(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[SEPARATOR]].concat()
}

/// The ordinals of the keys of a name.
fn key_range<S: BlockSource>(
    cursor: &mut KeyCursor<'_, S>,
    name: &str,
) -> Result<Range<u32>, S::Error> {
    cursor.seek(&before_name(name))?;
    let start = cursor.ordinal();
    cursor.seek(&after_name(name))?;
    let end = cursor.ordinal();
    if end < start { Err(DecodeError::Invalid("order of keys").into()) } else { Ok(start..end) }
}

/// The labels of a few neighbouring series: their keys, fetched once each in key order.
#[derive(Default)]
struct LabelsBatch {
    /// Key ordinals of all series, flat.
    keys: Vec<u32>,
    /// Where in `keys` each series ends.
    ends: Vec<usize>,
    /// The distinct key ordinals, sorted.
    distinct: Vec<u32>,
    /// The bytes of the distinct keys, each with its separator: checked labels.
    text: Vec<u8>,
    /// Where in `text` each distinct key lies.
    places: Vec<KeyPlace>,
    encoded: Vec<u8>,
}

/// Where a key lies: `name FF value FF`.
#[derive(Clone, Copy)]
struct KeyPlace {
    start: usize,
    name_end: usize,
    end: usize,
}

impl LabelsBatch {
    /// Loads the first of `ordinals`, at least one, and returns how many.
    fn load<S: BlockSource>(
        &mut self,
        cursor: &mut KeyCursor<'_, S>,
        block: &SeriesBlock,
        first: u32,
        ordinals: &[u32],
    ) -> Result<usize, S::Error> {
        let mut size = ordinals.len().min(BATCH_SERIES);
        loop {
            self.load_keys(block, first, &ordinals[..size])?;
            let bytes_max = if size == 1 { SET_BYTES_MAX } else { BATCH_BYTES };
            if self.load_text(cursor, bytes_max)? {
                return Ok(size);
            }
            if size == 1 {
                return Err(DecodeError::Invalid("length of label set").into());
            }
            size /= 2;
        }
    }

    fn load_keys(
        &mut self,
        block: &SeriesBlock,
        first: u32,
        ordinals: &[u32],
    ) -> Result<(), DecodeError> {
        self.keys.clear();
        self.ends.clear();
        for &ordinal in ordinals {
            let position = (ordinal - first) as usize;
            for column in block.columns(block.shape(position)) {
                self.keys.push(block.key(position, *column)?);
            }
            self.ends.push(self.keys.len());
        }
        self.distinct.clone_from(&self.keys);
        self.distinct.sort_unstable();
        self.distinct.dedup();
        Ok(())
    }

    /// Fetches the distinct keys; false if they are longer than `bytes_max`.
    fn load_text<S: BlockSource>(
        &mut self,
        cursor: &mut KeyCursor<'_, S>,
        bytes_max: usize,
    ) -> Result<bool, S::Error> {
        self.text.clear();
        self.places.clear();
        for &key in &self.distinct {
            cursor.seek_ordinal(key)?;
            let (name, value) = split_key(cursor.key())?;
            let start = self.text.len();
            for field in [name, value] {
                self.text.extend_from_slice(field.as_bytes());
                self.text.push(SEPARATOR);
            }
            let name_end = start + name.len();
            self.places.push(KeyPlace { start, name_end, end: self.text.len() });
            if self.text.len() > bytes_max {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn labels(&mut self, series: usize) -> Result<Labels, DecodeError> {
        let start = series.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.encoded.clear();
        let mut name_before: &[u8] = b"";
        for key in &self.keys[start..self.ends[series]] {
            let at = self.distinct.partition_point(|distinct| distinct < key);
            if self.encoded.len() > SET_BYTES_MAX {
                return Err(DecodeError::Invalid("length of label set"));
            }
            let KeyPlace { start, name_end, end } = self.places[at];
            let name = &self.text[start..name_end];
            if name <= name_before {
                return Err(DecodeError::Invalid("order of labels"));
            }
            name_before = name;
            self.encoded.extend_from_slice(&self.text[start..end]);
        }
        if self.encoded.is_empty() {
            return Err(DecodeError::Invalid("empty label set"));
        }
        Ok(Labels::of_checked_fields(&self.encoded))
    }
}
