//! The scratch of a segment's label index: `NNNNNN.seg.index.tmp`.
//!
//! Made by `writer` for [`IndexBuilder`](crate::index::IndexBuilder). The file is there only if the
//! index outgrows its memory, and it goes with the writer, however that ends; after a crash the next
//! open removes it, as every temporary file. It is never synced.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::index::Spill;
use crate::sys::{Bytes, ReadFile, ReadMode, Vfs, WriteFile};
use crate::types::{DecodeError, FileName};

/// What a damaged file of this kind is called in errors.
const SECTION: &str = "spilled index";

/// A file that is made when the first bytes are spilled, and removed when this drops.
#[derive(Debug)]
pub(super) struct SpillFile {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    open: Option<Handles>,
}

#[derive(Debug)]
struct Handles {
    append: Box<dyn WriteFile>,
    read: Arc<dyn ReadFile>,
}

impl SpillFile {
    /// The scratch of segment `file_number` in `dir`; nothing is made yet.
    pub(super) fn new(vfs: &Arc<dyn Vfs>, dir: &Path, file_number: u64) -> Self {
        let path = dir.join(FileName::Segment(file_number).scratch());
        Self { vfs: Arc::clone(vfs), path, open: None }
    }

    fn create(&self) -> Result<Handles> {
        let failed = |e| Error::io("create", &self.path, e);
        let append = match self.vfs.create_new(&self.path) {
            // An attempt at the same segment, by this process, left what it could not remove.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                self.vfs.remove(&self.path).map_err(|e| Error::io("remove", &self.path, e))?;
                self.vfs.create_new(&self.path).map_err(failed)?
            }
            created => created.map_err(failed)?,
        };
        match self.vfs.open_read(&self.path) {
            Ok(read) => Ok(Handles { append, read }),
            Err(e) => {
                // Not `open`, so not removed when this drops.
                let _ = self.vfs.remove(&self.path);
                Err(Error::io("open", &self.path, e))
            }
        }
    }
}

impl Spill for SpillFile {
    type Error = Error;

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let handles = match self.open.take() {
            Some(handles) => handles,
            None => self.create()?,
        };
        let append = &mut self.open.insert(handles).append;
        append.append(bytes).map_err(|e| Error::io("append to", &self.path, e))
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes> {
        let handles = self.open.as_ref().expect("what is read was appended");
        let bytes = handles.read.read(offset, len, ReadMode::Pread);
        bytes.map_err(|e| Error::io("read back", &self.path, e))
    }

    fn damaged(&self, offset: u64, e: DecodeError) -> Error {
        Error::decode(&self.path, SECTION, offset, e)
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        if self.open.take().is_some() {
            // What cannot be removed now is removed by the next open.
            let _ = self.vfs.remove(&self.path);
        }
    }
}
