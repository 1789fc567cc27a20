//! Obsolete files: segments that no version lists any more, until nobody reads them.
//!
//! A snapshot opens its files at their first use, so a file must keep its name while anybody holds its
//! [`Segment`]. Here are weak references; when the last strong one is gone nobody can make another, and
//! the file goes: it is removed, or moved to `quarantine/` if it was damaged. Whatever a crash leaves,
//! the next opening removes.

use std::sync::{Arc, PoisonError, Weak};

use super::quarantine::set_aside;
use crate::db::env::Env;
use crate::error::Error;
use crate::segment::Segment;
use crate::sys::sync::{Mutex, MutexGuard, counted};
use crate::types::{FileName, SegmentMeta};

/// The obsolete files of an open store.
#[derive(Debug, Default)]
pub(super) struct ObsoleteFiles {
    files: Mutex<Vec<ObsoleteFile>>,
}

#[derive(Debug)]
struct ObsoleteFile {
    /// Dead if it was never open.
    segment: Weak<Segment>,
    file_number: u64,
    bytes: u64,
    damaged: bool,
}

impl ObsoleteFiles {
    /// Takes a segment that the manifest no longer lists; `open` are those that readers see.
    pub(super) fn add(&self, open: &[Arc<Segment>], meta: &SegmentMeta, damaged: bool) {
        let found = open.iter().find(|segment| segment.meta().file_number == meta.file_number);
        let segment = found.map_or_else(Weak::new, Arc::downgrade);
        let (file_number, bytes) = (meta.file_number, meta.file_bytes);
        self.lock().push(ObsoleteFile { segment, file_number, bytes, damaged });
    }

    /// The number of files that wait, and their bytes.
    pub(super) fn waiting(&self) -> (u64, u64) {
        let files = self.lock();
        (files.len() as u64, files.iter().map(|file| file.bytes).sum())
    }

    /// The segments that somebody still holds.
    pub(super) fn held(&self) -> Vec<Arc<Segment>> {
        self.lock().iter().filter_map(|file| file.segment.upgrade()).collect()
    }

    /// Removes the files of segments that nobody holds. The store is this process's own meanwhile.
    pub(super) fn remove(&self, env: &Env) {
        for file in self.released() {
            let path = env.path(FileName::Segment(file.file_number));
            let gone = match file.damaged {
                true => set_aside(&**env.vfs(), &env.dir, &path),
                false => env.vfs().remove(&path).map_err(|e| Error::io("remove", &path, e)),
            };
            match gone {
                Ok(()) => {}
                Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                // The next opening tries again.
                Err(error) => tracing::warn!(%error, "an obsolete segment stays"),
            }
        }
    }

    /// Takes those out that nobody holds.
    fn released(&self) -> Vec<ObsoleteFile> {
        counted();
        self.lock().extract_if(.., |file| file.segment.strong_count() == 0).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ObsoleteFile>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
