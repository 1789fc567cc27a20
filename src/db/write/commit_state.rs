//! What the commit lock guards: the log file that is written, and where it stands.

use std::time::Duration;

use crate::wal::{Definitions, Predecessor, WalWriter};

/// What the leader owns while it holds the commit lock.
#[derive(Debug)]
pub(in crate::db) struct CommitState {
    /// `None` when a file could not be created; the next commit tries again.
    pub(in crate::db) wal: Option<WalWriter>,
    /// What the next log file says about the one before it.
    pub(in crate::db) predecessor: Predecessor,
    /// The refs given out in this file.
    pub(in crate::db) next_ref: u32,
    /// The seq of the last batch written.
    pub(in crate::db) last_seq: u64,
    /// Monotonic time of the oldest write that no sync has covered.
    pub(in crate::db) unsynced_since: Option<Duration>,
    /// Whether frames were written after the last SYNC frame, and when the last one was.
    pub(in crate::db) last_write: Option<Duration>,
    /// Of the batch in hand.
    pub(super) definitions: Definitions,
}

impl CommitState {
    pub(in crate::db) fn new(
        wal: Option<WalWriter>,
        predecessor: Predecessor,
        last_seq: u64,
    ) -> Self {
        Self {
            wal,
            predecessor,
            next_ref: 0,
            last_seq,
            unsynced_since: None,
            last_write: None,
            definitions: Definitions::default(),
        }
    }
}
