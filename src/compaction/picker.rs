//! The picker: what is merged next.
//!
//! Pure, O(n log n) in the number of live segments. Called by `db` whenever a worker is free, and
//! by the plan. The rules, first match wins:
//!
//! 1. *split*: level-0 segments, oldest seq first, once the windows of enough of them have closed,
//!    or when there are many. Their outputs lie in one window each.
//! 2. *tier*: segments of one window from the newest to older ones while the next is not much
//!    larger than those before it together. Merged when so many overlap at one instant, or are small
//!    pieces of one base window; two are enough where the window is closed and the run reaches its
//!    oldest segment, so that a closed window ends as one segment. Data that comes late is merged
//!    among itself until it is a quarter of what the window holds.
//! 3. *join*: all segments of four neighbouring closed windows that together are small. Four at a
//!    time, so that a trickle is rewritten log4, not log2 times.
//! 4. *erase*: a segment that tombstones apply to.
//!
//! A merge writes its inputs once more before it removes them. If its inputs are larger than the free
//! space allows, fewer segments are picked, or what a later rule asks for.
//!
//! Each pick leaves fewer segments, fewer of level 0, fewer that overlap, or fewer with deletes
//! due, so that picking ends; the simulator holds it to that.

use std::collections::HashSet;
use std::sync::Arc;

use super::closed_set::ClosedSet;
use super::windows::{Grid, Window};
use crate::types::{SegmentMeta, TimeRange, Timestamp};

/// How segments are picked. The defaults are tuned by the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PickerOptions {
    /// Ticks of a base window, at least 2.
    pub window_ticks: i64,
    /// Ticks after its end at which a window counts as closed. Longer than the flush interval, so
    /// that the last samples of a window are in a segment by then. Default: an eighth of the window.
    pub grace_ticks: i64,
    /// Level-0 segments that are split although their windows are open. Default: 32.
    pub level0_trigger: usize,
    /// Level-0 segments of closed windows that are split while more keep coming. Default: 4.
    pub level0_closed_trigger: usize,
    /// Most inputs of a merge. Default: 64.
    pub fan_in_max: usize,
    /// Segments that must overlap at one instant to be merged. Default: 8.
    pub tier_trigger: usize,
    /// The next segment joins a run if it is at most so many times as large as the run.
    /// Default: 4.
    pub size_ratio: u64,
    /// Neighbouring windows are joined while they hold less than so many bytes, and smaller pieces of
    /// an open window merged as if they overlapped. Default: 1 MiB.
    pub join_bytes: u64,
    /// Most outputs of a merge. Default: 16.
    pub windows_max: usize,
}

impl PickerOptions {
    /// The defaults for base windows of `window_ticks` ticks.
    #[must_use]
    pub fn new(window_ticks: i64) -> Self {
        Self {
            window_ticks,
            grace_ticks: window_ticks / 8,
            level0_trigger: 32,
            level0_closed_trigger: 4,
            fan_in_max: 64,
            tier_trigger: 8,
            size_ratio: 4,
            join_bytes: 1 << 20,
            windows_max: 16,
        }
    }

    /// The grid of base windows.
    #[must_use]
    pub fn grid(&self) -> Grid {
        Grid::new(self.window_ticks)
    }
}

/// What the picker looks at.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The live segments, as a version lists them.
    pub segments: &'a [Arc<SegmentMeta>],
    /// File numbers that must not be picked: being merged, or damaged.
    pub excluded: &'a HashSet<u64>,
    /// Whether deletes apply to a segment, match something in it and are old enough to be erased.
    pub erase_due: &'a dyn Fn(&SegmentMeta) -> bool,
    /// The wall clock in ticks.
    pub now: Timestamp,
    /// Whether nothing was flushed lately. Level-0 segments of closed windows are then split even if they
    /// are fewer than [`PickerOptions::level0_closed_trigger`].
    pub quiet: bool,
    /// The most bytes that the inputs of a merge may have together: the free space into which a merge
    /// can write them once more.
    pub input_bytes_max: u64,
    /// Sizes and triggers.
    pub options: &'a PickerOptions,
}

