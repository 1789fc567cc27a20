//! What is wrong with a simulated disk, besides power cuts.
//!
//! Filled through the methods of [`SimFs`](super::SimFs); consulted once per operation.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::sys::SyncPoint;

#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    /// Operations, by number, that fail.
    pub(super) ops: BTreeMap<u64, ErrorKind>,
    /// Reads, by number, that fail.
    pub(super) reads: BTreeMap<u64, ErrorKind>,
    /// Syncs that fail, by point and how many of that point go before.
    pub(super) syncs: BTreeMap<(SyncPoint, u64), ErrorKind>,
    /// How many syncs of each point there were.
    pub(super) syncs_seen: BTreeMap<SyncPoint, u64>,
    /// Bytes that cannot be read.
    pub(super) unreadable: Vec<(PathBuf, Range<u64>, ErrorKind)>,
    /// Syncs that do nothing and succeed.
    pub(super) ignored: BTreeSet<SyncPoint>,
    /// Whether every sync does nothing and succeeds.
    pub(super) lying: bool,
    /// The most bytes that one write takes; an append makes several.
    pub(super) write_bytes_max: Option<usize>,
}

impl Faults {
    /// Why operation `number` fails, if it does. Called once for every operation.
    pub(super) fn of_op(&mut self, number: u64, sync: Option<SyncPoint>) -> Option<ErrorKind> {
        let by_point = sync.and_then(|point| {
            let seen = self.syncs_seen.entry(point).or_default();
            let nth = *seen;
            *seen += 1;
            self.syncs.get(&(point, nth)).copied()
        });
        self.ops.get(&number).copied().or(by_point)
    }

    pub(super) fn ignores(&self, point: SyncPoint) -> bool {
        self.lying || self.ignored.contains(&point)
    }

    /// Why the bytes `range` of a file cannot be read, if they cannot.
    pub(super) fn of_range(&self, path: &Path, range: &Range<u64>) -> Option<ErrorKind> {
        let hit = self.unreadable.iter().find(|(bad_path, bad, _)| {
            bad_path == path && bad.start < range.end && range.start < bad.end
        });
        hit.map(|(_, _, kind)| *kind)
    }
}
