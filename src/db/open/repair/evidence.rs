//! What the files of a store say of themselves, where its manifest does not tell.
//!
//! Called by `make`. Writes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::db::env::finding::Finding;
use crate::db::open::lost_edits;
use crate::db::open::replay::Replay;
use crate::db::open::report::OpenReport;
use crate::db::write::log_files;
use crate::deletes;
use crate::error::{Error, Result};
use crate::manifest::{Facts, Salvaged};
use crate::segment::{Discovered, Segment};
use crate::sys::Vfs;
use crate::types::{DecodeError, FileName, NUMBER_MAX, StoreIds, Tombstone};
use crate::wal;

/// What can be read of a store.
pub(super) struct Evidence {
    pub(super) dir: std::path::PathBuf,
    /// Which store it is, and whose segments it may have.
    pub(super) ids: StoreIds,
    pub(super) ticks_per_second: Option<u64>,
    pub(super) manifest_number: u64,
    /// The highest number of an edit that the manifest or the log knows of.
    pub(super) edit_number: u64,
    pub(super) facts: Facts,
    /// The store's segment files whose footer can be read, by number, and the sizes of the files.
    pub(super) segments: BTreeMap<u64, (Discovered, u64)>,
    /// What lies in the store's tombstone files, by seq, with the numbers of the files.
    pub(super) tombstones: BTreeMap<u64, (u64, Arc<Tombstone>)>,
    pub(super) log: Log,
    /// Above the number of each file that is surely the store's.
    pub(super) next_file_number: u64,
    /// Files that cannot be read.
    pub(super) warnings: Vec<Finding>,
}

/// What the log has: pieces between which log files are missing, in order.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) pieces: Vec<Piece>,
}

/// Log files that follow each other without a gap.
#[derive(Debug)]
pub(super) struct Piece {
    /// The number of its first file.
    pub(super) file_number: u64,
    /// The seq of the last record before it.
    pub(super) before: u64,
    /// The seqs of the records that a replay will find: inclusive ranges, rising.
    seqs: Vec<(u64, u64)>,
}

impl Log {
    /// Whether the record `seq` is in a piece that begins with the log file `from` or a later one.
    pub(super) fn has(&self, seq: u64, from: u64) -> bool {
        let pieces = self.pieces.iter().filter(|piece| piece.file_number >= from);
        pieces.into_iter().any(|piece| piece.has(seq))
    }

    /// The first log file that has records behind `seq`, or else the first of the last piece.
    pub(super) fn first_behind(&self, seq: u64) -> Option<&Piece> {
        let is_behind = |piece: &&Piece| piece.last().is_some_and(|last| last > seq);
        self.pieces.iter().find(is_behind).or(self.pieces.last())
    }
}

impl Piece {
    /// Whether the record `seq` is there.
    pub(super) fn has(&self, seq: u64) -> bool {
        self.has_all(seq, seq)
    }

    /// Whether every record from `first` to `last` is there.
    pub(super) fn has_all(&self, first: u64, last: u64) -> bool {
        let behind = self.seqs.partition_point(|&(start, _)| start <= first);
        behind > 0 && last <= self.seqs[behind - 1].1
    }

    fn last(&self) -> Option<u64> {
        self.seqs.last().map(|&(_, last)| last)
    }

    fn note(&mut self, seq: u64) {
        match self.seqs.last_mut() {
            Some((_, last)) if *last + 1 == seq => *last = seq,
            _ => self.seqs.push((seq, seq)),
        }
    }
}