/// Why segments are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Level-0 segments are cut by window.
    Split,
    /// Segments of one window become one.
    Tier,
    /// Small neighbouring windows become one.
    Join,
    /// Deleted rows are erased.
    Erase,
    /// An explicit compaction asked for it.
    Range,
}

impl Reason {
    /// The reason in one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Tier => "tier",
            Self::Join => "join",
            Self::Erase => "erase",
            Self::Range => "range",
        }
    }
}

/// Segments to merge, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// What to merge.
    pub inputs: ClosedSet,
    /// Why.
    pub reason: Reason,
    /// The smallest window around the inputs. What they are cut by is in their survey.
    pub window: Window,
}

/// What is merged next; `None` if nothing is gained by any merge.
#[must_use]
pub fn pick(view: &View<'_>) -> Option<Pick> {
    view.split().or_else(|| view.tier()).or_else(|| view.join()).or_else(|| view.erase())
}

/// What frees space where there is little: of the segments in `range` that have deletes due, the
/// smallest that fits into the free space.
#[must_use]
pub fn pick_freeing(view: &View<'_>, range: TimeRange) -> Option<Pick> {
    let mut due: Vec<&Arc<SegmentMeta>> = view
        .segments
        .iter()
        .filter(|meta| range.overlaps(meta.min_timestamp, meta.max_timestamp))
        .filter(|meta| view.has_deletes_due(meta))
        .collect();
    due.sort_unstable_by_key(|meta| (meta.file_bytes, meta.file_number));
    due.into_iter().find_map(|meta| view.pick_of(std::slice::from_ref(meta), Reason::Erase))
}

