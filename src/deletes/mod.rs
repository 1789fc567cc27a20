#![doc = include_str!("FORMAT.md")]
//!
//! # The module
//!
//! Owns what a delete means once it has a seq: [`Tombstones`] of a moment, the [`Filter`] that says
//! what they hide, the `.tomb` file ([`write()`], [`read()`]) and when a tombstone is retired
//! ([`first_match`], [`needless`]). Called by `db` (commit, flush, replay, publish), `read` (hiding)
//! and `compaction` (erasing). Pure but for the file and for the indexes that `first_match` asks.
//!
//! # Invariants
//!
//! - A tombstone hides a layer (a segment, or the rows of one memtable) wholly or not at all: a
//!   delete seals the memtable, so that what is in one place was written before it or behind it.
//! - It hides by seq alone: what is written after it is visible, whatever its time.
//!
//! # From a delete to nothing
//!
//! - A delete is a frame of its own kind in the log, with a seq, acknowledged like a write. Under
//!   the commit lock it *seals* the active memtable if that has rows, so that a generation is first
//!   tombstones, then rows: every tombstone of a generation is older than its rows and newer than
//!   all rows of earlier generations. Deletes of one group share a seal.
//! - A tombstone *applies* to a segment or memtable wholly or not at all: to a segment if `max_seq
//!   < seq` and its `tombstone_seq < seq`; to a memtable if that belongs to an earlier generation.
//! - It enters the manifest, and a `.tomb` file, with the flush that retires its log file. It
//!   leaves both when it applies to no listed segment that overlaps its range and no memtable can
//!   become one.
//! - A segment in which nothing matches need not be rewritten: an edit raises its `tombstone_seq`
//!   in the manifest.
//! - Readers get the tombstones with the version, as one pointer: a snapshot sees a delete wholly
//!   or not at all.
//! - At replay a delete seals what was replayed before it, as it did when it was written. What
//!   cannot be flushed then (a full disk) stays in memory as several sealed generations, in order.
//! - A delete also replaces an active memtable without rows by a new one: an older snapshot that
//!   holds the old one must not see rows that are newer than a delete which it does not see.
//! - A tombstone that applies to no segment when its generation is flushed never enters the
//!   manifest. At most 10,000 wait for erasure, of 4 MiB together.
//! - Hidden ranges are taken out of each layer before layers are compared (`cursor/merge`); chunks
//!   that are hidden whole are not decoded. A query that no tombstone overlaps pays one look at an
//!   empty list.

mod file;
mod filter;
mod retire;

use std::sync::Arc;

pub use file::{decode, owner, read, write};
pub use filter::Filter;
pub use retire::{first_match, is_due, needed, needless};

use crate::types::Tombstone;

/// The deletes that a moment of the store knows, by seq.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tombstones {
    by_seq: Vec<Arc<Tombstone>>,
}

impl Tombstones {
    /// Puts them in order.
    #[must_use]
    pub fn new(tombstones: impl IntoIterator<Item = Arc<Tombstone>>) -> Self {
        let mut by_seq: Vec<_> = tombstones.into_iter().collect();
        by_seq.sort_by_key(|tombstone| tombstone.seq);
        Self { by_seq }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_seq.len()
    }

    /// Whether nothing is deleted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_seq.is_empty()
    }

    /// Each of them, by seq.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Tombstone>> {
        self.by_seq.iter()
    }

    /// The seq of the newest, 0 without one: what a segment may claim as its `tombstone_seq` that
    /// is written without what these hide.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.by_seq.last().map_or(0, |tombstone| tombstone.seq)
    }
}
