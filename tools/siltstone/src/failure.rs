//! Why a command failed: one line that says what to do, for a query the place in it, and the exit code.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use siltstone::Error;
use siltstone_query::QueryError;

use crate::{caret, messages};

/// Damage, or a difference, was found.
pub(crate) const FOUND: u8 = 1;
/// The command was used wrongly.
pub(crate) const USAGE: u8 = 2;
/// As a shell says it of a process that a signal ended.
pub(crate) const INTERRUPTED: u8 = 130;
const LOCKED: u8 = 3;
const IO: u8 = 4;
/// The store failed: it takes no writes until it is opened again.
const FAILED: u8 = 5;

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Good,
    /// It did its work and found damage or bad input, which it has reported.
    Found,
}

/// What a command returns.
pub(crate) type Result<T = Outcome> = std::result::Result<T, Failure>;

/// See the module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    message: String,
    /// Lines that show the place in the user's query; none mostly.
    place: String,
    code: u8,
}

impl Failure {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self { message: message.into(), place: String::new(), code }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message)
    }

    /// The same, with the place in the query `text` that it is about: a line and a column as
    /// Prometheus counts them, and how many bytes.
    pub(crate) fn at(self, text: &str, place: (usize, usize), bytes: usize) -> Self {
        Self { place: caret::show(text, place, bytes), ..self }
    }

    /// An evaluation of the query `text` failed.
    pub(crate) fn query(error: QueryError, text: &str) -> Self {
        match error {
            QueryError::Parse(error) => {
                let place = (error.line, error.column);
                Self::usage(error.to_string()).at(text, place, error.span.range().len())
            }
            QueryError::BadTimes(_) | QueryError::Execution(_) => Self::usage(error.to_string()),
            QueryError::Cancelled => Self::interrupted("stopped"),
            QueryError::Timeout => Self::new(IO, format!("{error}; --timeout gives it longer")),
            QueryError::Source(error) => match error.downcast::<Error>() {
                // The signal was all that could cancel it; a deadline is the engine's own.
                Ok(error) if matches!(*error, Error::Cancelled) => Self::interrupted("stopped"),
                Ok(error) => (*error).into(),
                Err(error) => Self::new(IO, error.to_string()),
            },
            error => Self::new(IO, error.to_string()),
        }
    }

    /// An operation of the system on a file or stream failed.
    pub(crate) fn io(operation: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(IO, format!("cannot {operation} {}: {error}", path.display()))
    }

    /// A server did not answer, or not as one does.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(IO, message)
    }

    /// A server refused: what is wrong with the request is usage, the rest its own trouble.
    pub(crate) fn refused(status: u16, message: &str) -> Self {
        let code = if (400..500).contains(&status) && status != 429 { USAGE } else { IO };
        Self::new(code, format!("the server answered {status}: {message}"))
    }

    /// The user stopped it.
    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self::new(INTERRUPTED, message)
    }

    /// The store is held by another process, which may be asked instead.
    pub(crate) fn locked(path: &Path) -> Self {
        let message = format!(
            "{} is in use by another process; if that is a server, ask it with --url \
             http://127.0.0.1:7480 (it must run with --enable-admin), or stop it",
            path.display()
        );
        Self::new(LOCKED, message)
    }

    /// Writing to stdout failed. A reader that has seen enough is no failure; see [`Self::report`].
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(0, "");
        }
        Self::new(IO, format!("cannot write the output: {error}"))
    }

    /// Prints the line, and the place if there is one, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if self.code != 0 {
            messages::error(&self.message);
            messages::place(&self.place);
        }
        ExitCode::from(self.code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, advice) = match &error {
            Error::Locked { .. } => (
                LOCKED,
                "stop the other process, or use a command that only reads: export, samples, query, digest, ls, show, verify, stats",
            ),
            Error::NotAStore { .. } => (
                USAGE,
                "give the directory of a store with --data; if this is one that has lost its CURRENT, run siltstone repair",
            ),
            Error::UnsupportedVersion { .. } => (USAGE, ""),
            Error::Corrupt { section, .. }
                if section.starts_with("manifest") || *section == "CURRENT" =>
            {
                (FOUND, "nothing was changed: siltstone repair says what can be done")
            }
            Error::Corrupt { .. } | Error::Lost(_) => {
                (FOUND, "run siltstone verify to see all damage")
            }
            Error::InvalidArgument(_) | Error::Labels(_) | Error::Matcher(_) => {
                (USAGE, "see --help")
            }
            Error::DiskFull { .. } => (IO, "make room and run it again; nothing stored is lost"),
            Error::Io { .. } => (IO, "check the path, its permissions and the disk"),
            Error::Failed(_) => {
                (FAILED, "check the disk, then start it again: what was acknowledged is recovered")
            }
            Error::LimitExceeded(_) => (IO, ""),
            _ => (IO, "run it again; see the messages before"),
        };
        let separator = if advice.is_empty() { "" } else { "; " };
        Self::new(code, format!("{error}{separator}{advice}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_advice() {
        let locked = Failure::from(Error::Locked { path: "d".into() });
        assert_eq!(locked.code, 3);
        assert!(locked.message.starts_with("d is in use by another process; stop"));
        assert_eq!(Failure::from(Error::DiskFull { path: "d".into() }).code, 4);
        assert_eq!(Failure::from(Error::Failed("x".into())).code, 5);
        let not = Error::NotAStore { path: "d".into(), found: "a.txt".into() };
        assert_eq!(Failure::from(not).code, 2);
        let error =
            Failure::query(QueryError::Source(Box::new(Error::DiskFull { path: "d".into() })), "");
        assert_eq!(error.code, 4);
        assert_eq!(Failure::query(QueryError::Cancelled, "").code, 130);
        assert_eq!(Failure::query(QueryError::Execution("x".into()), "").code, 2);
        assert_eq!(Failure::output(&io::ErrorKind::BrokenPipe.into()).code, 0);
        assert_eq!(Failure::output(&io::ErrorKind::StorageFull.into()).code, 4);
    }
}
