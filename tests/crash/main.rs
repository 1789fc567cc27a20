//! Crash and fault tests of the store through its public API, on the simulated disk.
//!
//! | file | owns |
//! |---|---|
//! | `workload` | a seeded script of what a program does to a store, and what it was promised |
//! | `enumerate` | a crash at every operation, also of the recovery, by every policy |
//! | `sync_points` | each sync ignored: the enumeration turns red, or the reason why not |
//! | `faults` | errors of single operations |
//! | `full_disk` | no room |
//! | `manifest_tail` | the end of the manifest, damaged and torn |
//! | `missing` | files that are gone |
//! | `attach` | attaches cut short: all of it or nothing, and the other store as it was |
//! | `checkpoint` | checkpoints cut short, refused, and held against what they were made of |
//! | `bad_writes` | page writes that are lost or land elsewhere |
//! | `slow_disk` | syncs that take their time |
//! | `findings` | what the others found, each as a small test |
//! | `holes` | pages lost in the middle of an unsynced log: a prefix comes back, or damage is reported |
//! | `reader` | a read-only opener beside the writer |
//! | `repair` | manifests damaged in every way and made again; a crash of that |
//! | `repair_copies` | copies of stores, whose segments carry the uuids of others, without their manifests |
//! | `repairing` | what the tests of repairs share |
//! | `repair_choices` | what a repair keeps, must not take, and must not bring back |
//!
//! Promises, and whether what a store holds can be explained by them, are `siltstone_testing::record`.
//!
//! `SILTSTONE_CRASH_SEEDS` widens the enumeration from its one seed a policy.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "the tests say how much they checked")]

mod attach;
mod bad_writes;
mod checkpoint;
mod enumerate;
mod faults;
mod findings;
mod full_disk;
mod giving_up;
mod holes;
mod leftovers;
mod manifest_tail;
mod missing;
mod reader;
mod repair;
mod repair_choices;
mod repair_copies;
mod repairing;
mod slow_disk;
mod sync_points;
mod workload;
