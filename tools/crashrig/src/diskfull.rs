//! `diskfull`: a full disk refuses writes, loses nothing, and takes writes again once there is room.
//!
//! A cycle fills a small tmpfs until the server answers 503, sees that it goes on refusing and
//! answering reads without dying, enlarges the tmpfs, and waits for the first write to be taken
//! without a restart. Then everything acknowledged must be there: at once, and after SIGKILL and a
//! restart.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use siltstone_peerbench::http::HttpClient;
use siltstone_peerbench::process::{Process, free_address};
use siltstone_peerbench::report::{grouped, milliseconds};
use siltstone_peerbench::store::Store;
use siltstone_peerbench::{Interrupt, RigError};

use crate::export;
use crate::ledger::{Check, Damage, METRIC, Part, tally};
use crate::load::{self, Signals};
use crate::mount::SmallDisk;
use crate::server_log;
use crate::verdict::Verdict;

/// Size of the disk, and by how much it grows.
const DISK_MIB: u64 = 32;
/// Writers at a time, and series of each.
const WRITERS: u32 = 2;
const SERIES: u32 = 1000;
/// How long filling the disk may take.
const FILL_TIMEOUT: Duration = Duration::from_secs(120);
/// How long to look at the refusing server.
const REFUSING_FOR: Duration = Duration::from_secs(2);
/// How soon after there is room a write must be taken.
const RESUME_WITHIN: Duration = Duration::from_secs(10);
/// How long the load goes on afterwards.
const RESUMED_FOR: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(5);
/// The first sample is this old.
const AGE_MS: i64 = 3_600_000;
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Small files, so that the disk is full of segments too and not of one log.
const ARGUMENTS: &[&str] = &["--wal-max", "4MiB"];

/// Runs the cycles, each on a disk of its own.
///
/// # Errors
/// If they could not be run; lost samples are a verdict.
pub(crate) fn run(
    store: &Store,
    cycles: u32,
    work: &Path,
    interrupt: &Interrupt,
) -> Result<Verdict, RigError> {
    let store = store.with_arguments(ARGUMENTS);
    println!("siltstone         {}", store.program().display());
    println!("                  {}; {}", store.version(), store.durability());
    println!("plan              {cycles} cycles on a tmpfs of {DISK_MIB} MiB");
    let mut verdict = Verdict::default();
    for number in 1..=cycles {
        let dir = work.join(format!("disk-{number}"));
        let disk = SmallDisk::new(&dir, DISK_MIB)?;
        let log = work.join(format!("siltstone-{number}.log"));
        cycle(&store, &disk, &dir.join("data"), &log, interrupt, &mut verdict)?;
    }
    Ok(verdict)
}

fn cycle(
    store: &Store,
    disk: &SmallDisk,
    data: &Path,
    log: &Path,
    interrupt: &Interrupt,
    verdict: &mut Verdict,
) -> Result<(), RigError> {
    let address = free_address()?;
    let (mut server, _) = store.start_ready(data, address, log, interrupt)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let first_ms = now.as_millis() as i64 - AGE_MS;
    let mut parts: Vec<Part> =
        (0..WRITERS).map(|writer| Part::new(0, writer, SERIES, first_ms)).collect();
    let (resumed, failed) = load::run(address, &mut parts, |signals| {
        fill(signals, &mut server, interrupt)?;
        interrupt.sleep(REFUSING_FOR)?;
        answers_reads(address)?;
        disk.resize(DISK_MIB * 4)?;
        Ok((resume(signals, &mut server, interrupt)?, signals.failed()))
    })?;
    let mut damage = check(address, &mut parts)?;
    server.kill()?;
    let (mut server, _) = store.start_ready(data, address, log, interrupt)?;
    damage.add(check(address, &mut parts)?);
    let status = server.terminate(siltstone_peerbench::store::END_TIMEOUT)?;
    let counted = tally(&parts);
    println!(
        "cycle             {} requests acknowledged, {} refused or unanswered ({} there as a whole); \
         writes resumed after {}; lost {}, different {}, torn {}, risen {}",
        grouped(counted.acknowledged),
        grouped(counted.present + counted.absent + counted.in_doubt),
        grouped(counted.present),
        resumed.map_or_else(|| "NEVER".into(), milliseconds),
        damage.lost,
        damage.different,
        damage.torn_requests,
        damage.risen
    );
    for line in &damage.described {
        println!("  {line}");
    }
    verdict.require(resumed.is_some(), format!("no write was taken within {RESUME_WITHIN:?}"));
    verdict
        .require(failed == 0, format!("{failed} writes were answered with another error than 503"));
    verdict.require(damage.is_none(), "damage was found");
    verdict.require(status.success(), format!("SIGTERM: {status}"));
    server_log::require_calm(log, verdict)
}

/// Waits until the server refuses.
fn fill(signals: &Signals, server: &mut Process, interrupt: &Interrupt) -> Result<(), RigError> {
    let started = Instant::now();
    while signals.refused() + signals.failed() == 0 {
        if started.elapsed() > FILL_TIMEOUT {
            return Err(server.failed(&format!("did not refuse writes within {FILL_TIMEOUT:?}")));
        }
        alive(server)?;
        interrupt.sleep(POLL)?;
    }
    Ok(())
}

/// Waits for the first write that is taken; says how long that took, if it happened in time.
fn resume(
    signals: &Signals,
    server: &mut Process,
    interrupt: &Interrupt,
) -> Result<Option<Duration>, RigError> {
    let (started, before) = (Instant::now(), signals.acknowledged());
    while signals.acknowledged() == before {
        if started.elapsed() > RESUME_WITHIN {
            return Ok(None);
        }
        alive(server)?;
        interrupt.sleep(POLL)?;
    }
    let took = started.elapsed();
    interrupt.sleep(RESUMED_FOR)?;
    Ok(Some(took))
}

fn alive(server: &mut Process) -> Result<(), RigError> {
    match server.ended()? {
        Some(status) => Err(server.failed(&format!("ended by itself ({status})"))),
        None => Ok(()),
    }
}

/// A full disk is no reason not to read.
fn answers_reads(address: std::net::SocketAddr) -> Result<(), RigError> {
    let mut client = HttpClient::new(address, READ_TIMEOUT);
    let mut lines = 0u64;
    let selector = format!("{METRIC}{{series=\"1\"}}");
    export::for_each_line(&mut client, &selector, |_, _| lines += 1)?;
    if lines == 0 {
        return Err(RigError::failed("the server of the full disk exports nothing"));
    }
    Ok(())
}

fn check(address: std::net::SocketAddr, parts: &mut [Part]) -> Result<Damage, RigError> {
    let mut client = HttpClient::new(address, READ_TIMEOUT);
    let mut check = Check::new(parts);
    export::for_each_line(&mut client, METRIC, |labels, samples| check.line(&labels, &samples))?;
    Ok(check.finish())
}
