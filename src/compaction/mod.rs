//! Compaction: which segments are merged next, into which windows, which expire, and the merge.
//!
//! What decides is pure: state in, decision out. `db` owns threads and publishing; it builds a
//! [`View`] of the current version, asks [`pick`] (or [`pick_range`] for an explicit compaction),
//! steps a [`MergeJob`] over what was picked, and publishes its outputs.
//!
//! *Always*: a merge takes a [`ClosedSet`], and only its constructors make one. Picking and merging
//! ends: a segment that nothing is gained by rewriting is never picked. A merge is done only when
//! every row that it read is accounted for.
//!
//! # What is merged, and how
//!
//! *Owns* the picker, the plan, the merge job. Called by `db` alone, which owns threads, publishing
//! and files.
//!
//! - *Picker*: a pure function of (segments, tombstones, options, now). It yields a `ClosedSet`, a
//!   type that only its constructor makes: no live segment outside it overlaps both its time hull
//!   and its seq hull. `Version::apply` checks the result again, and `verify` every store.
//! - *What is picked*, first match wins: (1) *split*: level-0 segments, oldest first, when 32 are
//!   there, or 4 whose windows have closed (one when nothing was flushed lately); (2) *tier*: in
//!   one window, from the newest segment to older ones while the next is not much larger than the
//!   mean of those before it, when 8 of them overlap, or are pieces of one base window of less than
//!   1 MiB each; in a closed window, while it is at most four times those before it together, when
//!   two do and the run reaches the oldest; (3) *join*: four neighbouring closed windows that
//!   together hold less than 1 MiB; (4) *erase*: a segment that old tombstones apply to and match.
//!   No segment is rewritten for others that together bring less than a quarter of it.
//! - *A nearly full disk*: the picker is told what there is room for (inputs once more and a fifth)
//!   and asks for fewer segments, or for what a later rule wants. The reserve is given back only
//!   for what deletes free, and only if it suffices.
//! - *What is asked for* (`Db::compact`) concerns what was written and deleted up to the seq that
//!   its own flush covered, so that it ends however much comes meanwhile.
//! - *Windows*: a window is `Options::window` times a power of two, aligned. The job surveys the
//!   chunk indexes of its inputs (bytes per window), then joins neighbouring windows that would
//!   hold under 1 MiB, and goes on until at most 16 are left: one output each. The number of
//!   segments is so bounded by bytes, not by time.
//! - *Rewriting*, in the model of `compaction/tests.rs` (20 MiB a flush, dense 82 % of fast): a day
//!   of 12 or 20 flushes is written 2.2 times, of 100 or 1,000 flushes 3.2 times what it takes at
//!   rest, flushes included; with 10 % of the samples up to 30 days late 2.5 times (60 flushes a
//!   day: 3.4), at most 380 segments, 33 at one instant, 186 and 4 when all is quiet. On a disk
//!   (`benches/rewriting.rs`): a day 2.5 times, late backlogs 2.8 times, late samples one by one
//!   6.4 times, of which flushes write 3.8. What a wide segment brings to a narrow one is taken to
//!   be its share of that time, not all of it.
//! - *Merge job*: a resumable step machine, of segments that it replaces or of foreign ones that it
//!   adopts (attach). Series in label order, samples by the same `cursor::Merge` as a query, one
//!   dense `SegmentWriter` per window; heap under 64 MiB whatever the size (each output's label
//!   index spills at 1 MiB, chunks are cut as the rows stream by). Expired and deleted rows are
//!   dropped and counted.
//! - *Proof before publishing*: an order-independent digest of rows: in = out + superseded +
//!   deleted + expired, in counts and in sums, of readable and of lost rows each; every chunk is decoded again by the writer.
//!   Otherwise the outputs are removed and the inputs stay.
//! - *Publishing*: outputs durable under their names, one manifest edit removes the inputs and adds
//!   the outputs, one pointer swap shows it to readers; the inputs are removed when no snapshot
//!   holds them. A crash before the edit leaves files that opening removes, after it files that
//!   opening removes.
//! - *Damage*: what a block that does not verify held is *lost*, and goes through the merge as what it
//!   was: it hides older rows of its times, newer ones hide it, deletes and retention remove it, and the
//!   rest of it is a lost chunk of an output (`segment/FORMAT.md`), so that no read takes an older value
//!   for it. Lost rows have an account of their own, proven like that of the others. Where their times
//!   cannot be read either, the loss is a range of ticks, cut at the newer rows within (`extents.rs`);
//!   what is older there is left out. The damaged input goes to `quarantine/` instead of being removed,
//!   with a report of series and time ranges beside it. Accepted losses are *masks*: they go the same
//!   way, and are left out where no listed segment is older. So are those that take the place of a segment
//!   that is given up (`masks`). A segment whose index is damaged is left where it is and not picked again until the store is reopened; so is
//!   one that cannot be read, after five tries. A compaction that somebody asked for leaves the
//!   latter out at once and says so; a delete that applies to it stays.
//! - *Back-pressure*: level-0 segments not yet merged are the debt: from `slowdown` on each commit
//!   waits a little, at `stall` until a merge is done. A debt that nobody works off (paused, full
//!   disk, no threads) only slows down. Between two merges of an explicit compaction level-0
//!   segments are split if they are that many; nobody stalls for one that takes none of them.

mod closed_set;
mod damage;
mod extents;
mod input;
mod masks;
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
mod writers;

#[cfg(test)]
mod simulator;
#[cfg(test)]
mod tests;

pub use closed_set::{ClosedSet, NotClosed};
pub use damage::DamagedRange;
pub use masks::{MaskInputs, write_masks};
pub use merge::{MergeInputs, MergeJob, Merged, Progress, Purpose, Step};
pub use picker::{Pick, PickerOptions, Reason, View, pick, pick_freeing};
pub use plan::{CompactionPlan, PlannedInput, PlannedMerge, plan, plan_range};
pub use proof::{Account, Digest};
pub use range::pick_range;
pub use retention::{ClockVerdict, RetentionClock, RetentionLimits, expired, trimmed_before};
pub use windows::{Cuts, Grid, Survey, Window};
