//! Clients that ask for little: a writer of known series, one of new series, a reader, a prober.
//!
//! A write may be refused for now, if the answer says when to come again, and must then succeed. A connection
//! that was idle may have been closed for another's sake: such a request is sent again on a new one, as any
//! client does. Probes, and every eighth write and read, come on connections of their own.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use siltstone_rig::RigError;
use siltstone_rig::http::{HttpClient, Response};
use siltstone_rig::json_line;
use siltstone_rig::remote_write::{HEADERS, compress, put_time_series};
use siltstone_rig::seeded::Seeded;
use siltstone_rig::served::{PAUSE, Served};
use siltstone_rig::store::WRITE_PATH;
use snap::raw::Encoder;

use crate::stored::Stored;

/// How long a healthy client waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a request that is refused for now is sent again.
const REPEATED_FOR: Duration = Duration::from_secs(60);
/// Longest pause before it is, whatever the server says.
const REPEAT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Series of a write, with one sample each.
const SERIES: u64 = 100;
/// Pause between two new series.
const NEW_PAUSE: Duration = Duration::from_millis(250);
/// So many requests go over one connection.
const REQUESTS_OF_A_CONNECTION: u64 = 8;
/// The metrics that are written.
const KNOWN: &str = "siege_healthy";
const NEW: &str = "siege_new";
/// What is probed.
const PROBES: &[&str] = &["/-/healthy", "/-/ready", "/metrics"];

/// Which kind of client each figure is about, in the order in which [`Healthy::run`] has them.
pub(crate) const KINDS: [&str; 4] = ["write", "new series", "read", "probe"];

/// See the module.
#[derive(Debug)]
pub(crate) struct Healthy {
    address: SocketAddr,
    stored: Stored,
    next_ms: i64,
    /// Times of the writes to known series that were acknowledged.
    acknowledged: Vec<i64>,
    next_new: u64,
    /// New series that were acknowledged.
    acknowledged_new: Vec<u64>,
    seed: u64,
}

impl Healthy {
    pub(crate) fn new(address: SocketAddr, stored: Stored, seed: u64) -> Self {
        let (acknowledged, acknowledged_new) = (Vec::new(), Vec::new());
        Self {
            address,
            stored,
            next_ms: stored.last_ms,
            acknowledged,
            next_new: 0,
            acknowledged_new,
            seed,
        }
    }

    /// Where they go.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Runs the clients until `work`, beside them, has ended.
    ///
    /// # Errors
    /// If a client panicked.
    pub(crate) fn run<T>(
        &mut self,
        new_series_may_wait: bool,
        work: impl FnOnce() -> T,
    ) -> Result<(Vec<Served>, T), RigError> {
        let end = &AtomicBool::new(false);
        let (address, stored) = (self.address, self.stored);
        self.seed = self.seed.wrapping_add(1);
        let mut random = Seeded::new(self.seed);
        let Self { next_ms, acknowledged, next_new, acknowledged_new, .. } = self;
        let (served, result) = thread::scope(|scope| {
            let clients = [
                scope.spawn(move || {
                    let mut client = Client::new(address, KINDS[0], end);
                    client.run(PAUSE, &mut |client| {
                        *next_ms += 1;
                        if client.write(&known(*next_ms), false) {
                            acknowledged.push(*next_ms);
                        }
                    })
                }),
                scope.spawn(move || {
                    let mut client = Client::new(address, KINDS[1], end);
                    client.run(NEW_PAUSE, &mut |client| {
                        *next_new += 1;
                        if client.write(&new(stored.last_ms, *next_new), new_series_may_wait) {
                            acknowledged_new.push(*next_new);
                        }
                    })
                }),
                scope.spawn(move || {
                    let mut client = Client::new(address, KINDS[2], end);
                    client.run(PAUSE, &mut |client| client.read(&stored, &mut random))
                }),
                scope.spawn(move || {
                    let mut client = Client::new(address, KINDS[3], end);
                    client.run(PAUSE, &mut |client| client.probe())
                }),
            ];
            let result = work();
            end.store(true, Ordering::Release);
            (clients.map(thread::ScopedJoinHandle::join), result)
        });
        let served = served.into_iter().collect::<Result<_, _>>();
        Ok((served.map_err(|_| RigError::failed("a healthy client panicked"))?, result))
    }

