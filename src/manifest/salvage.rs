//! What can still be read of manifests that do not open.
//!
//! Called by the repair of a store, which joins it with what segments, tombstone files and the log say of
//! themselves. Writes nothing.
//!
//! 1. *Which manifest.* Of those in the directory the one with the highest number whose snapshot can be read:
//!    a manifest begins with all that the one before it said, and nothing is appended to a manifest once a
//!    later one was begun. So `CURRENT` is not needed. Where no snapshot can be read, the one with the highest
//!    number whose header can.
//! 2. *One wrong bit* in a header or in a frame is set right (`mend`).
//! 3. *Frames* are read wherever they are valid. As long as none is missing, the result is the very version
//!    that the manifest stood for. Behind a gap, edits cannot be applied any more; what they add, remove and
//!    count is collected as [`Facts`].

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::current;
use super::edit::{VersionEdit, WalCovered};
use super::files::manifest_numbers;
use super::frame::{self, Frame};
use super::header::{HEADER_BYTES, Header};
use super::load::{Loaded, read_file};
use super::version::COUNTER_MAX;
use super::{StoreOptions, mend};
use crate::error::{Error, Result};
use crate::sys::Vfs;
use crate::types::{ClockRecord, DecodeError, FileName, LossCounts, SegmentMeta, Tombstone};

/// A damaged place of `CURRENT` or of a manifest.
#[derive(Debug)]
pub struct ManifestDamage {
    /// The file, the place and what is wrong there.
    pub error: Error,
    /// Whether it was a single bit, which was set right.
    pub is_mended: bool,
}

/// What the edits of a manifest say that can be read, whatever lies between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Segments that an edit lists, with the highest tombstone seq that one gives them.
    pub added: BTreeMap<u64, SegmentMeta>,
    /// File numbers of segments that an edit removes.
    pub removed: HashSet<u64>,
    /// Tombstones that an edit lists, by seq, with the numbers of their files.
    pub tombstones: BTreeMap<u64, (u64, Arc<Tombstone>)>,
    /// Seqs of tombstones that an edit removes.
    pub tombstones_removed: HashSet<u64>,
    /// The furthest that an edit says the log is covered.
    pub wal_covered: WalCovered,
    /// The highest that an edit says.
    pub next_file_number: u64,
    /// The highest that an edit says.
    pub last_seq: u64,
    /// The latest record of the wall clock.
    pub clock: ClockRecord,
    /// The latest count of what was lost.
    pub losses: LossCounts,
    /// The stores that this one was copied from, as the snapshot says, which alone does; `None` if it cannot be
    /// read.
    pub origins: Option<Arc<[[u8; 16]]>>,
    /// The highest number of an edit.
    pub edit_number: u64,
    /// Whether edits are missing: the file is damaged, or it is not known to end where it should.
    pub is_incomplete: bool,
}

/// What can be read of the manifests in a directory.
#[derive(Debug, Default)]
pub struct Salvaged {
    /// The identity of the store and its time scale, if a header can be read.
    pub identity: Option<([u8; 16], StoreOptions)>,
    /// The highest number that a manifest of the store has, in the directory or by `CURRENT`.
    pub number: u64,
    /// What the manifest says, if all of it can be read. Whether it has lost its end, only others can tell.
    pub whole: Option<Loaded>,
    /// What its edits say, one by one.
    pub facts: Facts,
    /// What is wrong with it, and with `CURRENT`.
    pub damage: Vec<ManifestDamage>,
}

