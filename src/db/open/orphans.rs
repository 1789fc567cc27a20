//! How much `quarantine/` keeps: called by opening, once everything else is open.
//!
//! Opening moves *orphans* there: complete segments that nothing lists. A file beside one, with nothing in it,
//! says what it is, as far as that was known (`unlisted`):
//!
//! - `000007.seg.elsewhere`: what it holds is in other segments, or was in the log, which was replayed. Such
//!   orphans may take a hundredth of the disk; beyond it the oldest go. One stays for one opening at
//!   least, and while opening finds anything damaged or missing it may be the last copy of something
//!   after all, so that all stay.
//! - `000007.seg.unacknowledged`: what it holds is nowhere else, and nobody was promised it. It stays until
//!   somebody removes it, and whoever opens the store is warned.
//!
//! Without one of these it may be the last copy of what an edit listed that was lost. It stays until somebody
//! removes it, and is a finding of each opening, each reader and `verify`. What damage put in `quarantine/`
//! stays too: a segment that a merge could not read all of has a report beside it, and log files are no
//! segments.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::report::OpenReport;
use crate::db::env::finding::Finding;
use crate::db::versions::quarantine::{create, report_name};
use crate::error::{Error, Result};
use crate::segment::{Discovered, Segment};
use crate::sys::Vfs;
use crate::types::FileName;

/// The part of the disk that orphans may take whose samples are elsewhere.
const DISK_PART: u64 = 100;

/// What is known of an orphan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// What it holds is elsewhere.
    Elsewhere,
    /// What it holds is nowhere else, and nobody was promised it.
    Unacknowledged,
}

impl Mark {
    const ALL: [Self; 2] = [Self::Elsewhere, Self::Unacknowledged];

    /// Ends the name of the file that says so.
    fn suffix(self) -> &'static str {
        match self {
            Self::Elsewhere => ".elsewhere",
            Self::Unacknowledged => ".unacknowledged",
        }
    }

    /// The name of the file that says so of the segment `file_number`.
    fn name(self, file_number: u64) -> String {
        format!("{}{}", FileName::Segment(file_number), self.suffix())
    }
}

/// The orphans that earlier openings set aside and whose samples are elsewhere.
pub(super) struct Orphans {
    quarantine: PathBuf,
    /// (file number, bytes), the oldest first.
    segments: Vec<(u64, u64)>,
}

/// An orphan in quarantine.
struct Orphan {
    file_number: u64,
    bytes: u64,
    mark: Option<Mark>,
}

/// Those in `quarantine`, of a store whose next file number is `next`, by number; none if it cannot be
/// listed.
fn list(vfs: &dyn Vfs, quarantine: &Path, next: u64) -> Vec<Orphan> {
    let entries = vfs.list(quarantine).unwrap_or_default();
    let names: HashSet<&str> = entries.iter().filter_map(|entry| entry.name.to_str()).collect();
    let mut found: Vec<Orphan> = entries
        .iter()
        .filter(|entry| !entry.is_dir)
        .filter_map(|entry| match FileName::parse_below(entry.name.to_str()?, next) {
            Some(FileName::Segment(file_number)) => {
                let mut marks = Mark::ALL.into_iter();
                let mark = marks.find(|mark| names.contains(&*mark.name(file_number)));
                Some(Orphan { file_number, bytes: entry.len, mark })
            }
            _ => None,
        })
        .filter(|orphan| !names.contains(&*report_name(orphan.file_number)))
        .collect();
    found.sort_unstable_by_key(|orphan| orphan.file_number);
    found
}

/// Of the orphans in the quarantine of `dir`, those that nothing explains are findings of `report`, and
/// those that hold what nobody was promised are warnings.
pub(super) fn note(vfs: &dyn Vfs, dir: &Path, next: u64, report: &mut OpenReport) {
    let quarantine = dir.join(FileName::Quarantine.to_string());
    for orphan in list(vfs, &quarantine, next) {
        let (noted, why) = match orphan.mark {
            Some(Mark::Elsewhere) => continue,
            Some(Mark::Unacknowledged) => {
                (&mut report.warnings, "no manifest lists, and which nobody was promised")
            }
            None => (
                &mut report.findings,
                "no manifest lists and nothing explains, so that it may be the last copy of what it holds",
            ),
        };
        let path = quarantine.join(FileName::Segment(orphan.file_number).to_string());
        let held = match Segment::discover(vfs, &quarantine, orphan.file_number) {
            Ok(Discovered { meta, .. }) => format!(
                "{} samples from {} to {}, seqs {} to {}",
                meta.samples, meta.min_timestamp, meta.max_timestamp, meta.min_seq, meta.max_seq
            ),
            Err(_) => format!("{} bytes that are no readable segment", orphan.bytes),
        };
        let message = format!(
            "a segment that {why} ({held}): attach it, as a copy, if that is missing, then remove the file"
        );
        noted.push(Finding::new(path, message));
    }
}

