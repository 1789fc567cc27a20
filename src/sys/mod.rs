//! The world: files, clocks, randomness and threads. No other module makes a system call.
//!
//! Everything above reaches the disk through [`Vfs`], an object-safe trait with two implementations
//! that pass one contract suite: [`DiskFs`] and the simulated [`SimFs`], which knows what a power cut
//! may take. Functions here return [`std::io::Result`]; the floors above wrap errors once, with the
//! operation and the path.
//!
//! Imports nothing of ours. `clippy.toml` bans the calls that this module owns everywhere else.

mod allocator;
mod bytes;
pub mod checksum;
mod claim;
mod clock;
#[cfg(test)]
mod contract;
mod disk;
mod executor;
mod file_bounds;
mod map_faults;
mod map_registry;
mod mapping;
mod random;
mod sim;
pub(crate) mod sync;
mod sync_point;
mod threads;
mod vfs;

pub use allocator::bound_allocator_caches;
pub use bytes::Bytes;
pub use claim::{Claim, ClaimedFs};
pub use clock::{Clock, SimClock, SystemClock};
pub use disk::DiskFs;
pub use executor::Executor;
pub use map_faults::turn_map_faults_into_errors;
pub use random::random_bytes;
pub use sim::{
    BadPageWrite, CrashPlan, DataSurvival, DirectorySurvival, Op, OpKind, PageFault, SimFs,
    is_crash,
};
pub use sync_point::SyncPoint;
pub use threads::spawn;
pub use vfs::{DirEntry, FileId, LockGuard, ReadFile, ReadMode, Space, Vfs, WriteFile};