impl Evidence {
    /// Reads what is in `dir`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the files are of several stores, and it cannot be told whose directory it
    /// is; [`Error::UnsupportedVersion`]; I/O errors.
    pub(super) fn collect(vfs: &dyn Vfs, dir: &Path, salvaged: Salvaged) -> Result<Self> {
        let mut warnings = Vec::new();
        let names = names(vfs, dir)?;
        let found = discover(vfs, dir, &names, &mut warnings)?;
        let identity = salvaged.identity;
        let uuid = match identity {
            Some((uuid, _)) => uuid,
            None => owner(vfs, dir, &names, &found)?,
        };
        let ids = match &salvaged.facts.origins {
            Some(origins) => StoreIds::new(uuid, Arc::clone(origins)),
            None => origins_found(dir, uuid, &found, &mut warnings),
        };
        let mut segments = BTreeMap::new();
        for (discovered, bytes) in found {
            let number = discovered.meta.file_number;
            match ids.has(&discovered.uuid) {
                true => drop(segments.insert(number, (discovered, bytes))),
                false => warnings.push(foreign(dir, FileName::Segment(number))),
            }
        }
        let tombstones = tombstones(vfs, dir, uuid, &names, &mut warnings)?;
        let facts = salvaged.facts;
        let next_file_number = next_file_number(&facts, &segments, &tombstones, &names);
        let logs = log_files::numbers(vfs, dir, next_file_number)?;
        let proven = lost_edits::proven_edit(vfs, dir, uuid, &logs)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            ids,
            ticks_per_second: identity.map(|(_, options)| options.ticks_per_second),
            manifest_number: salvaged.number,
            edit_number: facts.edit_number.max(proven),
            log: read_log(vfs, dir, uuid, &facts, next_file_number)?,
            facts,
            segments,
            tombstones,
            next_file_number,
            warnings,
        })
    }
}

