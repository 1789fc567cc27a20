//! How much `quarantine/` keeps: called by opening, once everything else is open.
//!
//! Opening moves *orphans* there: complete segments that nothing lists. What is in them is in the log,
//! or in the store that an interrupted attach read. They may take a hundredth of the disk; beyond it
//! the oldest go. What damage put there stays until somebody removes it: a segment that a merge could
//! not read all of has a report beside it, and log files are no segments.
//!
//! An orphan stays for one opening at least, and while opening finds anything damaged or missing it
//! may be the last copy of something, so that all stay.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::db::versions::quarantine::report_name;
use crate::sys::Vfs;
use crate::types::FileName;

/// The part of the disk that orphans may take.
const DISK_PART: u64 = 100;

/// The orphans that earlier openings set aside.
pub(super) struct Orphans {
    quarantine: PathBuf,
    /// (file number, bytes), the oldest first.
    segments: Vec<(u64, u64)>,
}

impl Orphans {
    /// Those in the quarantine of `dir`, whose next file number is `next`; none if it cannot be listed.
    pub(super) fn find(vfs: &dyn Vfs, dir: &Path, next: u64) -> Self {
        let quarantine = dir.join(FileName::Quarantine.to_string());
        let entries = vfs.list(&quarantine).unwrap_or_default();
        let names: HashSet<&str> = entries.iter().filter_map(|entry| entry.name.to_str()).collect();
        let mut segments: Vec<(u64, u64)> = entries
            .iter()
            .filter(|entry| !entry.is_dir)
            .filter_map(|entry| match FileName::parse_below(entry.name.to_str()?, next) {
                Some(FileName::Segment(number)) => Some((number, entry.len)),
                _ => None,
            })
            .filter(|&(number, _)| !names.contains(&*report_name(number)))
            .collect();
        segments.sort_unstable();
        Self { quarantine, segments }
    }

    /// Removes the oldest until the others take no more than their part of the disk. What cannot be
    /// removed, the next opening tries again.
    pub(super) fn trim(&self, vfs: &dyn Vfs) {
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
