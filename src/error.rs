//! The one error type of the engine's public API.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::types::{
    DecodeError, LabelError, LimitExceeded, LostSamples, MatcherError, ParseError, SeriesHandle,
};

/// What the engine's fallible functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed. Each variant says what to do by its kind; `Display` names the place.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation on a file.
    Io {
        /// What was attempted, such as "append to".
        operation: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The disk (or quota) is full. Nothing acknowledged was lost; the operation may be repeated
    /// when there is room.
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// Bytes on disk are damaged. Other blocks and files are unaffected.
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// What the damaged bytes are, such as "value block" or "footer".
        section: &'static str,
        /// Where in the file the damaged unit starts, in bytes.
        offset: u64,
        /// What was wrong.
        source: DecodeError,
    },
    /// Samples that the query needs are lost: the block that holds them is damaged, or was when a merge read
    /// it. Says which ones. With [`QueryOptions::skip_damaged`](crate::QueryOptions::skip_damaged) the
    /// others are returned.
    Lost(Box<LostSamples>),
    /// A file of the store was written by a newer version of Siltstone.
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// The format version found.
        found: u32,
        /// The newest version this build reads.
        supported: u32,
    },
    /// Another process, or another `Db` of this one, holds the store.
    Locked {
        /// The directory of the store.
        path: PathBuf,
    },
    /// The directory holds files but no store.
    NotAStore {
        /// The directory.
        path: PathBuf,
        /// What was found there.
        found: String,
    },
    /// A label set was refused.
    Labels(LabelError),
    /// A matcher was refused.
    Matcher(MatcherError),
    /// An option or argument is out of its range.
    InvalidArgument(String),
    /// A limit of the store, of a batch or of a query was reached: which, and how much of it.
    LimitExceeded(LimitExceeded),
    /// This handle of the batch is no longer valid, since its series was freed: resolve its labels again,
    /// or write with [`Db::write_renewing`](crate::Db::write_renewing).
    StaleHandle(SeriesHandle),
    /// The batch reached the log, but a sync failed: whether it survives a power cut is unknown.
    DurabilityUnknown {
        /// The highest seq known to be durable.
        durable_seq: u64,
    },
    /// The store stopped accepting writes after a fault, the first of which this is; reads and flushes go
    /// on. Opening the store again recovers what was acknowledged.
    Failed(String),
    /// A check of what was just written or merged did not hold, so that nothing of it was published: the
    /// samples are where they were. Says what was counted or decoded. This is a fault of the program or of
    /// the machine's memory; writes go on.
    SelfCheck(String),
    /// An earlier fault closed this file to writes; the operation may be repeated, and then makes another.
    FileClosed {
        /// The file.
        path: PathBuf,
        /// What closed it.
        fault: String,
    },
    /// The query was cancelled or ran past its deadline.
    Cancelled,
    /// A file that a read-only snapshot needs was replaced by the process that owns the store. No
    /// row was lost: refresh and take another snapshot.
    SnapshotGone {
        /// The file, or the directory of a store that changes faster than it can be read.
        path: PathBuf,
    },
    /// The database handle was closed.
    Closed,
}