/// Reads what can be read of `CURRENT` and the manifests in `dir`.
///
/// # Errors
/// I/O errors, and [`Error::UnsupportedVersion`]: what a newer build wrote is not for this one to judge.
pub fn salvage(vfs: &dyn Vfs, dir: &Path) -> Result<Salvaged> {
    let mut salvaged = Salvaged::default();
    let named = salvaged.read_current(vfs, dir)?;
    let mut numbers = manifest_numbers(vfs, dir)?;
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let mut best: Option<Reading> = None;
    for &number in &numbers {
        let Some(reading) = Reading::of(vfs, dir, number)? else { continue };
        if best.as_ref().is_none_or(|best| !best.has_snapshot && reading.has_snapshot) {
            best = Some(reading);
        }
        if best.as_ref().is_some_and(|best| best.has_snapshot) {
            break;
        }
    }
    salvaged.number = numbers.into_iter().chain(named).max().unwrap_or(0);
    if let Some(named) = named {
        let path = dir.join(FileName::Manifest(named).to_string());
        let is_read = best.as_ref().is_some_and(|best| best.header.number >= named);
        if !is_read {
            let source = std::io::ErrorKind::NotFound.into();
            salvaged.lacks(Error::io("read the manifest that CURRENT names,", path, source));
        }
    }
    match best {
        Some(best) => salvaged.take(dir, best),
        None => salvaged.facts.is_incomplete = true,
    }
    Ok(salvaged)
}

