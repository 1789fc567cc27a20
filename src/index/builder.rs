//! Builds the index of one segment from its label sets in label order, in bounded memory.
//!
//! Series are gathered in a *run*. If one run is enough, the index is written from it. Otherwise runs
//! are spilled, each as its sorted keys with their postings and as its series by run-local key
//! numbers, and merged: first the keys, which yields postings, keys and, for each run, what its key
//! numbers become; then the series, run by run. The bytes of the index are the same either way.

use super::merge::{KeyRun, KeyRunWriter, Width, merge};
use super::output::{BuiltIndex, Output};
use super::rank_map::RankMaps;
use super::run::{Run, read_series};
use super::spill::{BLOCK_BYTES, BLOCKS_AT_ONCE, Log, Spill, Stream, StreamIn, StreamOut};
use crate::types::varint::put_u64;
use crate::types::{DecodeError, Labels};

/// Most bytes of a budget that are used: what lies in a run is addressed by 32 bits.
const BUDGET_BYTES_MAX: usize = 1 << 30;

/// Collects label sets.
///
/// It holds about its budget: half of it the series of a run (some 16 bytes a series and 50 a
/// distinct key, for labels of 25 bytes), the rest what sorts and merges runs. On top come the top
/// level of the index, a few hundred bytes for each run, and what the allocator keeps: `RssAnon`
/// grows by 9 to 11 MiB with a budget of 8 MiB (`benches/README.md`).
#[derive(Debug)]
pub struct IndexBuilder<S> {
    budget: usize,
    run: Run,
    /// The encoding of the last label set.
    last: Vec<u8>,
    /// Series in the runs before.
    spilled: u32,
    /// Length of the longest label set: no key is longer.
    longest: usize,
    runs: Vec<SeriesRun>,
    key_runs: Vec<KeyRun>,
    /// For each run the key numbers in key order, then the series.
    series: StreamOut,
    log: Log<S>,
    /// Whether spilling failed.
    failed: bool,
}

/// What is known of a spilled run of series.
#[derive(Debug, Clone, Copy)]
struct SeriesRun {
    series: u32,
    keys: u32,
}

impl<S: Spill> IndexBuilder<S> {
    /// An empty builder that holds about `budget` bytes and then begins to spill. At most 1 GiB is
    /// used; with less than some 256 KiB the buffers of the merge exceed it.
    #[must_use]
    pub fn new(budget: usize, spill: S) -> Self {
        Self {
            budget: budget.min(BUDGET_BYTES_MAX),
            run: Run::new(),
            last: Vec::new(),
            spilled: 0,
            longest: 0,
            runs: Vec::new(),
            key_runs: Vec::new(),
            series: StreamOut::new(BLOCKS_AT_ONCE),
            log: Log::new(spill),
            failed: false,
        }
    }

    /// Changes the budget, for the series still to come.
    pub fn set_budget(&mut self, budget: usize) {
        self.budget = budget.min(BUDGET_BYTES_MAX);
    }

    /// Adds a series and returns its ordinal: 0, 1, and so on.
    ///
    /// # Errors
    /// Spilling failed. The builder is of no use any more.
    ///
    /// # Panics
    /// If `labels` is not greater, in label order, than the set before; at the 2^32nd series; or
    /// after an error.
    pub fn push(&mut self, labels: &Labels) -> Result<u32, S::Error> {
        let encoded = labels.encoded();
        assert!(self.last.as_slice() < encoded, "label sets are pushed in label order");
        assert!(!self.failed, "a builder that could not spill is dropped");
        let ordinal = self.spilled.checked_add(self.run.count()).filter(|&count| count < u32::MAX);
        let ordinal = ordinal.expect("an index holds fewer than 2^32 series");
        if self.run.count() > 0 && self.run_is_full() {
            self.failed = true;
            self.spill_run()?;
            self.failed = false;
        }
        self.run.push(encoded);
        self.longest = self.longest.max(encoded.len());
        self.last.clear();
        self.last.extend_from_slice(encoded);
        Ok(ordinal)
    }

    fn run_is_full(&self) -> bool {
        // A list of all series of the run must fit what lists are made in.
        self.run.held_bytes() >= self.budget / 2 || self.run.count() as usize >= self.ordinals_max()
    }

    /// Ordinals of postings that are held at once: a quarter of the budget.
    fn ordinals_max(&self) -> usize {
        self.budget / 16
    }

