//! The store: [`Db`], its options, its snapshots, and the owners behind it.
//!
//! The top floor. Each folder has one struct that owns a part of an open store, its locks and its state;
//! a folder imports from those above it in this table, never from those below:
//!
//! | folder | owner | what it owns |
//! |---|---|---|
//! | `env` | `Env` | directory, options, cache, threads for queries, file numbers, health, reserve, counters |
//! | `view` | `View` | the one pointer to what readers see, and what has changed of it |
//! | `versions` | `VersionSet` | the manifest, the only way in which it changes, obsolete files, retention's clock |
//! | `write` | `Writer` | queue, log, registry, active memtable, flushes |
//! | `compact` | `Compactor` | merges, dropping, tombstones that are carried out, attach |
//! | `open` | | opening, recovery; looking at a store from outside |
//!
//! Above `compact` lie `snapshot` and `stats`, which read from the owners; above `open` the facade here,
//! `maintenance`, `attach` and `background`, which start threads and call the owners.
//!
//! # Lock order
//!
//! Locks are taken in the order of the floors, from the top: `attach_turn`, `runner` (`compact`); `commit`,
//! `flush_turn` (`write`); `state` (`versions`); `turn`, the change log, `current` (`view`). Those of `env`, of
//! the queue, of admission and the like are leaves: nothing is taken under them. Each is described where it
//! is declared.

mod attach;
mod background;
mod compact;
mod env;
mod losses;
mod maintenance;
mod open;
mod snapshot;
mod stats;
mod versions;
mod view;
mod write;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use self::compact::Compactor;
use self::env::Env;
use self::write::Writer;
use crate::error::Result;
use crate::series::{Cardinality, EncodedLabels};
use crate::sys::sync::Mutex;
use crate::sys::sync::thread::JoinHandle;
use crate::types::{Labels, SeriesHandle};

pub use attach::AttachOptions;
pub use compact::AttachReport;
pub use compact::accept::{AcceptOptions, AcceptReport};
pub use compact::on_demand::{CompactProgress, CompactReport};
pub use env::counters::Latency;
pub use env::finding::Finding;
pub use env::observer::{Event, LeftOut, Observer};
pub use env::options::{Background, Durability, Options};
pub use losses::Losses;
pub use open::checkpoint::CheckpointReport;
pub use open::read_only::ReadOnlyDb;
pub use open::repair::{Fate, Repair, RepairPlan, RepairSegment};
pub use open::report::OpenReport;
pub use open::verify::{Verify, VerifyReport};
pub use snapshot::{KeptOpen, Snapshot};
pub use stats::{BytesByKind, Stats};
pub use view::changes::{Changes, Mark};
pub use write::batch::{Ack, BATCH_ROWS_MAX, WriteBatch};
pub use write::receipt::{DeleteReceipt, DeletedShare};
pub use write::request::Ticket;

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

/// The owners and the threads of one open store; when the last handle goes, the threads end.
struct Shared {
    compactor: Arc<Compactor>,
    report: OpenReport,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Db {
    /// Opens the store in the directory `dir`, or creates it there. Recovers what an earlier
    /// process had acknowledged; [`Db::open_report`] says what was found.
    ///
    /// # Errors
    /// [`Error::Locked`](crate::Error::Locked) when another `Db` has it open; [`Error::NotAStore`](crate::Error::NotAStore) for a directory with
    /// other files; [`Error::UnsupportedVersion`](crate::Error::UnsupportedVersion); [`Error::Corrupt`](crate::Error::Corrupt) when the manifest is damaged;
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for options out of range; I/O errors.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self> {
        let (compactor, report) = open::open(dir.as_ref(), options)?;
        let compactor = Arc::new(compactor);
        let threads = background::start(&compactor)?;
        let threads = Mutex::new(threads);
        Ok(Self { shared: Arc::new(Shared { compactor, report, threads }) })
    }

    fn compactor(&self) -> &Compactor {
        &self.shared.compactor
    }

    fn writer(&self) -> &Writer {
        &self.compactor().writer
    }

    fn env(&self) -> &Env {
        &self.compactor().env
    }

    /// What opening found.
    #[must_use]
    pub fn open_report(&self) -> &OpenReport {
        &self.shared.report
    }

    /// The options that the store was opened with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.env().options
    }

