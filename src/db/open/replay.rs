//! Recovery: from log files to memtables and tombstones, record by record.
//!
//! A delete seals what was replayed before it, as it did when it was written: what is recovered is a
//! list of [`Part`]s, each first tombstones, then rows. Called while a store is opened, by the owner and by
//! read-only openers; it writes nothing itself. Reading is idempotent: what the manifest covers is skipped,
//! so a crash at any point of recovery only means that it runs again. The registry here belongs to the
//! recovered memtable alone and has no limits, because what was accepted once must be recovered.
//!
//! What is recovered is a prefix of what was acknowledged, or damage is reported: a torn write ends the log, with
//! the whole frames behind it, which nothing proves durable; damage that was durable costs itself alone
//! (`wal/FORMAT.md`, "Reading"). The header of the next log file says where the prefix ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::refs::Refs;
use super::report::OpenReport;
use crate::db::env::finding::Finding;
use crate::db::write::log_files;
use crate::error::{Error, Result};
use crate::manifest::{Version, WalCovered};
use crate::memtable::Memtable;
use crate::series::Registry;
use crate::sys::{Vfs, random_bytes};
use crate::types::{DecodeError, FileName, LabelsLimits, Tombstone};
use crate::wal::{BatchView, Damage, FileReport, Predecessor, Record, RecordKind, WalReader};

/// Log files to be replayed.
pub(super) struct Replay<'a> {
    pub(super) vfs: &'a dyn Vfs,
    pub(super) dir: &'a Path,
    pub(super) uuid: [u8; 16],
    /// What the manifest says of it: files far above it are not the store's.
    pub(super) next_file_number: u64,
    pub(super) covered: WalCovered,
    /// Whether there must be a log file.
    pub(super) has_log: bool,
    /// Bytes of memtable after which a part is ended.
    pub(super) memtable_bytes_max: u64,
    /// Bytes of registry after which one is ended too, between two files.
    pub(super) registry_bytes_max: u64,
}

/// What was recovered and is not yet in segments.
pub(super) struct Recovered {
    /// Oldest first; at least one. The last one may be empty, and reaches to the end of the log.
    pub(super) parts: Vec<Part>,
    pub(super) registry: Arc<Registry>,
    /// The highest seq seen anywhere in the log.
    pub(super) last_seq: u64,
    /// What the next log file's header says of the last one.
    pub(super) predecessor: Predecessor,
    /// Log files that hold damage or are of another store: worth keeping when the log is removed.
    pub(super) damaged: Vec<u64>,
}

/// What one generation held: tombstones, then rows that are newer than these.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) tombstones: Vec<Arc<Tombstone>>,
    pub(super) memtable: Arc<Memtable>,
    /// Log files below this one are not needed once the part is flushed; in it, and in later ones,
    /// seqs up to [`Part::last_seq`] are not. For the last part, the caller knows.
    pub(super) file_number: u64,
}

impl Part {
    fn new(generation: u32) -> Self {
        let memtable = Arc::new(Memtable::new(generation));
        Self { tombstones: Vec::new(), memtable, file_number: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tombstones.is_empty() && self.memtable.published() == 0
    }

    /// The highest seq in it; `None` if it is empty.
    pub(super) fn last_seq(&self) -> Option<u64> {
        let of_tombstones = self.tombstones.last().map(|tombstone| tombstone.seq);
        self.memtable.last_seq().or(of_tombstones)
    }
}

/// What was done with a part that was ended before the end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is in a segment.
    Flushed,
    /// It stays in memory.
    Kept,
}

/// What decides what becomes of a part that was ended, before the next one is begun.
pub(super) type OnEnd<'a> = &'a mut dyn FnMut(&Part, &Arc<Registry>) -> Result<Ended>;

