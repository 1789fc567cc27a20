//! `baddisk`: the disk under a server that reads by memory maps fails, and comes back.
//!
//! A cycle fills segments on an ext4 of its own, unmounts and mounts it so that no page of them is in memory,
//! and starts a server, which reads a part of them. Then the disk fails, in one of two ways in turn:
//!
//! * *device*: the loop device loses its end, so that reading a page which is not in memory is EIO, and SIGBUS
//!   through a map: what happens at a bad sector or a disk that goes away;
//! * *file system*: ext4 is shut down, so that every call is EIO, while what is mapped is still read.
//!
//! Every answer must then be right, value by value, or an error that names a file; the server must live, and
//! say that it was the disk (of a file system that is shut down, maps give what is right all the same). After the disk is back as it was, and the server started again, everything is right.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use siltstone_rig::http::HttpClient;
use siltstone_rig::process::{Process, free_address};
use siltstone_rig::report::grouped;
use siltstone_rig::seeded::mix;
use siltstone_rig::store::{END_TIMEOUT, Store};
use siltstone_rig::{Interrupt, RigError};

use crate::export::parse_line;
use crate::mount::PowerCutDisk;
use siltstone_rig::verdict::Verdict;

const DISK_BYTES: u64 = 256 << 20;
/// What is left of a device that loses its end: its superblock and little more.
const LEFT_BYTES: u64 = 1 << 20;
const SEGMENTS: u64 = 4;
const SERIES: u64 = 24;
/// Rows of each series in each segment. Values are noise: some megabytes in all.
const ROWS: u64 = 20_000;
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often every series is asked for while the disk is gone.
const ROUNDS: u32 = 5;
const ARGUMENTS: &[&str] = &["--enable-admin", "--read-mode", "map"];
/// Milliseconds from one segment's first sample to the next one's.
const STEP: u64 = 30 * 86_400_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Device,
    FileSystem,
}

/// What was answered while the disk was gone.
#[derive(Debug, Default)]
struct Answers {
    right: u64,
    /// Errors that say what a disk says.
    errors: u64,
    /// What is neither.
    wrong: Vec<String>,
}

/// Runs the cycles, each on a disk of its own.
///
/// # Errors
/// If they could not be run; wrong answers are a verdict.
pub(crate) fn run(
    store: &Store,
    cycles: u32,
    work: &Path,
    interrupt: &Interrupt,
) -> Result<Verdict, RigError> {
    let store = store.with_arguments(ARGUMENTS);
    println!("siltstone         {}", store.program().display());
    println!("                  {}", store.version());
    println!("plan              {cycles} cycles on ext4 in a file of {} MiB", DISK_BYTES >> 20);
    let mut verdict = Verdict::default();
    for number in 1..=cycles {
        let failure = if number % 2 == 1 { Failure::Device } else { Failure::FileSystem };
        let work = work.join(format!("cycle-{number}"));
        let what = format!("making {}", work.display());
        std::fs::create_dir(&work).map_err(RigError::io(what))?;
        cycle(&store, failure, &work, interrupt, &mut verdict)?;
    }
    Ok(verdict)
}

fn cycle(
    store: &Store,
    failure: Failure,
    work: &Path,
    interrupt: &Interrupt,
    verdict: &mut Verdict,
) -> Result<(), RigError> {
    let mut disk = PowerCutDisk::new(work, DISK_BYTES)?;
    let (data, log) = (disk.dir().join("siltstone-data"), work.join("siltstone.log"));
    let address = free_address()?;
    let (mut server, _) = store.start_ready(&data, address, &log, interrupt)?;
    fill(address)?;
    verdict.require(server.terminate(END_TIMEOUT)?.success(), "the first server did not end well");
    disk.keep()?;

    let (mut server, _) = store.start_ready(&data, address, &log, interrupt)?;
    let mut before = Answers::default();
    // One series, of which the map is made; most pages of the others stay on the disk.
    before.ask(address, 0)?;
    match failure {
        Failure::Device => disk.lose_end(LEFT_BYTES)?,
        Failure::FileSystem => disk.cut()?,
    }
    let mut gone = Answers::default();
    for _ in 0..ROUNDS {
        for series in 0..SERIES {
            interrupt.check()?;
            gone.ask(address, series)?;
        }
    }
    let lives = is_alive(&mut server)?;
    if lives {
        server.kill()?;
    }
    disk.restore()?;
    let (mut server, _) = store.start_ready(&data, address, &log, interrupt)?;
    let mut after = Answers::default();
    (0..SERIES).try_for_each(|series| after.ask(address, series))?;
    verdict.require(server.terminate(END_TIMEOUT)?.success(), "the last server did not end well");
    println!(
        "cycle             {failure:?}: {} answers right, {} errors of the disk, {} wrong; afterwards {} right",
        grouped(gone.right),
        grouped(gone.errors),
        gone.wrong.len(),
        grouped(after.right),
    );
    verdict.require(lives, "the server ended when its disk was gone");
    verdict.require(before.right == 1, "the first answer is not right");
    let needs_errors = failure == Failure::Device;
    verdict.require(gone.errors > 0 || !needs_errors, "no query met the failure");
    verdict.require(after.right == SERIES, format!("{after:?}"));
    gone.wrong.into_iter().take(5).for_each(|wrong| verdict.require(false, wrong));
    require_faults_noticed(&log, failure, verdict)
}

