//! The hand-overs of the engine under every order of threads that a scheduler thinks of.
//!
//! Each test runs a small program of two to four threads against a whole store, on the simulated disk and
//! with the engine's real code, thousands of times. Built with `--cfg siltstone_schedules`, each lock, atomic
//! and wait of the engine is a point at which shuttle decides who runs on (`src/sys/sync`). What each
//! program must find is exact: it knows what was acknowledged when.
//!
//! | file | hand-over |
//! |---|---|
//! | `commit` | batches to a leader, its acknowledgements, the durable seq |
//! | `publish` | active to sealed to segment, beside readers |
//! | `delete` | a delete against snapshots and writers |
//! | `attach` | a foreign store beside deletes that are carried out |
//! | `unlink` | files of merged segments, as long as they are read |
//! | `close` | closing and failed syncs, beside those who wait |
//! | `explore` | how many orders, which, and again the one that failed |
//! | `store` | the store under test, and what is read of it |
//!
//! Run by `run.sh`. That the tests can fail is shown by `breaks.sh`: each of `breaks/*.patch` is a mistake
//! in the engine that one of them has to find.
#![cfg(all(test, siltstone_schedules))]

mod attach;
mod close;
mod commit;
mod delete;
mod explore;
mod publish;
mod store;
mod unlink;
