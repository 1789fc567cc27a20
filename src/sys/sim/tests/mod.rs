//! The simulated disk does lose what POSIX may lose, and nothing else.

mod faults;
mod model;
mod page_writes;
mod power_cuts;

use std::path::Path;

use super::*;
use crate::sys::{Vfs, WriteFile};

const POINT: SyncPoint = SyncPoint::WalFrames;
const DIR_POINT: SyncPoint = SyncPoint::WalDirectory;
const NAMES_KEPT: DirectorySurvival = DirectorySurvival::Kept;

fn create(fs: &SimFs, path: &str) -> Box<dyn WriteFile> {
    fs.create_new(Path::new(path)).unwrap()
}

fn sync_root(fs: &SimFs) {
    fs.sync_dir(Path::new("/"), DIR_POINT).unwrap();
}

/// A file with a durable name and these durable bytes.
fn durable(fs: &SimFs, path: &str, bytes: &[u8]) -> Box<dyn WriteFile> {
    let mut file = create(fs, path);
    file.append(bytes).unwrap();
    file.sync_data(POINT).unwrap();
    sync_root(fs);
    file
}

/// The file on the disk that a crash leaves, or `None` if its name is gone.
fn after(fs: &SimFs, plan: CrashPlan, path: &str) -> Option<Vec<u8>> {
    fs.crash(plan).read_file(path).ok()
}

fn names_kept(data: DataSurvival) -> CrashPlan {
    CrashPlan { data, directories: NAMES_KEPT }
}