/// The log must tell of faults of maps where there were any.
fn require_faults_noticed(
    log: &Path,
    failure: Failure,
    verdict: &mut Verdict,
) -> Result<(), RigError> {
    let text = std::fs::read_to_string(log).map_err(RigError::io("reading the log"))?;
    let faults = text.lines().filter(|line| line.contains("while it was mapped")).count();
    println!("  faults of maps    {faults} files");
    verdict.require(failure != Failure::Device || faults > 0, "no map had a fault");
    verdict.require(!text.contains("panicked"), "the server panicked");
    Ok(())
}

fn is_alive(server: &mut Process) -> Result<bool, RigError> {
    Ok(server.ended()?.is_none())
}

fn value(series: u64, time: u64) -> f64 {
    (mix(series << 48 | time) >> 12) as f64 / 1024.0 + 1.0
}

/// Segments one after the other in time, of all series each.
fn fill(address: SocketAddr) -> Result<(), RigError> {
    let mut client = HttpClient::new(address, TIMEOUT);
    let mut post = |target: &str, body: &[u8]| {
        let answer = client.post(target, &[], body).map_err(RigError::io("filling the store"))?;
        if answer.is_success() { Ok(()) } else { Err(RigError::failed(answer.to_string())) }
    };
    for segment in 0..SEGMENTS {
        for series in 0..SERIES {
            let times = segment * STEP..segment * STEP + ROWS;
            let (mut values, mut timestamps) = (String::new(), String::new());
            for time in times {
                let comma = if values.is_empty() { "" } else { "," };
                let _ = write!(values, "{comma}\"{}\"", value(series, time));
                let _ = write!(timestamps, "{comma}{time}");
            }
            let metric = format!("{{\"__name__\":\"baddisk\",\"series\":\"{series}\"}}");
            let line = format!(
                "{{\"metric\":{metric},\"values\":[{values}],\"timestamps\":[{timestamps}]}}\n"
            );
            post("/api/v1/import", line.as_bytes())?;
        }
        post("/api/v1/admin/tsdb/flush", &[])?;
    }
    // What could be merged would be read, and be in memory, before the disk fails.
    post("/api/v1/admin/tsdb/compact", &[])?;
    Ok(())
}

impl Answers {
    /// Asks for a series, and judges what comes. A connection that ends before the answer does is no answer: the
    /// error came after the head had been sent.
    fn ask(&mut self, address: SocketAddr, series: u64) -> Result<(), RigError> {
        let target =
            format!("/api/v1/export?match[]=%7B__name__=%22baddisk%22,series=%22{series}%22%7D");
        let mut samples = Vec::new();
        let answer = HttpClient::new(address, TIMEOUT).get_lines(&target, &mut |line| {
            let (_, more) = parse_line(line).map_err(std::io::Error::other)?;
            samples.extend(more);
            Ok(())
        });
        match answer {
            Ok(Ok(())) => {
                samples.sort_unstable();
                let times = (0..SEGMENTS).flat_map(|n| n * STEP..n * STEP + ROWS);
                let expected = times.map(|time| (time as i64, value(series, time).to_bits()));
                if samples.into_iter().eq(expected) {
                    self.right += 1;
                } else {
                    self.wrong.push(format!("series {series} has other samples"));
                }
            }
            Ok(Err(response)) => {
                let says = response.to_string();
                if says.contains("Input/output error") && says.contains(".seg") {
                    self.errors += 1;
                } else {
                    self.wrong.push(says);
                }
            }
            Err(error) => self.wrong.push(format!("series {series}: {error}")),
        }
        Ok(())
    }
}
