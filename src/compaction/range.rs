//! What an explicit compaction of a range of time merges next.
//!
//! Pure. Called again and again, with each merge published in between, until it yields nothing:
//! then, of the segments that overlap the range, none is of level 0, no two overlap each other or lie
//! in one base window, none has deletes due, and no small neighbours are left to join. A merge that
//! would need more than four times the largest fan-in is not made, and excluded segments stay as they
//! are.

use std::collections::HashSet;
use std::sync::Arc;

use super::closed_set::ClosedSet;
use super::picker::{Pick, Reason, View};
use super::tier::depth;
use crate::types::{SegmentMeta, TimeRange};

/// The next merge of a compaction of `range` in what was written up to the seq `through`; `None` when
/// nothing is left to do there, or nothing that may be picked.
///
/// A segment whose rows are all newer than `through` is merged only if it is in the closed set of an
/// older one, because their recency cannot be kept apart otherwise. The compaction therefore ends,
/// however much is written while it runs.
#[must_use]
pub fn pick_range(view: &View<'_>, range: TimeRange, through: u64) -> Option<Pick> {
    let inside = |meta: &Arc<SegmentMeta>| {
        range.overlaps(meta.min_timestamp, meta.max_timestamp) && meta.min_seq <= through
    };
    let wanted = view.segments.iter().filter(|meta| inside(meta) && !view.is_excluded(meta));
    let mut segments: Vec<Arc<SegmentMeta>> = wanted.cloned().collect();
    fresh(view, &segments)
        .or_else(|| overlapping(view, &mut segments))
        .or_else(|| view.erase_among(&segments, Reason::Range))
        .or_else(|| view.join_where(|_, members| members.iter().all(inside), Reason::Range))
}

/// Level-0 segments, oldest first.
fn fresh(view: &View<'_>, segments: &[Arc<SegmentMeta>]) -> Option<Pick> {
    let mut fresh: Vec<Arc<SegmentMeta>> =
        segments.iter().filter(|meta| meta.level == 0).cloned().collect();
    fresh.sort_unstable_by_key(|meta| (meta.min_seq, meta.file_number));
    fresh.truncate(view.options.fan_in_max);
    view.pick_of_prefix(&fresh, Reason::Range)
}

/// A segment and those that overlap it or share its base window, oldest first.
fn overlapping(view: &View<'_>, segments: &mut [Arc<SegmentMeta>]) -> Option<Pick> {
    segments.sort_unstable_by_key(|meta| (meta.min_timestamp, meta.file_number));
    let mut group: Vec<Arc<SegmentMeta>> = Vec::new();
    let mut last = i64::MIN;
    for meta in segments.iter() {
        let touches = group.last().is_some_and(|other| {
            let own = view.window(meta);
            meta.min_timestamp <= last || (own.level() == 0 && own == view.window(other))
        });
        if !touches {
            if let Some(pick) = of_group(view, &group) {
                return Some(pick);
            }
            group.clear();
        }
        last = if group.is_empty() { meta.max_timestamp } else { last.max(meta.max_timestamp) };
        group.push(Arc::clone(meta));
    }
    of_group(view, &group)
}

/// A merge of `group`, segments each of which belongs together with another one of it; of a part of
/// it if the whole cannot be merged at once.
fn of_group(view: &View<'_>, group: &[Arc<SegmentMeta>]) -> Option<Pick> {
    if group.len() < 2 {
        return None;
    }
    if group.len() <= view.options.fan_in_max
        && let Some(pick) = view.pick_of(group, Reason::Range)
    {
        return Some(pick);
    }
    // The group has more segments than one merge may take, or an excluded segment lies between them
    // in seq: merge a part of it.
    let none = HashSet::new();
    let around = ClosedSet::closure(view.segments, &none, group, usize::MAX)?;
    let mut parts: Vec<Arc<SegmentMeta>> = around.segments().to_vec();
    parts.retain(|meta| !view.is_excluded(meta));
    fresh(view, &parts).or_else(|| oldest_of(view, &parts)).or_else(|| nearest_of(view, &parts))
}

/// The oldest of `parts`, at most the largest fan-in, if some of them overlap in time; half as many
/// while that cannot be merged.
fn oldest_of(view: &View<'_>, parts: &[Arc<SegmentMeta>]) -> Option<Pick> {
    let mut seed = &parts[..parts.len().min(view.options.fan_in_max)];
    while depth(seed) > 1 {
        if let Some(pick) = view.pick_of(seed, Reason::Range) {
            return Some(pick);
        }
        seed = &seed[..seed.len() / 2];
    }
    None
}

/// A merge of two segments and all between them in seq may have up to this many times the largest
/// fan-in of inputs, where no smaller merge is possible.
const FAN_IN_EXCESS: usize = 4;

/// The two of `parts` that belong together and are nearest in seq, with the segments between them,
/// which have to be merged along. They are few unless the newer of the two covers many older windows.
fn nearest_of(view: &View<'_>, parts: &[Arc<SegmentMeta>]) -> Option<Pick> {
    let mut pairs: Vec<(u64, usize, usize)> = Vec::new();
    for (at, newer) in parts.iter().enumerate() {
        for (before, older) in parts[..at].iter().enumerate() {
            if belong_together(view, older, newer) {
                pairs.push((newer.max_seq.abs_diff(older.min_seq), before, at));
            }
        }
    }
    pairs.sort_unstable();
    pairs.into_iter().find_map(|(_, older, newer)| {
        let seed = [Arc::clone(&parts[older]), Arc::clone(&parts[newer])];
        view.pick_within(&seed, Reason::Range, view.options.fan_in_max * FAN_IN_EXCESS)
    })
}

/// Whether two segments overlap or lie in one base window.
fn belong_together(view: &View<'_>, a: &SegmentMeta, b: &SegmentMeta) -> bool {
    let window = view.window(a);
    a.overlaps_in_time(b) || (window.level() == 0 && window == view.window(b))
}
