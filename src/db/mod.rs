//! The store: [`Db`], its options, its commit path, its generations and its snapshots.
//!
//! The top floor. It owns every thread, every lock order and the decision when something is sealed,
//! flushed or refused; the floors below it are structures that know nothing of each other.
//!
//! | file | owns |
//! |---|---|
//! | `core` | the shared state and its locks |
//! | `queue` | what waits for a commit, tickets |
//! | `changes` | what has changed since a moment |
//! | `commit` | the leader: from a group of batches to acknowledgements |
//! | `delete` | tombstones, receipts |
//! | `settle` | tombstones that have nothing left to do |
//! | `generation` | sealing, log files, flushes |
//! | `room` | making room for new series |
//! | `open`, `replay` | opening and recovery |
//! | `background` | the timer, the flusher and the compactor |
//! | `compaction`, `compact` | merging in the background, and on demand |
//! | `choose`, `publish` | what is merged next, and how it becomes what readers see |
//! | `retention` | what has expired |
//! | `graveyard` | files that nobody lists and somebody reads |
//! | `pressure` | steering merges, holding writers back |
//! | `observer` | what an embedder is told |
//! | `reserve` | disk space kept back for a full disk |
//! | `checkpoint` | the store once more, by hard links |
//! | `attach` | segments of another store, as one late write |
//! | `pinned` | what a moment's readers see |
//! | `snapshot` | asking a moment |
//! | `read_only` | a second process's view |
//! | `verify` | every byte of a store |

mod attach;
mod background;
mod changes;
mod checkpoint;
mod choose;
mod commit;
mod compact;
mod compaction;
mod core;
mod delete;
mod generation;
mod graveyard;
mod merge_room;
mod observer;
mod open;
mod options;
mod pinned;
mod pressure;
mod publish;
mod quarantine;
mod queue;
mod read_only;
mod replay;
mod report;
mod reserve;
mod retention;
mod room;
mod settle;
mod snapshot;
mod stats;
mod unlisted;
mod verify;
mod write_batch;

use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use self::core::Core;
use crate::compaction::CompactionPlan;
use crate::error::{Error, Result};
use crate::series::{Cardinality, EncodedLabels, SeriesHandle};
use crate::types::{Labels, TimeRange};

pub use attach::AttachReport;
pub use changes::{Changes, Mark};
pub use checkpoint::CheckpointReport;
pub use compact::{CompactProgress, CompactReport};
pub use delete::{DeleteReceipt, DeletedShare};
pub use observer::{Event, LeftOut, Observer};
pub use options::{Background, Durability, Options};
pub use queue::Ticket;
pub use read_only::ReadOnlyDb;
pub use report::{Finding, OpenReport};
pub use snapshot::Snapshot;
pub use stats::{BytesByKind, Latency, Stats};
pub use verify::{VerifyReport, verify};
pub use write_batch::{Ack, BATCH_ROWS_MAX, WriteBatch};

/// Steps of a merge that a tick takes.
const TICK_STEPS: usize = 8;

/// Does `step` until there is no more to do, or it fails.
fn repeat(mut step: impl FnMut() -> Result<bool>) -> Result<()> {
    while step()? {}
    Ok(())
}

/// An open store. Clones share it; `Send + Sync`.
///
/// Call [`close`](Db::close) to end it with an answer. A store that is dropped instead is not damaged:
/// the next opening recovers it from its log, as after a crash.
///
/// ```
/// # use siltstone::{Db, Labels, Matcher, Options, QueryOptions, TimeRange, WriteBatch};
/// # let dir = tempfile::tempdir()?;
/// let db = Db::open(dir.path(), Options::default())?;
/// let series = db.series(&Labels::from_pairs([("__name__", "temperature"), ("city", "تبریز")])?)?;
/// let mut batch = WriteBatch::new();
/// batch.push(series, 1_700_000_000_000, 21.5)?;
/// db.write(&batch)?;
///
/// let snapshot = db.snapshot()?;
/// let matchers = [Matcher::equal("city", "تبریز")];
/// for series in snapshot.select(&matchers, TimeRange::ALL, &QueryOptions::default())? {
///     let series = series?;
///     assert_eq!(series.columns.timestamps, [1_700_000_000_000]);
///     assert_eq!(series.columns.values.f64(), [21.5]);
/// }
/// db.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Db {
    shared: Arc<Shared>,
}

/// The core and its threads; when the last handle goes, the threads end.
struct Shared {
    core: Arc<Core>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Db {
    /// Opens the store in the directory `dir`, or creates it there. Recovers what an earlier
    /// process had acknowledged; [`Db::open_report`] says what was found.
    ///
    /// # Errors
    /// [`Error::Locked`] when another `Db` has it open; [`Error::NotAStore`] for a directory with
    /// other files; [`Error::UnsupportedVersion`]; [`Error::Corrupt`] when the manifest is damaged;
    /// [`Error::InvalidArgument`] for options out of range; I/O errors.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self> {
        let background = options.background;
        let core = Arc::new(open::open(dir.as_ref(), options)?);
        let threads = match background {
            Background::Threads => background::start(&core)?,
            Background::Manual => Vec::new(),
        };
        Ok(Self { shared: Arc::new(Shared { core, threads: Mutex::new(threads) }) })
    }

