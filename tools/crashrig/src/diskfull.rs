//! `diskfull`: a full disk refuses writes, loses nothing, is emptied by deletes, and takes writes again
//! once there is room.
//!
//! A cycle fills a small tmpfs until the server answers 503, and sees that it goes on refusing and
//! answering reads without dying. On the full disk most series are deleted and compacted away
//! (`erase`), and the server is killed and started again. It may take writes by itself then; the tmpfs
//! is enlarged, and it must, without a restart. After each of these, and after a last SIGKILL,
//! everything acknowledged is there and nothing that was deleted.

mod erase;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use siltstone_rig::http::HttpClient;
use siltstone_rig::process::{Process, free_address};
use siltstone_rig::report::{grouped, milliseconds};
use siltstone_rig::store::Store;
use siltstone_rig::{Interrupt, RigError};

use self::erase::Erased;
use crate::export;
use crate::ledger::{Check, Damage, METRIC, Part, tally};
use crate::load::{self, Signals};
use crate::mount::SmallDisk;
use crate::server_log;
use siltstone_rig::verdict::Verdict;

/// Size of the disk, and by how much it grows.
const DISK_MIB: u64 = 32;
/// Writers at a time, and series of each.
const WRITERS: u32 = 2;
const SERIES: u32 = 1000;
/// How long filling the disk may take.
const FILL_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the server must refuse every write for the disk to count as full.
const REFUSING_FOR: Duration = Duration::from_secs(2);
/// How soon after there is room a write must be taken.
const RESUME_WITHIN: Duration = Duration::from_secs(10);
/// How long the load goes on afterwards.
const RESUMED_FOR: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(5);
/// The first sample is this old.
const AGE_MS: i64 = 3_600_000;
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Small files, so that the disk is full of segments too and not of one log. The reserve holds what a
/// flush writes, as the default does on disks of the usual size.
const ARGUMENTS: &[&str] = &["--wal-max", "4MiB", "--reserve", "2MiB", "--enable-admin"];

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
    let mut failed = load::run(address, &mut parts, &[], |signals| {
        fill(signals, &mut server, interrupt)?;
        answers_reads(address)?;
        Ok(signals.failed())
    })?;
    let erased = erase::run(address, data, &mut parts)?;
    let mut damage = check(address, &mut parts)?;
    server.kill()?;
    let (mut server, _) = store.start_ready(data, address, log, interrupt)?;
    damage.add(check(address, &mut parts)?);
    let resumed = load::run(address, &mut parts, &[], |signals| {
        let by_itself = resume(signals, &mut server, interrupt)?;
        disk.resize(DISK_MIB * 4)?;
        let enlarged = resume(signals, &mut server, interrupt)?;
        failed += signals.failed();
        Ok(Resumed { by_itself, enlarged })
    })?;
    damage.add(check(address, &mut parts)?);
    server.kill()?;
    let (mut server, _) = store.start_ready(data, address, log, interrupt)?;
    damage.add(check(address, &mut parts)?);
    let status = server.terminate(siltstone_rig::store::END_TIMEOUT)?;
    print(&parts, &erased, &resumed, &damage);
    erased.require(verdict);
    verdict.require(
        resumed.enlarged.is_some(),
        format!("no write was taken within {RESUME_WITHIN:?} of the enlargement"),
    );
    verdict
        .require(failed == 0, format!("{failed} writes were answered with another error than 503"));
    verdict.require(damage.is_none(), "damage was found");
    verdict.require(status.success(), format!("SIGTERM: {status}"));
    server_log::require_calm(log, verdict)
}

/// How soon a write was taken again.
struct Resumed {
    /// Before the disk was enlarged.
    by_itself: Option<Duration>,
    enlarged: Option<Duration>,
}

fn print(parts: &[Part], erased: &Erased, resumed: &Resumed, damage: &Damage) {
    let counted = tally(parts);
    let after = |took: Option<Duration>, never: &str| {
        took.map_or_else(|| never.to_owned(), |took| format!("after {}", milliseconds(took)))
    };
    println!(
        "cycle             {} requests acknowledged, {} refused or unanswered ({} there as a whole)",
        grouped(counted.acknowledged),
        grouped(counted.present + counted.absent + counted.in_doubt),
        grouped(counted.present),
    );
    println!("  on the full disk  {erased}");
    println!(
        "  writes resumed    before the disk was enlarged {}, after that {}",
        after(resumed.by_itself, "never"),
        after(resumed.enlarged, "NEVER"),
    );
    println!(
        "  damage            lost {}, different {}, torn {}, risen {}",
        damage.lost, damage.different, damage.torn, damage.risen
    );
    damage.described.iter().for_each(|line| println!("  {line}"));
}

/// Waits until the server refuses, and for a while nothing but that: merges may make room yet.
fn fill(signals: &Signals, server: &mut Process, interrupt: &Interrupt) -> Result<(), RigError> {
    let started = Instant::now();
    let (mut last, mut since) = (0, started);
    while signals.refused() + signals.failed() == 0 || since.elapsed() < REFUSING_FOR {
        if started.elapsed() > FILL_TIMEOUT {
            return Err(server.failed(&format!("did not refuse writes within {FILL_TIMEOUT:?}")));
        }
        if signals.acknowledged() > last {
            (last, since) = (signals.acknowledged(), Instant::now());
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
    Ok(check.end().settle(parts))
}