    /// The directory of the store.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.env().dir
    }

    /// Ticks of a timestamp per second.
    #[must_use]
    pub fn ticks_per_second(&self) -> u64 {
        self.env().ticks_per_second
    }

    /// Whether the wall clock is known to be wrong because it is more than a day behind what the store has seen of
    /// it. Once it has run for a day without another jump it is believed.
    #[must_use]
    pub fn wall_clock_is_behind(&self) -> bool {
        self.compactor().versions.retention.clock_is_behind(self.env())
    }

    /// The handle of the series with these labels, which becomes active if it is not. Keep it for
    /// the next batches; it is valid until a write answers [`Error::StaleHandle`](crate::Error::StaleHandle).
    ///
    /// # Errors
    /// [`Error::Labels`](crate::Error::Labels); [`Error::LimitExceeded`](crate::Error::LimitExceeded) when the series is new and there are as many
    /// active series as the limits allow. While a flush is making room, the call waits for it
    /// instead, for [`Options::admission_wait`] at most.
    pub fn series(&self, labels: &Labels) -> Result<SeriesHandle> {
        self.series_encoded(labels)
    }

    /// As [`Db::series`], for labels in the encoding in which they arrived. A known series costs no
    /// allocation.
    ///
    /// # Errors
    /// As [`Db::series`].
    pub fn series_encoded(&self, labels: &impl EncodedLabels) -> Result<SeriesHandle> {
        self.writer().series(labels)
    }

    /// Writes a batch: when this returns, all of it is visible, in the order of its seq, and as
    /// durable as [`Options::durability`] says. Callers on many threads share writes and syncs.
    ///
    /// # Errors
    /// Nothing of the batch is stored, except after [`Error::DurabilityUnknown`](crate::Error::DurabilityUnknown): then it is visible
    /// and may or may not survive a power cut; writing it again is harmless.
    /// [`Error::StaleHandle`](crate::Error::StaleHandle): see [`Db::write_renewing`]; [`Error::DiskFull`](crate::Error::DiskFull): try again later;
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for timestamps outside the age limits; [`Error::LimitExceeded`](crate::Error::LimitExceeded);
    /// [`Error::Failed`](crate::Error::Failed) and [`Error::Closed`](crate::Error::Closed).
    pub fn write(&self, batch: &WriteBatch) -> Result<Ack> {
        self.writer().write(batch)
    }

    /// As [`Db::write`], for who keeps handles: those that went stale, because their series were freed
    /// meanwhile, are handed to `renew`, which answers with the new handle of the same series and may
    /// remember it; they are replaced in the batch, which is then written again.
    ///
    /// ```
    /// # use siltstone::{Db, Labels, Options, WriteBatch};
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Db::open(dir.path(), Options::default())?;
    /// let labels = Labels::from_pairs([("__name__", "up")])?;
    /// let mut series = db.series(&labels)?;
    /// let mut batch = WriteBatch::new();
    /// batch.push(series, 1_000, 1.0)?;
    /// db.write_renewing(&mut batch, |_| {
    ///     series = db.series(&labels)?;
    ///     Ok(series)
    /// })?;
    /// # db.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Db::write`], and those of `renew`, after which nothing of the batch is stored.
    pub fn write_renewing(
        &self,
        batch: &mut WriteBatch,
        mut renew: impl FnMut(SeriesHandle) -> Result<SeriesHandle>,
    ) -> Result<Ack> {
        self.writer().write_renewing(batch, &mut renew)
    }

    /// Puts a batch into the queue without waiting. Something has to lead: a [`Db::write`] on any
    /// thread, or [`Db::commit_step`]. The queue takes [`Options::queue_bytes_max`](field@Options::queue_bytes_max) bytes of batches,
    /// or one larger batch alone; where `write` waits for room, this refuses.
    ///
    /// # Errors
    /// As [`Db::write`], as far as the batch alone tells; [`Error::LimitExceeded`](crate::Error::LimitExceeded) when the queue is
    /// full.
    pub fn submit(&self, batch: &WriteBatch) -> Result<Ticket> {
        self.writer().submit(batch)
    }

    /// Commits what is queued on this thread; whether there was anything. The outcome of each batch
    /// is in its [`Ticket`].
    pub fn commit_step(&self) -> bool {
        self.writer().commit_step()
    }

    /// Waits until the batch `seq` survives a power cut; syncs now if no timer will.
    ///
    /// # Errors
    /// [`Error::DurabilityUnknown`](crate::Error::DurabilityUnknown) when a sync failed; [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a seq that no
    /// batch has; [`Error::Closed`](crate::Error::Closed) when it closed before it was durable.
    pub fn wait_durable(&self, seq: u64) -> Result<()> {
        self.writer().wait_durable(seq)
    }

    /// The highest seq that survives a power cut.
    #[must_use]
    pub fn durable_seq(&self) -> u64 {
        self.writer().durable_seq()
    }

    /// What is stored now, unchanging: later writes and flushes do not touch it.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed).
    pub fn snapshot(&self) -> Result<Snapshot> {
        let compactor = self.compactor();
        let snapshot = Snapshot::of_now(&compactor.view, &compactor.versions);
        // Looked at last: closing keeps the files open of those snapshots that are complete when it begins,
        // and the next owner may remove what any other would read.
        self.env().health.check_open()?;
        Ok(snapshot)
    }

    /// The fault after which the store refuses writes, if there was one: as
    /// [`Stats::fault`](crate::Stats::fault), without counting anything. Only opening the store again ends
    /// it; a full disk is no such fault.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.env().health.fault().map(str::to_owned)
    }

    /// What the store counts about itself.
    #[must_use]
    pub fn stats(&self) -> Stats {
        stats::read(self.compactor(), self.shared.report.findings.len() as u64)
    }

    /// Which metrics, labels and values the active series have most of, with lists of at most `top`
    /// entries. Series that are only on disk are not counted.
    ///
    /// The time grows with the label pairs in memory; new series wait meanwhile.
    #[must_use]
    pub fn cardinality(&self, top: usize) -> Cardinality {
        self.writer().registry.cardinality(top)
    }

    /// Flushes, ends the log and the threads. Later calls on any clone answer [`Error::Closed`](crate::Error::Closed);
    /// closing twice is harmless. Snapshots that are kept go on reading.
    ///
    /// # Errors
    /// When the last flush failed: what was acknowledged is in the log, and the next opening
    /// recovers it.
    pub fn close(&self) -> Result<()> {
        if !self.env().health.close() {
            return Ok(());
        }
        self.shared.stop();
        let flushed = self.writer().flush_all();
        self.writer().prove_edits();
        self.compactor().let_go();
        flushed
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("dir", &self.env().dir).finish_non_exhaustive()
    }
}

impl Shared {
    /// Ends the threads, and all waiting for them.
    fn stop(&self) {
        let compactor = &self.compactor;
        compactor.env.flush_signal.stop();
        compactor.env.back_pressure.stop();
        compactor.writer.stop_admission();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop();
        // Snapshots that are kept read on; they are no reason to keep others out.
        self.compactor.let_go();
    }
}
