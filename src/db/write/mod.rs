//! Writing: from a caller's batch to the log, the memtable and a level-0 segment.
//!
//! A [`Writer`] owns the queue of batches, the log, the registry of series and the turn to flush.
//!
//! | file | what it does |
//! |---|---|
//! | `batch` | what one call writes |
//! | `submit` | into the queue and out of it, on the caller's thread |
//! | `request`, `queue` | what waits for a commit |
//! | `commit_state` | what the commit lock guards |
//! | `commit` | the leader: from a group of batches to acknowledgements |
//! | `delete`, `receipt` | tombstones, and what they hide |
//! | `log`, `log_files` | syncing and ending the log; log files as files |
//! | `seal` | when a generation ends and what follows it |
//! | `flush` | from a sealed generation to a segment |
//! | `admission` | new series when the registry is nearly full |
//! | `durable` | which seq survives a power cut |
//!
//! Lock order: `commit`, then `flush_turn`, then that of the versions, then the view. The locks of the queue,
//! of admission and of the durable seq are held for a few instructions, and nothing is taken under them.
//! `commit` guards the log and the writing end of the active memtable; `flush_turn` guards the order of
//! flushes.

mod admission;
pub(super) mod batch;
mod commit;
pub(super) mod commit_state;
mod delete;
mod durable;
pub(super) mod flush;
pub(super) mod log;
pub(super) mod log_files;
mod queue;
pub(super) mod receipt;
pub(super) mod request;
pub(super) mod seal;
mod submit;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use self::admission::Admission;
use self::commit_state::CommitState;
use self::durable::DurableSeq;
use self::queue::Queue;
use super::env::Env;
use super::versions::VersionSet;
use super::view::View;
use crate::series::Registry;
use crate::sys::sync::atomic::AtomicU64;
use crate::sys::sync::{Mutex, MutexGuard};

/// The writing side of an open store.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) env: Arc<Env>,
    pub(super) view: Arc<View>,
    pub(super) versions: Arc<VersionSet>,
    /// The active series.
    pub(super) registry: Arc<Registry>,
    queue: Queue,
    /// The log and the active memtable's writing end: held by whoever commits or seals.
    commit: Mutex<CommitState>,
    /// Held by whoever turns the oldest sealed generation into a segment.
    flush_turn: Mutex<()>,
    admission: Admission,
    durable: DurableSeq,
    /// Monotonic time of the last flush, in nanoseconds.
    last_flush_ns: AtomicU64,
}

impl Writer {
    /// The writer of a store of which every batch up to `durable_seq` survives a power cut.
    pub(super) fn new(
        versions: Arc<VersionSet>,
        view: Arc<View>,
        registry: Arc<Registry>,
        commit: CommitState,
        durable_seq: u64,
    ) -> Self {
        let env = Arc::clone(&view.env);
        let opened = env.clock().monotonic().as_nanos() as u64;
        Self {
            env,
            view,
            versions,
            registry,
            queue: Queue::default(),
            commit: Mutex::new(commit),
            flush_turn: Mutex::new(()),
            admission: Admission::default(),
            durable: DurableSeq::new(durable_seq),
            last_flush_ns: AtomicU64::new(opened),
        }
    }

    /// The lock of the log and of the active memtable's writing end.
    pub(super) fn lock_commit(&self) -> MutexGuard<'_, CommitState> {
        self.commit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of batches that wait for their commit or are being committed.
    pub(super) fn queue_bytes(&self) -> u64 {
        self.queue.bytes()
    }

    /// The seq of the last batch written, and how long the oldest one has been waiting for a sync.
    pub(super) fn last_written(&self) -> (u64, Option<Duration>) {
        let commit = self.lock_commit();
        let waiting = |since| self.env.clock().monotonic().saturating_sub(since);
        (commit.last_seq, commit.unsynced_since.map(waiting))
    }

    /// Ends all waiting for new series to be admitted: nobody flushes early any more.
    pub(super) fn stop_admission(&self) {
        self.admission.close();
    }

    /// Waits until nobody writes and no edit is being made, and runs `let_go` then.
    pub(super) fn when_idle(&self, let_go: impl FnOnce()) {
        let _commit = self.lock_commit();
        let _turn = self.flush_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let _versions = self.versions.lock();
        let_go();
    }
}