impl View<'_> {
    /// The pick of the closed set around `seed`, if there is one of at most the largest fan-in.
    pub(super) fn pick_of(&self, seed: &[Arc<SegmentMeta>], reason: Reason) -> Option<Pick> {
        self.pick_within(seed, reason, self.options.fan_in_max)
    }

    /// The pick of the closed set around `seed`, if there is one of at most `limit` segments that
    /// fits into the free space.
    pub(super) fn pick_within(
        &self,
        seed: &[Arc<SegmentMeta>],
        reason: Reason,
        limit: usize,
    ) -> Option<Pick> {
        let inputs = ClosedSet::closure(self.segments, self.excluded, seed, limit)?;
        if inputs.bytes() > self.input_bytes_max {
            return None;
        }
        let (first, last) = inputs.time_hull();
        let window = self.options.grid().window_of(first, last);
        Some(Pick { inputs, reason, window })
    }

    /// As [`pick_of`](Self::pick_of) of the longest prefix that has such a closed set, by halves.
    pub(super) fn pick_of_prefix(
        &self,
        mut seed: &[Arc<SegmentMeta>],
        reason: Reason,
    ) -> Option<Pick> {
        while !seed.is_empty() {
            if let Some(pick) = self.pick_of(seed, reason) {
                return Some(pick);
            }
            seed = &seed[..seed.len() / 2];
        }
        None
    }

    pub(super) fn window(&self, meta: &SegmentMeta) -> Window {
        self.options.grid().window_of(meta.min_timestamp, meta.max_timestamp)
    }

    pub(super) fn is_excluded(&self, meta: &SegmentMeta) -> bool {
        self.excluded.contains(&meta.file_number)
    }

    pub(super) fn is_closed(&self, window: Window) -> bool {
        self.options.grid().is_closed(window, self.now, self.options.grace_ticks)
    }

    /// Whether the window of the segment's latest sample has closed.
    fn is_past(&self, meta: &SegmentMeta) -> bool {
        self.is_closed(self.options.grid().window_of(meta.max_timestamp, meta.max_timestamp))
    }

    fn split(&self) -> Option<Pick> {
        let mut fresh: Vec<Arc<SegmentMeta>> =
            self.segments.iter().filter(|meta| meta.level == 0).cloned().collect();
        fresh.sort_unstable_by_key(|meta| (meta.min_seq, meta.file_number));
        let past_min = if self.quiet { 1 } else { self.options.level0_closed_trigger };
        for run in fresh.split(|meta| self.is_excluded(meta)) {
            let past = run.iter().filter(|meta| self.is_past(meta)).count();
            let last_past = run.iter().rposition(|meta| self.is_past(meta));
            let taken = match last_past {
                Some(last) if past >= past_min => last + 1,
                _ if run.len() >= self.options.level0_trigger => run.len(),
                _ => continue,
            };
            let seed = &run[..taken.min(self.options.fan_in_max)];
            if let Some(pick) = self.pick_of_prefix(seed, Reason::Split) {
                return Some(pick);
            }
        }
        None
    }

    fn join(&self) -> Option<Pick> {
        self.join_where(|window, _| self.is_closed(window), Reason::Join)
    }

    /// Joins small neighbours in the first window that `allowed` admits, given the window and its
    /// segments.
    pub(super) fn join_where(
        &self,
        allowed: impl Fn(Window, &[Arc<SegmentMeta>]) -> bool,
        reason: Reason,
    ) -> Option<Pick> {
        let grid = self.options.grid();
        let small = |meta: &&Arc<SegmentMeta>| meta.file_bytes < self.options.join_bytes;
        let mut windows: Vec<Window> = Vec::new();
        let mut before: Option<&Arc<SegmentMeta>> = None;
        for meta in self.segments.iter().filter(small) {
            if let Some(other) = before {
                let first = other.min_timestamp.min(meta.min_timestamp);
                let last = other.max_timestamp.max(meta.max_timestamp);
                let common = grid.window_of(first, last);
                windows.push(common.ancestor(common.level() % 2));
            }
            before = Some(meta);
        }
        windows.sort_unstable();
        windows.dedup();
        windows.into_iter().filter(|window| window.level() > 0).find_map(|window| {
            let members = self.joinable(window)?;
            allowed(window, members).then_some(())?;
            let pick = self.pick_of(members, reason)?;
            (pick.inputs.segments().len() == members.len()).then_some(pick)
        })
    }

    /// All segments in `window`, if joining them is worth the writing: they lie in at least two
    /// quarters of it, are together smaller than [`PickerOptions::join_bytes`], and the largest is at
    /// most [`PickerOptions::size_ratio`] times the rest, so that a large segment is not rewritten
    /// for the sake of a few small ones.
    fn joinable(&self, window: Window) -> Option<&[Arc<SegmentMeta>]> {
        let grid = self.options.grid();
        let (first, last) = (grid.first(window), grid.last(window));
        let from = self.segments.partition_point(|meta| meta.min_timestamp < first);
        let (mut bytes, mut largest, mut count) = (0u64, 0u64, 0);
        let mut parts: Vec<Window> = Vec::new();
        for meta in self.segments[from..].iter().take_while(|meta| meta.min_timestamp <= last) {
            bytes = bytes.saturating_add(meta.file_bytes);
            largest = largest.max(meta.file_bytes);
            count += 1;
            let refused = meta.max_timestamp > last || meta.level == 0 || self.is_excluded(meta);
            if refused || bytes >= self.options.join_bytes || count > self.options.fan_in_max {
                return None;
            }
            let own = self.window(meta);
            if own != window {
                let quarter = window.level() - 2;
                parts.push(own.ancestor(quarter.saturating_sub(own.level())));
            }
        }
        parts.sort_unstable();
        parts.dedup();
        let rest = bytes - largest;
        let worth = largest <= rest.saturating_mul(self.options.size_ratio);
        (parts.len() > 1 && worth).then_some(&self.segments[from..from + count])
    }

    fn erase(&self) -> Option<Pick> {
        self.erase_among(self.segments, Reason::Erase)
    }

    /// The oldest of `segments` that has deletes due and may be rewritten.
    pub(super) fn erase_among(
        &self,
        segments: &[Arc<SegmentMeta>],
        reason: Reason,
    ) -> Option<Pick> {
        let due = segments.iter().filter(|meta| self.has_deletes_due(meta));
        let mut due: Vec<&Arc<SegmentMeta>> = due.collect();
        due.sort_unstable_by_key(|meta| (meta.min_seq, meta.file_number));
        due.into_iter().find_map(|meta| self.pick_of(std::slice::from_ref(meta), reason))
    }

    fn has_deletes_due(&self, meta: &SegmentMeta) -> bool {
        !self.is_excluded(meta) && (self.erase_due)(meta)
    }
}
