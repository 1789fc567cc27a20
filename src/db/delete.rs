//! Deletes: from a request to a tombstone in the log, and what it hides.
//!
//! A delete seals the active memtable if that has rows, gets a seq and a DELETE frame in the log file
//! of the next generation, and is published to readers with one pointer. Deletes that wait together
//! share the seal. Floors below know how it hides; the flush makes it part of the manifest.
//!
//! Invariant: rows of the generation that a delete belongs to are newer than the delete, all others
//! are older.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use super::Db;
use super::changes::Change;
use super::commit::Commit;
use super::core::{Core, Generation, Live, PendingDelete};
use super::generation::SealFor;
use super::options::Durability;
use super::pinned::sources_of;
use super::queue::Outcome;
use super::write_batch::Ack;
use crate::error::{Error, Result};
use crate::read::{Damage, Footprints, QueryOptions};
use crate::types::{Matcher, TOMBSTONE_BYTES_MAX, TOMBSTONE_MATCHERS_MAX, TimeRange, Tombstone};
use crate::wal::RecordKind;

/// Most deletes that may wait for their erasure.
pub(super) const TOMBSTONES_MAX: usize = 10_000;
/// Most bytes that they may take together, encoded: they are in every snapshot of the manifest.
const TOMBSTONES_BYTES_MAX: usize = 4 << 20;

/// What a delete hides, as [`Db::delete`] and [`Db::preview_delete`] count it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteReceipt {
    /// Its place in the order of writes; 0 for a preview.
    pub seq: u64,
    /// Whether the delete survives a power cut already.
    pub durable: bool,
    /// Series of which it hides at least one sample.
    pub series: u64,
    /// Stored samples that it hides. One that was overwritten counts wherever it is still stored.
    pub samples: u64,
    /// Of these, samples in memory.
    pub memtable_samples: u64,
    /// About how many bytes their values take up in segments, freed when they are rewritten.
    pub bytes: u64,
    /// The segments that hold some of them, by file number.
    pub segments: Vec<DeletedShare>,
    /// Whether all of it could be counted; false if damage was in the way.
    pub is_complete: bool,
}

/// What a delete hides in one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeletedShare {
    /// The file number of the segment.
    pub file_number: u64,
    /// Samples hidden in it, of [`SegmentMeta::samples`](crate::SegmentMeta::samples).
    pub samples: u64,
    /// About how many bytes their values take up in it.
    pub bytes: u64,
}

/// A delete in the queue.
#[derive(Debug)]
pub(super) struct DeleteRequest {
    /// Without its seq.
    tombstone: Tombstone,
    pub(super) outcome: Arc<Outcome>,
    /// What readers saw right after it.
    seen: Arc<OnceLock<Arc<Live>>>,
}

impl DeleteRequest {
    pub(super) fn encoded_bytes(&self) -> usize {
        self.tombstone.encoded_bytes()
    }
}

impl Db {
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
    /// [`Error::InvalidArgument`] without matchers or for a range without a tick;
    /// [`Error::LimitExceeded`] for more than 64 matchers or 64 KiB of them, or when 10,000 deletes
    /// wait for compaction; as for [`Db::write`] otherwise. After [`Error::DurabilityUnknown`] the
    /// delete holds, and may or may not survive a power cut. If what it hides cannot be counted for
    /// other reasons than damage, the error is that of counting, and the delete holds; deleting again
    /// is harmless.
    pub fn delete(&self, matchers: &[Matcher], range: TimeRange) -> Result<DeleteReceipt> {
        let core = self.core();
        let tombstone = core.tombstone(matchers, range)?;
        core.check_writable()?;
        let seen = Arc::new(OnceLock::new());
        let ticket = core.submit_delete(DeleteRequest {
            tombstone,
            outcome: Arc::default(),
            seen: Arc::clone(&seen),
        });
        let ack = core.finish(&ticket)?;
        let live = seen.get().expect("a delete that is acknowledged was published");
        core.receipt(live, matchers, range, ack)
    }

    /// What [`Db::delete`] would hide now; changes nothing.
    ///
    /// # Errors
    /// As [`Db::delete`], as far as the arguments tell; I/O errors and [`Error::Corrupt`].
    pub fn preview_delete(&self, matchers: &[Matcher], range: TimeRange) -> Result<DeleteReceipt> {
        let core = self.core();
        core.check_open()?;
        core.tombstone(matchers, range)?;
        let receipt =
            core.receipt(&core.live(), matchers, range, Ack { seq: u64::MAX, durable: false })?;
        Ok(DeleteReceipt { seq: 0, ..receipt })
    }
}

impl Core {
    /// The tombstone of a delete, its arguments checked; its seq is not given yet.
    fn tombstone(&self, matchers: &[Matcher], range: TimeRange) -> Result<Tombstone> {
        let created_ms = self.clock().wall_ms();
        let tombstone = Tombstone { seq: 1, range, matchers: matchers.to_vec(), created_ms };
        if matchers.is_empty() {
            return Err(Error::InvalidArgument(
                "a delete needs at least one matcher; to delete everything, one that matches everything"
                    .into(),
            ));
        }
        if range.is_empty() {
            return Err(Error::InvalidArgument(format!(
                "the range from {} to {} is empty",
                range.start, range.end
            )));
        }
        if matchers.len() > TOMBSTONE_MATCHERS_MAX {
            return Err(Error::LimitExceeded(format!(
                "a delete with {} matchers; at most {TOMBSTONE_MATCHERS_MAX} are allowed",
                matchers.len()
            )));
        }
        let bytes = tombstone.encoded_bytes();
        if bytes > TOMBSTONE_BYTES_MAX {
            return Err(Error::LimitExceeded(format!(
                "a delete of {bytes} bytes; at most {TOMBSTONE_BYTES_MAX} are allowed"
            )));
        }
        Ok(tombstone)
    }

