//! Workload: samples of series that the store knows already, sent as fast as it answers.
//!
//! All request bodies are made before anything is measured and are the same for every store and
//! round. Each round starts each store on an empty directory, lets it see every series, and then
//! measures: samples per CPU-second of the server, from `/proc`, between the first measured request
//! and the last answer. What a store does later (merging, flushing) is measured apart, over a settling
//! time, because both put work off.

use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use siltstone_rig::error::RigError;
use siltstone_rig::http::HttpClient;
use siltstone_rig::interrupt::Interrupt;
use siltstone_rig::process::{DiskUse, Process, Usage, disk_use, free_address};
use siltstone_rig::remote_write::post;
use siltstone_rig::store::{END_TIMEOUT, Store};
use siltstone_rig::tsbs::{Walk, template};
use snap::raw::Encoder;

/// Time between two samples of a series, in milliseconds.
const STEP_MS: i64 = 10_000;
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Series, each with one sample at a time.
    pub series: u64,
    /// Series (and samples) in a request.
    pub request_series: u64,
    /// Connections; each keeps to its own series.
    pub connections: usize,
    /// Samples a series before the measured part.
    pub warm_up: u64,
    /// Measured samples a series.
    pub measured: u64,
    /// How long to watch the server after the last answer.
    pub settle: Duration,
}

impl Load {
    /// # Errors
    /// If the numbers do not fit together.
    pub fn check(&self) -> Result<(), RigError> {
        let fail = |what: &str| Err(RigError::failed(what));
        if self.series == 0 || self.request_series == 0 || self.connections == 0 {
            return fail("series, series a request and connections must not be zero");
        }
        if self.measured == 0 {
            return fail("there is nothing to measure");
        }
        if !self.series.is_multiple_of(self.request_series) {
            return fail("the series must fill whole requests");
        }
        let requests = self.series / self.request_series;
        if !requests.is_multiple_of(self.connections as u64) {
            return fail("the requests must be spread evenly over the connections");
        }
        Ok(())
    }

    /// Samples of the measured part.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.series * self.measured
    }
}

/// The bodies of one connection.
#[derive(Debug, Default)]
struct Script {
    warm_up: Vec<Vec<u8>>,
    measured: Vec<Vec<u8>>,
}

/// All bodies of a load, made once.
#[derive(Debug)]
pub struct Bodies {
    load: Load,
    scripts: Vec<Script>,
}

impl Bodies {
    /// Encodes the load; its last sample is about `now_ms`.
    ///
    /// # Errors
    /// If the load's numbers do not fit together, or Ctrl-C.
    pub fn make(load: Load, now_ms: i64, interrupt: &Interrupt) -> Result<Self, RigError> {
        load.check()?;
        let ticks = load.warm_up + load.measured;
        let first_ms = now_ms - STEP_MS * ticks.cast_signed();
        let mut encoder = Encoder::new();
        let mut scripts: Vec<Script> = (0..load.connections).map(|_| Script::default()).collect();
        for request in 0..load.series / load.request_series {
            let first = request * load.request_series;
            let mut template = template(first, load.request_series);
            let mut walk = Walk::new(first, template.series());
            let script = &mut scripts[(request % load.connections as u64) as usize];
            let mut bodies = Vec::new();
            for tick in 0..ticks {
                interrupt.check()?;
                walk.step(&mut template, first_ms + STEP_MS * tick.cast_signed());
                let mut body = Vec::new();
                template.compress(&mut encoder, &mut body);
                body.shrink_to_fit();
                bodies.push(body);
            }
            let measured = bodies.split_off(load.warm_up as usize);
            interleave(&mut script.warm_up, bodies);
            interleave(&mut script.measured, measured);
        }
        Ok(Self { load, scripts })
    }

    /// Bytes of all bodies.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let bytes = |bodies: &[Vec<u8>]| bodies.iter().map(|b| b.len() as u64).sum::<u64>();
        self.scripts.iter().map(|s| bytes(&s.warm_up) + bytes(&s.measured)).sum()
    }
}

/// Merges the requests of other series into a script, so that time goes forward in it: one request of
/// each group of series, tick by tick.
fn interleave(script: &mut Vec<Vec<u8>>, bodies: Vec<Vec<u8>>) {
    if script.is_empty() {
        *script = bodies;
        return;
    }
    let groups = script.len() / bodies.len().max(1);
    let mut old = std::mem::take(script).into_iter();
    for body in bodies {
        script.extend(old.by_ref().take(groups));
        script.push(body);
    }
}

/// What one store did in one round.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Measured samples.
    pub samples: u64,
    /// From the first measured request to the last answer.
    pub wall: Duration,
    /// CPU seconds of the server meanwhile.
    pub cpu_seconds: f64,
    /// CPU seconds of the server meanwhile and while it settled.
    pub cpu_settled_seconds: f64,
    /// RssAnon after the last answer.
    pub rss_anon_bytes: u64,
    /// Request latencies in microseconds.
    pub latency_us: Histogram<u64>,
    /// Bytes on disk after a clean end.
    pub disk: DiskUse,
}

impl Measured {
    /// Samples per CPU-second of the server.
    #[must_use]
    pub fn per_cpu_second(&self) -> f64 {
        self.samples as f64 / self.cpu_seconds.max(0.01)
    }
}

