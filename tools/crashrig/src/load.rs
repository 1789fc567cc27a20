//! The load that runs while a server is ended: writers that send self-verifying requests.
//!
//! Each writer has one connection and one [`Part`] of the ledger, sends one request after the other and
//! notes each before it is sent and after it was answered. A writer ends at the first request without
//! an answer: its server is gone.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use siltstone_rig::RigError;
use siltstone_rig::http::HttpClient;
use siltstone_rig::remote_write::HEADERS;
use siltstone_rig::store::WRITE_PATH;
use snap::raw::Encoder;

use crate::ledger::Part;

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

/// Runs a writer for each part while `meanwhile` runs; stops them when it returns.
///
/// # Errors
/// What `meanwhile` returned, or an answer that no writer should get.
pub(crate) fn run<T>(
    address: SocketAddr,
    parts: &mut [Part],
    meanwhile: impl FnOnce(&Signals) -> Result<T, RigError>,
) -> Result<T, RigError> {
    let signals = &Signals::default();
    std::thread::scope(|scope| {
        let writers: Vec<_> =
            parts.iter_mut().map(|part| scope.spawn(|| write(address, part, signals))).collect();
        let result = meanwhile(signals);
        signals.stop();
        for writer in writers {
            writer.join().map_err(|_| RigError::failed("a writer panicked"))??;
        }
        result
    })
}

/// Sends requests until it is stopped or the server is gone.
fn write(address: SocketAddr, part: &mut Part, signals: &Signals) -> Result<(), RigError> {
    let mut client = HttpClient::new(address, REQUEST_TIMEOUT);
    let mut template = part.template();
    let mut encoder = Encoder::new();
    let mut body = Vec::new();
    while !signals.stop.load(Ordering::Relaxed) {
        part.fill(&mut template);
        template.compress(&mut encoder, &mut body);
        part.sent();
        let Ok(response) = client.post(WRITE_PATH, HEADERS, &body) else {
            return Ok(());
        };
        if signals.distrusted.load(Ordering::SeqCst) {
            return Ok(());
        }
        if response.is_success() {
            part.acknowledged();
            signals.acknowledged.fetch_add(1, Ordering::Relaxed);
        } else if matches!(response.status, 429 | 500..=599) {
            let refused = matches!(response.status, 429 | 503);
            let count = if refused { &signals.refused } else { &signals.failed };
            count.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(REFUSED_PAUSE);
        } else {
            // A sender gives its samples up then, and this load has done nothing to deserve it.
            return Err(RigError::failed(format!("a remote write was answered with {response}")));
        }
    }
    Ok(())
}
