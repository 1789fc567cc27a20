//! Chains: what is computed series by series, without holding them.
//!
//! A chain begins at series, those of a selection or of a value that is held, and leads through
//! *stages*, each of which makes one series of one series. It ends in a sink.
//!
//! Labels change in two stages: `label_replace` and `label_join`, and, without delayed name removal,
//! whatever drops names. They are computed for all series before any sample is read. Where two
//! series would become one there, the chain is cut: what comes before is held and merged, and the
//! rest is a chain over the merged series.

use std::sync::Arc;

use siltstone::Outline;

use super::binary::VectorScalar;
use super::grid::Grid;
use super::ordered_list::OrderedList;
use super::outline::{of_function, of_lookup};
use super::range::RangeCall;
use super::vector::{LabelTransform, SeriesFunction};
use crate::ast::Span;
use crate::functions::Function;
use crate::plan::{Lookup, LookupValue};
use crate::value::{LabelSet, Series};

/// Where the series of a chain come from.
pub(super) enum Origin<'a> {
    /// A selection; the first stage is a [`Stage::Lookup`] or a [`Stage::Range`].
    List(Arc<OrderedList<'a>>),
    /// Series that are held, with values at the steps of this grid.
    Held(Vec<Series>, Grid),
}

/// What makes one series of one series.
pub(super) enum Stage {
    /// Of samples the newest at each step of the grid.
    Lookup(Lookup, Grid, Span),
    /// A function of windows: of samples, or of the values so far, which are those of a subquery.
    /// Of samples only their statistics may matter: [`Lookup::statistics`].
    Range(RangeCall, bool),
    Function(SeriesFunction),
    /// The unary minus.
    Negate,
    Scalar(VectorScalar, Vec<f64>),
    Labels(LabelTransform),
}

impl Stage {
    /// Whether the name goes: the series is no longer what it was called.
    pub(super) fn drops_name(&self) -> bool {
        match self {
            Self::Lookup(lookup, ..) => {
                matches!(lookup.what, LookupValue::Timestamp | LookupValue::StartTimestamp)
            }
            // Nothing is named after the series that `absent_over_time` looks at.
            Self::Range(call, _) => !matches!(
                call.function,
                Function::LastOverTime | Function::FirstOverTime | Function::AbsentOverTime
            ),
            Self::Function(_) | Self::Negate => true,
            Self::Scalar(operator, _) => operator.drops_name(),
            Self::Labels(_) => false,
        }
    }

    /// The outline of samples that is enough for it as the first stage; `None` if it needs all.
    pub(super) fn outline(&self) -> Option<Outline> {
        match self {
            Self::Lookup(lookup, grid, _) => of_lookup(lookup, *grid),
            Self::Range(call, _) => of_function(call.function, &call.windows),
            _ => None,
        }
    }
}

/// Series and the stages that they go through.
pub(super) struct Chain<'a> {
    pub(super) origin: Origin<'a>,
    pub(super) stages: Vec<Stage>,
}

impl Chain<'_> {
    /// The steps of what comes out.
    pub(super) fn grid(&self) -> Grid {
        let last = self.stages.iter().rev().find_map(|stage| match stage {
            Stage::Lookup(_, grid, _) => Some(*grid),
            Stage::Range(call, _) => Some(call.windows.grid),
            _ => None,
        });
        match (&self.origin, last) {
            (_, Some(grid)) => grid,
            (Origin::Held(_, grid), None) => *grid,
            (Origin::List(_), None) => unreachable!("samples are looked up or in windows"),
        }
    }
}

impl Origin<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Held(series, _) => series.len(),
        }
    }

    /// How many sets of labels there are. Held series have one each, in their order; those of a list have
    /// that which [`OrderedList::key`] says.
    pub(super) fn set_count(&self) -> usize {
        match self {
            Self::List(list) => list.sets().len(),
            Self::Held(series, _) => series.len(),
        }
    }

    /// Such a set, and whether its name is to be dropped.
    pub(super) fn set(&self, key: usize) -> (LabelSet, bool) {
        match self {
            Self::List(list) => (list.sets()[key].clone(), false),
            Self::Held(series, _) => (series[key].labels.clone(), series[key].drop_name),
        }
    }

    /// Whether series may have the same set.
    pub(super) fn shares_sets(&self) -> bool {
        matches!(self, Self::List(list) if list.keeps_little())
    }
}
