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

mod file;
mod filter;
mod retire;

use std::sync::Arc;

pub use file::{decode, read, write};
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