/// Sends the bodies to a fresh instance of the store below `work`.
///
/// # Errors
/// If the store does not start, does not answer with a success each time, or does not end.
pub fn run(
    store: &Store,
    bodies: &Bodies,
    work: &Path,
    interrupt: &Interrupt,
) -> Result<Measured, RigError> {
    let dir = tempfile::tempdir_in(work).map_err(RigError::io("making a directory"))?;
    let data = dir.path().join("data");
    let address = free_address()?;
    let log = dir.path().join("log");
    let (mut server, _) = store.start_ready(&data, address, &log, interrupt)?;
    let client = || HttpClient::new(address, REQUEST_TIMEOUT);
    let sent = send(bodies, &server, client, interrupt)?;
    interrupt.sleep(bodies.load.settle)?;
    let settled = server.usage()?;
    server.terminate(END_TIMEOUT)?;
    Ok(Measured {
        samples: bodies.load.samples(),
        wall: sent.wall,
        cpu_seconds: sent.after.cpu_seconds - sent.before.cpu_seconds,
        cpu_settled_seconds: settled.cpu_seconds - sent.before.cpu_seconds,
        rss_anon_bytes: sent.after.rss_anon_bytes,
        latency_us: sent.latency_us,
        disk: disk_use(&data),
    })
}

struct Sent {
    wall: Duration,
    before: Usage,
    after: Usage,
    latency_us: Histogram<u64>,
}

/// Plays all scripts, each on its own connection, and measures around the measured part.
fn send(
    bodies: &Bodies,
    server: &Process,
    client: impl Fn() -> HttpClient,
    interrupt: &Interrupt,
) -> Result<Sent, RigError> {
    let barrier = &Barrier::new(bodies.scripts.len() + 1);
    std::thread::scope(|scope| {
        let connections: Vec<_> = bodies
            .scripts
            .iter()
            .map(|script| {
                let mut client = client();
                scope.spawn(move || {
                    let mut ignored = latencies()?;
                    let warm = play(&mut client, &script.warm_up, &mut ignored, interrupt);
                    barrier.wait();
                    barrier.wait();
                    warm?;
                    let mut latency_us = latencies()?;
                    play(&mut client, &script.measured, &mut latency_us, interrupt)?;
                    Ok(latency_us)
                })
            })
            .collect();
        barrier.wait();
        let before = server.usage();
        let started = Instant::now();
        barrier.wait();
        let mut latency_us = latencies()?;
        let results: Vec<Result<_, RigError>> = connections
            .into_iter()
            .map(|c| c.join().map_err(|_| RigError::failed("a connection panicked"))?)
            .collect();
        let wall = started.elapsed();
        let after = server.usage();
        for result in results {
            latency_us
                .add(result?)
                .map_err(|e| RigError::failed(format!("adding latencies: {e}")))?;
        }
        Ok(Sent { wall, before: before?, after: after?, latency_us })
    })
}

fn latencies() -> Result<Histogram<u64>, RigError> {
    let highest = REQUEST_TIMEOUT.as_micros() as u64 * 2;
    Histogram::new_with_bounds(1, highest, 3)
        .map_err(|e| RigError::failed(format!("a histogram of latencies: {e}")))
}

/// Sends bodies one after the other; each must be answered with a success.
fn play(
    client: &mut HttpClient,
    bodies: &[Vec<u8>],
    latency_us: &mut Histogram<u64>,
    interrupt: &Interrupt,
) -> Result<(), RigError> {
    for body in bodies {
        interrupt.check()?;
        let started = Instant::now();
        post(client, body)?;
        latency_us.saturating_record(started.elapsed().as_micros() as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Load = Load {
        series: 40,
        request_series: 10,
        connections: 2,
        warm_up: 2,
        measured: 3,
        settle: Duration::ZERO,
    };

    /// (hostname's series block, timestamp) of a body, enough to know it by.
    fn timestamp_of(body: &[u8]) -> Vec<u8> {
        let message = snap::raw::Decoder::new().decompress_vec(body).unwrap();
        message[message.len() - 6..].to_vec()
    }

    #[test]
    fn bodies_are_the_same_each_time_and_in_order_of_time() {
        let make = || Bodies::make(LOAD, 1_795_000_000_000, &Interrupt::default()).unwrap();
        let (one, two) = (make(), make());
        assert_eq!(one.bytes(), two.bytes());
        for (a, b) in one.scripts.iter().zip(&two.scripts) {
            assert_eq!(a.warm_up, b.warm_up);
            assert_eq!(a.measured, b.measured);
            assert_eq!((a.warm_up.len(), a.measured.len()), (4, 6));
            let times: Vec<_> =
                a.warm_up.iter().chain(&a.measured).map(|b| timestamp_of(b)).collect();
            for pair in times.chunks(2) {
                assert_eq!(pair[0], pair[1], "both groups of a tick stand together");
            }
            assert_ne!(times[0], times[2]);
        }
        let mut distinct: Vec<&Vec<u8>> =
            one.scripts.iter().flat_map(|s| s.warm_up.iter().chain(&s.measured)).collect();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), 20, "no body is sent twice");
    }

    #[test]
    fn three_groups_interleave_by_tick() {
        let group = |g: u8| vec![vec![g, 0], vec![g, 1]];
        let mut script = Vec::new();
        for g in 0..3 {
            interleave(&mut script, group(g));
        }
        assert_eq!(script, [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]);
    }

    #[test]
    fn loads_that_do_not_add_up_are_refused() {
        assert!(LOAD.check().is_ok());
        for load in [
            Load { series: 41, ..LOAD },
            Load { series: 0, ..LOAD },
            Load { connections: 3, ..LOAD },
            Load { connections: 0, ..LOAD },
            Load { measured: 0, ..LOAD },
        ] {
            assert!(load.check().is_err(), "{load:?}");
        }
        assert_eq!(LOAD.samples(), 120);
    }
}
