//! Rank maps: from the keys of a run to those of the run, or index, that it was merged into.
//!
//! Called by `merge`. The keys of a run and of what it was merged into are sorted alike, so a map
//! rises: it is a stream of, for each key of the run in order, varint ordinals skipped since the key
//! before, times two, plus one if the label name differs from that of the key before; then, if so,
//! the varint difference of the names' numbers.

use super::spill::{Log, Spill, Stream, StreamIn, StreamOut};
use crate::types::DecodeError;
use crate::types::varint::put_u64;

/// A map that was written.
#[derive(Debug)]
pub(super) struct RankMap {
    stream: Stream,
    /// The number of keys of the run.
    keys: u32,
}

/// Writes a map.
#[derive(Debug)]
pub(super) struct MapWriter {
    out: StreamOut,
    keys: u32,
    /// The lowest ordinal that may come next.
    next: u32,
    name: u32,
    entry: Vec<u8>,
}

impl MapWriter {
    pub(super) fn new() -> Self {
        Self { out: StreamOut::new(1), keys: 0, next: 0, name: 0, entry: Vec::new() }
    }

    /// The next key of the run becomes `ordinal`; its name has the number `name`.
    pub(super) fn push<S: Spill>(
        &mut self,
        log: &mut Log<S>,
        ordinal: u32,
        name: u32,
    ) -> Result<(), S::Error> {
        let (skipped, step) = (ordinal - self.next, name - self.name);
        self.entry.clear();
        put_u64(&mut self.entry, u64::from(skipped) << 1 | u64::from(step > 0));
        if step > 0 {
            put_u64(&mut self.entry, step.into());
        }
        (self.next, self.name) = (ordinal + 1, name);
        self.keys += 1;
        self.out.write(log, &self.entry)
    }

    pub(super) fn end<S: Spill>(self, log: &mut Log<S>) -> Result<RankMap, S::Error> {
        Ok(RankMap { stream: self.out.end(log)?, keys: self.keys })
    }
}

/// Reads a map.
#[derive(Debug)]
struct MapReader<'a> {
    input: StreamIn<'a>,
    next: u32,
    name: u32,
}

impl<'a> MapReader<'a> {
    fn new(map: &'a RankMap, blocks: usize) -> Self {
        Self { input: StreamIn::new(&map.stream, blocks), next: 0, name: 0 }
    }

    /// What the next key becomes, and the number of its name.
    fn next<S: Spill>(&mut self, log: &Log<S>) -> Result<(u32, u32), S::Error> {
        let bad = || log.invalid(DecodeError::Invalid("rank map"));
        let code = self.input.varint(log)?;
        let skipped = u32::try_from(code >> 1).map_err(|_| bad())?;
        if code & 1 == 1 {
            let step = self.input.varint_u32(log)?;
            self.name = self.name.checked_add(step).ok_or_else(bad)?;
        }
        let ordinal = self.next.checked_add(skipped).ok_or_else(bad)?;
        self.next = ordinal.checked_add(1).ok_or_else(bad)?;
        Ok((ordinal, self.name))
    }
}

/// The maps of all merges. Runs were merged by `fan_in` neighbours into runs of the next level, and
/// those of the last level into the index.
#[derive(Debug)]
pub(super) struct RankMaps {
    fan_in: usize,
    levels: Vec<Vec<RankMap>>,
}

impl RankMaps {
    /// Makes the maps of the levels above the first lead to the index.
    pub(super) fn new<S: Spill>(
        log: &mut Log<S>,
        fan_in: usize,
        mut levels: Vec<Vec<RankMap>>,
    ) -> Result<Self, S::Error> {
        for level in (1..levels.len().saturating_sub(1)).rev() {
            let (below, above) = levels.split_at_mut(level + 1);
            for (i, map) in below[level].iter_mut().enumerate() {
                let outer = &above[0][i / fan_in];
                let mut composed = MapWriter::new();
                compose(log, map, outer, |log, (ordinal, name)| composed.push(log, ordinal, name))?;
                *map = composed.end(log)?;
            }
        }
        Ok(Self { fan_in, levels })
    }

    /// Hands, for each key of run `i` in order, its ordinal in the index and the number of its name
    /// to `visit`.
    pub(super) fn for_each<S: Spill>(
        &self,
        log: &mut Log<S>,
        i: usize,
        mut visit: impl FnMut((u32, u32)),
    ) -> Result<(), S::Error> {
        let map = &self.levels[0][i];
        match self.levels.get(1) {
            Some(above) => compose(log, map, &above[i / self.fan_in], |_, entry| {
                visit(entry);
                Ok(())
            }),
            None => {
                let mut input = MapReader::new(map, super::spill::BLOCKS_AT_ONCE);
                for _ in 0..map.keys {
                    visit(input.next(log)?);
                }
                Ok(())
            }
        }
    }
}

/// Hands, for each key of `inner`, what `outer` makes of it to `visit`.
fn compose<S: Spill>(
    log: &mut Log<S>,
    inner: &RankMap,
    outer: &RankMap,
    mut visit: impl FnMut(&mut Log<S>, (u32, u32)) -> Result<(), S::Error>,
) -> Result<(), S::Error> {
    let mut input = MapReader::new(inner, 1);
    let mut outer_input = MapReader::new(outer, super::spill::BLOCKS_AT_ONCE);
    let (mut read, mut entry) = (0, (0, 0));
    for _ in 0..inner.keys {
        let (ordinal, _) = input.next(log)?;
        if ordinal >= outer.keys {
            return Err(log.invalid(DecodeError::Invalid("rank map")));
        }
        while read <= ordinal {
            entry = outer_input.next(log)?;
            read += 1;
        }
        visit(log, entry)?;
    }
    Ok(())
}