    /// Writes a new series until it is taken; says how long that was, or what came instead.
    pub(crate) fn wait_for_room(&mut self) -> Result<Duration, String> {
        let started = Instant::now();
        self.next_new += 1;
        let end = AtomicBool::new(false);
        let mut client = Client::new(self.address, KINDS[1], &end);
        if client.write(&new(self.stored.last_ms, self.next_new), false) {
            self.acknowledged_new.push(self.next_new);
            return Ok(started.elapsed());
        }
        Err(client.served.failed.keys().cloned().collect::<Vec<_>>().join(", "))
    }

    /// Counts the samples that were acknowledged and those of them that are there, by an export.
    ///
    /// # Errors
    /// Why the samples cannot be had.
    pub(crate) fn check(&self) -> Result<(u64, u64), String> {
        let mut client = HttpClient::new(self.address, TIMEOUT);
        let mut there: BTreeMap<(String, String), BTreeMap<i64, u64>> = BTreeMap::new();
        let mut visit = |line: &[u8]| {
            let line = json_line::parse(line).map_err(io::Error::other)?;
            let of = |name: &str| {
                let label = line.labels.iter().find(|label| label.0 == name);
                label.map(|label| label.1.clone()).unwrap_or_default()
            };
            there
                .entry((of("__name__"), of("n")))
                .or_default()
                .extend(line.samples.iter().copied());
            Ok(())
        };
        for metric in [KNOWN, NEW] {
            let target = format!("/api/v1/export?match[]={metric}");
            let exported = client.get_lines(&target, &mut visit).map_err(|e| e.to_string())?;
            exported.map_err(|refused| refused.to_string())?;
        }
        let holds = |metric: &str, n: u64, at_ms: i64| {
            let series = there.get(&(metric.to_owned(), n.to_string()));
            series.and_then(|series| series.get(&at_ms)) == Some(&value(n, at_ms).to_bits())
        };
        let known = |at_ms: &i64| (0..SERIES).filter(|n| holds(KNOWN, *n, *at_ms)).count() as u64;
        let found = self.acknowledged.iter().map(known).sum::<u64>()
            + self.acknowledged_new.iter().filter(|n| holds(NEW, **n, self.stored.last_ms)).count()
                as u64;
        let promised = self.acknowledged.len() as u64 * SERIES + self.acknowledged_new.len() as u64;
        Ok((promised, found))
    }
}

/// The value of a sample, which nothing else writes.
fn value(n: u64, at_ms: i64) -> f64 {
    (at_ms % 1_000_000) as f64 * 8.0 + n as f64
}

fn put(message: &mut Vec<u8>, metric: &str, n: u64, at_ms: i64) {
    let labels = [("__name__".to_owned(), metric.to_owned()), ("n".to_owned(), n.to_string())];
    put_time_series(message, &labels, &[(at_ms, value(n, at_ms).to_bits())]);
}

/// A write of one sample to each known series.
fn known(at_ms: i64) -> Vec<u8> {
    let mut message = Vec::new();
    (0..SERIES).for_each(|n| put(&mut message, KNOWN, n, at_ms));
    message
}

/// A write of one sample to a series that is new.
fn new(at_ms: i64, n: u64) -> Vec<u8> {
    let mut message = Vec::new();
    put(&mut message, NEW, n, at_ms);
    message
}

/// One client and what it got.
struct Client<'a> {
    http: HttpClient,
    address: SocketAddr,
    served: Served,
    end: &'a AtomicBool,
    requests: u64,
}

