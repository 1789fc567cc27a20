//! The error of the rigs: what was tried and why it failed, in words for the person at the terminal.

use std::fmt;
use std::io;

/// Why a rig could not do its work. A difference that it found is a result, not an error.
#[derive(Debug)]
#[non_exhaustive]
pub enum RigError {
    /// SIGINT or SIGTERM; everything that was started is being ended.
    Interrupted,
    /// The system refused something.
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A server, a tool or the environment is not as the rig needs it.
    Failed(String),
}

impl RigError {
    /// Wraps a system error in what was tried; made for `map_err`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what: what.into(), source }
    }

    /// An error in words.
    pub fn failed(what: impl Into<String>) -> Self {
        Self::Failed(what.into())
    }
}

impl fmt::Display for RigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted"),
            Self::Io { what, source } => write!(f, "{what}: {source}"),
            Self::Failed(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for RigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Interrupted | Self::Failed(_) => None,
        }
    }
}
