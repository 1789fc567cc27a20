//! What opening a store found.

use std::time::Duration;

use crate::db::env::finding::Finding;

/// What [`Db::open`](crate::Db::open) found and did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct OpenReport {
    /// Batches of the log that were recovered.
    pub recovered_batches: u64,
    /// Their samples.
    pub recovered_rows: u64,
    /// Deletes of the log that were recovered.
    pub recovered_deletes: u64,
    /// Bytes of writes that a crash cut short, and of what was written behind them; nothing acknowledged as
    /// durable was in them.
    pub torn_bytes: u64,
    /// Batches and deletes among these bytes that were whole: something that was written before them is gone,
    /// so they are left out. Nothing of them was acknowledged as durable.
    pub torn_records: u64,
    /// Samples of readable batches whose series is unknown, because the frame that defined it is
    /// damaged.
    pub lost_rows: u64,
    /// Damage, each with its place. The store is open and serves everything else.
    pub findings: Vec<Finding>,
    /// Files that are none of the store's although they are named like them: numbers that it cannot have
    /// given out, and directories, which are left alone. And segments in `quarantine/` with samples that
    /// nobody was promised: what a crash left of an attach, or of the recovery from a log that no sync had
    /// covered.
    pub warnings: Vec<Finding>,
    /// How long opening took.
    pub elapsed: Duration,
}