impl Salvaged {
    /// The manifest that `CURRENT` names, if it can be read.
    fn read_current(&mut self, vfs: &dyn Vfs, dir: &Path) -> Result<Option<u64>> {
        let path = dir.join(FileName::Current.to_string());
        let line = match read_file(vfs, &path, current::CURRENT_BYTES_MAX) {
            Ok(line) => line,
            Err(error @ Error::Io { .. }) if error.is_missing() => {
                self.damage.push(ManifestDamage { error, is_mended: false });
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match current::decode(&line).map_err(|e| Error::decode(path, "CURRENT", 0, e)) {
            Ok(number) => Ok(Some(number)),
            Err(error @ Error::Corrupt { .. }) => {
                self.damage.push(ManifestDamage { error, is_mended: false });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Notes that edits are missing.
    fn lacks(&mut self, error: Error) {
        self.facts.is_incomplete = true;
        self.damage.push(ManifestDamage { error, is_mended: false });
    }

    fn take(&mut self, dir: &Path, reading: Reading) {
        let header = reading.header;
        let options = StoreOptions { ticks_per_second: header.ticks_per_second };
        self.identity = Some((header.uuid, options));
        let path = dir.join(FileName::Manifest(header.number).to_string());
        let damage = reading.damage.into_iter().map(|(section, at, source, is_mended)| {
            ManifestDamage { error: Error::decode(&path, section, at as u64, source), is_mended }
        });
        self.damage.extend(damage);
        let is_incomplete = self.facts.is_incomplete || reading.facts.is_incomplete;
        self.facts = Facts { is_incomplete, ..reading.facts };
        self.whole = reading.loaded.filter(|_| !is_incomplete);
    }
}

/// A damaged part, its offset, what is wrong, and whether it was set right.
type Place = (&'static str, usize, DecodeError, bool);

/// One manifest file, read as far as possible.
struct Reading {
    header: Header,
    has_snapshot: bool,
    /// What the frames say, while none is missing.
    loaded: Option<Loaded>,
    facts: Facts,
    damage: Vec<Place>,
}

impl Reading {
    /// Of manifest `number`; `None` if its header cannot be read.
    fn of(vfs: &dyn Vfs, dir: &Path, number: u64) -> Result<Option<Self>> {
        let path = dir.join(FileName::Manifest(number).to_string());
        let bytes = read_file(vfs, &path, u64::MAX)?;
        let newer = |at: usize, e| Error::decode(&path, "manifest", at as u64, e);
        let (header, damage) = match Header::decode(&bytes) {
            Ok(header) => (header, Vec::new()),
            Err(e @ DecodeError::Newer { .. }) => return Err(newer(0, e)),
            Err(e) => match mend::header(&bytes) {
                Some((header, at)) => (header, vec![("manifest header", at, e, true)]),
                None => return Ok(None),
            },
        };
        if header.number != number {
            return Ok(None);
        }
        let (loaded, facts) = (Some(Loaded::of_header(&header)), Facts::default());
        let mut reading = Self { header, has_snapshot: false, loaded, facts, damage };
        reading.frames(&bytes).map_err(|(at, e)| newer(at, e))?;
        Ok(Some(reading))
    }

    /// Reads every frame; only what a newer build wrote is an error.
    fn frames(&mut self, bytes: &[u8]) -> Result<(), (usize, DecodeError)> {
        let seed = self.header.seed();
        let mut at = HEADER_BYTES;
        let mut torn_bytes = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let frame_bytes = match frame::decode(seed, rest) {
                Ok(frame) => self.take(at, &frame)?,
                Err(e) => match mend::frame(seed, rest) {
                    Some((mended, byte)) => {
                        let frame = frame::decode(seed, &mended).expect("it was mended");
                        self.damage.push(("manifest frame", at + byte, e, true));
                        self.take(at, &frame)?
                    }
                    None => {
                        let next = frame::next(seed, rest);
                        // At the end it is a torn write, unless something shows that it was durable.
                        if next.is_some() || !self.has_snapshot {
                            self.gap(at, e);
                        }
                        torn_bytes = if next.is_none() { rest.len() } else { 0 };
                        next.unwrap_or(rest.len())
                    }
                },
            };
            at += frame_bytes;
        }
        if !self.has_snapshot {
            self.gap(HEADER_BYTES, DecodeError::Truncated("the snapshot of the manifest"));
        }
        if let Some(loaded) = &mut self.loaded {
            loaded.report.torn_at = (bytes.len() - torn_bytes) as u64;
            loaded.report.torn_bytes = torn_bytes as u64;
        }
        Ok(())
    }

    /// From here on something is missing.
    fn gap(&mut self, at: usize, source: DecodeError) {
        if self.loaded.take().is_some() {
            self.damage.push(("manifest frame", at, source, false));
        }
        self.facts.is_incomplete = true;
    }

    /// Takes in the frame at `at`. The length of it.
    fn take(&mut self, at: usize, frame: &Frame<'_>) -> Result<usize, (usize, DecodeError)> {
        if frame.edit_number > COUNTER_MAX {
            self.gap(at, DecodeError::Invalid("edit number"));
            return Ok(frame.bytes);
        }
        let edit = match VersionEdit::decode(frame.payload) {
            Ok((edit, _)) => edit,
            Err(e @ DecodeError::Newer { .. }) => return Err((at, e)),
            Err(e) => {
                self.gap(at, e);
                return Ok(frame.bytes);
            }
        };
        if let Some(Err(e)) = self.loaded.as_mut().map(|loaded| loaded.take(frame)) {
            self.gap(at, e);
        }
        // The snapshot is the first frame of the file, and no other.
        if let Some(loaded) = self.loaded.as_ref().filter(|_| !self.has_snapshot) {
            self.has_snapshot = true;
            self.facts.origins = Some(Arc::clone(loaded.version.origins()));
        }
        self.facts.take(frame.edit_number, edit);
        Ok(frame.bytes)
    }
}

impl Facts {
    fn take(&mut self, number: u64, edit: VersionEdit) {
        let erased: HashMap<u64, u64> = edit.erased.into_iter().collect();
        self.added.extend(edit.added.into_iter().map(|meta| (meta.file_number, meta)));
        for (number, seq) in erased {
            if let Some(meta) = self.added.get_mut(&number) {
                meta.tombstone_seq = meta.tombstone_seq.max(seq);
            }
        }
        self.removed.extend(edit.removed.into_iter().chain(edit.obsolete));
        let tombstones = edit.tombstones_added.into_iter();
        self.tombstones.extend(tombstones.map(|(file, t)| (t.seq, (file, t))));
        self.tombstones_removed.extend(edit.tombstones_removed);
        if let Some(covered) = edit.wal_covered {
            let (file, seq) = (self.wal_covered.file_number, self.wal_covered.seq);
            self.wal_covered.file_number = file.max(covered.file_number);
            self.wal_covered.seq = seq.max(covered.seq);
        }
        self.next_file_number = self.next_file_number.max(edit.next_file_number.unwrap_or(0));
        self.last_seq = self.last_seq.max(edit.last_seq.unwrap_or(0));
        self.clock = self.clock.then(edit.clock);
        self.losses = edit.losses.unwrap_or(self.losses);
        self.edit_number = self.edit_number.max(number);
    }
}
