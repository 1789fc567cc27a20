//! Segments that no version lists any more, until nobody reads them.
//!
//! A snapshot opens its files at their first use, so a file must keep its name while anybody holds its
//! [`Segment`]. The graveyard holds weak references; when the last strong one is gone nobody can make
//! another, and the file goes: it is removed, or moved to `quarantine/` if it was damaged. Whatever a
//! crash leaves, the next opening removes.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::core::Core;
use super::open::set_aside;
use crate::compaction::DamagedRange;
use crate::error::{Error, Result};
use crate::segment::Segment;
use crate::sys::{SyncPoint, Vfs};
use crate::types::{FileName, SegmentMeta};

#[derive(Debug, Default)]
pub(super) struct Graveyard {
    graves: Mutex<Vec<Grave>>,
}

#[derive(Debug)]
struct Grave {
    segment: Weak<Segment>,
    file_number: u64,
    bytes: u64,
    damaged: bool,
}

impl Graveyard {
    /// Takes a segment that the manifest no longer lists; `segment` is dead if it was never open.
    pub(super) fn bury(&self, segment: Weak<Segment>, meta: &SegmentMeta, damaged: bool) {
        let grave =
            Grave { segment, file_number: meta.file_number, bytes: meta.file_bytes, damaged };
        self.graves.lock().unwrap_or_else(PoisonError::into_inner).push(grave);
    }

    /// The number of files that wait, and their bytes.
    pub(super) fn waiting(&self) -> (u64, u64) {
        let graves = self.graves.lock().unwrap_or_else(PoisonError::into_inner);
        (graves.len() as u64, graves.iter().map(|grave| grave.bytes).sum())
    }

    /// The segments that somebody still holds.
    pub(super) fn held(&self) -> Vec<Arc<Segment>> {
        let graves = self.graves.lock().unwrap_or_else(PoisonError::into_inner);
        graves.iter().filter_map(|grave| grave.segment.upgrade()).collect()
    }

    /// Takes those out that nobody holds.
    fn released(&self) -> Vec<Grave> {
        let mut graves = self.graves.lock().unwrap_or_else(PoisonError::into_inner);
        graves.extract_if(.., |grave| grave.segment.strong_count() == 0).collect()
    }
}

impl Core {
    /// Removes the files of segments that nobody needs. The caller holds the runner, so that the
    /// store stays this process's own meanwhile.
    pub(super) fn sweep(&self) {
        if self.check_owned().is_err() {
            return;
        }
        for grave in self.compactor.graveyard.released() {
            let path = self.dir.join(FileName::Segment(grave.file_number).to_string());
            let gone = match grave.damaged {
                true => set_aside(&**self.vfs(), &self.dir, &path),
                false => self.vfs().remove(&path).map_err(|e| Error::io("remove", &path, e)),
            };
            match gone {
                Ok(()) => {}
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                // The next opening tries again.
                Err(error) => tracing::warn!(%error, "an obsolete segment stays"),
            }
        }
    }

    /// Writes beside `quarantine/` what of `file_number` could not be read, before the manifest lets
    /// go of it: opening does not remove a file with such a report.
    pub(super) fn report_damage(&self, file_number: u64, ranges: &[DamagedRange]) -> Result<()> {
        let path = damage_report(&self.dir, file_number);
        let quarantine = self.dir.join(FileName::Quarantine.to_string());
        let vfs = &**self.vfs();
        vfs.create_dir_all(&quarantine).map_err(|e| Error::io("create", &quarantine, e))?;
        let own = ranges.iter().filter(|range| range.file_number == file_number);
        let text: String = own.flat_map(|range| [range.to_json(), "\n".into()]).collect();
        // That of an attempt which failed says the same.
        let _ = vfs.remove(&path);
        let mut file = vfs.create_new(&path).map_err(|e| Error::io("create", &path, e))?;
        file.append(text.as_bytes())
            .and_then(|()| file.sync_data(SyncPoint::DamageReport))
            .map_err(|e| Error::io("write", &path, e))?;
        for dir in [&quarantine, &self.dir] {
            vfs.sync_dir(dir, SyncPoint::DamageDirectory)
                .map_err(|e| Error::io("sync directory", dir, e))?;
        }
        Ok(())
    }
}

/// Where it is told what a merge could not read of a segment.
fn damage_report(dir: &Path, file_number: u64) -> std::path::PathBuf {
    dir.join(FileName::Quarantine.to_string()).join(report_name(file_number))
}

/// The name of that file.
pub(super) fn report_name(file_number: u64) -> String {
    format!("{}.damage.jsonl", FileName::Segment(file_number))
}

/// Whether a merge found the segment damaged.
pub(super) fn is_damaged(vfs: &dyn Vfs, dir: &Path, file_number: u64) -> bool {
    vfs.file_len(&damage_report(dir, file_number)).is_ok()
}

/// The strong reference with this file number, if the segment is open.
pub(super) fn weak(segments: &[Arc<Segment>], file_number: u64) -> Weak<Segment> {
    let found = segments.iter().find(|segment| segment.meta().file_number == file_number);
    found.map_or_else(Weak::new, Arc::downgrade)
}
