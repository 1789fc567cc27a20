//! What readers see at one moment: memtables, segments and deletes, immutable as one value.
//!
//! Built by [`View::change`](super::View::change) and read by everybody.

use std::sync::Arc;

use super::changes::Change;
use super::generation::Generation;
use crate::db::env::segment_files::BrokenSegment;
use crate::deletes::Tombstones;
use crate::manifest::Version;
use crate::segment::Segment;
use crate::types::Tombstone;

/// What readers see; reached through one pointer.
#[derive(Debug, Clone)]
pub(in crate::db) struct ReadView {
    pub(in crate::db) active: Arc<Generation>,
    /// Oldest first.
    pub(in crate::db) sealed: Vec<Arc<Generation>>,
    /// Those that no flush has made part of `version` yet, by seq.
    pub(in crate::db) deletes: Vec<PendingDelete>,
    pub(in crate::db) version: Arc<Version>,
    /// Those of `version` that could be opened, by [`sort_segments`](Self::sort_segments).
    pub(in crate::db) segments: Vec<Arc<Segment>>,
    /// Those that could not: what overlaps them in time answers with their error.
    pub(in crate::db) broken: Vec<Arc<BrokenSegment>>,
}

/// A delete that lies in the log of a generation, before that generation's rows.
#[derive(Debug, Clone)]
pub(in crate::db) struct PendingDelete {
    pub(in crate::db) generation: u32,
    pub(in crate::db) tombstone: Arc<Tombstone>,
}

impl ReadView {
    /// Every generation, the oldest first.
    pub(in crate::db) fn generations(&self) -> impl Iterator<Item = &Arc<Generation>> {
        self.sealed.iter().chain([&self.active])
    }

    /// Every delete that may hide something.
    pub(in crate::db) fn tombstones(&self) -> Tombstones {
        let pending = self.deletes.iter().map(|delete| &delete.tombstone);
        Tombstones::new(self.version.tombstones().chain(pending).cloned())
    }

    /// The deletes of a generation that is not flushed.
    pub(in crate::db) fn deletes_of(&self, generation: &Generation) -> Vec<Arc<Tombstone>> {
        let number = generation.number();
        let own = self.deletes.iter().filter(|delete| delete.generation == number);
        own.map(|delete| Arc::clone(&delete.tombstone)).collect()
    }

    /// Whether the log of the active generation holds anything that a flush must make durable.
    pub(in crate::db) fn has_unflushed(&self) -> bool {
        self.active.memtable.published() > 0 || !self.deletes_of(&self.active).is_empty()
    }

    /// A change of anything that these segments may hold.
    pub(in crate::db) fn extent_of(&self, file_numbers: &[u64]) -> Change {
        let segments = self.version.segments().iter();
        let own = segments.filter(|meta| file_numbers.contains(&meta.file_number));
        Change::hull(own.map(|meta| (meta.min_timestamp, meta.max_timestamp)))
    }

    /// The order in which later segments replace values of earlier ones.
    pub(in crate::db) fn sort_segments(&mut self) {
        self.segments.sort_by_key(|s| (s.meta().max_seq, s.meta().file_number));
    }
}
