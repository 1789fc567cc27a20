//! What opening a store found.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;

/// What [`Db::open`](super::Db::open) found and did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct OpenReport {
    /// Batches of the log that were recovered.
    pub recovered_batches: u64,
    /// Their samples.
    pub recovered_rows: u64,
    /// Deletes of the log that were recovered.
    pub recovered_deletes: u64,
    /// Bytes of writes that a crash cut short; nothing acknowledged as durable was in them.
    pub torn_bytes: u64,
    /// Samples of readable batches whose series is unknown, because the frame that defined it is
    /// damaged.
    pub lost_rows: u64,
    /// Damage, each with its place. The store is open and serves everything else.
    pub findings: Vec<Finding>,
    /// How long opening took.
    pub elapsed: Duration,
}

/// One damaged place.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// What was found, where in the file, and what it means for the data.
    pub message: String,
}

impl Finding {
    pub(super) fn new(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    pub(super) fn of(path: impl Into<PathBuf>, error: &Error) -> Self {
        Self::new(path, error.to_string())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}
