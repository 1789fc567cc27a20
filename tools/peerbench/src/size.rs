//! Workload: bytes on disk of the same samples after each store has merged what it has.
//!
//! Series by series by remote write, many samples to a request; then a flush and a merge are asked for,
//! and the store is ended. Counted is every file of the store.

use std::path::Path;
use std::time::{Duration, Instant};

use siltstone_rig::error::RigError;
use siltstone_rig::http::HttpClient;
use siltstone_rig::interrupt::Interrupt;
use siltstone_rig::json_line::JsonLine;
use siltstone_rig::process::{disk_use, free_address};
use siltstone_rig::remote_write::{compress, post, put_time_series};
use siltstone_rig::store::{END_TIMEOUT, Store};
use snap::raw::Encoder;

use crate::settle::merge;

/// Samples in a request.
const REQUEST_SAMPLES: usize = 50_000;
/// How long a request may take; a merge is one.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(600);
/// The size must stay the same for this long to be believed.
const STABLE_FOR: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Samples sent.
    pub samples: u64,
    /// Bytes of files before anything was asked to merge.
    pub bytes_before: u64,
    /// Bytes of files after the merge and a clean end.
    pub bytes: u64,
    /// CPU seconds from the first request to the end of the merge.
    pub cpu_seconds: f64,
}

/// Writes the series to a fresh instance of the store below `work` and merges them there.
///
/// # Errors
/// If the store does not start, refuses something, or does not end.
pub fn run(
    store: &Store,
    lines: &[JsonLine],
    work: &Path,
    interrupt: &Interrupt,
) -> Result<Measured, RigError> {
    let dir = tempfile::tempdir_in(work).map_err(RigError::io("making a directory"))?;
    let data = dir.path().join("data");
    let address = free_address()?;
    let (mut server, _) = store.start_ready(&data, address, &dir.path().join("log"), interrupt)?;
    let mut client = HttpClient::new(address, REQUEST_TIMEOUT);
    let samples = send(&mut client, lines, interrupt)?;
    let bytes_before = disk_use(&data).length;
    merge(store, &mut client)?;
    let mut stable = (disk_use(&data).length, Instant::now());
    while stable.1.elapsed() < STABLE_FOR {
        interrupt.sleep(Duration::from_millis(200))?;
        let length = disk_use(&data).length;
        if length != stable.0 {
            stable = (length, Instant::now());
        }
    }
    let cpu_seconds = server.usage()?.cpu_seconds;
    server.terminate(END_TIMEOUT)?;
    Ok(Measured { samples, bytes_before, bytes: disk_use(&data).length, cpu_seconds })
}

/// Sends every sample; returns how many there are.
fn send(
    client: &mut HttpClient,
    lines: &[JsonLine],
    interrupt: &Interrupt,
) -> Result<u64, RigError> {
    let mut encoder = Encoder::new();
    let (mut message, mut in_message, mut sent) = (Vec::new(), 0, 0);
    for (at, line) in lines.iter().enumerate() {
        interrupt.check()?;
        for samples in line.samples.chunks(REQUEST_SAMPLES) {
            put_time_series(&mut message, &line.labels, samples);
            in_message += samples.len();
        }
        if in_message < REQUEST_SAMPLES && at + 1 < lines.len() {
            continue;
        }
        post(client, &compress(&mut encoder, &message)?)?;
        sent += in_message as u64;
        in_message = 0;
        message.clear();
    }
    Ok(sent)
}
