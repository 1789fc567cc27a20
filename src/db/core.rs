//! The shared state of an open store, and which lock guards what.
//!
//! Lock order: the turn to attach, the runner of merges, then `commit`, then `flush`, then the change log, then `live`, `lock` or the queue's;
//! under these no other is taken. Holders of `live` only swap or clone an `Arc`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use super::changes::{Change, ChangeLog};
use super::commit::Commit;
use super::compaction::{Compactor, level0};
use super::options::Options;
use super::queue::Queue;
use super::report::OpenReport;
use super::reserve::Reserve;
use super::room::Room;
use super::settle::Settling;
use super::stats::Counters;
use super::unlisted::Unlisted;
use crate::deletes::Tombstones;
use crate::error::{Error, Result};
use crate::manifest::{Manifest, Version};
use crate::memtable::Memtable;
use crate::segment::{BlockCache, Segment, SegmentPin};
use crate::series::Registry;
use crate::sys::{Clock, Executor, LockGuard, Vfs};
use crate::types::{FileName, SegmentMeta, Tombstone};

/// Everything that the handles and threads of one open store share.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) dir: PathBuf,
    pub(super) options: Options,
    pub(super) uuid: [u8; 16],
    pub(super) ticks_per_second: u64,
    pub(super) registry: Arc<Registry>,
    pub(super) cache: Arc<BlockCache>,
    /// Decodes for queries.
    pub(super) executor: Executor,
    pub(super) queue: Queue,
    /// The log and the active memtable's writer: held by the commit leader.
    pub(super) commit: Mutex<Commit>,
    /// The manifest: held by whoever turns a memtable into a segment.
    flush: Mutex<FlushState>,
    /// Memtables that may still be read by snapshots.
    pub(super) pinned: Mutex<Vec<Weak<Memtable>>>,
    live: RwLock<Arc<Live>>,
    /// What has changed of the content that readers see.
    pub(super) changes: ChangeLog,
    pub(super) durable: DurableSeq,
    /// Merges take numbers from it as well.
    pub(super) next_file_number: Arc<AtomicU64>,
    pub(super) compactor: Compactor,
    /// Files that snapshots read on after the store was closed.
    kept_open: Mutex<Vec<SegmentPin>>,
    /// Monotonic time of the last flush, in nanoseconds.
    pub(super) last_flush_ns: AtomicU64,
    pub(super) reserve: Reserve,
    pub(super) counters: Counters,
    pub(super) settling: Settling,
    pub(super) report: OpenReport,
    /// The fault after which writes are refused.
    fault: OnceLock<String>,
    pub(super) closed: AtomicBool,
    pub(super) wake: Wake,
    pub(super) room: Room,
    /// Held until the store is closed.
    pub(super) lock: Mutex<Option<Box<dyn LockGuard>>>,
}

/// What [`Core`] is made of when a store has been opened.
pub(super) struct Parts {
    pub(super) dir: PathBuf,
    pub(super) options: Options,
    pub(super) manifest: Manifest,
    pub(super) unlisted: Unlisted,
    pub(super) registry: Arc<Registry>,
    pub(super) cache: Arc<BlockCache>,
    pub(super) executor: Executor,
    pub(super) commit: Commit,
    pub(super) live: Live,
    pub(super) durable_seq: u64,
    pub(super) next_file_number: u64,
    pub(super) report: OpenReport,
    pub(super) lock: Box<dyn LockGuard>,
}

/// What readers see: published as one pointer.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) active: Arc<Generation>,
    /// Oldest first.
    pub(super) sealed: Vec<Arc<Generation>>,
    /// Those that no flush has made part of `version` yet, by seq.
    pub(super) deletes: Vec<PendingDelete>,
    pub(super) version: Arc<Version>,
    /// Those of `version` that could be opened, the oldest first.
    pub(super) segments: Vec<Arc<Segment>>,
    /// Those that could not: what overlaps them in time answers with their error.
    pub(super) broken: Vec<Arc<Broken>>,
}

/// A delete that lies in the log of a generation, before that generation's rows.
#[derive(Debug, Clone)]
pub(super) struct PendingDelete {
    pub(super) generation: u32,
    pub(super) tombstone: Arc<Tombstone>,
}

impl Live {
    /// Every delete that may hide something.
    pub(super) fn tombstones(&self) -> Tombstones {
        let pending = self.deletes.iter().map(|delete| &delete.tombstone);
        Tombstones::new(self.version.tombstones().chain(pending).cloned())
    }

    /// The deletes of a generation that is not flushed.
    pub(super) fn deletes_of(&self, generation: &Generation) -> Vec<Arc<Tombstone>> {
        let number = generation.memtable.generation();
        let own = self.deletes.iter().filter(|delete| delete.generation == number);
        own.map(|delete| Arc::clone(&delete.tombstone)).collect()
    }

