//! What an explicit compaction of a range of time merges next.
//!
//! Pure. Called again and again, with each merge published in between, until it yields nothing:
//! then no level-0 segment overlaps the range, no two segments that do overlap each other or lie in
//! one base window, none has deletes due, and no small neighbours are left to join.

use std::sync::Arc;

use super::picker::{Pick, Reason, View};
use crate::types::{SegmentMeta, TimeRange};

/// The next merge of a compaction of `range`; `None` when nothing is left to do there, or nothing
/// that may be picked.
#[must_use]
pub fn pick_range(view: &View<'_>, range: TimeRange) -> Option<Pick> {
    let inside = |meta: &&Arc<SegmentMeta>| {
        range.overlaps(meta.min_timestamp, meta.max_timestamp) && !view.is_excluded(meta)
    };
    let mut segments: Vec<Arc<SegmentMeta>> =
        view.segments.iter().filter(inside).cloned().collect();
    fresh(view, &segments)
        .or_else(|| overlapping(view, &mut segments))
        .or_else(|| {
            let due = segments.iter().filter(|meta| (view.erase_due)(meta));
            let oldest = due.min_by_key(|meta| meta.min_seq)?;
            view.pick_of(std::slice::from_ref(oldest), Reason::Range)
        })
        .or_else(|| {
            let overlaps =
                |meta: &Arc<SegmentMeta>| range.overlaps(meta.min_timestamp, meta.max_timestamp);
            view.join_where(|_, members| members.iter().all(overlaps), Reason::Range)
        })
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
            if let Some(pick) = of_group(view, &mut group) {
                return Some(pick);
            }
            group.clear();
        }
        last = if group.is_empty() { meta.max_timestamp } else { last.max(meta.max_timestamp) };
        group.push(Arc::clone(meta));
    }
    of_group(view, &mut group)
}

/// A merge of the oldest of `group`, which hangs together in time.
fn of_group(view: &View<'_>, group: &mut Vec<Arc<SegmentMeta>>) -> Option<Pick> {
    if group.len() < 2 {
        return None;
    }
    group.sort_unstable_by_key(|meta| (meta.min_seq, meta.max_seq, meta.file_number));
    let most = view.options.fan_in_max;
    if group.len() <= most
        && let Some(pick) = view.pick_of(group, Reason::Range)
    {
        return Some(pick);
    }
    // Too many, or something excluded lies between them: the oldest with what touches it.
    group.iter().find_map(|oldest| {
        let own = view.window(oldest);
        let touches = |meta: &&Arc<SegmentMeta>| {
            meta.overlaps_in_time(oldest) || (own.level() == 0 && view.window(meta) == own)
        };
        let mut seed: Vec<Arc<SegmentMeta>> = group.iter().filter(touches).cloned().collect();
        seed.truncate(most);
        while seed.len() > 1 {
            if let Some(pick) = view.pick_of(&seed, Reason::Range) {
                return Some(pick);
            }
            seed.truncate(seed.len() / 2);
        }
        None
    })
}
