//! What a client that asks for little gets beside others that ask for much: whether and how fast it is served.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::http::Response;
use crate::report::median;

/// Pause between an answer and the next request.
pub const PAUSE: Duration = Duration::from_millis(50);

/// What one kind of client got.
#[derive(Debug, Clone, Default)]
pub struct Served {
    /// Query, write or probe.
    pub name: &'static str,
    /// Requests answered with a success.
    pub count: u64,
    /// The others by what came.
    pub failed: BTreeMap<String, u64>,
    /// Requests that were refused for now and sent again, by the answer; they are neither served nor failed.
    pub put_off: BTreeMap<String, u64>,
    /// Times to an answer of those that were served, milliseconds.
    pub wall_ms: Vec<f64>,
}

impl Served {
    /// Requests that were not served.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    /// The median of the times, milliseconds.
    #[must_use]
    pub fn p50_ms(&self) -> f64 {
        median(&self.wall_ms)
    }

    /// The time, in milliseconds, in which 99 of 100 were served; 0 of none.
    #[must_use]
    pub fn p99_ms(&self) -> f64 {
        let mut sorted = self.wall_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
        sorted.get(at).copied().unwrap_or(0.0)
    }

    /// The longest time, milliseconds.
    #[must_use]
    pub fn max_ms(&self) -> f64 {
        self.wall_ms.iter().copied().fold(0.0, f64::max)
    }

    /// Asks again and again until the end.
    ///
    /// Anything but a success is a failure.
    pub fn run(
        name: &'static str,
        end: &AtomicBool,
        mut ask: impl FnMut() -> std::io::Result<Response>,
    ) -> Self {
        let mut served = Self { name, ..Self::default() };
        while !end.load(Ordering::Acquire) {
            let started = Instant::now();
            let failed = match ask() {
                Ok(response) if response.is_success() => None,
                Ok(response) => Some(response.status.to_string()),
                Err(error) => Some(format!("no answer ({})", error.kind())),
            };
            match failed {
                Some(what) => served.fail(what),
                None => served.succeed(started),
            }
            std::thread::sleep(PAUSE);
        }
        served
    }

    /// Notes a request that was served; it was sent first at `started`.
    pub fn succeed(&mut self, started: Instant) {
        self.count += 1;
        self.wall_ms.push(started.elapsed().as_secs_f64() * 1e3);
    }

    /// Notes a request that is sent again, because the answer says when.
    pub fn put_off(&mut self, what: &str) {
        *self.put_off.entry(what.into()).or_insert(0) += 1;
    }

    /// How often a request was put off.
    #[must_use]
    pub fn times_put_off(&self) -> u64 {
        self.put_off.values().sum()
    }

    /// Notes a request that was not served.
    pub fn fail(&mut self, what: impl Into<String>) {
        *self.failed.entry(what.into()).or_insert(0) += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_and_what_fails_is_counted() {
        let end = AtomicBool::new(false);
        let mut statuses = [200, 204, 503, 200].into_iter();
        let served = Served::run("query", &end, || {
            let Some(status) = statuses.next() else {
                end.store(true, Ordering::Release);
                return Err(std::io::ErrorKind::TimedOut.into());
            };
            Ok(Response { status, body: Vec::new() })
        });
        assert_eq!((served.count, served.failures(), served.wall_ms.len()), (3, 2, 3));
        assert_eq!(served.failed.keys().collect::<Vec<_>>(), ["503", "no answer (timed out)"]);
        assert!(served.max_ms() >= served.p50_ms());
    }

    #[test]
    fn the_slowest_of_a_hundred_is_left_out() {
        let wall_ms = (1..=100).rev().map(f64::from).collect();
        let served = Served { wall_ms, ..Served::default() };
        assert_eq!((served.p99_ms(), served.max_ms()), (99.0, 100.0));
        assert_eq!(Served::default().p99_ms(), 0.0);
    }
}