    /// Writes, publishes and syncs the deletes of a group, which share a seal. An error is the
    /// answer of all that have none yet.
    pub(super) fn commit_deletes(
        &self,
        commit: &mut Commit,
        requests: &[DeleteRequest],
    ) -> Result<()> {
        self.check_writable()?;
        self.check_room(requests)?;
        if self.writable_generation(commit, SealFor::Deletes)?.memtable.published() > 0 {
            self.rotate(commit, SealFor::Deletes)?;
            self.evacuate()?;
        }
        let seqs = commit.last_seq + 1..;
        let tombstones: Vec<Arc<Tombstone>> = requests
            .iter()
            .zip(seqs)
            .map(|(request, seq)| Arc::new(Tombstone { seq, ..request.tombstone.clone() }))
            .collect();
        self.log_deletes(commit, &tombstones)?;
        self.publish_deletes(&tombstones);
        let live = self.live();
        requests.iter().for_each(|request| drop(request.seen.set(Arc::clone(&live))));
        self.counters.deletes.add(tombstones.len() as u64);
        let durable = matches!(self.options.durability, Durability::Always);
        if durable {
            self.sync_wal(commit)?;
        }
        for (request, tombstone) in requests.iter().zip(&tombstones) {
            request.outcome.acknowledge(Ack { seq: tombstone.seq, durable });
        }
        Ok(())
    }

    /// Refuses deletes beyond what the manifest has room for.
    fn check_room(&self, requests: &[DeleteRequest]) -> Result<()> {
        let present = self.live().tombstones();
        let count = present.len() + requests.len();
        let bytes = present.iter().map(|tombstone| tombstone.encoded_bytes()).sum::<usize>()
            + requests.iter().map(DeleteRequest::encoded_bytes).sum::<usize>();
        if count > TOMBSTONES_MAX || bytes > TOMBSTONES_BYTES_MAX {
            return Err(Error::LimitExceeded(format!(
                "{} deletes wait until compaction has carried them out; at most {TOMBSTONES_MAX} \
                 may, of {TOMBSTONES_BYTES_MAX} bytes together: compact, then delete again",
                present.len()
            )));
        }
        Ok(())
    }

    /// Writes a DELETE frame for each.
    fn log_deletes(&self, commit: &mut Commit, tombstones: &[Arc<Tombstone>]) -> Result<()> {
        let encode = |tombstone: &Arc<Tombstone>| {
            let mut payload = Vec::with_capacity(tombstone.encoded_bytes());
            tombstone.encode(&mut payload);
            (tombstone.seq, payload)
        };
        let payloads: Vec<(u64, Vec<u8>)> = tombstones.iter().map(encode).collect();
        let frames: Vec<(u64, &[u8])> = payloads.iter().map(|(seq, p)| (*seq, &p[..])).collect();
        let wal = commit.wal.as_mut().expect("a writable generation has a log file");
        wal.append(RecordKind::Delete, &frames)?;
        let now = self.clock().monotonic();
        commit.last_seq = wal.last_seq();
        commit.last_write = Some(now);
        commit.unsynced_since.get_or_insert(now);
        Ok(())
    }

    /// Shows readers the deletes and, in the same moment, an active memtable that no earlier reader
    /// knows: who does not see a delete must not see a row that is newer.
    fn publish_deletes(&self, tombstones: &[Arc<Tombstone>]) {
        let old = Arc::clone(&self.live().active);
        assert_eq!(old.memtable.published(), 0, "a delete seals what is older");
        let generation = old.memtable.generation();
        let next = Generation { created: old.created, ..self.new_generation(generation) };
        next.in_doubt.store(old.is_in_doubt(), Ordering::Release);
        self.pin(&next);
        let pending = |tombstone| PendingDelete { generation, tombstone };
        let hidden = tombstones.iter().map(|tombstone| Change::in_range(tombstone.range));
        self.changes.record(hidden, || {
            self.swap_live(|live| {
                live.active = Arc::new(next);
                live.deletes.extend(tombstones.iter().cloned().map(pending));
            });
        });
    }

    /// Counts what the delete with the seq `ack.seq` hides of what `live` holds.
    fn receipt(
        &self,
        live: &Live,
        matchers: &[Matcher],
        range: TimeRange,
        ack: Ack,
    ) -> Result<DeleteReceipt> {
        let sources = sources_of(live, self);
        let damage = Damage::default();
        live.broken.iter().for_each(|broken| damage.push(broken.error.duplicate()));
        let options = QueryOptions {
            bytes_max: u64::MAX,
            skip_damaged: Some(damage.clone()),
            ..QueryOptions::default()
        };
        let found = sources.footprints(matchers, range, ack.seq, &options)?;
        let Footprints { series, sources } = found;
        // Segments come first, then memtables.
        let (in_segments, in_memory) = sources.split_at(live.segments.len());
        let shares = live.segments.iter().zip(in_segments);
        let shares = shares.filter(|(_, found)| found.rows > 0).map(|(segment, found)| {
            let file_number = segment.meta().file_number;
            DeletedShare { file_number, samples: found.rows, bytes: found.bytes }
        });
        let mut segments: Vec<DeletedShare> = shares.collect();
        segments.sort_unstable_by_key(|share| share.file_number);
        Ok(DeleteReceipt {
            seq: ack.seq,
            durable: ack.durable,
            series,
            samples: sources.iter().map(|found| found.rows).sum(),
            memtable_samples: in_memory.iter().map(|found| found.rows).sum(),
            bytes: in_segments.iter().map(|found| found.bytes).sum(),
            segments,
            is_complete: damage.take().is_empty(),
        })
    }
}
