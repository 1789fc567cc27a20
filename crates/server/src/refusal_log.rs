//! The log of requests that were refused: for each kind at most a line a second, which counts those that
//! were left out before it. Senders that are refused come again at once, by the thousand.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Least time between two lines of one kind.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many characters of a reason are logged.
const REASON_MAX: usize = 300;

/// Why a request was refused, beside its answer, which may be compressed.
#[derive(Debug, Clone)]
pub(crate) struct Reason(pub(crate) String);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<HashMap<&'static str, Kind>>);

#[derive(Debug)]
struct Kind {
    logged: Instant,
    left_out: u64,
}

impl RefusalLog {
    /// Logs a refusal. `what` is the path of a route or, before there is one, what was refused.
    pub(crate) fn note(&self, what: &'static str, peer: SocketAddr, status: u16, reason: &str) {
        let Some(left_out) = self.due(what, Instant::now()) else { return };
        // Quoted in the log, since clients have a say in it.
        let reason: String = reason.trim_end().chars().take(REASON_MAX).collect();
        tracing::warn!(what, %peer, status, ?reason, left_out, "refused");
    }

    /// Whether a line is due, and how many were left out before it.
    fn due(&self, what: &'static str, now: Instant) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kind) = kinds.get_mut(what) else {
            kinds.insert(what, Kind { logged: now, left_out: 0 });
            return Some(0);
        };
        if now < kind.logged + INTERVAL {
            kind.left_out += 1;
            return None;
        }
        kind.logged = now;
        Some(std::mem::take(&mut kind.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_second_of_each_kind() {
        let log = RefusalLog::default();
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(log.due("a", after(0)), Some(0));
        assert_eq!(log.due("a", after(1)), None);
        assert_eq!(log.due("a", after(999)), None);
        assert_eq!(log.due("b", after(999)), Some(0));
        assert_eq!(log.due("a", after(1000)), Some(2));
        assert_eq!(log.due("a", after(2000)), Some(0));
    }
}
