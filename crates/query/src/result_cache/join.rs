//! The parts of an answer made one: those that were evaluated, and the steps that were kept between them.

use std::cmp::Ordering;

use siltstone_promql::{LabelSet, ResultSeries};

use super::extent::{Extent, Steps};

/// The series of all parts, which are in order of labels, in that order; each part has a series once. A
/// series that only some of them have has points there only.
pub(super) fn join(
    before: Vec<ResultSeries>,
    (extent, known): (&Extent, Steps),
    behind: Vec<ResultSeries>,
) -> Vec<ResultSeries> {
    let mut joined = Vec::with_capacity(before.len().max(extent.series.len()).max(behind.len()));
    let mut before = before.into_iter().peekable();
    let mut kept = extent.series.iter().peekable();
    let mut behind = behind.into_iter().peekable();
    loop {
        let first = [
            before.peek().map(|one| &one.labels),
            kept.peek().map(|column| &column.labels),
            behind.peek().map(|one| &one.labels),
        ];
        let Some(labels) = first.into_iter().flatten().min_by(|a, b| order(a, b)).cloned() else {
            return joined;
        };
        let is_own = |own: &LabelSet| *own == labels;
        let mut points = before.next_if(|one| is_own(&one.labels)).map_or(Vec::new(), |o| o.points);
        if let Some(column) = kept.next_if(|column| is_own(&column.labels)) {
            points.reserve(usize::try_from(known.count).unwrap_or(0));
            points.extend(extent.bits(column, known));
        }
        if let Some(one) = behind.next_if(|one| is_own(&one.labels)) {
            points.extend(one.points);
        }
        // A kept series may have no value at the steps that are still known.
        if !points.is_empty() {
            joined.push(ResultSeries { labels, points });
        }
    }
}

/// The order of labels in an answer.
fn order(a: &LabelSet, b: &LabelSet) -> Ordering {
    a.cmp(b)
}