fn names(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<FileName>> {
    let entries = vfs.list(dir).map_err(|e| Error::io("list", dir, e))?;
    let files = entries.iter().filter(|entry| !entry.is_dir);
    Ok(files.filter_map(|entry| FileName::parse(entry.name.to_str()?)).collect())
}

/// The segments whose footer can be read, and the sizes of their files.
fn discover(
    vfs: &dyn Vfs,
    dir: &Path,
    names: &[FileName],
    warnings: &mut Vec<Finding>,
) -> Result<Vec<(Discovered, u64)>> {
    let mut found = Vec::new();
    for name in names {
        let &FileName::Segment(number) = name else { continue };
        let path = dir.join(name.to_string());
        match Segment::discover_by_either(vfs, dir, number) {
            Ok(discovered) => {
                let bytes = vfs.file_len(&path).map_err(|e| Error::io("read", &path, e))?;
                found.push((discovered, bytes));
            }
            Err(error @ Error::Corrupt { .. }) => warnings.push(Finding::of(dir, &error)),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The store `uuid` with the origins that its segments speak of, where the snapshot of its manifest cannot be
/// read. A copy's segments are mostly those of its origin: left out, all that it held would be lost.
fn origins_found(
    dir: &Path,
    uuid: [u8; 16],
    found: &[(Discovered, u64)],
    warnings: &mut Vec<Finding>,
) -> StoreIds {
    let mut others: BTreeMap<[u8; 16], Vec<u64>> = BTreeMap::new();
    for (found, _) in found.iter().filter(|(found, _)| found.uuid != uuid) {
        others.entry(found.uuid).or_default().push(found.meta.file_number);
    }
    for numbers in others.values() {
        let first = numbers.iter().min().copied().unwrap_or_default();
        let message = format!(
            "this segment and {} more were written by another store: as no manifest says otherwise, they are \
             taken for those of one that this store was copied from; what does not belong here is to be \
             moved away before the repair",
            numbers.len() - 1
        );
        warnings.push(Finding::new(dir.join(FileName::Segment(first).to_string()), message));
    }
    StoreIds::new(uuid, others.into_keys().collect())
}

/// Whose directory it is, where no manifest tells. Log and tombstone files carry the uuid of their store alone;
/// segments may carry that of one that it was copied from, and count only where there is nothing else.
fn owner(
    vfs: &dyn Vfs,
    dir: &Path,
    names: &[FileName],
    found: &[(Discovered, u64)],
) -> Result<[u8; 16]> {
    let mut owners: Vec<[u8; 16]> = Vec::new();
    for name in names {
        match *name {
            FileName::Wal(_) => owners.extend(wal::owner(vfs, &dir.join(name.to_string()))?),
            FileName::Tombstones(number) => owners.extend(deletes::owner(vfs, dir, number)?),
            _ => {}
        }
    }
    if owners.is_empty() {
        owners.extend(found.iter().map(|(found, _)| found.uuid));
    }
    owners.sort_unstable();
    owners.dedup();
    match owners[..] {
        [uuid] => Ok(uuid),
        [] => Err(Error::NotAStore {
            path: dir.to_path_buf(),
            found: "no manifest, segment or log file that can be read".into(),
        }),
        _ => Err(Error::InvalidArgument(format!(
            "{} has files of {} stores, and no manifest or log that says whose it is: leave only those of one",
            dir.display(),
            owners.len()
        ))),
    }
}

fn foreign(dir: &Path, name: FileName) -> Finding {
    Finding::new(dir.join(name.to_string()), "of another store; left where it is")
}

fn tombstones(
    vfs: &dyn Vfs,
    dir: &Path,
    uuid: [u8; 16],
    names: &[FileName],
    warnings: &mut Vec<Finding>,
) -> Result<BTreeMap<u64, (u64, Arc<Tombstone>)>> {
    let mut found = BTreeMap::new();
    for name in names {
        let &FileName::Tombstones(number) = name else { continue };
        match deletes::read(vfs, dir, (uuid, number)) {
            Ok(tombstones) => {
                found.extend(tombstones.into_iter().map(|t| (t.seq, (number, Arc::new(t)))));
            }
            Err(Error::Corrupt { source: DecodeError::Invalid("uuid of the store"), .. }) => {
                warnings.push(foreign(dir, *name));
            }
            Err(error @ Error::Corrupt { .. }) => {
                let mut finding = Finding::of(dir, &error);
                finding.message.push_str("; deletes that were only there are lost");
                warnings.push(finding);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// A number above those of all files. A name alone proves little: far above the others it is none of the store's.
fn next_file_number(
    facts: &Facts,
    segments: &BTreeMap<u64, (Discovered, u64)>,
    tombstones: &BTreeMap<u64, (u64, Arc<Tombstone>)>,
    names: &[FileName],
) -> u64 {
    let of_segments = segments.last_key_value().map_or(0, |(number, _)| *number);
    let of_tombstones = tombstones.values().map(|(number, _)| *number).max().unwrap_or(0);
    let proven = of_segments.max(of_tombstones).saturating_add(1).max(facts.next_file_number);
    let by_name = names.iter().filter_map(|name| match name {
        FileName::Wal(n) | FileName::Segment(n) | FileName::Tombstones(n) => Some(*n),
        _ => None,
    });
    let below = by_name.filter(|&number| number < crate::types::numbers_end(proven));
    below.map(|number| number + 1).fold(proven, u64::max).clamp(1, NUMBER_MAX)
}

/// What a replay will find behind what readable edits cover.
fn read_log(
    vfs: &dyn Vfs,
    dir: &Path,
    uuid: [u8; 16],
    facts: &Facts,
    next_file_number: u64,
) -> Result<Log> {
    let replay = Replay {
        vfs,
        dir,
        uuid,
        next_file_number,
        covered: facts.wal_covered,
        has_log: false,
        memtable_bytes_max: u64::MAX,
        registry_bytes_max: u64::MAX,
    };
    // Damage of the log is found again by the opening, which reports it.
    let (mut report, mut damaged) = (OpenReport::default(), Vec::new());
    let mut pieces: Vec<Piece> = Vec::new();
    let mut previous = None;
    for (number, _, mut reader) in replay.readers(&mut report, &mut damaged)? {
        let header = *reader.header();
        if previous.is_none_or(|previous| previous != header.predecessor.file_number) {
            let (before, seqs) = (header.last_seq, Vec::new());
            pieces.push(Piece { file_number: number, before, seqs });
        }
        previous = Some(number);
        let piece = pieces.last_mut().expect("one was begun");
        while let Some(record) = reader.next_record()? {
            piece.note(record.seq);
        }
    }
    Ok(Log { pieces })
}
