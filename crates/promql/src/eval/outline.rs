//! What a lookup or a function needs of the samples of its windows, where that is less than all of them.
//!
//! A source may then hand over points that stand for many samples ([`siltstone::Outline`]). What the
//! result is of must not depend on it: where a function needs more than an outline holds, such as the
//! order of additions, the series is read whole.

use siltstone::types::STALE_MARKER_BITS;
use siltstone::{Outline, Wanted};

use super::grid::{Grid, Shift, Windows};
use super::range::are_added_exactly_without;
use crate::ast::RangeMode;
use crate::functions::Function;
use crate::plan::{Lookup, LookupValue};
use crate::source::SampleColumns;

/// The outline of samples that is enough for a lookup.
pub(crate) fn of_lookup(lookup: &Lookup, grid: Grid) -> Option<Outline> {
    match lookup.what {
        LookupValue::Sample | LookupValue::Timestamp => {
            outline(Wanted::Last, (grid, lookup.shift), lookup.lookback)
        }
        LookupValue::Smoothed | LookupValue::StartTimestamp => None,
    }
}

/// The outline of samples that is enough for a function of a range vector.
pub(crate) fn of_function(function: Function, windows: &Windows) -> Option<Outline> {
    let wanted = match function {
        Function::LastOverTime | Function::TsOfLastOverTime => Wanted::Last,
        Function::MinOverTime => Wanted::Min,
        Function::MaxOverTime => Wanted::Max,
        Function::CountOverTime | Function::PresentOverTime | Function::AbsentOverTime => {
            Wanted::Count
        }
        Function::SumOverTime | Function::AvgOverTime => Wanted::Sum,
        _ => return None,
    };
    if windows.mode != RangeMode::Inside {
        return None;
    }
    outline(wanted, (windows.grid, windows.shift), windows.range)
}

/// `None` where a window would reach beyond the times there are: those saturate.
fn outline(wanted: Wanted, (grid, shift): (Grid, Shift), length: i64) -> Option<Outline> {
    let (count, end) = match shift.at {
        Some(at) => (1, at),
        None => (grid.count, grid.start),
    };
    let first = end.checked_sub(shift.offset)?;
    let steps = i64::try_from(count).ok()?.max(1) - 1;
    first.checked_sub(length)?;
    first.checked_add(grid.step.checked_mul(steps)?)?;
    Some(Outline::new(wanted, first, (grid.step, count), length))
}

/// Whether what is wanted can be told from points that may stand for several samples.
pub(super) fn is_enough(outline: &Outline, columns: &SampleColumns<'_>) -> bool {
    if outline.wanted() != Wanted::Sum || columns.float_counts.is_empty() {
        return true;
    }
    let is_stale = |value: f64| value.to_bits() == STALE_MARKER_BITS;
    are_added_exactly_without(columns.floats.values, is_stale)
}
