//! The plan: which merges would come next, were nothing written meanwhile.
//!
//! Pure. Runs the picker on a model of the store in which each merge has already happened, with
//! outputs of estimated size. Called by `db` for `Db::compaction_plan()`; the simulator's test
//! measures how often bytes are rewritten with the same model.

use std::collections::HashSet;
use std::sync::Arc;

use super::picker::{Pick, PickerOptions, Reason, View, pick};
use super::range::pick_range;
use super::windows::Survey;
use crate::types::{SegmentMeta, TimeRange, Timestamp};

/// Bytes of a dense segment for 100 bytes of level-0 segments, about (`benches/README.md`).
const DENSE_PERCENT: u64 = 82;

/// The merges that would come next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompactionPlan {
    /// In the order in which they would run.
    pub merges: Vec<PlannedMerge>,
    /// Whether more would follow.
    pub truncated: bool,
}

/// One merge of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedMerge {
    /// What is merged, oldest seq first.
    pub inputs: Vec<PlannedInput>,
    /// Which rule asks for it.
    pub reason: Reason,
    /// The reason in words.
    pub why: String,
    /// Bytes of the inputs.
    pub bytes_in: u64,
    /// Estimated bytes of the outputs.
    pub bytes_out: u64,
    /// Estimated number of outputs.
    pub outputs: usize,
}

/// One segment that a planned merge reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedInput {
    /// The number of the file; `None` for an output of an earlier merge of the plan.
    pub file_number: Option<u64>,
    /// The number of merges behind it.
    pub level: u8,
    /// The size in bytes; estimated for an output.
    pub bytes: u64,
    /// The time of the earliest sample.
    pub min_timestamp: Timestamp,
    /// The time of the latest sample, inclusive.
    pub max_timestamp: Timestamp,
}

/// The first `merges_max` merges that the picker would ask for.
#[must_use]
pub fn plan(view: &View<'_>, merges_max: usize) -> CompactionPlan {
    plan_with(view, merges_max, pick)
}

/// The first `merges_max` merges that an explicit compaction of `range` would make.
#[must_use]
pub fn plan_range(view: &View<'_>, range: TimeRange, merges_max: usize) -> CompactionPlan {
    plan_with(view, merges_max, |view| pick_range(view, range, u64::MAX))
}

/// As [`plan`], for another way of picking, such as that of a range.
pub(crate) fn plan_with(
    view: &View<'_>,
    merges_max: usize,
    pick: impl Fn(&View<'_>) -> Option<Pick>,
) -> CompactionPlan {
    let real: HashSet<u64> = view.segments.iter().map(|meta| meta.file_number).collect();
    let mut next_number = real.iter().max().map_or(0, |number| number.saturating_add(1));
    let mut segments = view.segments.to_vec();
    let mut plan = CompactionPlan::default();
    loop {
        let due = |meta: &SegmentMeta| real.contains(&meta.file_number) && (view.erase_due)(meta);
        let now = View { segments: &segments, erase_due: &due, ..*view };
        let Some(pick) = pick(&now) else { return plan };
        if plan.merges.len() == merges_max {
            plan.truncated = true;
            return plan;
        }
        let outputs = estimate(&pick, view.options, next_number);
        next_number = next_number.saturating_add(outputs.len() as u64);
        plan.merges.push(planned(&pick, &outputs, &real));
        let merged: HashSet<u64> =
            pick.inputs.segments().iter().map(|meta| meta.file_number).collect();
        segments.retain(|meta| !merged.contains(&meta.file_number));
        segments.extend(outputs);
        segments.sort_unstable_by_key(|meta| (meta.min_timestamp, meta.file_number));
    }
}

fn planned(pick: &Pick, outputs: &[Arc<SegmentMeta>], real: &HashSet<u64>) -> PlannedMerge {
    let input = |meta: &Arc<SegmentMeta>| PlannedInput {
        file_number: real.contains(&meta.file_number).then_some(meta.file_number),
        level: meta.level,
        bytes: meta.file_bytes,
        min_timestamp: meta.min_timestamp,
        max_timestamp: meta.max_timestamp,
    };
    PlannedMerge {
        inputs: pick.inputs.segments().iter().map(input).collect(),
        reason: pick.reason,
        why: why(pick),
        bytes_in: pick.inputs.bytes(),
        bytes_out: outputs.iter().fold(0, |sum: u64, meta| sum.saturating_add(meta.file_bytes)),
        outputs: outputs.len(),
    }
}

fn why(pick: &Pick) -> String {
    let count = pick.inputs.segments().len();
    let noun = if count == 1 { "segment" } else { "segments" };
    match pick.reason {
        Reason::Split => format!("{count} new {noun} to be cut by window"),
        Reason::Tier => format!("{count} {noun} overlap in one window"),
        Reason::Join => format!("{count} {noun} of neighbouring windows are small together"),
        Reason::Erase => format!("{count} {noun} hold deleted samples"),
        Reason::Range if count == 1 => "1 segment lies in the range asked for".into(),
        Reason::Range => format!("{count} {noun} lie in the range asked for"),
    }
}

/// The outputs of a merge if its inputs' bytes are spread evenly over their time.
fn estimate(pick: &Pick, options: &PickerOptions, next_number: u64) -> Vec<Arc<SegmentMeta>> {
    let mut survey = Survey::new(options.grid());
    for meta in pick.inputs.segments() {
        let percent = if meta.level == 0 { DENSE_PERCENT } else { 100 };
        let bytes = (u128::from(meta.file_bytes) * u128::from(percent) / 100) as u64;
        spread(&mut survey, meta, bytes, options.window_ticks);
    }
    let cuts = survey.cuts(options.join_bytes, options.windows_max);
    let (first, last) = pick.inputs.time_hull();
    let (min_seq, max_seq) = pick.inputs.seq_hull();
    let Some(&model) = pick.inputs.segments().first().map(Arc::as_ref) else { return Vec::new() };
    let samples: u64 = pick.inputs.segments().iter().map(|meta| meta.samples).sum();
    let outputs = cuts.windows().len() as u64;
    let grid = options.grid();
    let number = next_number..;
    let windows = cuts.windows().iter().zip(number);
    let meta = windows.map(|(&(window, bytes), file_number)| SegmentMeta {
        file_number,
        file_bytes: bytes.max(1),
        min_timestamp: grid.first(window).max(first),
        max_timestamp: grid.last(window).min(last),
        min_seq,
        max_seq,
        samples: (samples / outputs).max(1),
        level: pick.inputs.output_level(),
        ..model
    });
    meta.map(Arc::new).collect()
}

/// Adds `bytes` to the survey as if there were at most 256 chunks, evenly over the segment's time.
fn spread(survey: &mut Survey, meta: &SegmentMeta, bytes: u64, window_ticks: i64) {
    let start = i128::from(meta.min_timestamp);
    let span = i128::from(meta.max_timestamp) - start;
    let pieces = (span / i128::from(window_ticks) + 1).min(256);
    for piece in 0..pieces {
        let at = |edge: i128| (start + span * edge / pieces) as Timestamp;
        let share = bytes / pieces as u64;
        let rest = if piece == 0 { bytes % pieces as u64 } else { 0 };
        survey.add(at(piece), at(piece), share + rest);
    }
    survey.add(meta.max_timestamp, meta.max_timestamp, 0);
}
