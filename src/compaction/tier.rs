//! The picker's rule for segments of one window: which of them make a run that is merged.
//!
//! Pure, as the picker, whose module says what the rule is for.

use std::sync::Arc;

use super::picker::{Pick, Reason, View};
use super::windows::Window;
use crate::types::{SegmentMeta, Timestamp};

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
    /// The run that is merged next: that which overlaps most, of several the smallest.
    pub(super) fn tier(&self) -> Option<Pick> {
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
}

/// How many bytes of a segment lie between two ticks, ends included, if its bytes are spread evenly
/// over its time.
fn share(meta: &SegmentMeta, (first, last): (Timestamp, Timestamp)) -> u64 {
    let ticks = |first: i64, last: i64| (i128::from(last) - i128::from(first) + 1).max(0) as u128;
    let inside = ticks(meta.min_timestamp.max(first), meta.max_timestamp.min(last));
    // Below 2^128: a segment has less than 2^64 bytes, and time 2^64 ticks.
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
