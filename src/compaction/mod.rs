//! Compaction: which segments are merged next, into which windows, which expire, and the merge.
//!
//! What decides is pure: state in, decision out. `db` owns threads and publishing; it builds a
//! [`View`] of the current version, asks [`pick`] (or [`pick_range`] for an explicit compaction),
//! steps a [`MergeJob`] over what was picked, and publishes its outputs.
//!
//! *Always*: a merge takes a [`ClosedSet`], and only its constructors make one. Picking and merging
//! ends: a segment that nothing is gained by rewriting is never picked. A merge is done only when
//! every row that it read is accounted for.

mod closed_set;
mod damage;
mod input;
mod merge;
mod outputs;
mod picker;
mod plan;
mod proof;
mod range;
mod retention;
mod series;
mod tier;
mod windows;

#[cfg(test)]
mod simulator;
#[cfg(test)]
mod tests;

pub use closed_set::{ClosedSet, NotClosed};
pub use damage::DamagedRange;
pub use merge::{MergeInputs, MergeJob, Merged, Progress, Purpose, Step};
pub use picker::{Pick, PickerOptions, Reason, View, pick, pick_freeing};
pub use plan::{CompactionPlan, PlannedInput, PlannedMerge, plan, plan_range};
pub use proof::{Account, Digest};
pub use range::pick_range;
pub use retention::{ClockVerdict, RetentionClock, RetentionLimits, expired, trimmed_before};
pub use windows::{Cuts, Grid, Survey, Window};
