//! What the runner's lock guards: the merge or the attach under way, and what is known of segments that
//! could not be merged. And what one advance of it is asked for and comes to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::attaching::Attaching;
use crate::compaction::{MergeJob, Merged, Progress, Reason};
use crate::error::Error;
use crate::manifest::Version;
use crate::types::TimeRange;

/// Times that a segment which cannot be read is tried; with the waits between, about 15 seconds.
const READ_TRIES: u32 = 5;

/// What the holder of the runner lock owns.
#[derive(Debug, Default)]
pub(in crate::db) struct Runner {
    pub(super) running: Option<Running>,
    pub(super) attaching: Option<Attaching>,
    /// File numbers that are not picked any more: their index is damaged, they cannot be read, or
    /// merging them failed to add up.
    pub(super) excluded: HashSet<u64>,
    /// Whether the last merge begun during an explicit compaction was one for the writers' sake.
    pub(super) relieved: bool,
    /// By file number: how many merges ended because the segment could not be read.
    unreadable: HashMap<u64, u32>,
    pub(super) failures: u32,
    /// Monotonic time before which nothing is picked.
    pub(super) retry_at: Duration,
    /// The version in which nothing was left to do, and when that was found.
    pub(super) idle: Option<(Arc<Version>, Duration)>,
}

/// A merge under way.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) job: MergeJob,
    pub(super) reason: Reason,
    pub(super) inputs: Vec<u64>,
    pub(super) bytes: u64,
    /// Whether it leaves fewer level-0 segments, or the next one may.
    pub(super) lowers_debt: bool,
    pub(super) started: Duration,
}

/// What a call of [`Db::compact`](crate::Db::compact) is after.
#[derive(Debug)]
pub(super) struct CompactionRequest {
    /// The time that it is about.
    pub(super) range: TimeRange,
    /// The newest seq that it is about: nobody waits for what is written later.
    pub(super) through: u64,
    /// File numbers of segments that turned out not to be mergeable: they stay as they are.
    pub(super) skipped: HashSet<u64>,
}

/// What a merge came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) inputs: u64,
    pub(super) bytes_in: u64,
    pub(super) merged: Merged,
}

/// What one advance came to.
#[derive(Debug)]
pub(super) enum Advance {
    /// There is nothing to do.
    Idle,
    Working(Option<(Reason, Progress)>),
    Merged(Outcome),
    /// Segments that cannot be merged are left out from here on; the rest goes on. Those that a
    /// caller wanted merged and that cannot be read are left out of what he asked for.
    Excluded(Error),
}

impl Runner {
    /// Whether no merge is under way.
    pub(super) fn is_free(&self) -> bool {
        self.running.is_none()
    }

    /// Counts another merge that ended because `segments` could not be read; whether those were enough.
    pub(super) fn is_tried_enough(&mut self, segments: &[u64]) -> bool {
        let tries = segments.iter().map(|&number| {
            let tries = self.unreadable.entry(number).or_insert(0);
            *tries += 1;
            *tries
        });
        tries.max().is_some_and(|tries| tries >= READ_TRIES)
    }
}
