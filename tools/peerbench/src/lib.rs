//! The workloads of `peerbench`: Siltstone beside its peers, each measured as a client sees it.
//!
//! What other rigs use too (processes, HTTP, remote write, series) is `siltstone-rig`.

#![expect(
    clippy::disallowed_methods,
    reason = "a rig stands outside the store: it has files, clocks and threads of its own"
)]

pub mod abuse;
pub mod active_series;
pub mod churn;
pub mod cpu_meter;
pub mod known_series;
pub mod queries;
pub mod query_memory;
pub mod running;
pub mod settle;
pub mod size;
