//! Why a request is not answered as it asked: status, text, and whether to come again.
//!
//! The one place that turns errors of the engine into status codes. The rule behind it: what would
//! fail again the same way is 4xx, so that senders drop it; what may succeed later is 429 or 503 with
//! `Retry-After`, so that they keep it. A read that is too large is neither: 422, as in Prometheus,
//! because coming again does not make it smaller.

use hyper::StatusCode;
use siltstone::Error;

/// Seconds after which a refused request may be sent again.
const RETRY_AFTER_S: u32 = 5;

/// A request that failed. Rendered as text or, on the query routes, as Prometheus' envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    pub(crate) retry_after_s: Option<u32>,
    /// Whether the owner of the store has replaced files before they were read: a newer view of it may have the
    /// answer.
    pub(crate) files_gone: bool,
}

impl Refusal {
    /// Prometheus's status of a query that was stopped.
    pub(crate) const CANCELED: StatusCode = match StatusCode::from_u16(499) {
        Ok(status) => status,
        Err(_) => panic!("499 is a status code"),
    };

    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after_s: None, files_gone: false }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }

    /// For now; the same request may succeed later.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::retry(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// The system gives no more memory now.
    pub(crate) fn no_memory() -> Self {
        Self::unavailable("the system gives no more memory; send it again later")
    }

    /// What was to be read is gone, and other files are in its place.
    pub(crate) fn files_gone(message: impl Into<String>) -> Self {
        Self { files_gone: true, ..Self::unavailable(message) }
    }

    /// Too much at once; the same request may succeed later.
    pub(crate) fn throttled(message: impl Into<String>) -> Self {
        Self::retry(StatusCode::TOO_MANY_REQUESTS, message)
    }

    fn retry(status: StatusCode, message: impl Into<String>) -> Self {
        Self { retry_after_s: Some(RETRY_AFTER_S), ..Self::new(status, message) }
    }

    /// What the engine answered to a read. A deadline that passed is 503, damage and limits are 422,
    /// what else a disk does 500.
    pub(crate) fn of_read(error: Error) -> Self {
        let status = match error {
            Error::LimitExceeded(_) | Error::Corrupt { .. } | Error::Lost(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            // A client that cancels does so by leaving, and reads no answer.
            Error::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            Error::Io { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            error => return error.into(),
        };
        Self::new(status, error.to_string())
    }

    /// As [`Refusal::of_read`], for remote read, whose handler in Prometheus knows two answers: 400 for a
    /// limit, and 500 for what goes wrong inside, damage included. The text says where it is.
    pub(crate) fn of_remote_read(error: Error) -> Self {
        let status = match error {
            Error::LimitExceeded(exceeded) => return Self::bad_request(exceeded.to_string()),
            Error::Corrupt { .. } | Error::Lost(_) => StatusCode::INTERNAL_SERVER_ERROR,
            error => return Self::of_read(error),
        };
        Self::new(status, error.to_string())
    }

    /// The kind of the error in Prometheus' envelope.
    pub(crate) fn error_type(&self) -> &'static str {
        match self.status.as_u16() {
            403 => "unavailable",
            404 => "not_found",
            406 => "not_acceptable",
            422 => "execution",
            499 => "canceled",
            503 => "timeout",
            400..500 => "bad_data",
            _ => "internal",
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::of_write(&error)
    }
}

impl Refusal {
    /// What the engine answered to a write.
    pub(crate) fn of_write(error: &Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Labels(_) | Error::Matcher(_) | Error::InvalidArgument(_) => {
                Self::bad_request(message)
            }
            Error::LimitExceeded(_) => Self::throttled(message),
            Error::SnapshotGone { .. } => Self::files_gone(message),
            Error::DiskFull { .. }
            | Error::Io { .. }
            | Error::Failed(_)
            | Error::DurabilityUnknown { .. }
            | Error::Closed
            | Error::SelfCheck(_)
            | Error::FileClosed { .. }
            | Error::StaleHandle(_)
            | Error::Cancelled => Self::unavailable(message),
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use siltstone::{Limit, LimitExceeded};

    use super::*;

    fn exceeded(limit: Limit) -> Error {
        LimitExceeded::new(limit, 2, 1).into()
    }

    #[test]
    fn what_may_succeed_later_says_when() {
        let full = Refusal::from(Error::DiskFull { path: "1.wal".into() });
        assert_eq!((full.status.as_u16(), full.retry_after_s), (503, Some(RETRY_AFTER_S)));
        let unknown = Refusal::from(Error::DurabilityUnknown { durable_seq: 7 });
        assert_eq!(unknown.status.as_u16(), 503);
        let limit = Refusal::from(exceeded(Limit::BatchRows));
        assert_eq!((limit.status.as_u16(), limit.retry_after_s), (429, Some(RETRY_AFTER_S)));
        let read = Refusal::of_read(exceeded(Limit::QuerySamples));
        assert_eq!((read.status.as_u16(), read.retry_after_s), (422, None));
        assert_eq!(read.error_type(), "execution");
        let late = Refusal::of_read(Error::Cancelled);
        assert_eq!((late.status.as_u16(), late.error_type()), (503, "timeout"));
        for gone in [Refusal::of_read, Refusal::of_remote_read, Refusal::from] {
            let gone = gone(Error::SnapshotGone { path: "1.seg".into() });
            assert_eq!((gone.status.as_u16(), gone.retry_after_s), (503, Some(RETRY_AFTER_S)));
            assert!(gone.files_gone);
        }
        let bad = Refusal::from(Error::InvalidArgument("x".into()));
        assert_eq!((bad.status.as_u16(), bad.retry_after_s), (400, None));
    }

    #[test]
    fn remote_read_has_the_codes_of_prometheus_and_is_not_asked_to_come_again() {
        let refused = |error| {
            let refusal = Refusal::of_remote_read(error);
            (refusal.status.as_u16(), refusal.retry_after_s)
        };
        let broken = Error::Io {
            operation: "read",
            path: "1.seg".into(),
            source: std::io::Error::other("broken"),
        };
        assert_eq!(refused(exceeded(Limit::QueryBytes)), (400, None));
        assert_eq!(refused(broken), (500, None));
        assert_eq!(refused(Error::Cancelled), (503, None));
    }

    #[test]
    fn kinds_of_errors_are_those_of_prometheus() {
        for (status, kind) in [
            (400, "bad_data"),
            (403, "unavailable"),
            (404, "not_found"),
            (406, "not_acceptable"),
            (413, "bad_data"),
            (422, "execution"),
            (499, "canceled"),
            (500, "internal"),
            (503, "timeout"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Refusal::new(status, "x").error_type(), kind);
        }
    }
}