impl Replay<'_> {
    /// Reads every log file that the manifest does not cover, in order. `on_end` is called with a
    /// part that has reached its size or is sealed by a delete.
    ///
    /// # Errors
    /// I/O errors, a newer format, and what `on_end` returns. Damage is no error: it is reported.
    pub(super) fn run(&self, report: &mut OpenReport, on_end: OnEnd<'_>) -> Result<Recovered> {
        let mut state = Recovered {
            parts: vec![Part::new(1)],
            registry: Arc::new(self.new_registry()?),
            last_seq: self.covered.seq,
            predecessor: Predecessor::default(),
            damaged: Vec::new(),
        };
        for (number, path, mut reader) in self.readers(report, &mut state.damaged)? {
            let mut refs = Refs::default();
            state.last_seq = state.last_seq.max(reader.header().last_seq);
            if state.registry.used_bytes() as u64 >= self.registry_bytes_max {
                self.forget_series(number, &mut state, on_end)?;
            }
            while let Some(record) = reader.next_record()? {
                if state.ends_before(&record, self) {
                    state.end_part(number, on_end)?;
                }
                let taken = match record.kind {
                    RecordKind::Batch => self.take_batch(&record, &mut refs, &state, report),
                    RecordKind::Delete => self.take_delete(&record, &mut state, report),
                };
                if let Err(source) = taken {
                    let section = match record.kind {
                        RecordKind::Batch => "batch",
                        RecordKind::Delete => "delete",
                    };
                    let error = Error::decode(&path, section, record.offset, source);
                    report.findings.push(Finding::of(&path, &error));
                    state.damaged.push(number);
                }
                state.last_seq = state.last_seq.max(record.seq);
            }
            let file = reader.report();
            self.note_file(report, &path, &file);
            if !file.corruption.is_empty() {
                state.damaged.push(number);
            }
            state.last_seq = state.last_seq.max(file.last_seq);
            // What nothing proves durable may be in the page cache alone.
            state.predecessor = Predecessor {
                file_number: number,
                valid_bytes: file.valid_bytes,
                durable_bytes: file.durable_bytes,
            };
        }
        Ok(state)
    }

    /// Takes in a batch.
    fn take_batch(
        &self,
        record: &Record,
        refs: &mut Refs,
        state: &Recovered,
        report: &mut OpenReport,
    ) -> Result<(), DecodeError> {
        let view = refs.read(record, &state.registry)?;
        self.check_seq(record, state)?;
        self.apply(&view, record.seq, refs, state, report);
        Ok(())
    }

    /// Takes in a delete, unless it is covered.
    fn take_delete(
        &self,
        record: &Record,
        state: &mut Recovered,
        report: &mut OpenReport,
    ) -> Result<(), DecodeError> {
        let tombstone = Tombstone::decode(&record.payload)?;
        if tombstone.seq != record.seq {
            return Err(DecodeError::Invalid("seq of the delete"));
        }
        self.check_seq(record, state)?;
        if record.seq > self.covered.seq {
            state.part_mut().tombstones.push(Arc::new(tombstone));
            report.recovered_deletes += 1;
        }
        Ok(())
    }

    /// Refuses a seq that an earlier file has too: it would be applied out of order.
    fn check_seq(&self, record: &Record, state: &Recovered) -> Result<(), DecodeError> {
        let newest = state.parts.iter().rev().find_map(Part::last_seq);
        let rises = newest.is_none_or(|newest| record.seq > newest);
        if !rises && record.seq > self.covered.seq {
            return Err(DecodeError::Invalid("seq, which an earlier file has"));
        }
        Ok(())
    }

    /// Ends a part before log file `number`, whose frames use no ref of an earlier one: what is in
    /// segments then need not be known any more.
    fn forget_series(&self, number: u64, state: &mut Recovered, on_end: OnEnd<'_>) -> Result<()> {
        if !state.part().is_empty() {
            state.end_part(number, on_end)?;
        }
        if state.parts.len() == 1 {
            state.registry = Arc::new(self.new_registry()?);
        }
        Ok(())
    }

    fn new_registry(&self) -> Result<Registry> {
        let key =
            random_bytes::<32>().map_err(|e| Error::io("draw random bytes for", self.dir, e))?;
        let unlimited = LabelsLimits {
            labels_max: usize::MAX,
            name_bytes_max: usize::MAX,
            value_bytes_max: usize::MAX,
            set_bytes_max: usize::MAX,
        };
        Ok(Registry::new(key, unlimited, usize::MAX))
    }

    /// A reader for each file, in order. Opened from the last to the first, since each file's header
    /// says how much of the one before it counts.
    pub(super) fn readers(
        &self,
        report: &mut OpenReport,
        damaged: &mut Vec<u64>,
    ) -> Result<Vec<(u64, PathBuf, WalReader)>> {
        let mut readers = Vec::new();
        let mut successor: Option<Predecessor> = None;
        let mut missing_log = self.has_log;
        let numbers = log_files::numbers(self.vfs, self.dir, self.next_file_number)?;
        for number in numbers.into_iter().rev() {
            let path = self.dir.join(FileName::Wal(number).to_string());
            if number < self.covered.file_number {
                missing_log = false;
                if log_files::is_foreign(self.vfs, &path, self.uuid) {
                    let message = "a log file of another store; nothing of it is replayed";
                    report.findings.push(Finding::new(&path, message));
                    damaged.push(number);
                }
                continue;
            }
            if let Some(missing) = successor.take_if(|s| s.file_number > number) {
                self.note_missing(report, missing);
            }
            let says = successor.filter(|s| s.file_number == number);
            let says = says.map(|said| Self::with_what_follows(said, &readers)).transpose()?;
            match WalReader::open(self.vfs, &path, (self.uuid, number), says) {
                Ok(Some(reader)) => {
                    missing_log = false;
                    successor = Some(reader.header().predecessor);
                    readers.push((number, path, reader));
                }
                Ok(None) => {
                    tracing::info!(path = %path.display(), "an interrupted log file creation")
                }
                Err(error @ Error::Corrupt { .. }) => {
                    successor = successor.filter(|s| s.file_number != number);
                    missing_log = false;
                    report.findings.push(Finding::of(&path, &error));
                    damaged.push(number);
                }
                Err(error) => return Err(error),
            }
        }
        if missing_log {
            let message = format!(
                "there is no log file: batches after seq {} are lost, if there were any",
                self.covered.seq
            );
            report.findings.push(Finding::new(self.dir, message));
        }
        if let Some(missing) = successor.filter(|s| s.file_number >= self.covered.file_number) {
            self.note_missing(report, missing);
        }
        readers.reverse();
        Ok(readers)
    }

    /// What the next file's header says of a file, but all of it durable if a record follows in a later file:
    /// no record is written to the next file before what is in front of it is durable.
    fn with_what_follows(
        said: Predecessor,
        later: &[(u64, PathBuf, WalReader)],
    ) -> Result<Predecessor> {
        if said.durable_bytes < said.valid_bytes {
            for (_, _, reader) in later {
                if reader.clone().next_record()?.is_some() {
                    return Ok(Predecessor { durable_bytes: said.valid_bytes, ..said });
                }
            }
        }
        Ok(said)
    }

    /// A file that its successor names and nothing covers is gone.
    fn note_missing(&self, report: &mut OpenReport, missing: Predecessor) {
        if missing.file_number == 0 || missing.file_number < self.covered.file_number {
            return;
        }
        let path = self.dir.join(FileName::Wal(missing.file_number).to_string());
        let message = format!("the log file is missing; {} bytes are lost", missing.valid_bytes);
        report.findings.push(Finding::new(path, message));
    }

    /// Applies the rows of one batch, unless they are covered.
    fn apply(
        &self,
        view: &BatchView<'_>,
        seq: u64,
        refs: &Refs,
        state: &Recovered,
        report: &mut OpenReport,
    ) {
        if seq <= self.covered.seq {
            return;
        }
        let mut lost = 0;
        let runs =
            view.runs().flat_map(|(r, rows)| std::iter::repeat_n(refs.slot(r), rows as usize));
        let rows = runs.zip(view.samples()).filter_map(|(slot, (timestamp, bits))| {
            lost += u64::from(slot.is_none());
            Some((slot?, timestamp, bits))
        });
        let memtable = &state.part().memtable;
        memtable.append(rows, seq);
        memtable.publish();
        report.recovered_batches += 1;
        report.recovered_rows += view.rows() as u64 - lost;
        report.lost_rows += lost;
    }

    fn note_file(&self, report: &mut OpenReport, path: &Path, file: &FileReport) {
        for damage in &file.corruption {
            report.findings.push(Finding::new(path, describe(damage)));
        }
        report.torn_records += file.torn_records;
        for torn in &file.torn {
            report.torn_bytes += torn.bytes;
            let (offset, bytes, records) = (torn.offset, torn.bytes, file.torn_records);
            tracing::info!(path = %path.display(), offset, bytes, records, "a torn write");
        }
        if file.torn_records > 0 {
            let first_seq = file.torn.first().map_or(0, |torn| torn.first_seq);
            tracing::warn!(
                path = %path.display(), records = file.torn_records, first_seq,
                "writes that were not synced are left out: one before them did not survive"
            );
        }
    }
}

