//! Counters of what was closed and refused before it came to a handler.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why the server closed a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    HeaderTimeout,
    IdleTimeout,
    WriteTimeout,
    /// All places were taken, and it had no request.
    Places,
    /// Its address had as many as it may have, and opened another.
    Address,
    /// The process had no descriptor left.
    Descriptors,
}

/// Why a request was refused whatever its route would have answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Barred {
    /// `Host` is missing, double, or that of another server.
    Host,
    /// A page of another origin wanted to change something.
    Origin,
    /// All places were taken.
    Places,
    /// It came to the listener for probes and is none.
    ProbeListener,
}

impl Barred {
    /// As counted and logged.
    pub(crate) fn name(self) -> &'static str {
        BARRED[self as usize]
    }
}

const CLOSED: [&str; 6] =
    ["header_timeout", "idle_timeout", "write_timeout", "places", "address", "descriptors"];
const BARRED: [&str; 4] = ["host", "origin", "places", "probe_listener"];

/// See the module. Every counter only grows.
#[derive(Debug, Default)]
pub(crate) struct ConnectionStats {
    closed: [AtomicU64; CLOSED.len()],
    barred: [AtomicU64; BARRED.len()],
    /// Connections refused because their address had too many with requests under way.
    pub(crate) refused_of_address: AtomicU64,
}

impl ConnectionStats {
    pub(crate) fn count_closed(&self, reason: Closed) {
        self.closed[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_barred(&self, reason: Barred) {
        self.barred[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Closed connections by reason.
    pub(crate) fn closed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        named(&CLOSED, &self.closed)
    }

    /// Refused requests by reason.
    pub(crate) fn barred(&self) -> impl Iterator<Item = (&'static str, u64)> {
        named(&BARRED, &self.barred)
    }
}

fn named<'a>(
    names: &'a [&'static str],
    counts: &'a [AtomicU64],
) -> impl Iterator<Item = (&'static str, u64)> + 'a {
    names.iter().copied().zip(counts.iter().map(|count| count.load(Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_their_names() {
        let stats = ConnectionStats::default();
        stats.count_closed(Closed::HeaderTimeout);
        stats.count_closed(Closed::Descriptors);
        stats.count_barred(Barred::Host);
        stats.count_barred(Barred::Places);
        let counted: Vec<_> =
            stats.closed().chain(stats.barred()).filter(|(_, n)| *n == 1).collect();
        let expected = [("header_timeout", 1), ("descriptors", 1), ("host", 1), ("places", 1)];
        assert_eq!(counted, expected);
    }
}