impl<'a> Client<'a> {
    fn new(address: SocketAddr, name: &'static str, end: &'a AtomicBool) -> Self {
        let served = Served { name, ..Served::default() };
        Self { http: HttpClient::new(address, TIMEOUT), address, served, end, requests: 0 }
    }

    /// Works again and again until the end.
    fn run(&mut self, pause: Duration, work: &mut dyn FnMut(&mut Self)) -> Served {
        while !self.end.load(Ordering::Acquire) {
            self.requests += 1;
            if self.requests.is_multiple_of(REQUESTS_OF_A_CONNECTION) {
                self.http = HttpClient::new(self.address, TIMEOUT);
            }
            work(self);
            thread::sleep(pause);
        }
        std::mem::take(&mut self.served)
    }

    /// Sends a request, and again if its connection was idle and is gone.
    fn ask(
        &mut self,
        ask: &dyn Fn(&mut HttpClient) -> io::Result<Response>,
    ) -> Result<Response, String> {
        let was_idle = self.http.is_connected();
        let answer = match ask(&mut self.http) {
            Err(error) if was_idle && error.kind() != io::ErrorKind::WouldBlock => {
                ask(&mut self.http)
            }
            answer => answer,
        };
        answer.map_err(|error| format!("no answer ({})", error.kind()))
    }

    /// Writes until it is acknowledged; if it `may_wait`, only until the end, and that is no failure.
    fn write(&mut self, message: &[u8], may_wait: bool) -> bool {
        let Ok(body) = compress(&mut Encoder::new(), message) else { return false };
        let started = Instant::now();
        loop {
            let answer = self.ask(&|http| http.post(WRITE_PATH, HEADERS, &body));
            let refused = match answer {
                Ok(response) if response.is_success() => {
                    self.served.succeed(started);
                    return true;
                }
                Ok(response) => response.status.to_string(),
                Err(failed) => failed,
            };
            let Some(pause_s) = self.http.retry_after_s() else {
                self.served.fail(refused);
                return false;
            };
            self.served.put_off(&refused);
            if may_wait && self.end.load(Ordering::Acquire) {
                return false;
            }
            if started.elapsed() > REPEATED_FOR {
                self.served.fail(format!("{refused} for {} s", REPEATED_FOR.as_secs()));
                return false;
            }
            thread::sleep(Duration::from_secs(u64::from(pause_s)).min(REPEAT_PAUSE_MAX));
        }
    }

    /// Asks about one series, in turn at one moment and over the whole time, and looks at the answer.
    fn read(&mut self, stored: &Stored, random: &mut Seeded) {
        let (metric, instance) = (random.below(40), random.below(100));
        let query = format!("max_over_time(siege_m{metric}{{instance=\"host-{instance}\"}}[1m])");
        let target = match self.requests % 2 {
            0 => format!("/api/v1/query?{}", stored.instant(&query)),
            _ => format!("/api/v1/query_range?{}", stored.range(&query, 60)),
        };
        let started = Instant::now();
        let named = format!("\"host-{instance}\"");
        match self.ask(&|http| http.get(&target)) {
            Ok(answer) if !answer.is_success() => self.served.fail(answer.status.to_string()),
            Ok(answer) if String::from_utf8_lossy(&answer.body).contains(&named) => {
                self.served.succeed(started);
            }
            Ok(_) => self.served.fail("an answer without the series"),
            Err(failed) => self.served.fail(failed),
        }
    }

    /// A probe on a connection of its own.
    fn probe(&mut self) {
        let path = PROBES[(self.requests % PROBES.len() as u64) as usize];
        let started = Instant::now();
        let answer = HttpClient::new(self.address, TIMEOUT).get(path);
        match answer {
            Ok(answer) if answer.is_success() => self.served.succeed(started),
            Ok(answer) => self.served.fail(format!("{path} {}", answer.status)),
            Err(error) => self.served.fail(format!("{path} no answer ({})", error.kind())),
        }
    }
}
