//! Workload: a million active series; what a store needs of memory to know them.
//!
//! Every series gets a few samples, all series one after the other, on one connection. Bodies are made
//! on the way: the figure is memory, not speed. RssAnon is read after a settling time, while the store
//! still runs.

use std::path::Path;
use std::time::{Duration, Instant};

use siltstone_rig::error::RigError;
use siltstone_rig::http::HttpClient;
use siltstone_rig::interrupt::Interrupt;
use siltstone_rig::process::{DiskUse, disk_use, free_address};
use siltstone_rig::remote_write::HEADERS;
use siltstone_rig::store::{END_TIMEOUT, Store, WRITE_PATH};
use siltstone_rig::tsbs::{Walk, template};
use snap::raw::Encoder;

/// Series in a request.
const REQUEST_SERIES: u64 = 5_000;
/// Time between two samples of a series, in milliseconds.
const STEP_MS: i64 = 10_000;
/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Series to register.
    pub series: u64,
    /// Samples of each.
    pub samples_per_series: u64,
    /// How long to let the store settle before its memory is read.
    pub settle: Duration,
}

/// What the store needed.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Samples sent.
    pub samples: u64,
    /// Time to send them.
    pub wall: Duration,
    /// CPU seconds of the server for the first sample of every series.
    pub first_cpu_seconds: f64,
    /// RssAnon after the last answer.
    pub rss_anon_bytes: u64,
    /// RssAnon after the settling time.
    pub rss_anon_settled_bytes: u64,
    /// Bytes on disk after a clean end.
    pub disk: DiskUse,
}

/// Registers the series with a fresh instance of the store below `work`.
///
/// # Errors
/// If the store does not start, does not answer with a success each time, or does not end.
pub fn run(
    store: &Store,
    load: Load,
    now_ms: i64,
    work: &Path,
    interrupt: &Interrupt,
) -> Result<Measured, RigError> {
    let dir = tempfile::tempdir_in(work).map_err(RigError::io("making a directory"))?;
    let data = dir.path().join("data");
    let address = free_address()?;
    let log = dir.path().join("log");
    let (mut server, _) = store.start_ready(&data, address, &log, interrupt)?;
    let mut client = HttpClient::new(address, REQUEST_TIMEOUT);
    let started = Instant::now();
    let mut first_cpu_seconds = 0.0;
    for tick in 0..load.samples_per_series {
        let ahead = (load.samples_per_series - tick).cast_signed();
        send_all(&mut client, load.series, now_ms - STEP_MS * ahead, interrupt)?;
        if tick == 0 {
            first_cpu_seconds = server.usage()?.cpu_seconds;
        }
    }
    let wall = started.elapsed();
    let after = server.usage()?;
    interrupt.sleep(load.settle)?;
    let settled = server.usage()?;
    server.terminate(END_TIMEOUT)?;
    Ok(Measured {
        samples: load.series * load.samples_per_series,
        wall,
        first_cpu_seconds,
        rss_anon_bytes: after.rss_anon_bytes,
        rss_anon_settled_bytes: settled.rss_anon_bytes,
        disk: disk_use(&data),
    })
}

/// One sample of every series.
fn send_all(
    client: &mut HttpClient,
    series: u64,
    timestamp_ms: i64,
    interrupt: &Interrupt,
) -> Result<(), RigError> {
    let mut encoder = Encoder::new();
    let mut body = Vec::new();
    let mut first = 0;
    while first < series {
        interrupt.check()?;
        let count = REQUEST_SERIES.min(series - first);
        let mut template = template(first, count);
        Walk::new(first, template.series()).step(&mut template, timestamp_ms);
        template.compress(&mut encoder, &mut body);
        let response =
            client.post(WRITE_PATH, HEADERS, &body).map_err(RigError::io("a remote write"))?;
        if !response.is_success() {
            return Err(RigError::failed(format!(
                "the remote write of series {first} to {} was answered with {response}",
                first + count
            )));
        }
        first += count;
    }
    Ok(())
}
