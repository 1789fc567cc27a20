//! Recovery: from log files to a memtable, batch by batch.
//!
//! Called while a store is opened, by the owner and by read-only openers; it writes nothing itself.
//! Reading is idempotent: what the manifest covers is skipped, so a crash at any point of recovery
//! only means that it runs again. Refs are file-local; the registry here belongs to the recovered
//! memtable alone and has no limits, because what was accepted once must be recovered.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::report::{Finding, OpenReport};
use crate::error::{Error, Result};
use crate::manifest::{Version, WalCovered};
use crate::memtable::Memtable;
use crate::series::Registry;
use crate::sys::{Vfs, random_bytes};
use crate::types::{DecodeError, FileName, LabelsLimits};
use crate::wal::{Batch, BatchView, Damage, FileReport, Predecessor, WalReader};

/// Log files to be replayed.
pub(super) struct Replay<'a> {
    pub(super) vfs: &'a dyn Vfs,
    pub(super) dir: &'a Path,
    pub(super) uuid: [u8; 16],
    pub(super) covered: WalCovered,
    /// Whether there must be a log file.
    pub(super) has_log: bool,
    /// Bytes of memtable after which `full` is called.
    pub(super) memtable_bytes_max: u64,
    /// Bytes of registry after which it is called too, between two files.
    pub(super) registry_bytes_max: u64,
}

/// What was recovered and is not yet in a segment.
pub(super) struct Recovered {
    pub(super) memtable: Arc<Memtable>,
    pub(super) registry: Arc<Registry>,
    /// The highest seq seen anywhere in the log.
    pub(super) last_seq: u64,
    /// What the next log file's header says of the last one.
    pub(super) predecessor: Predecessor,
    /// Log files that hold damage: worth keeping when the log is removed.
    pub(super) damaged: Vec<u64>,
}

/// A memtable that is full in the middle of a file: what a flush needs to cover it.
pub(super) struct Prefix<'a> {
    pub(super) memtable: &'a Arc<Memtable>,
    pub(super) registry: &'a Arc<Registry>,
    /// Files below this one, and in it seqs up to the memtable's last, are covered by the flush.
    pub(super) file_number: u64,
}