    fn core(&self) -> &Core {
        &self.shared.core
    }

    /// What opening found.
    #[must_use]
    pub fn open_report(&self) -> &OpenReport {
        &self.core().report
    }

    /// The options that the store was opened with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.core().options
    }

    /// The directory of the store.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.core().dir
    }

    /// Ticks of a timestamp per second.
    #[must_use]
    pub fn ticks_per_second(&self) -> u64 {
        self.core().ticks_per_second
    }

    /// The handle of the series with these labels, which becomes active if it is not. Keep it for
    /// the next batches; it is valid until a write answers [`Error::StaleHandle`].
    ///
    /// # Errors
    /// [`Error::Labels`]; [`Error::LimitExceeded`] when the series is new and there are as many
    /// active series as the limits allow. While a flush is making room, the call waits for it
    /// instead, for [`Options::room_wait`] at most.
    pub fn series(&self, labels: &Labels) -> Result<SeriesHandle> {
        self.series_encoded(labels)
    }

    /// As [`Db::series`], for labels in the encoding in which they arrived. A known series costs no
    /// allocation.
    ///
    /// # Errors
    /// As [`Db::series`].
    pub fn series_encoded(&self, labels: &impl EncodedLabels) -> Result<SeriesHandle> {
        self.core().series(labels)
    }

    /// Writes a batch: when this returns, all of it is visible, in the order of its seq, and as
    /// durable as [`Options::durability`] says. Callers on many threads share writes and syncs.
    ///
    /// # Errors
    /// Nothing of the batch is stored, except after [`Error::DurabilityUnknown`]: then it is visible
    /// and may or may not survive a power cut; writing it again is harmless.
    /// [`Error::StaleHandle`]: resolve the labels again; [`Error::DiskFull`]: try again later;
    /// [`Error::InvalidArgument`] for timestamps outside the age limits; [`Error::LimitExceeded`];
    /// [`Error::Failed`] and [`Error::Closed`].
    pub fn write(&self, batch: &WriteBatch) -> Result<Ack> {
        let core = self.core();
        let start = core.clock().monotonic();
        let result = core.write(batch);
        core.counters.write.record(core.clock().monotonic().saturating_sub(start));
        result
    }

    /// Puts a batch into the queue without waiting. Something has to lead: a [`Db::write`] on any
    /// thread, or [`Db::commit_step`]. The queue takes [`Options::queue_bytes_max`](field@Options::queue_bytes_max) bytes of batches,
    /// or one larger batch alone; where `write` waits for room, this refuses.
    ///
    /// # Errors
    /// As [`Db::write`], as far as the batch alone tells; [`Error::LimitExceeded`] when the queue is
    /// full.
    pub fn submit(&self, batch: &WriteBatch) -> Result<Ticket> {
        self.core().submit(batch)
    }

    /// Commits what is queued on this thread; whether there was anything. The outcome of each batch
    /// is in its [`Ticket`].
    pub fn commit_step(&self) -> bool {
        self.core().commit_step()
    }

    /// Waits until the batch `seq` survives a power cut; syncs now if no timer will.
    ///
    /// # Errors
    /// [`Error::DurabilityUnknown`] when a sync failed; [`Error::InvalidArgument`] for a seq that no
    /// batch has; [`Error::Closed`] when it closed before it was durable.
    pub fn wait_durable(&self, seq: u64) -> Result<()> {
        let core = self.core();
        if seq > core.lock_commit().last_seq {
            return Err(Error::InvalidArgument(format!("no batch has the seq {seq}")));
        }
        let timed = matches!(core.options.durability, Durability::Interval(_))
            && matches!(core.options.background, Background::Threads);
        if timed && core.durable.wait(seq, Duration::from_secs(15)) || core.durable.get() >= seq {
            return Ok(());
        }
        let mut commit = core.lock_commit();
        core.check_owned()?;
        core.sync_wal(&mut commit)?;
        if core.durable.get() < seq {
            // An older log is in doubt; what is in segments is not.
            let _ = core.evacuate();
        }
        if core.durable.get() >= seq {
            return Ok(());
        }
        Err(Error::DurabilityUnknown { durable_seq: core.durable.get() })
    }

    /// The highest seq that survives a power cut.
    #[must_use]
    pub fn durable_seq(&self) -> u64 {
        self.core().durable.get()
    }

    /// What is stored now, unchanging: later writes and flushes do not touch it.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.core().check_open()?;
        Ok(Snapshot::of_live(&self.shared.core))
    }

    /// Turns everything in memory into segments; when this returns, no sample is in the log alone.
    ///
    /// # Errors
    /// I/O errors; nothing is lost, and the flush will be tried again. [`Error::Closed`].
    pub fn flush(&self) -> Result<()> {
        self.core().check_open()?;
        self.core().flush_all()
    }

    /// Makes the new directory `dir` a store of its own that holds what this one holds now, what is
    /// only in memory included. Its files are hard links: it takes no time and no space but for what
    /// this store removes later. Writers go on; what they write meanwhile may or may not be in it.
    /// It has this store's identity, can be opened, copied, and moved elsewhere, and survives a power
    /// cut when this returns. One that a crash cut short has no `CURRENT` and does not open.
    ///
    /// ```
    /// # use siltstone::{Db, Options};
    /// # let root = tempfile::tempdir()?;
    /// # let db = Db::open(root.path().join("data"), Options::default())?;
    /// let report = db.checkpoint(root.path().join("monday"))?;
    /// println!("{} segments, up to seq {}", report.segments, report.seq);
    /// let copy = Db::open(root.path().join("monday"), Options::default())?;
    /// # copy.close()?;
    /// # db.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when `dir` exists, is a name that the store uses itself, or is on
    /// another file system; the error of a segment that could not be opened; I/O errors of the flush
    /// and of the new directory, whose parent must exist. What was made is removed. [`Error::Closed`].
    pub fn checkpoint(&self, dir: impl AsRef<Path>) -> Result<CheckpointReport> {
        self.core().check_open()?;
        self.core().checkpoint(dir.as_ref())
    }

    /// Does the background work that is due, on this thread: for [`Background::Manual`], at least
    /// every quarter of a second. Of a merge it takes a few steps, some hundred thousand samples.
    ///
    /// # Errors
    /// The first fault; the work is tried again at the next tick. [`Error::Closed`].
    pub fn tick(&self) -> Result<()> {
        let core = self.core();
        core.check_open()?;
        let kept = core.keep_time();
        core.make_room_if_wanted();
        // Whatever fails, the rest is tried: retention frees the disk that a flush finds full.
        let flushed = repeat(|| core.flush_oldest());
        let settled = repeat(|| core.settle_deletes());
        let mut left = TICK_STEPS;
        let merged = repeat(|| {
            left -= 1;
            Ok(core.compaction_step()? && left > 0)
        });
        kept.and(flushed).and(settled).and(merged)
    }

    /// Flushes, then merges the segments that overlap `range`, on this thread, until nothing there
    /// is gained by another merge: of what was written and deleted before, no level-0 segment is left,
    /// one segment a window, expired and deleted samples are gone from every file, and no sample is in
    /// the log. What is written meanwhile is left to the next one. Merges in the background wait, but
    /// for those without which writers would have to. `progress` is called often, with no
    /// lock held; when it breaks, the merge under way is given up and what is done stays.
    ///
    /// ```
    /// # use siltstone::{Db, Options, TimeRange};
    /// # use std::ops::ControlFlow;
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Db::open(dir.path(), Options::default())?;
    /// let report = db.compact(TimeRange::ALL, &mut |now| {
    ///     println!("{} of {} samples", now.samples_read, now.samples_total);
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert!(report.findings.is_empty());
    /// # db.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::DiskFull`], [`Error::Io`]: the merge that failed changed nothing. [`Error::Closed`].
    /// Damage is no error: see [`CompactReport`].
    pub fn compact(
        &self,
        range: TimeRange,
        progress: &mut dyn FnMut(&CompactProgress) -> ControlFlow<()>,
    ) -> Result<CompactReport> {
        self.core().compact(range, progress)
    }

    /// The merges that would come next, were nothing written meanwhile.
    #[must_use]
    pub fn compaction_plan(&self) -> CompactionPlan {
        self.core().compaction_plan()
    }

    /// Stops merging and dropping in the background until [`Db::resume`]; a merge under way keeps what
    /// it has done. The debt grows meanwhile: see [`Stats::level0_segments`].
    pub fn pause(&self) {
        self.core().compactor.control.set_paused(true);
    }

    /// Lets merging in the background go on.
    pub fn resume(&self) {
        self.core().compactor.control.set_paused(false);
    }

    /// What the store counts about itself.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core().stats()
    }

    /// Which metrics, labels and values the active series have most of, with lists of at most `top`
    /// entries. Series that are only on disk are not counted.
    ///
    /// The time grows with the label pairs in memory; new series wait meanwhile.
    #[must_use]
    pub fn cardinality(&self, top: usize) -> Cardinality {
        self.core().registry.cardinality(top)
    }

    /// Flushes, ends the log and the threads. Later calls on any clone answer [`Error::Closed`];
    /// closing twice is harmless. Snapshots that are kept go on reading.
    ///
    /// # Errors
    /// When the last flush failed: what was acknowledged is in the log, and the next opening
    /// recovers it.
    pub fn close(&self) -> Result<()> {
        if self.core().closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.core().wake.stop();
        self.core().compactor.control.stop();
        self.core().room.close();
        self.shared.join();
        let flushed = self.core().flush_all();
        self.core().unlock();
        flushed
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("dir", &self.core().dir).finish_non_exhaustive()
    }
}

impl Shared {
    fn join(&self) {
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.core.wake.stop();
        self.core.compactor.control.stop();
        self.join();
        // Snapshots that are kept read on; they are no reason to keep others out.
        self.core.unlock();
    }
}
