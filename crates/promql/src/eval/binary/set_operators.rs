//! `and`, `or` and `unless`: which series of a vector have, at each step, a match in the other.
//!
//! Any number of series may match. Values and labels pass through unchanged. Both sides are
//! held; the columns of the one that is passed on are changed in place.

use crate::ast::BinaryOp;
use crate::query_error::QueryError;
use crate::value::{ABSENT, Series, StepColumn};

use super::costs::Costs;
use super::join::{Group, Join};
use super::one_side::mark_present;
use super::signature::MatchKey;

/// Evaluates a set operator at all steps. Series are in the order of the left, then the right side.
/// Fails only if the evaluation is to end.
pub(super) fn combine_sets(
    op: BinaryOp,
    key: &MatchKey,
    mut left: Vec<Series>,
    right: Vec<Series>,
    costs: &mut Costs<'_>,
) -> Result<Vec<Series>, QueryError> {
    let mut results = match op {
        BinaryOp::And => masked(key, left, (&right, true), costs)?,
        BinaryOp::Unless => masked(key, left, (&right, false), costs)?,
        _ => {
            let others = masked(key, right, (&left, false), costs)?;
            left.extend(others);
            left
        }
    };
    results.retain(|series| !series.values.is_empty());
    Ok(results)
}

/// The values of `series` at the steps at which a match has a value (`with_match`), or none has.
fn masked(
    key: &MatchKey,
    series: Vec<Series>,
    (by, with_match): (&[Series], bool),
    costs: &mut Costs<'_>,
) -> Result<Vec<Series>, QueryError> {
    if by.is_empty() {
        return Ok(if with_match { Vec::new() } else { series });
    }
    let mut join = Join::new(key, series, by);
    for group in join.groups() {
        mask_group(group, with_match, costs)?;
    }
    Ok(join.into_many())
}

fn mask_group(
    group: Group<'_, '_>,
    with_match: bool,
    costs: &mut Costs<'_>,
) -> Result<(), QueryError> {
    let Some(first) = group.many.first() else { return Ok(()) };
    let steps = first.series.values.steps();
    costs.hold(steps)?;
    let mut keeps = vec![!with_match; steps];
    for other in group.one {
        costs.tick(steps)?;
        mark_present(&other.series.values, &mut keeps, with_match);
    }
    for own in group.many {
        costs.tick(steps)?;
        mask(&mut own.series.values, &keeps);
    }
    costs.give_back(steps);
    Ok(())
}

fn mask(column: &mut StepColumn, keeps: &[bool]) {
    for (value, keep) in column.floats_mut().iter_mut().zip(keeps) {
        if !keep {
            *value = ABSENT;
        }
    }
    column.histograms_mut().retain(|(step, _)| keeps[*step as usize]);
}