fn describe(damage: &Damage) -> String {
    let Damage { offset, bytes, first_seq, last_seq, cause } = damage;
    let place = format!("{bytes} bytes of log at byte {offset} are damaged ({cause})");
    match damage.misses_nothing() {
        true => format!("{place}: no batch is lost"),
        false => {
            format!("{place}: acknowledged batches from seq {first_seq} to {last_seq} are lost")
        }
    }
}

/// Whether a store of this version has a log file at any moment, also after a crash: every one but a
/// store in the course of being created.
pub(super) fn has_log(version: &Version) -> bool {
    version.last_seq() > 0 || !version.segments().is_empty()
}

impl Recovered {
    /// The part that records go to.
    pub(super) fn part(&self) -> &Part {
        self.parts.last().expect("there is always a part")
    }

    fn part_mut(&mut self) -> &mut Part {
        self.parts.last_mut().expect("there is always a part")
    }

    /// Whether the present part ends before this record: it is full, or the record is a delete and
    /// the part has rows, all older than that.
    fn ends_before(&self, record: &Record, replay: &Replay<'_>) -> bool {
        let memtable = &self.part().memtable;
        match record.kind {
            RecordKind::Batch => memtable.bytes() as u64 >= replay.memtable_bytes_max,
            RecordKind::Delete => memtable.published() > 0,
        }
    }

    /// Begins the next part in log file `file_number`.
    fn end_part(&mut self, file_number: u64, on_end: OnEnd<'_>) -> Result<()> {
        let registry = Arc::clone(&self.registry);
        let part = self.part_mut();
        part.file_number = file_number;
        let next = Part::new(part.memtable.generation() + 1);
        match on_end(part, &registry)? {
            Ended::Flushed => *part = next,
            Ended::Kept => self.parts.push(next),
        }
        Ok(())
    }
}
