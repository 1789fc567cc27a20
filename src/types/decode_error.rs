//! Why bytes could not be decoded: small and `Copy`, without a place. The file layer wraps it once
//! with path, section and offset.

use std::fmt;

/// What was wrong with encoded bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside the named field.
    Truncated(&'static str),
    /// The named checksum does not match the bytes that it covers.
    Checksum(&'static str),
    /// The named field holds a value that no writer produces.
    Invalid(&'static str),
    /// Written by a newer version of the format: not damage.
    Newer {
        /// The version found.
        found: u32,
        /// The newest version this build reads.
        supported: u32,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated(what) => write!(f, "the bytes end inside {what}"),
            Self::Checksum(what) => write!(f, "the checksum of {what} does not match"),
            Self::Invalid(what) => write!(f, "{what} is invalid"),
            Self::Newer { found, supported } => {
                write!(
                    f,
                    "format version {found} is newer than {supported}, the newest this build reads"
                )
            }
        }
    }
}

impl std::error::Error for DecodeError {}
