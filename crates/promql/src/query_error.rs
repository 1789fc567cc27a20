//! Why a query has no answer.

use std::error::Error;
use std::fmt;

use crate::error::ParseError;
use crate::source::SourceError;

/// Why a query has no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum QueryError {
    /// The text is no query.
    Parse(ParseError),
    /// The times make no sense, those in the query or those of its evaluation: which, and what to do.
    BadTimes(String),
    /// The evaluation met what the language forbids, such as two series with the same labels.
    Execution(String),
    /// The query needs more than one of its limits.
    Limit {
        /// What there would be too much of.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// The query needs more memory than its account has: [`siltstone::Error::LimitExceeded`] says how
    /// much, and whose bound that is.
    Memory(siltstone::Error),
    /// The query took longer than it may.
    Timeout,
    /// Somebody cancelled the query.
    Cancelled,
    /// The source of the series failed.
    Source(SourceError),
}

impl QueryError {
    /// An [`Execution`](Self::Execution) error.
    pub(crate) fn execution(message: impl Into<String>) -> Self {
        Self::Execution(message.into())
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse(error) => error.fmt(f),
            Self::BadTimes(message) | Self::Execution(message) => f.write_str(message),
            Self::Limit { what, max } => write!(
                f,
                "the query needs more than the limit of {max} {what}: select fewer series, a \
                 shorter range or a longer step"
            ),
            Self::Memory(error) => error.fmt(f),
            Self::Timeout => f.write_str("query timed out in expression evaluation"),
            Self::Cancelled => f.write_str("query was canceled in expression evaluation"),
            Self::Source(error) => write!(f, "reading series: {error}"),
        }
    }
}

impl Error for QueryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Parse(error) => Some(error),
            Self::Memory(error) => Some(error),
            Self::Source(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}

impl From<ParseError> for QueryError {
    fn from(error: ParseError) -> Self {
        Self::Parse(error)
    }
}
