//! The engine through its public API, on simulated disks but where a real one is the point: a module
//! for each topic.
//!
//! One program, because each links the whole engine for seconds. What is run by itself, with seeds and
//! widths of its own, stays apart: `crash`, `corruption` and `model`; and `tidy`, which reads sources.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod aggregate;
mod changes;
mod compaction;
mod deletes;
mod giving_up;
mod golden;
mod limits;
mod links;
mod losses;
mod map_faults;
mod memory;
mod merge_limits;
mod ownership;
mod pressure;
mod real_data;
mod regex;
mod retention;
mod store;
mod strays;