    /// Whether the log of the active generation holds anything that a flush must make durable.
    pub(super) fn has_unflushed(&self) -> bool {
        self.active.memtable.published() > 0 || !self.deletes_of(&self.active).is_empty()
    }
}

/// A segment that is listed and cannot be opened.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) meta: SegmentMeta,
    pub(super) error: Error,
}

/// One memtable and the log files that hold its batches.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) memtable: Arc<Memtable>,
    /// Who the memtable's slots are; batches recovered at open have a registry of their own.
    pub(super) registry: Arc<Registry>,
    /// The first log file that does not belong to this or an older generation, once sealed.
    pub(super) wal_end: OnceLock<u64>,
    /// Monotonic time of its creation.
    pub(super) created: Duration,
    /// Whether a sync of its log failed, or may have failed in an earlier process: which of its
    /// batches survive a power cut is unknown until they are in a segment.
    pub(super) in_doubt: AtomicBool,
}

impl Generation {
    pub(super) fn is_in_doubt(&self) -> bool {
        self.in_doubt.load(Ordering::Acquire)
    }
}

/// What the flusher owns.
#[derive(Debug)]
pub(super) struct FlushState {
    pub(super) manifest: Manifest,
    pub(super) unlisted: Unlisted,
}

impl Core {
    pub(super) fn new(parts: Parts) -> Self {
        let pinned = vec![Arc::downgrade(&parts.live.active.memtable)];
        let opened = parts.options.clock.monotonic().as_nanos() as u64;
        Self {
            uuid: parts.manifest.uuid(),
            ticks_per_second: parts.manifest.ticks_per_second(),
            compactor: Compactor::new(&parts.options, &parts.manifest),
            last_flush_ns: AtomicU64::new(opened),
            kept_open: Mutex::new(Vec::new()),
            reserve: Reserve::new(&parts.dir, parts.options.reserve_bytes),
            dir: parts.dir,
            options: parts.options,
            registry: parts.registry,
            cache: parts.cache,
            executor: parts.executor,
            queue: Queue::default(),
            commit: Mutex::new(parts.commit),
            flush: Mutex::new(FlushState { manifest: parts.manifest, unlisted: parts.unlisted }),
            pinned: Mutex::new(pinned),
            live: RwLock::new(Arc::new(parts.live)),
            changes: ChangeLog::new(),
            durable: DurableSeq::new(parts.durable_seq),
            next_file_number: Arc::new(AtomicU64::new(parts.next_file_number)),
            counters: Counters::default(),
            settling: Settling::default(),
            report: parts.report,
            fault: OnceLock::new(),
            closed: AtomicBool::new(false),
            wake: Wake::default(),
            room: Room::default(),
            lock: Mutex::new(Some(parts.lock)),
        }
    }

    pub(super) fn vfs(&self) -> &Arc<dyn Vfs> {
        &self.options.vfs
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.options.clock
    }

    /// What a reader may see now.
    pub(super) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Publishes a changed copy of what readers see; `content` says which samples they see otherwise.
    pub(super) fn publish(&self, content: Change, change: impl FnOnce(&mut Live)) {
        self.changes.record([content], || self.swap_live(change));
    }

    /// As [`Core::publish`], under the lock of the change log.
    pub(super) fn swap_live(&self, change: impl FnOnce(&mut Live)) {
        let mut guard = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Live::clone(&guard);
        change(&mut next);
        if !Arc::ptr_eq(&guard.version, &next.version) {
            self.compactor.control.note_level0(level0(&next.version));
        }
        *guard = Arc::new(next);
    }

    /// A number for a new file, never given out before.
    pub(super) fn new_file_number(&self) -> u64 {
        self.next_file_number.fetch_add(1, Ordering::Relaxed)
    }

    /// The lowest number that no file has used.
    pub(super) fn next_file_number(&self) -> u64 {
        self.next_file_number.load(Ordering::Relaxed)
    }

    pub(super) fn lock_commit(&self) -> MutexGuard<'_, Commit> {
        self.commit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_flush(&self) -> MutexGuard<'_, FlushState> {
        self.flush.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the log is synced up to `seq`. Durable it is only if no older batch is in doubt:
    /// then the flush of those will tell.
    pub(super) fn note_synced(&self, seq: u64) {
        let live = self.live();
        if !live.sealed.iter().chain([&live.active]).any(|generation| generation.is_in_doubt()) {
            self.durable.rise_to(seq);
        }
    }