impl Replay<'_> {
    /// Reads every log file that the manifest does not cover, in order. `full` is called with a
    /// memtable that has reached its size; recovery goes on with an empty one.
    ///
    /// # Errors
    /// I/O errors, a newer format, and what `full` returns. Damage is no error: it is reported.
    pub(super) fn run(
        &self,
        report: &mut OpenReport,
        mut full: impl FnMut(&Prefix<'_>) -> Result<()>,
    ) -> Result<Recovered> {
        let mut generation = 1;
        let mut state = Recovered {
            memtable: Arc::new(Memtable::new(generation)),
            registry: Arc::new(self.new_registry()?),
            last_seq: self.covered.seq,
            predecessor: Predecessor::default(),
            damaged: Vec::new(),
        };
        for (number, path, mut reader) in self.readers(report, &mut state.damaged)? {
            let mut refs = Refs::default();
            state.last_seq = state.last_seq.max(reader.header().last_seq);
            // No ref of an earlier file is used again: its series need not be known any more.
            if state.registry.used_bytes() as u64 >= self.registry_bytes_max {
                if state.memtable.published() > 0 {
                    let (memtable, registry) = (&state.memtable, &state.registry);
                    full(&Prefix { memtable, registry, file_number: number })?;
                    generation += 1;
                    state.memtable = Arc::new(Memtable::new(generation));
                }
                state.registry = Arc::new(self.new_registry()?);
            }
            while let Some(batch) = reader.next_batch()? {
                if state.memtable.bytes() as u64 >= self.memtable_bytes_max {
                    let (memtable, registry) = (&state.memtable, &state.registry);
                    full(&Prefix { memtable, registry, file_number: number })?;
                    generation += 1;
                    state.memtable = Arc::new(Memtable::new(generation));
                }
                let rises = state.memtable.last_seq().is_none_or(|last| batch.seq > last);
                let view = match refs.read(&batch, &state.registry) {
                    Ok(_) if !rises && batch.seq > self.covered.seq => {
                        Err(DecodeError::Invalid("seq of the batch, which an earlier file has"))
                    }
                    view => view,
                };
                match view {
                    Ok(view) if refs.know(&view) || !refs.lost_to_a_tear(&reader)? => {
                        self.apply(&view, batch.seq, &refs, &state, report);
                    }
                    // A frame before it, unsynced like itself, did not survive: all or nothing.
                    Ok(_) => report.torn_bytes += batch.payload.len() as u64,
                    Err(source) => {
                        let error = Error::decode(&path, "batch", batch.offset, source);
                        report.findings.push(Finding::of(&path, &error));
                        state.damaged.push(number);
                    }
                }
                state.last_seq = state.last_seq.max(batch.seq);
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
    fn readers(
        &self,
        report: &mut OpenReport,
        damaged: &mut Vec<u64>,
    ) -> Result<Vec<(u64, PathBuf, WalReader)>> {
        let mut readers = Vec::new();
        let mut successor: Option<Predecessor> = None;
        let mut missing_log = self.has_log;
        for number in wal_numbers(self.vfs, self.dir)?.into_iter().rev() {
            if number < self.covered.file_number {
                missing_log = false;
                continue;
            }
            let path = self.dir.join(FileName::Wal(number).to_string());
            if let Some(missing) = successor.take_if(|s| s.file_number > number) {
                self.note_missing(report, missing);
            }
            let says = successor.filter(|s| s.file_number == number);
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
        state.memtable.append(rows, seq);
        state.memtable.publish();
        report.recovered_batches += 1;
        report.recovered_rows += view.rows() as u64 - lost;
        report.lost_rows += lost;
    }

    fn note_file(&self, report: &mut OpenReport, path: &Path, file: &FileReport) {
        for damage in &file.corruption {
            report.findings.push(Finding::new(path, describe(damage)));
        }
        report.torn_bytes += file.torn.iter().map(|d| d.bytes).sum::<u64>();
        for torn in &file.torn {
            tracing::info!(path = %path.display(), offset = torn.offset, bytes = torn.bytes, "a torn write");
        }
    }
}

fn describe(damage: &Damage) -> String {
    format!(
        "{} bytes of log at byte {} are damaged ({}): acknowledged batches from seq {} to {} are lost",
        damage.bytes, damage.offset, damage.cause, damage.first_seq, damage.last_seq
    )
}

/// Whether a store of this version has a log file at any moment, also after a crash: every one but a
/// store in the course of being created.
pub(super) fn has_log(version: &Version) -> bool {
    version.last_seq() > 0 || !version.segments().is_empty()
}

/// The numbers of the log files in `dir`, ascending.
pub(super) fn wal_numbers(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<u64>> {
    let entries = vfs.list(dir).map_err(|e| Error::io("list", dir, e))?;
    let number = |name: &str| match FileName::parse(name) {
        Some(FileName::Wal(number)) => Some(number),
        _ => None,
    };
    let mut numbers: Vec<u64> =
        entries.iter().filter_map(|entry| number(entry.name.to_str()?)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The refs of one log file.
#[derive(Default)]
struct Refs {
    /// The slot of each ref; `None` where the definition was lost.
    slots: Vec<Option<u32>>,
    /// Whether those that are missing were lost to a torn write; found out when asked.
    torn: Option<bool>,
}

impl Refs {
    fn slot(&self, series_ref: u32) -> Option<u32> {
        self.slots.get(series_ref as usize).copied().flatten()
    }

    /// Decodes a batch and takes in its definitions.
    fn read<'a>(
        &mut self,
        batch: &'a Batch,
        registry: &Registry,
    ) -> Result<BatchView<'a>, DecodeError> {
        let view = BatchView::decode(&batch.payload)?;
        self.define(&view, batch.offset, registry)?;
        Ok(view)
    }

    /// Whether every series of a batch is known.
    fn know(&self, view: &BatchView<'_>) -> bool {
        view.runs().all(|(series_ref, _)| self.slot(series_ref).is_some())
    }

    /// Whether the file so far lacks frames because a crash tore them, not because of damage.
    fn lost_to_a_tear(&mut self, reader: &WalReader) -> Result<bool> {
        if self.torn.is_none() {
            self.torn = Some(reader.damage_is_torn()?);
        }
        Ok(self.torn == Some(true))
    }

    fn define(
        &mut self,
        view: &BatchView<'_>,
        offset: u64,
        registry: &Registry,
    ) -> Result<(), DecodeError> {
        let first = view.first_ref();
        // Each definition takes at least a byte of the file, so a number beyond is not earned.
        if (first as usize) < self.slots.len() || u64::from(first) > offset {
            return Err(DecodeError::Invalid("first ref of the batch"));
        }
        let definitions = view.definitions()?;
        if definitions.is_empty() {
            return Ok(());
        }
        self.slots.resize(first as usize, None);
        for definition in definitions {
            let handle = registry.resolve(&definition.labels);
            self.slots.push(handle.ok().map(|handle| handle.slot()));
        }
        Ok(())
    }
}
