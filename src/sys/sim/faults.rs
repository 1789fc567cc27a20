//! What is wrong with a simulated disk, besides power cuts.
//!
//! Filled through the methods of [`SimFs`](super::SimFs); consulted once per operation.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::sys::{SimClock, SyncPoint};

/// What becomes of a page write that the disk answers with success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageFault {
    /// Nothing is written.
    Lost,
    /// It is written over another page, within the length of the file that has that one, and its own
    /// place keeps what it had.
    Misdirected {
        /// Chooses the page: an even seed one of the same file if there is one, an odd seed one of
        /// another file of the directory.
        seed: u64,
    },
}

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
    /// Page writes, by number, that are not carried out where they belong.
    pub(super) pages: BTreeMap<u64, PageFault>,
    /// How long operations take, by the clock that shows it.
    pub(super) delay: Option<Delay>,
    /// The most bytes that one write takes; an append makes several.
    pub(super) write_bytes_max: Option<usize>,
}

/// Operations that take time.
#[derive(Debug, Clone)]
pub(super) struct Delay {
    pub(super) clock: Arc<SimClock>,
    pub(super) time: Duration,
    /// Only the operation of this number; without one, every sync.
    pub(super) op: Option<u64>,
}

impl Delay {
    fn is_of(&self, number: u64, sync: Option<SyncPoint>) -> bool {
        self.op.map_or(sync.is_some(), |op| op == number)
    }
}

impl Faults {
    /// Lets the time pass that operation `number` takes. Called once for every operation.
    pub(super) fn delay(&self, number: u64, sync: Option<SyncPoint>) {
        if let Some(delay) = self.delay.as_ref().filter(|delay| delay.is_of(number, sync)) {
            delay.clock.advance(delay.time);
        }
    }

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
