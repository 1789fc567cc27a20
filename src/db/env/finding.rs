//! One place of a store that a report names: damage, or a file that is not the store's.

use std::fmt;
use std::path::PathBuf;

use crate::error::Error;
use crate::types::LostSamples;

/// One damaged place, or a file that is not the store's.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// What was found, where in the file, and what it means for the data.
    pub message: String,
    /// The samples that it costs, as far as that is known.
    pub lost: Vec<LostSamples>,
}

impl Finding {
    /// One of which it is not said what it costs.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), lost: Vec::new() }
    }

    pub(in crate::db) fn of(path: impl Into<PathBuf>, error: &Error) -> Self {
        let lost = match error {
            Error::Lost(lost) => vec![(**lost).clone()],
            _ => Vec::new(),
        };
        Self { lost, ..Self::new(path, error.to_string()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}