impl Error {
    /// Wraps an I/O error; a full disk becomes [`Error::DiskFull`].
    pub fn io(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { operation, path, source },
        }
    }

    /// The same error again, for everybody who waited for one operation.
    pub(crate) fn duplicate(&self) -> Self {
        match self {
            Self::Io { operation, path, source } => {
                let source = match source.raw_os_error() {
                    Some(code) => io::Error::from_raw_os_error(code),
                    None => io::Error::new(source.kind(), source.to_string()),
                };
                Self::Io { operation, path: path.clone(), source }
            }
            Self::DiskFull { path } => Self::DiskFull { path: path.clone() },
            Self::Corrupt { path, section, offset, source } => {
                Self::Corrupt { path: path.clone(), section, offset: *offset, source: *source }
            }
            Self::Lost(lost) => Self::Lost(lost.clone()),
            Self::UnsupportedVersion { path, found, supported } => Self::UnsupportedVersion {
                path: path.clone(),
                found: *found,
                supported: *supported,
            },
            Self::Locked { path } => Self::Locked { path: path.clone() },
            Self::NotAStore { path, found } => {
                Self::NotAStore { path: path.clone(), found: found.clone() }
            }
            Self::Labels(source) => Self::Labels(source.clone()),
            Self::Matcher(source) => Self::Matcher(source.clone()),
            Self::InvalidArgument(what) => Self::InvalidArgument(what.clone()),
            Self::LimitExceeded(exceeded) => Self::LimitExceeded(*exceeded),
            Self::StaleHandle(handle) => Self::StaleHandle(*handle),
            Self::DurabilityUnknown { durable_seq } => {
                Self::DurabilityUnknown { durable_seq: *durable_seq }
            }
            Self::Failed(first) => Self::Failed(first.clone()),
            Self::SelfCheck(what) => Self::SelfCheck(what.clone()),
            Self::FileClosed { path, fault } => {
                Self::FileClosed { path: path.clone(), fault: fault.clone() }
            }
            Self::Cancelled => Self::Cancelled,
            Self::SnapshotGone { path } => Self::SnapshotGone { path: path.clone() },
            Self::Closed => Self::Closed,
        }
    }

    /// Wraps a decode error with its place; a newer version is not damage.
    pub fn decode(
        path: impl Into<PathBuf>,
        section: &'static str,
        offset: u64,
        source: DecodeError,
    ) -> Self {
        let path = path.into();
        match source {
            DecodeError::Newer { found, supported } => {
                Self::UnsupportedVersion { path, found, supported }
            }
            source => Self::Corrupt { path, section, offset, source },
        }
    }

    /// Whether a file was not there.
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// The damaged place, if the error is damage: file, section, offset.
    pub(crate) fn damaged_place(&self) -> Option<(&Path, &'static str, u64)> {
        match self {
            Self::Corrupt { path, section, offset, .. } => Some((path, section, *offset)),
            Self::Lost(lost) => Some((&lost.path, lost.section, lost.offset)),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { operation, path, source } => {
                write!(f, "cannot {operation} {}: {source}", path.display())
            }
            Self::DiskFull { path } => write!(f, "the disk is full: {}", path.display()),
            Self::Corrupt { path, section, offset, source } => {
                write!(f, "{} is damaged: {section} at byte {offset}: {source}", path.display())
            }
            Self::Lost(lost) => lost.fmt(f),
            Self::UnsupportedVersion { path, found, supported } => write!(
                f,
                "{} has format version {found}; this build reads up to {supported}: use a newer siltstone",
                path.display()
            ),
            Self::Locked { path } => {
                write!(f, "{} is in use by another process", path.display())
            }
            Self::NotAStore { path, found } => {
                write!(f, "{} is not a siltstone store: it holds {found}", path.display())
            }
            Self::Labels(e) => e.fmt(f),
            Self::Matcher(e) => e.fmt(f),
            Self::InvalidArgument(what) => f.write_str(what),
            Self::LimitExceeded(exceeded) => exceeded.fmt(f),
            Self::StaleHandle(handle) => {
                write!(f, "the series handle {handle} is stale: resolve its labels again")
            }
            Self::DurabilityUnknown { durable_seq } => write!(
                f,
                "a sync failed: batches above seq {durable_seq} may not survive a power cut"
            ),
            Self::Failed(first) => write!(f, "the store stopped accepting writes: {first}"),
            Self::SelfCheck(what) => {
                write!(f, "a check of written data failed, nothing of it is used: {what}")
            }
            Self::FileClosed { path, fault } => {
                write!(f, "{} takes no more writes after: {fault}", path.display())
            }
            Self::Cancelled => f.write_str("the query was cancelled or ran out of time"),
            Self::SnapshotGone { path } => write!(
                f,
                "{} was replaced by the process that owns the store: refresh and try again",
                path.display()
            ),
            Self::Closed => f.write_str("the database is closed"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Corrupt { source, .. } => Some(source),
            Self::Labels(source) => Some(source),
            Self::Matcher(source) => Some(source),
            Self::LimitExceeded(source) => Some(source),
            _ => None,
        }
    }
}

impl From<ParseError> for Error {
    fn from(e: ParseError) -> Self {
        match e {
            ParseError::Label(e) => Self::Labels(e),
            ParseError::Matcher(e) => Self::Matcher(e),
            syntax => Self::InvalidArgument(syntax.to_string()),
        }
    }
}

impl From<LimitExceeded> for Error {
    fn from(e: LimitExceeded) -> Self {
        Self::LimitExceeded(e)
    }
}

impl From<MatcherError> for Error {
    fn from(e: MatcherError) -> Self {
        Self::Matcher(e)
    }
}

impl From<LabelError> for Error {
    fn from(e: LabelError) -> Self {
        Self::Labels(e)
    }
}