/// Notes what is known of the segment `file_number`, which is about to be set aside. The sync of
/// `quarantine/` with which it is set aside makes the note durable before it loses its old name; where a
/// power cut comes first, the next opening finds it out again.
///
/// # Errors
/// I/O errors.
pub(super) fn mark(vfs: &dyn Vfs, dir: &Path, file_number: u64, mark: Mark) -> Result<()> {
    let path = create(vfs, dir)?.join(mark.name(file_number));
    match vfs.create_new(&path) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(Error::io("create", path, e)),
        _ => Ok(()),
    }
}

impl Orphans {
    /// Those in the quarantine of `dir`, whose next file number is `next`; none if it cannot be listed.
    pub(super) fn find(vfs: &dyn Vfs, dir: &Path, next: u64) -> Self {
        let quarantine = dir.join(FileName::Quarantine.to_string());
        let orphans = list(vfs, &quarantine, next).into_iter();
        let needless = orphans.filter(|orphan| orphan.mark == Some(Mark::Elsewhere));
        let segments = needless.map(|orphan| (orphan.file_number, orphan.bytes)).collect();
        Self { quarantine, segments }
    }

    /// Removes the oldest until the others take no more than their part of the disk. What cannot be
    /// removed, the next opening tries again.
    pub(super) fn trim(&self, vfs: &dyn Vfs) {
        self.remove_marks(vfs);
        let Ok(space) = vfs.free_space(&self.quarantine) else { return };
        let surplus = surplus(&self.segments, space.total / DISK_PART);
        for &(number, bytes) in &self.segments[..surplus] {
            let path = self.quarantine.join(FileName::Segment(number).to_string());
            match vfs.remove(&path) {
                Ok(()) => {
                    tracing::warn!(path = %path.display(), bytes, "quarantine is full: removed");
                }
                Err(error) => tracing::warn!(path = %path.display(), %error, "an orphan stays"),
            }
        }
    }

    /// Removes the marks of orphans that are gone since an earlier opening. Not together with these: a power
    /// cut may undo the one removal and not the other, and without its mark an orphan is unexplained.
    fn remove_marks(&self, vfs: &dyn Vfs) {
        for entry in vfs.list(&self.quarantine).unwrap_or_default() {
            let name = entry.name.to_str().unwrap_or_default();
            let mut segments = Mark::ALL.iter().filter_map(|mark| name.strip_suffix(mark.suffix()));
            let Some(segment) = segments.next() else { continue };
            let is_of_segment = matches!(FileName::parse(segment), Some(FileName::Segment(_)));
            let found = vfs.file_len(&self.quarantine.join(segment));
            if is_of_segment && found.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                let _ = vfs.remove(&self.quarantine.join(&entry.name));
            }
        }
    }
}

/// How many of `segments` go, from the first on, so that the others have at most `bytes_max` bytes.
fn surplus(segments: &[(u64, u64)], bytes_max: u64) -> usize {
    let mut kept = 0u64;
    let fits = segments.iter().rev().take_while(|(_, bytes)| {
        kept = kept.saturating_add(*bytes);
        kept <= bytes_max
    });
    segments.len() - fits.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_only_beyond_the_bound() {
        let segments = [(3, 10), (4, 20), (9, 30)];
        let gone = [100, 60, 59, 50, 49, 30, 29, 0].map(|bytes_max| surplus(&segments, bytes_max));
        assert_eq!(gone, [0, 0, 1, 1, 2, 2, 3, 3]);
        assert_eq!(surplus(&[(1, u64::MAX), (2, u64::MAX)], 1 << 63), 2, "no overflow");
        assert_eq!(surplus(&[], 0), 0);
    }
}
