//! The load that runs while a server is ended: writers that send self-verifying requests.
//!
//! Each writer has one connection and one [`Part`] of the ledger, sends one request after the other, writes and
//! deletes, and notes each before it is sent and after it was answered. A writer ends at the first request
//! without an answer: its server is gone. Companions, such as readers, run beside the writers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use siltstone_rig::RigError;
use siltstone_rig::http::{HttpClient, Response, query_value};
use siltstone_rig::remote_write::HEADERS;
use siltstone_rig::store::WRITE_PATH;
use snap::raw::Encoder;

use crate::ledger::{Op, Part};

/// How long a request may take; a server that hangs is found by this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause after a request that was refused for the time being.
const REFUSED_PAUSE: Duration = Duration::from_millis(20);

/// What the writers and their owner tell each other.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    stop: AtomicBool,
    distrusted: AtomicBool,
    acknowledged: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Signals {
    /// Asks the writers to end after their current request.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// From now on an answer proves nothing: its request stays in doubt.
    pub(crate) fn distrust(&self) {
        self.distrusted.store(true, Ordering::SeqCst);
    }

    /// Whether the server is about to end, or has: nothing that fails now is its fault.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.distrusted.load(Ordering::SeqCst)
    }

    /// Requests answered with a success so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Requests answered with 429 or 503 so far.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Requests answered with another server error so far; they are in doubt too.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// The parts while writers work on them.
pub(crate) struct Shared<'p> {
    parts: Vec<Mutex<&'p mut Part>>,
}

impl Shared<'_> {
    /// The parts as they are now.
    pub(crate) fn copies(&self) -> Vec<Part> {
        let locked =
            self.parts.iter().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner));
        locked.map(|part| (**part).clone()).collect()
    }
}

/// What runs beside the writers until the signals say that it is over.
pub(crate) type Companion<'c> = dyn Fn(&Shared<'_>, &Signals) -> Result<(), RigError> + Sync + 'c;

/// Runs a writer for each part, and the companions, while `meanwhile` runs; stops them when it returns.
///
/// # Errors
/// What `meanwhile` or a companion returned, or an answer that no writer should get.
pub(crate) fn run<T>(
    address: SocketAddr,
    parts: &mut [Part],
    companions: &[&Companion<'_>],
    meanwhile: impl FnOnce(&Signals) -> Result<T, RigError>,
) -> Result<T, RigError> {
    let signals = &Signals::default();
    let shared = &Shared { parts: parts.iter_mut().map(Mutex::new).collect() };
    std::thread::scope(|scope| {
        let writers = shared.parts.iter().map(|part| scope.spawn(|| write(address, part, signals)));
        let mut threads: Vec<_> = writers.collect();
        let beside = companions.iter().map(|companion| scope.spawn(|| companion(shared, signals)));
        threads.extend(beside);
        let result = meanwhile(signals);
        signals.stop();
        for thread in threads {
            thread.join().map_err(|_| RigError::failed("a thread of the load panicked"))??;
        }
        result
    })
}

/// Sends requests until it is stopped or the server is gone.
fn write(address: SocketAddr, part: &Mutex<&mut Part>, signals: &Signals) -> Result<(), RigError> {
    let lock = || part.lock().unwrap_or_else(PoisonError::into_inner);
    let mut client = HttpClient::new(address, REQUEST_TIMEOUT);
    let mut template = lock().template();
    let mut encoder = Encoder::new();
    let mut body = Vec::new();
    while !signals.stop.load(Ordering::Relaxed) {
        let op = lock().next();
        let target = match &op {
            Op::Write(slot) => {
                lock().fill(*slot, &mut template);
                template.compress(&mut encoder, &mut body);
                None
            }
            Op::Delete { series, slots } => {
                let (selector, first_ms, last_ms) = lock().delete_request(series, slots);
                Some(delete_target(&selector, first_ms, last_ms))
            }
        };
        lock().sent(op);
        let answer = match &target {
            None => client.post(WRITE_PATH, HEADERS, &body),
            Some(target) => client.post(target, &[], &[]),
        };
        let Ok(response) = answer else { return Ok(()) };
        if signals.distrusted.load(Ordering::SeqCst) {
            return Ok(());
        }
        take(&response, &mut lock(), signals)?;
    }
    Ok(())
}

/// Notes an answer.
fn take(response: &Response, part: &mut Part, signals: &Signals) -> Result<(), RigError> {
    if response.is_success() {
        part.acknowledged();
        signals.acknowledged.fetch_add(1, Ordering::Relaxed);
        return Ok(());
    }
    if !matches!(response.status, 429 | 500..=599) {
        // A sender gives its samples up then, and this load has done nothing to deserve it.
        return Err(RigError::failed(format!("a request was answered with {response}")));
    }
    let refused = matches!(response.status, 429 | 503);
    let count = if refused { &signals.refused } else { &signals.failed };
    count.fetch_add(1, Ordering::Relaxed);
    std::thread::sleep(REFUSED_PAUSE);
    Ok(())
}

fn delete_target(selector: &str, first_ms: i64, last_ms: i64) -> String {
    let seconds = |ms: i64| format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
    format!(
        "/api/v1/admin/tsdb/delete_series?match[]={}&start={}&end={}",
        query_value(selector),
        seconds(first_ms),
        seconds(last_ms)
    )
}
