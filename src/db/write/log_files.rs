//! Log files as files: which there are, and making a new one.
//!
//! Called by the writer, by opening, by checkpoints and by whoever looks at a store from outside.

use std::path::Path;

use crate::error::{Error, Result};
use crate::sys::{Vfs, random_bytes};
use crate::types::FileName;
use crate::wal::{self, Predecessor, WalHeader, WalWriter};

/// What a new log file needs to know.
pub(in crate::db) struct NewLogFile<'a> {
    pub(in crate::db) dir: &'a Path,
    pub(in crate::db) vfs: &'a dyn Vfs,
    pub(in crate::db) uuid: [u8; 16],
    pub(in crate::db) file_number: u64,
    /// The seq of the last batch before it.
    pub(in crate::db) last_seq: u64,
    pub(in crate::db) predecessor: Predecessor,
}

impl NewLogFile<'_> {
    /// Creates the file, durable with its name.
    ///
    /// # Errors
    /// I/O errors; the file is not there then.
    pub(in crate::db) fn create(&self) -> Result<WalWriter> {
        let salt =
            random_bytes::<8>().map_err(|e| Error::io("draw random bytes for", self.dir, e))?;
        let header = WalHeader {
            uuid: self.uuid,
            file_number: self.file_number,
            salt: u64::from_le_bytes(salt),
            last_seq: self.last_seq,
            predecessor: self.predecessor,
        };
        let path = self.dir.join(FileName::Wal(self.file_number).to_string());
        WalWriter::create(self.vfs, self.dir, path, header)
    }
}

/// Number and length in bytes of each log file in `dir`, by number, of a store whose manifest says that
/// `next` is the next file number. A directory, or a number that the store cannot have given out, is none.
///
/// # Errors
/// When the directory cannot be listed.
pub(in crate::db) fn list(vfs: &dyn Vfs, dir: &Path, next: u64) -> Result<Vec<(u64, u64)>> {
    let entries = vfs.list(dir).map_err(|e| Error::io("list", dir, e))?;
    let files = entries.iter().filter(|entry| !entry.is_dir);
    let logs = files.filter_map(|entry| match FileName::parse_below(entry.name.to_str()?, next) {
        Some(FileName::Wal(number)) => Some((number, entry.len)),
        _ => None,
    });
    let mut logs: Vec<(u64, u64)> = logs.collect();
    logs.sort_unstable();
    Ok(logs)
}

/// The numbers of the log files in `dir`, ascending: see [`list`].
///
/// # Errors
/// When the directory cannot be listed.
pub(in crate::db) fn numbers(vfs: &dyn Vfs, dir: &Path, next: u64) -> Result<Vec<u64>> {
    Ok(list(vfs, dir, next)?.into_iter().map(|(number, _)| number).collect())
}

/// Whether another store than `uuid` wrote the log file at `path`, which is covered: it is not to be removed with
/// those that are. One that cannot be read is needed no more, and no reason to fail.
pub(in crate::db) fn is_foreign(vfs: &dyn Vfs, path: &Path, uuid: [u8; 16]) -> bool {
    let owner = wal::owner(vfs, path).ok().flatten();
    owner.is_some_and(|owner| owner != uuid)
}
