//! Time: the wall clock, for retention and names, and a monotonic one, for everything else.
#![expect(clippy::disallowed_methods, reason = "this is the module that owns these calls")]

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Where the engine gets the time from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Milliseconds since the Unix epoch, by a clock that may jump in both directions. Nothing may
    /// be ordered by it.
    fn wall_ms(&self) -> i64;

    /// Time since an arbitrary start, which never goes backwards.
    fn monotonic(&self) -> Duration;
}

/// The clocks of the machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        let now = SystemTime::now();
        match now.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct SimClock {
    wall_ms: AtomicI64,
    monotonic_ns: AtomicU64,
}

impl SimClock {
    /// A clock that shows `wall_ms` and a monotonic time of zero.
    #[must_use]
    pub fn new(wall_ms: i64) -> Self {
        Self { wall_ms: AtomicI64::new(wall_ms), monotonic_ns: AtomicU64::new(0) }
    }

    /// Lets `time` pass on both clocks; the wall clock counts whole milliseconds of it.
    pub fn advance(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let before = self.monotonic_ns.fetch_add(ns, Ordering::SeqCst);
        let ms = (before.wrapping_add(ns) / 1_000_000).wrapping_sub(before / 1_000_000);
        self.wall_ms.fetch_add(ms as i64, Ordering::SeqCst);
    }

    /// Sets the wall clock, in either direction; monotonic time does not move.
    pub fn set_wall_ms(&self, wall_ms: i64) {
        self.wall_ms.store(wall_ms, Ordering::SeqCst);
    }
}

impl Clock for SimClock {
    fn wall_ms(&self) -> i64 {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.monotonic_ns.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Clock, SimClock, SystemClock};

    #[test]
    fn the_system_clock_shows_this_century_and_does_not_go_back() {
        let clock = SystemClock::new();
        assert!(clock.wall_ms() > 1_700_000_000_000);
        let first = clock.monotonic();
        assert!(clock.monotonic() >= first);
    }

    #[test]
    fn simulated_time_passes_on_both_clocks_and_jumps_on_one() {
        let clock = SimClock::new(1_000);
        clock.advance(Duration::from_micros(1_600));
        clock.advance(Duration::from_micros(600));
        assert_eq!(clock.wall_ms(), 1_002);
        assert_eq!(clock.monotonic(), Duration::from_micros(2_200));
        clock.set_wall_ms(-5);
        assert_eq!(clock.wall_ms(), -5);
        assert_eq!(clock.monotonic(), Duration::from_micros(2_200));
    }
}
