//! What happened on a simulated disk: every operation that may change it, in order.

use std::io;
use std::path::PathBuf;

use crate::sys::SyncPoint;

/// One operation that may change the disk, as recorded by [`SimFs::trace`](super::SimFs::trace).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// Its number, counted from 0: what `crash_at` and `fail_op` take.
    pub number: u64,
    /// What was asked for.
    pub kind: OpKind,
    /// The file or directory; of an open file, the name that it was created with.
    pub path: PathBuf,
    /// How it failed, or `None`.
    pub error: Option<io::ErrorKind>,
}

/// A page write that a fault has struck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPageWrite {
    /// Its number, as [`SimFs::fail_page_write`](super::SimFs::fail_page_write) takes it.
    pub number: u64,
    /// The number of the sync that it was a part of.
    pub op: u64,
    /// The file, by the name that it was created with.
    pub path: PathBuf,
    /// Which page of the file.
    pub page: u64,
    /// The file and the page that it was written to, if any.
    pub landed: Option<(PathBuf, u64)>,
}

/// The kinds of operations that are counted. Reads are counted apart.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpKind {
    /// `create_dir_all`.
    CreateDir,
    /// `create_dir`.
    MakeDir,
    /// `remove_dir`.
    RemoveDir,
    /// `create_new`.
    Create,
    /// One write of an append, which may take several.
    Append {
        /// Where in the file it starts, in bytes.
        offset: u64,
        /// How many bytes were to be written.
        len: u64,
    },
    /// `truncate`.
    Truncate {
        /// The new length in bytes.
        len: u64,
    },
    /// `preallocate`.
    Preallocate {
        /// How many bytes past the end.
        bytes: u64,
    },
    /// `sync_data`.
    SyncData(SyncPoint),
    /// `sync_dir`.
    SyncDir(SyncPoint),
    /// `rename` of the operation's path.
    Rename {
        /// The new name.
        to: PathBuf,
    },
    /// `hard_link` of the operation's path.
    HardLink {
        /// The further name.
        name: PathBuf,
    },
    /// `remove`.
    Remove,
    /// `lock`, which may create its file.
    Lock,
}

impl OpKind {
    /// The sync that this operation is, if it is one.
    #[must_use]
    pub fn sync_point(&self) -> Option<SyncPoint> {
        match self {
            Self::SyncData(point) | Self::SyncDir(point) => Some(*point),
            _ => None,
        }
    }
}