    /// Lets another process open the store, when nobody here is at its files.
    pub(super) fn unlock(&self) {
        let mut runner = self.compactor.lock_runner();
        self.abandon_merge(&mut runner);
        self.end_attach(&mut runner);
        self.sweep();
        self.pin_what_is_read();
        let _commit = self.lock_commit();
        let _flush = self.lock_flush();
        self.reserve.let_go();
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Opens the files of segments that snapshots hold: the next owner may merge them away.
    fn pin_what_is_read(&self) {
        let live = self.live();
        let held = live.segments.iter().filter(|segment| Arc::strong_count(segment) > 1).cloned();
        for segment in held.chain(self.compactor.graveyard.held()) {
            match segment.pin() {
                Ok(pin) => self.kept_open.lock().unwrap_or_else(PoisonError::into_inner).push(pin),
                Err(error) => tracing::warn!(%error, "a snapshot may lose a segment"),
            }
        }
    }

    /// Refuses writes from here on; the first fault is kept.
    pub(super) fn fail(&self, fault: &Error) {
        let text = match fault {
            Error::Failed(text) => text.clone(),
            other => other.to_string(),
        };
        tracing::error!(fault = %text, "the store stops accepting writes");
        let _ = self.fault.set(text);
    }

    /// Counts damage that reading met, if that is what the error tells; what was computed of the segment
    /// before is not to be used any more.
    pub(super) fn note_damage(&self, error: &Error) {
        let Error::Corrupt { path, offset, .. } = error else { return };
        self.counters.corruption.add(1);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (file_number, change) = match FileName::parse(name) {
            Some(FileName::Segment(number)) => (number, self.extent_of(&[number])),
            _ => (0, Change::Nothing),
        };
        // Of what is not listed any more nothing is known.
        let change = if change == Change::Nothing { Change::EVERYTHING } else { change };
        self.changes.note_damage((file_number, *offset), change);
    }

    /// The fault after which writes are refused.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.get().map(String::as_str)
    }

    /// Refuses to change the files of a store that another process may have opened since. The caller
    /// holds `commit` or `flush`, so that the answer stays true.
    pub(super) fn check_owned(&self) -> Result<()> {
        match &*self.lock.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(_) => Ok(()),
            None => Err(Error::Closed),
        }
    }

    /// Whether [`Db::close`](super::Db::close) was not called yet.
    pub(super) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Whether writes are accepted.
    pub(super) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        match self.fault() {
            Some(fault) => Err(Error::Failed(fault.into())),
            None => Ok(()),
        }
    }
}

/// The highest durable seq, to be waited for.
#[derive(Debug)]
pub(super) struct DurableSeq {
    seq: Mutex<u64>,
    risen: Condvar,
}

impl DurableSeq {
    fn new(seq: u64) -> Self {
        Self { seq: Mutex::new(seq), risen: Condvar::new() }
    }

    pub(super) fn get(&self) -> u64 {
        *self.seq.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that every seq up to `seq` is durable.
    pub(super) fn rise_to(&self, seq: u64) {
        let mut guard = self.seq.lock().unwrap_or_else(PoisonError::into_inner);
        if seq > *guard {
            *guard = seq;
            self.risen.notify_all();
        }
    }

    /// Waits until `seq` is durable or the timeout has passed; whether it is.
    pub(super) fn wait(&self, seq: u64, timeout: Duration) -> bool {
        let guard = self.seq.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.risen.wait_timeout_while(guard, timeout, |durable| *durable < seq);
        let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *guard >= seq
    }
}

/// Wakes the background threads, and tells them to stop.
#[derive(Debug, Default)]
pub(super) struct Wake {
    state: Mutex<WakeState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct WakeState {
    flush_wanted: bool,
    stop: bool,
}

impl Wake {
    /// Asks for a flush of the sealed memtables.
    pub(super) fn request_flush(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).flush_wanted = true;
        self.changed.notify_all();
    }

    /// Tells every thread to end.
    pub(super) fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.changed.notify_all();
    }

    /// Waits for `timeout` or until told to stop; whether to go on.
    pub(super) fn pause(&self, timeout: Duration) -> bool {
        let guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(guard, timeout, |state| !state.stop);
        let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !guard.stop
    }

    /// Waits for a flush request, at most `timeout`; `None` when told to stop, else whether a flush
    /// was asked for.
    pub(super) fn flush_request(&self, timeout: Duration) -> Option<bool> {
        let guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |state: &mut WakeState| !state.stop && !state.flush_wanted;
        let waited = self.changed.wait_timeout_while(guard, timeout, idle);
        let (mut guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if guard.stop {
            return None;
        }
        Some(std::mem::take(&mut guard.flush_wanted))
    }
}
