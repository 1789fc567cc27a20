//! The facade of everything but writing and reading: flushes, merges, deletes, checkpoints, attach.

use std::ops::ControlFlow;
use std::path::Path;

use super::attach::{AttachOptions, attach};
use super::compact::AttachReport;
use super::compact::accept::{AcceptOptions, AcceptReport};
use super::compact::on_demand::{CompactProgress, CompactReport};
use super::losses::Losses;
use super::open::checkpoint::{CheckpointReport, checkpoint};
use super::write::receipt::DeleteReceipt;
use super::{Db, background};
use crate::compaction::CompactionPlan;
use crate::error::Result;
use crate::types::{Matcher, TimeRange};

impl Db {
    /// Turns everything in memory into segments; when this returns, no sample is in the log alone.
    ///
    /// # Errors
    /// I/O errors and [`Error::SelfCheck`](crate::Error::SelfCheck); nothing is lost, and the flush will be
    /// tried again. [`Error::Closed`](crate::Error::Closed).
    pub fn flush(&self) -> Result<()> {
        self.env().health.check_open()?;
        self.writer().flush_all()
    }

    /// Makes the new directory `dir` a store of its own that holds what this one holds now, what is
    /// only in memory included. Its files are hard links: it takes no time and no space but for what
    /// this store removes later. Writers go on; what they write meanwhile may or may not be in it.
    /// It can be opened, copied, and moved elsewhere, and survives a power cut when this returns. One
    /// that a crash cut short has no `CURRENT` and does not open.
    ///
    /// It has an identity of its own, and knows whose copy it is: a log file of the one that gets into the
    /// directory of the other is reported there, never replayed, and neither is attached to the other unless
    /// that is meant ([`Db::attach_with`]). A copy made by other means, such as `cp` of a closed store, has the
    /// identity of its store, and nothing tells them apart.
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
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) when `dir` exists, is a name that the store uses itself, or is on
    /// another file system, and for a store that is a copy of a copy, and so on, 1,024 times; the error of a
    /// segment that could not be opened; I/O errors of the flush
    /// and of the new directory, whose parent must exist. What was made is removed. [`Error::Closed`](crate::Error::Closed).
    pub fn checkpoint(&self, dir: impl AsRef<Path>) -> Result<CheckpointReport> {
        self.env().health.check_open()?;
        checkpoint(self.writer(), dir.as_ref())
    }

    /// Does the background work that is due, on this thread: for [`Background::Manual`](crate::Background::Manual), at least
    /// every quarter of a second. Of a merge it takes a few steps, some hundred thousand samples.
    ///
    /// # Errors
    /// The first fault; the work is tried again at the next tick. [`Error::Closed`](crate::Error::Closed).
    pub fn tick(&self) -> Result<()> {
        self.env().health.check_open()?;
        background::tick(self.compactor())
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
    /// [`Error::DiskFull`](crate::Error::DiskFull), [`Error::Io`](crate::Error::Io): the merge that failed changed nothing. [`Error::Closed`](crate::Error::Closed).
    /// Damage is no error: see [`CompactReport`].
    pub fn compact(
        &self,
        range: TimeRange,
        progress: &mut dyn FnMut(&CompactProgress) -> ControlFlow<()>,
    ) -> Result<CompactReport> {
        self.compactor().compact(range, progress)
    }

    /// What is known to be lost: samples that a query cannot have any more because a block was damaged,
    /// until somebody accepts that ([`Db::accept_losses`]). Damage that nothing has met yet is found by
    /// [`Verify`](crate::Verify).
    ///
    /// # Errors
    /// I/O errors. [`Error::Closed`](crate::Error::Closed).
    pub fn losses(&self) -> Result<Losses> {
        self.env().health.check_open()?;
        let view = self.compactor().view.current();
        Losses::of(&view.version, &view.segments, &view.broken)
    }

    /// Reads every segment and accepts what is lost of it: from then on these samples count as never
    /// written. Queries that failed because of them succeed without them; what is older at the same times
    /// stays hidden, and what is written there later counts. The damaged files go to `quarantine/`, with a
    /// list of what was lost. `progress` is called before each segment, with the number done and of all;
    /// when it breaks, what is done stays.
    ///
    /// ```
    /// # use siltstone::{AcceptOptions, Db, Options};
    /// # use std::ops::ControlFlow;
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Db::open(dir.path(), Options::default())?;
    /// let options = AcceptOptions::default();
    /// let report = db.accept_losses(options, |_, _| ControlFlow::Continue(()))?;
    /// for lost in &report.accepted {
    ///     println!("{lost}");
    /// }
    /// assert!(db.losses()?.is_whole());
    /// # db.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::DiskFull`](crate::Error::DiskFull), [`Error::Io`](crate::Error::Io): what was accepted before stays so, and asking again goes on.
    /// [`Error::Closed`](crate::Error::Closed). A segment whose index is damaged is no error: see [`AcceptReport`].
    pub fn accept_losses(
        &self,
        options: AcceptOptions,
        mut progress: impl FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<AcceptReport> {
        self.compactor().accept_losses(options, &mut progress)
    }

    /// The merges that would come next, were nothing written meanwhile.
    #[must_use]
    pub fn compaction_plan(&self) -> CompactionPlan {
        self.compactor().compaction_plan()
    }

    /// Stops merging and dropping in the background until [`Db::resume`]; a merge under way keeps what
    /// it has done. The debt grows meanwhile: see [`Stats::level0_segments`](crate::Stats::level0_segments).
    pub fn pause(&self) {
        self.env().back_pressure.set_paused(true);
    }

    /// Lets merging in the background go on.
    pub fn resume(&self) {
        self.env().back_pressure.set_paused(false);
    }

    /// Deletes the samples in `range` of every series that satisfies every matcher, as far as they
    /// were written before. When this returns they are gone from every answer, and from what the
    /// next process finds, as durably as [`Options::durability`](super::Options::durability) says;
    /// their bytes are freed by compaction. What is written later is not touched, whatever its time.
    ///
    /// The matchers themselves stay readable in the manifest's history until the store is opened next.
    ///
    /// To delete whole series give [`TimeRange::ALL`]; to delete everything give a matcher that
    /// says so, such as `__name__=~".*"`.
    ///
    /// ```
    /// # use siltstone::{Db, Labels, Matcher, Options, TimeRange, WriteBatch};
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Db::open(dir.path(), Options::default())?;
    /// # let series = db.series(&Labels::from_pairs([("__name__", "up"), ("job", "old")])?)?;
    /// # let mut batch = WriteBatch::new();
    /// # batch.push(series, 1_000, 1.0)?;
    /// # db.write(&batch)?;
    /// let receipt = db.delete(&[Matcher::equal("job", "old")], TimeRange::ALL)?;
    /// assert_eq!((receipt.series, receipt.samples), (1, 1));
    /// # db.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) without matchers or for a range without a tick;
    /// [`Error::LimitExceeded`](crate::Error::LimitExceeded) for more than 64 matchers or 64 KiB of them, or when 10,000 deletes
    /// wait for compaction; as for [`Db::write`] otherwise. After [`Error::DurabilityUnknown`](crate::Error::DurabilityUnknown) the
    /// delete holds, and may or may not survive a power cut. If what it hides cannot be counted for
    /// other reasons than damage, the error is that of counting, and the delete holds; deleting again
    /// is harmless.
    pub fn delete(&self, matchers: &[Matcher], range: TimeRange) -> Result<DeleteReceipt> {
        self.writer().delete(matchers, range)
    }

    /// What [`Db::delete`] would hide now; changes nothing.
    ///
    /// # Errors
    /// As [`Db::delete`], as far as the arguments tell; I/O errors and [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn preview_delete(&self, matchers: &[Matcher], range: TimeRange) -> Result<DeleteReceipt> {
        self.writer().preview_delete(matchers, range)
    }

    /// Adds what another store holds to this one, as one write that happens now: at equal timestamps
    /// its samples replace what was written to this store before and are replaced by what is written
    /// later, and deletes made before do not touch it. Writers and readers go on meanwhile. When this
    /// returns, all of it is visible and survives a power cut; before, none of it is, and after a crash
    /// it is all there or not at all. The other store is only read.
    ///
    /// `path` is the directory of a store, of which every segment is attached, or one `.seg` file.
    /// Whatever its store has replaced or deleted stays so. For a file without its store's manifest
    /// beside it the caller vouches that its timestamps have this store's ticks, and for deletes
    /// that were not carried out in it: the file alone knows neither.
    ///
    /// ```
    /// # use siltstone::{Db, Labels, Options, WriteBatch};
    /// # let root = tempfile::tempdir()?;
    /// # let old = Db::open(root.path().join("old"), Options::default())?;
    /// # let series = old.series(&Labels::from_pairs([("__name__", "up")])?)?;
    /// # let mut batch = WriteBatch::new();
    /// # batch.push(series, 1_000, 1.0)?;
    /// # old.write(&batch)?;
    /// # old.close()?;
    /// let db = Db::open(root.path().join("data"), Options::default())?;
    /// let report = db.attach(root.path().join("old"))?;
    /// assert_eq!((report.segments_in, report.samples), (1, 1));
    /// # db.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for this store's own directory by whatever path, a copy of this
    /// store, the one that it is a copy of, another copy of that (see [`Db::attach_with`]), a store with other ticks, one whose log
    /// holds samples (flush it first) or is damaged, one of which more than 256 segments overlap
    /// (compact it first), a segment that its store does not list, and samples outside the age limits of this one; [`Error::NotAStore`](crate::Error::NotAStore);
    /// [`Error::UnsupportedVersion`](crate::Error::UnsupportedVersion); [`Error::Corrupt`](crate::Error::Corrupt) naming the damaged place of the other store;
    /// [`Error::SnapshotGone`](crate::Error::SnapshotGone) if it is changed meanwhile; [`Error::DiskFull`](crate::Error::DiskFull) and I/O errors;
    /// [`Error::Failed`](crate::Error::Failed) and [`Error::Closed`](crate::Error::Closed). Nothing is attached then.
    pub fn attach(&self, path: impl AsRef<Path>) -> Result<AttachReport> {
        self.attach_with(path, AttachOptions::default())
    }

    /// As [`Db::attach`], with options: a copy of this store, such as a checkpoint, is attached only if
    /// they allow it, as is the store that this one is a copy of, or another copy of that. A single segment file
    /// without the manifest of its store tells only which store wrote it: one that a copy of this store has
    /// written since is not known for what it is.
    ///
    /// ```
    /// # use siltstone::{AttachOptions, Db, Labels, Options, WriteBatch};
    /// # let root = tempfile::tempdir()?;
    /// # let db = Db::open(root.path().join("data"), Options::default())?;
    /// # let series = db.series(&Labels::from_pairs([("__name__", "up")])?)?;
    /// # let mut batch = WriteBatch::new();
    /// # batch.push(series, 1_000, 1.0)?;
    /// # db.write(&batch)?;
    /// let copy = root.path().join("copy");
    /// db.checkpoint(&copy)?;
    /// assert!(db.attach(&copy).is_err());
    /// let report = db.attach_with(&copy, AttachOptions { allow_copy: true })?;
    /// assert_eq!(report.samples, 1);
    /// # db.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Db::attach`].
    pub fn attach_with(
        &self,
        path: impl AsRef<Path>,
        options: AttachOptions,
    ) -> Result<AttachReport> {
        attach(self.compactor(), path.as_ref(), options)
    }
}
