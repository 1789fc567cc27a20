//! Why a command failed: one line that says what to do, and the exit code.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use siltstone::Error;

/// Damage, or a difference, was found.
pub(crate) const FOUND: u8 = 1;
/// The command was used wrongly.
pub(crate) const USAGE: u8 = 2;
/// As a shell says it of a process that a signal ended.
pub(crate) const INTERRUPTED: u8 = 130;
const LOCKED: u8 = 3;
const IO: u8 = 4;

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
    code: u8,
}

impl Failure {
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: USAGE }
    }

    /// An operation of the system on a file or stream failed.
    pub(crate) fn io(operation: &str, path: &Path, error: &io::Error) -> Self {
        Self { message: format!("cannot {operation} {}: {error}", path.display()), code: IO }
    }

    /// A server did not answer, or not as one does.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: IO }
    }

    /// A server refused: what is wrong with the request is usage, the rest its own trouble.
    pub(crate) fn refused(status: u16, message: &str) -> Self {
        let code = if (400..500).contains(&status) && status != 429 { USAGE } else { IO };
        Self { message: format!("the server answered {status}: {message}"), code }
    }

    /// The user stopped it.
    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: INTERRUPTED }
    }

    /// The store is held by another process, which may be asked instead.
    pub(crate) fn locked(path: &Path) -> Self {
        let message = format!(
            "{} is in use by another process; if that is a server, ask it with --url \
             http://127.0.0.1:7480 (it must run with --enable-admin), or stop it",
            path.display()
        );
        Self { message, code: LOCKED }
    }

    /// Writing to stdout failed. A reader that has seen enough is no failure; see [`Self::report`].
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { message: String::new(), code: 0 };
        }
        Self { message: format!("cannot write the output: {error}"), code: IO }
    }

    /// Prints the one line and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if self.code != 0 {
            crate::output::error(&self.message);
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
            Error::NotAStore { .. } => (USAGE, "give the directory of a store with --data"),
            Error::UnsupportedVersion { .. } => (USAGE, ""),
            Error::Corrupt { .. } => (FOUND, "run siltstone verify to see all damage"),
            Error::InvalidArgument(_) | Error::Labels(_) => (USAGE, "see --help"),
            Error::DiskFull { .. } => (IO, "make room and run it again; nothing stored is lost"),
            Error::Io { .. } => (IO, "check the path, its permissions and the disk"),
            Error::LimitExceeded(_) => (IO, ""),
            _ => (IO, "run it again; see the messages before"),
        };
        let separator = if advice.is_empty() { "" } else { "; " };
        Self { message: format!("{error}{separator}{advice}"), code }
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
        let not = Error::NotAStore { path: "d".into(), found: "a.txt".into() };
        assert_eq!(Failure::from(not).code, 2);
        assert_eq!(Failure::output(&io::ErrorKind::BrokenPipe.into()).code, 0);
        assert_eq!(Failure::output(&io::ErrorKind::StorageFull.into()).code, 4);
    }
}
