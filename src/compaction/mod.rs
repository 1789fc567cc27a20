//! Compaction: which segments are merged next, into which windows, and which expire.
//!
//! Everything here is pure: state in, decision out. `db` owns threads, files and publishing; it
//! builds a [`View`] of the current version, asks [`pick`] (or [`pick_range`] for an explicit
//! compaction), has the merge done and publishes it.
//!
//! *Always*: a merge takes a [`ClosedSet`], and only its constructors make one. Picking and merging
//! ends: a segment that nothing is gained by rewriting is never picked.

mod closed_set;
mod picker;
mod plan;
mod range;
mod retention;
mod windows;

#[cfg(test)]
mod simulator;
#[cfg(test)]
mod tests;

pub use closed_set::{ClosedSet, NotClosed};
pub use picker::{Pick, PickerOptions, Reason, View, pick};
pub use plan::{CompactionPlan, PlannedInput, PlannedMerge, plan};
pub use range::pick_range;
pub use retention::{ClockVerdict, RetentionClock, RetentionLimits, expired};
pub use windows::{Cuts, Grid, Survey, Window};
