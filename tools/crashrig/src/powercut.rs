//! `powercut`: the file system under the server forgets what was not synced, at random moments.
//!
//! A power cut is the ext4 shutdown call on a loop device, then SIGKILL, then mounting what is left.
//! Only the policy `Always` promises anything here.
//!
//! # Which answers count
//!
//! Those that came before the call began. An fdatasync that is under way when a file system is shut down may
//! answer 0 although what it was to make durable is not there afterwards: the call does not wait for it, and
//! takes the journal away in which the file's new length was to be committed. A program of forty lines that
//! appends and calls fdatasync, beside another file that is written, shows it on Linux 6.18 without Siltstone: in
//! 120 cuts three calls that had begun before the cut answered 0 up to 12 ms after its beginning, and two of
//! the records were gone, the file shorter than they reach. No disk without power answers. So the writers are
//! told not to believe any answer before the call is made, and what they sent last is in doubt.

use std::path::Path;

use siltstone_rig::process::Process;
use siltstone_rig::store::Store;
use siltstone_rig::{Interrupt, RigError};

use crate::crash_loop::{self, Plan};
use crate::load::Signals;
use crate::mount::PowerCutDisk;
use siltstone_rig::verdict::Verdict;

/// Size of the disk.
const DISK_BYTES: u64 = 1 << 30;

/// Small limits make flushes, rotations and manifest edits frequent enough to be hit.
const VARIANTS: &[&[&str]] = &[
    &[],
    &["--wal-max", "1MiB"],
    &["--wal-max", "2MiB", "--memory-budget", "16MiB"],
    &["--flush-interval", "1s"],
    &["--wal-max", "1MiB", "--level0-merge", "2"],
];

/// Runs the loops.
///
/// # Errors
/// If they could not be run.
pub(crate) fn run(
    store: &Store,
    loops: u32,
    seed: u64,
    work: &Path,
    interrupt: &Interrupt,
) -> Result<Verdict, RigError> {
    let mut disk = PowerCutDisk::new(work, DISK_BYTES)?;
    let plan = Plan {
        store,
        variants: VARIANTS,
        data: disk.dir().join("siltstone-data"),
        // The log tells about the cut and must survive it.
        log: work.join("siltstone.log"),
        loops,
        seed,
    };
    let mut crash = |server: &mut Process, signals: &Signals| {
        // A machine without power says nothing more.
        signals.distrust();
        disk.cut()?;
        // The server may have ended by itself when its disk went away.
        if server.ended()?.is_none() {
            server.kill()?;
        }
        disk.remount()
    };
    crash_loop::run(&plan, &mut crash, interrupt)
}
