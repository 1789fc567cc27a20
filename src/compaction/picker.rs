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
//! What there is no room to write once more is not picked: fewer segments are, or what another rule
//! asks for.
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
    /// Whether nothing was flushed lately: then what is closed is finished, however little it is.
    pub quiet: bool,
    /// Bytes that the inputs of a merge may have: what there is room to write once more.
    pub room: u64,
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
/// smallest for whose merge there is room.
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

/// What makes a run of segments end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A segment much larger than the mean of those before it: few rewrites while more comes.
    Tier,
    /// A segment much larger than those before it together: a closed window becomes one segment.
    Finish,
}

/// A run of segments that should be merged.
struct Run {
    segments: Vec<Arc<SegmentMeta>>,
    bytes: u64,
    /// The most of them that overlap at one instant.
    depth: usize,
}

impl View<'_> {
    /// The pick of the closed set around `seed`, if there is one of at most the largest fan-in.
    pub(super) fn pick_of(&self, seed: &[Arc<SegmentMeta>], reason: Reason) -> Option<Pick> {
        self.pick_within(seed, reason, self.options.fan_in_max)
    }

    /// The pick of the closed set around `seed`, if there is one of at most `limit` segments for which
    /// there is room.
    pub(super) fn pick_within(
        &self,
        seed: &[Arc<SegmentMeta>],
        reason: Reason,
        limit: usize,
    ) -> Option<Pick> {
        let inputs = ClosedSet::closure(self.segments, self.excluded, seed, limit)?;
        if inputs.bytes() > self.room {
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

    fn is_closed(&self, window: Window) -> bool {
        self.options.grid().is_closed(window, self.now, self.options.grace_ticks)
    }

    /// Whether the window of the segment's latest sample has closed.
    fn is_settled(&self, meta: &SegmentMeta) -> bool {
        self.is_closed(self.options.grid().window_of(meta.max_timestamp, meta.max_timestamp))
    }

    fn split(&self) -> Option<Pick> {
        let mut fresh: Vec<Arc<SegmentMeta>> =
            self.segments.iter().filter(|meta| meta.level == 0).cloned().collect();
        fresh.sort_unstable_by_key(|meta| (meta.min_seq, meta.file_number));
        let settled_min = if self.quiet { 1 } else { self.options.level0_closed_trigger };
        for run in fresh.split(|meta| self.is_excluded(meta)) {
            let settled = run.iter().filter(|meta| self.is_settled(meta)).count();
            let last_settled = run.iter().rposition(|meta| self.is_settled(meta));
            let taken = match last_settled {
                Some(last) if settled >= settled_min => last + 1,
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

    fn tier(&self) -> Option<Pick> {
        let mut runs: Vec<Run> = Vec::new();
        for (window, members) in self.by_window() {
            self.runs_in(window, members, &mut runs);
        }
        runs.sort_by_key(|run| (std::cmp::Reverse(run.depth), run.bytes));
        runs.iter().find_map(|run| {
            let pick = self.pick_of(&run.segments, Reason::Tier)?;
            // What lies between them must not cost more than a next one might have.
            let added = pick.inputs.bytes() - run.bytes;
            (added <= run.bytes.saturating_mul(self.options.size_ratio)).then_some(pick)
        })
    }

    /// The merged segments that lie in each window that one of them spans.
    fn by_window(&self) -> Vec<(Window, Vec<Arc<SegmentMeta>>)> {
        let grid = self.options.grid();
        let merged = self.segments.iter().filter(|meta| meta.level > 0);
        let mut placed: Vec<(Window, &Arc<SegmentMeta>)> =
            merged.map(|meta| (self.window(meta), meta)).collect();
        // Wider windows before those inside them.
        placed.sort_unstable_by_key(|(window, meta)| {
            (grid.first(*window), std::cmp::Reverse(window.level()), meta.file_number)
        });
        let mut groups: Vec<(Window, Vec<Arc<SegmentMeta>>)> = Vec::new();
        let mut around: Vec<usize> = Vec::new();
        for (window, meta) in placed {
            while let Some(&group) = around.last()
                && !groups[group].0.contains(&window)
            {
                around.pop();
            }
            if around.last().is_none_or(|&group| groups[group].0 != window) {
                around.push(groups.len());
                groups.push((window, Vec::new()));
            }
            for &group in &around {
                groups[group].1.push(Arc::clone(meta));
            }
        }
        groups
    }

    /// Appends the runs of `members`, which lie in `window`, that are worth merging.
    fn runs_in(&self, window: Window, mut members: Vec<Arc<SegmentMeta>>, runs: &mut Vec<Run>) {
        if members.len() < 2 {
            return;
        }
        members.sort_unstable_by_key(|m| std::cmp::Reverse((m.max_seq, m.min_seq, m.file_number)));
        let mut most = 0;
        let closed = self.is_closed(window);
        for kind in [Kind::Tier, Kind::Finish] {
            let mut start = 0;
            while start < members.len() && (closed || kind == Kind::Tier) {
                let end = self.run_from(&members, start, kind);
                let enough = if kind == Kind::Finish { 2 } else { self.options.tier_trigger };
                // Whatever starts within this run ends where it ends, and is shorter.
                if end - start < enough {
                    start = end.max(start + 1);
                    continue;
                }
                let taken = self.worthwhile(&members, start..end);
                let finishes = start + taken.len() == members.len() || self.quiet;
                let depth = depth(taken).max(self.pieces_of(window, closed, taken));
                if depth >= enough && depth > most && (finishes || kind == Kind::Tier) {
                    let bytes =
                        taken.iter().fold(0, |sum: u64, m| sum.saturating_add(m.file_bytes));
                    runs.push(Run { segments: taken.to_vec(), bytes, depth });
                    most = depth;
                }
                start += 1;
            }
        }
    }

    /// How many of the run `taken`, which lies in `window`, count as if they overlapped. In a base
    /// window, which a merge makes one segment of, that is all of them once it has closed. While it
    /// fills, pieces that follow each other cost readers little, unless they are small and many.
    fn pieces_of(&self, window: Window, closed: bool, taken: &[Arc<SegmentMeta>]) -> usize {
        let counts = |meta: &&Arc<SegmentMeta>| closed || meta.file_bytes < self.options.join_bytes;
        if window.level() == 0 { taken.iter().filter(counts).count() } else { 0 }
    }

    /// The end of the run of `members` (newest first) that starts at `start`.
    fn run_from(&self, members: &[Arc<SegmentMeta>], start: usize, kind: Kind) -> usize {
        let mut bytes = 0u64;
        for (at, meta) in members.iter().enumerate().skip(start) {
            let count = (at - start) as u64;
            let limit = match kind {
                Kind::Tier => (bytes / count.max(1)).saturating_mul(self.options.size_ratio),
                Kind::Finish => bytes.saturating_mul(self.options.size_ratio),
            };
            let fits = count == 0 || meta.file_bytes <= limit;
            if !fits || count == self.options.fan_in_max as u64 || self.is_excluded(meta) {
                return at;
            }
            bytes = bytes.saturating_add(meta.file_bytes);
        }
        members.len()
    }

    /// The longest beginning of the run `taken` of `members` that leaves out no segment of the same
    /// seqs, and in which no segment is rewritten for crumbs: each is at most `size_ratio` times as
    /// large as what the others together have in its windows.
    fn worthwhile<'m>(
        &self,
        members: &'m [Arc<SegmentMeta>],
        taken: std::ops::Range<usize>,
    ) -> &'m [Arc<SegmentMeta>] {
        let mut end = taken.end;
        loop {
            end = end_of_bands(members, taken.start..end);
            let run = &members[taken.start..end];
            let too_large = (0..run.len()).position(|at| {
                let window = self.window(&run[at]);
                let ends = (self.options.grid().first(window), self.options.grid().last(window));
                let others = (0..run.len()).filter(|&other| other != at);
                let around = others.map(|other| share(&run[other], ends));
                let around = around.fold(0, u64::saturating_add);
                run[at].file_bytes > around.saturating_mul(self.options.size_ratio)
            });
            match too_large {
                Some(at) => end = taken.start + at,
                None => return run,
            }
        }
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

    /// The segments in `window` if they lie in at least two parts of it, are small together, and
    /// none is rewritten for crumbs.
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

/// How many bytes of a segment lie between two ticks, ends included, if its bytes are spread evenly
/// over its time.
fn share(meta: &SegmentMeta, (first, last): (Timestamp, Timestamp)) -> u64 {
    let ticks = |first: i64, last: i64| (i128::from(last) - i128::from(first) + 1).max(0) as u128;
    let inside = ticks(meta.min_timestamp.max(first), meta.max_timestamp.min(last));
    // Below 2^128: segments have less than 2^62 bytes, and time 2^64 ticks.
    let all = ticks(meta.min_timestamp, meta.max_timestamp);
    (u128::from(meta.file_bytes) * inside / all) as u64
}

/// Where the run `taken` of `members` ends if it must not stop amid segments of one seq range, as
/// the outputs of one merge have.
fn end_of_bands(members: &[Arc<SegmentMeta>], taken: std::ops::Range<usize>) -> usize {
    let mut lowest: Vec<u64> = Vec::with_capacity(taken.len());
    for meta in &members[taken.clone()] {
        lowest.push(lowest.last().map_or(meta.min_seq, |&low: &u64| low.min(meta.min_seq)));
    }
    let mut end = taken.end;
    while end > taken.start
        && members.get(end).is_some_and(|next| next.max_seq >= lowest[end - 1 - taken.start])
    {
        end -= 1;
    }
    end
}

/// The most segments that overlap at one instant.
pub(super) fn depth(segments: &[Arc<SegmentMeta>]) -> usize {
    let mut ends: Vec<(i64, bool)> = Vec::with_capacity(segments.len() * 2);
    for meta in segments {
        ends.push((meta.min_timestamp, false));
        ends.push((meta.max_timestamp, true));
    }
    // At one tick, starts sort before ends: both ends are included.
    ends.sort_unstable();
    let (mut open, mut most) = (0usize, 0);
    for (_, is_end) in ends {
        if is_end {
            open -= 1;
        } else {
            open += 1;
            most = most.max(open);
        }
    }
    most
}