    /// Encodes the index of the series pushed.
    ///
    /// # Errors
    /// Spilling failed, or what was spilled cannot be read or is damaged.
    ///
    /// # Panics
    /// After an error of [`push`](Self::push).
    pub fn finish(mut self) -> Result<BuiltIndex<S>, S::Error> {
        assert!(!self.failed, "a builder that could not spill is dropped");
        if self.runs.is_empty() {
            return self.finish_in_memory();
        }
        self.spill_run()?;
        // A run being merged has a window, the buffer of a map, and a few keys.
        let each = 3 * BLOCK_BYTES + 2 * self.longest;
        let fan_in = (self.budget / 4 * 3 / each).clamp(2, 1024);
        let at_once = fan_in.min(self.key_runs.len());
        let blocks = (self.budget / 4 / at_once / BLOCK_BYTES).clamp(1, BLOCKS_AT_ONCE);
        let mut output = Output::new(false);
        let mut log = self.log;
        drop(self.run);
        let maps = merge(&mut log, self.key_runs, Width { fan_in, blocks }, &mut output)?;
        write_series(&mut log, &self.runs, &self.series.hold(), &maps, &mut output)?;
        output.finish(log)
    }

    fn finish_in_memory(mut self) -> Result<BuiltIndex<S>, S::Error> {
        let mut output = Output::new(true);
        let order = self.run.keys().sorted();
        let ordinals_max = self.ordinals_max();
        let mut ranks = Vec::with_capacity(order.len());
        self.run.for_each_list(&order, ordinals_max, |key, ordinals| {
            let place = output.list(&mut self.log, ordinals)?;
            ranks.push(output.key(&mut self.log, key, place)?);
            Ok(())
        })?;
        let mut table = vec![(0, 0); order.len()];
        for (number, rank) in order.into_iter().zip(ranks) {
            table[number as usize] = rank;
        }
        self.run.for_each_series(|numbers| {
            let labels = numbers.iter().map(|&number| table[number as usize]);
            output.series(&mut self.log, labels)
        })?;
        drop((self.run, table));
        output.finish(self.log)
    }

    /// Writes the run to the log and starts an empty one.
    fn spill_run(&mut self) -> Result<(), S::Error> {
        let run = std::mem::replace(&mut self.run, Run::new());
        let order = run.keys().sorted();
        let mut keys = KeyRunWriter::new();
        run.for_each_list(&order, self.ordinals_max(), |key, ordinals| {
            keys.push(&mut self.log, key, self.spilled, ordinals)
        })?;
        self.key_runs.push(keys.end(&mut self.log)?);
        let mut bytes = Vec::new();
        for some in order.chunks(BLOCK_BYTES) {
            bytes.clear();
            some.iter().for_each(|&number| put_u64(&mut bytes, number.into()));
            self.series.write(&mut self.log, &bytes)?;
        }
        for some in run.series().chunks(BLOCKS_AT_ONCE * BLOCK_BYTES) {
            self.series.write(&mut self.log, some)?;
        }
        self.runs.push(SeriesRun { series: run.count(), keys: run.keys().len() as u32 });
        self.spilled += run.count();
        Ok(())
    }
}

/// Writes the series of all runs, with what the merge made of their keys.
fn write_series<S: Spill>(
    log: &mut Log<S>,
    runs: &[SeriesRun],
    series: &Stream,
    maps: &RankMaps,
    output: &mut Output,
) -> Result<(), S::Error> {
    let mut input = StreamIn::new(series, BLOCKS_AT_ONCE);
    let (mut order, mut table, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for (i, run) in runs.iter().enumerate() {
        let invalid = DecodeError::Invalid("spilled series");
        order.clear();
        for _ in 0..run.keys {
            order.push(input.varint_u32(log)?);
        }
        table.clear();
        table.resize(order.len(), (0, 0));
        let mut numbers_in_order = order.iter();
        let mut valid = true;
        maps.for_each(log, i, |rank| {
            let number = numbers_in_order.next().map_or(usize::MAX, |&number| number as usize);
            match table.get_mut(number) {
                Some(place) => *place = rank,
                None => valid = false,
            }
        })?;
        numbers.clear();
        for _ in 0..run.series {
            valid &= read_series(&mut numbers, table.len(), || input.varint(log))?;
            if !valid {
                return Err(log.invalid(invalid));
            }
            output.series(log, numbers.iter().map(|&number| table[number as usize]))?;
        }
    }
    Ok(())
}
