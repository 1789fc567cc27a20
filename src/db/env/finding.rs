//! One place of a store that a report names: damage, or a file that is not the store's.

use std::fmt;
use std::path::PathBuf;

use crate::error::Error;

/// One damaged place, or a file that is not the store's.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// What was found, where in the file, and what it means for the data.
    pub message: String,
}

impl Finding {
    pub(in crate::db) fn new(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    pub(in crate::db) fn of(path: impl Into<PathBuf>, error: &Error) -> Self {
        Self::new(path, error.to_string())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}
