//! `and`, `or` and `unless`: which series of a vector have, at each step, a match in the other.
//!
//! Any number of series may match. Values and labels pass through unchanged. The side that is only
//! looked at is held; of the other one, columns are changed in place.

use crate::ast::BinaryOp;
use crate::value::{ABSENT, Series, StepColumn};

use super::join::{Group, Join};
use super::one_side::mark_present;
use super::signature::MatchKey;

/// Evaluates a set operator at all steps. Series are in the order of the left, then the right side.
pub(super) fn combine_sets(
    op: BinaryOp,
    key: &MatchKey,
    mut left: Vec<Series>,
    right: Vec<Series>,
) -> Vec<Series> {
    let mut results = match op {
        BinaryOp::And => masked(key, left, &right, true),
        BinaryOp::Unless => masked(key, left, &right, false),
        _ => {
            let others = masked(key, right, &left, false);
            left.extend(others);
            left
        }
    };
    results.retain(|series| !series.values.is_empty());
    results
}

/// The values of `series` at the steps at which a match has a value (`with_match`), or none has.
fn masked(key: &MatchKey, series: Vec<Series>, by: &[Series], with_match: bool) -> Vec<Series> {
    if by.is_empty() {
        return if with_match { Vec::new() } else { series };
    }
    let mut join = Join::new(key, series, by);
    for group in join.groups() {
        mask_group(group, with_match);
    }
    let mut left: Vec<_> = join.many.into_iter().map(|m| (m.place, m.series)).collect();
    left.sort_by_key(|(place, _)| *place);
    left.into_iter().map(|(_, series)| series).collect()
}

fn mask_group(group: Group<'_, '_>, with_match: bool) {
    let Some(first) = group.many.first() else { return };
    let mut keeps = vec![!with_match; first.series.values.steps()];
    for other in group.one {
        mark_present(&other.series.values, &mut keeps, with_match);
    }
    for own in group.many {
        mask(&mut own.series.values, &keeps);
    }
}

fn mask(column: &mut StepColumn, keeps: &[bool]) {
    for (value, keep) in column.floats_mut().iter_mut().zip(keeps) {
        if !keep {
            *value = ABSENT;
        }
    }
    column.histograms_mut().retain(|(step, _)| keeps[*step as usize]);
}
