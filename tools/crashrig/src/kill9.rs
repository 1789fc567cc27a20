//! `kill9`: SIGKILL at random moments under load and during recovery.
//!
//! What a process has written survives its death, so nothing acknowledged may be lost under any
//! durability policy (`--serve-arg=--durability=never` chooses another one).

use std::path::Path;

use siltstone_rig::store::Store;
use siltstone_rig::{Interrupt, RigError};

use crate::crash_loop::{self, Plan};
use siltstone_rig::verdict::Verdict;

/// Small limits make flushes, rotations and manifest edits frequent enough to be hit.
const VARIANTS: &[&[&str]] = &[
    &[],
    &["--wal-max", "1MiB"],
    &["--wal-max", "2MiB", "--memory-budget", "16MiB"],
    &["--flush-interval", "1s"],
    &["--wal-max", "1MiB", "--level0-merge", "2"],
    &["--read-mode", "pread", "--wal-max", "1MiB"],
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
    let plan = Plan {
        store,
        variants: VARIANTS,
        data: work.join("siltstone-data"),
        log: work.join("siltstone.log"),
        loops,
        seed,
    };
    crash_loop::run(&plan, &mut |server, _| server.kill(), interrupt)
}
