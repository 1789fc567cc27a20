//! What an aggregation has seen of one share of its series, or of several that were merged.

use crate::annotations::Annotations;
use crate::ast::AggregateOp;
use crate::eval::meter::Meter;
use crate::query_error::QueryError;
use crate::value::Series;

use super::avg::Avg;
use super::call::AggregateCall;
use super::count::{Count, Presence};
use super::count_values::ValueCounts;
use super::deviation::Deviation;
use super::extremum::Extremum;
use super::group_state::{Choice, Reduction};
use super::groups::{Group, Groups, steps_until_last};
use super::input::InputSeries;
use super::limit::{Limit, RatioSample};
use super::quantile::Quantile;
use super::sum::Sum;
use super::top::Top;

/// What an aggregation holds while it takes series.
///
/// # Invariants that the caller keeps
/// - Series of one accumulator are added in order of rank, before anything is merged.
/// - All accumulators that are merged are of one call.
#[derive(Debug)]
pub(crate) struct Accumulator<'a> {
    call: &'a AggregateCall,
    family: Family,
}

#[derive(Debug)]
enum Family {
    Sum(Groups<Sum>),
    Avg(Groups<Avg>),
    Count(Groups<Count>),
    Presence(Groups<Presence>),
    Extremum(Groups<Extremum>),
    Deviation(Groups<Deviation>),
    Quantile(Groups<Quantile>),
    Top(Groups<Top>),
    Limit(Groups<Limit>),
    Values(Groups<ValueCounts>),
    Ratio(RatioSample),
}

/// Runs `$body` with the groups of any family that has groups, or else the sample of `limit_ratio`.
macro_rules! each_family {
    ($family:expr, $groups:ident => $body:expr, $sample:ident => $other:expr) => {
        match $family {
            Family::Sum($groups) => $body,
            Family::Avg($groups) => $body,
            Family::Count($groups) => $body,
            Family::Presence($groups) => $body,
            Family::Extremum($groups) => $body,
            Family::Deviation($groups) => $body,
            Family::Quantile($groups) => $body,
            Family::Top($groups) => $body,
            Family::Limit($groups) => $body,
            Family::Values($groups) => $body,
            Family::Ratio($sample) => $other,
        }
    };
}

impl<'a> Accumulator<'a> {
    /// An accumulator without series.
    pub(crate) fn new(call: &'a AggregateCall) -> Self {
        let family = match call.op {
            AggregateOp::Sum => Family::Sum(Groups::default()),
            AggregateOp::Avg => Family::Avg(Groups::default()),
            AggregateOp::Count => Family::Count(Groups::default()),
            AggregateOp::Group => Family::Presence(Groups::default()),
            AggregateOp::Min | AggregateOp::Max => Family::Extremum(Groups::default()),
            AggregateOp::Stddev | AggregateOp::Stdvar => Family::Deviation(Groups::default()),
            AggregateOp::Quantile => Family::Quantile(Groups::default()),
            AggregateOp::Topk | AggregateOp::Bottomk => Family::Top(Groups::default()),
            AggregateOp::Limitk => Family::Limit(Groups::default()),
            AggregateOp::CountValues => Family::Values(Groups::default()),
            AggregateOp::LimitRatio => Family::Ratio(RatioSample::default()),
        };
        Self { call, family }
    }

    /// Takes a series, whose rank is above those of all before. Infos about it go to `notes`.
    ///
    /// Cannot fail: the work is in proportion to the steps, but for a factor that is at most the
    /// logarithm of `k`, and the caller looks at the clock before each series.
    pub(crate) fn add(&mut self, input: &InputSeries<'_>, notes: &mut Annotations) {
        debug_assert_eq!(input.values.steps(), self.call.steps, "one value at each step");
        let call = self.call;
        each_family!(
            &mut self.family,
            groups => groups.add(call, input, notes),
            sample => sample.add(call, input)
        );
    }

    /// Takes all that `later` has. The result depends on which accumulators are merged in which
    /// order, in the last bits of sums; on nothing else.
    pub(crate) fn merge(&mut self, later: Self) {
        let call = self.call;
        match (&mut self.family, later.family) {
            (Family::Sum(own), Family::Sum(later)) => own.merge(call, later),
            (Family::Avg(own), Family::Avg(later)) => own.merge(call, later),
            (Family::Count(own), Family::Count(later)) => own.merge(call, later),
            (Family::Presence(own), Family::Presence(later)) => own.merge(call, later),
            (Family::Extremum(own), Family::Extremum(later)) => own.merge(call, later),
            (Family::Deviation(own), Family::Deviation(later)) => own.merge(call, later),
            (Family::Quantile(own), Family::Quantile(later)) => own.merge(call, later),
            (Family::Top(own), Family::Top(later)) => own.merge(call, later),
            (Family::Limit(own), Family::Limit(later)) => own.merge(call, later),
            (Family::Values(own), Family::Values(later)) => own.merge(call, later),
            (Family::Ratio(own), Family::Ratio(later)) => own.merge(later),
            _ => unreachable!("accumulators of different calls are not merged"),
        }
    }

    /// The result: groups in the order of their first series, and of `topk`, `bottomk`, `limitk` and
    /// `limit_ratio` the series of a group in order of rank. At one step, where Prometheus keeps an
    /// order, `topk` is descending and `bottomk` ascending by value within a group, NaN last.
    /// Series without any value are left out. Annotations about the groups go to `notes`.
    ///
    /// # Errors
    /// What is held and the result are more than `meter` allows, together. Nothing is held behind it.
    pub(crate) fn finish(
        self,
        meter: &Meter,
        notes: &mut Annotations,
    ) -> Result<Vec<Series>, QueryError> {
        let call = self.call;
        Ok(match self.family {
            Family::Sum(groups) => reduced(call, groups, notes),
            Family::Avg(groups) => reduced(call, groups, notes),
            Family::Count(groups) => reduced(call, groups, notes),
            Family::Presence(groups) => reduced(call, groups, notes),
            Family::Extremum(groups) => reduced(call, groups, notes),
            Family::Deviation(groups) => reduced(call, groups, notes),
            Family::Quantile(groups) => reduced(call, groups, notes),
            Family::Top(groups) => chosen(call, groups, meter)?,
            Family::Limit(groups) => chosen(call, groups, meter)?,
            Family::Values(groups) => chosen(call, groups, meter)?,
            Family::Ratio(sample) => sample.finish(),
        })
    }

    /// About how many bytes of heap it holds; of `count_values` also what its result will hold. What
    /// `topk`, `bottomk` and `limitk` choose is known in the end only: [`Accumulator::finish`] counts
    /// it. Constant time.
    pub(crate) fn heap_bytes(&self) -> usize {
        each_family!(
            &self.family,
            groups => groups.heap_bytes(),
            sample => sample.heap_bytes()
        )
    }
}

/// One series of each group that has a value.
fn reduced<S: Reduction>(
    call: &AggregateCall,
    groups: Groups<S>,
    notes: &mut Annotations,
) -> Vec<Series> {
    let mut result = Vec::new();
    for group in groups.into_ordered() {
        let Group { labels, state, last_drop, .. } = group;
        let values = state.finish(call, notes);
        let steps = steps_until_last(&values);
        if steps > 0 {
            // The last step decides, where one marked series is enough: so Prometheus has it.
            result.push(Series { labels, drop_name: last_drop >= steps, values });
        }
    }
    result
}

/// The series that each group makes.
fn chosen<S: Choice>(
    call: &AggregateCall,
    groups: Groups<S>,
    meter: &Meter,
) -> Result<Vec<Series>, QueryError> {
    let mut held = groups.heap_bytes();
    meter.hold(held)?;
    let mut result = Vec::new();
    for group in groups.into_ordered() {
        meter.check()?;
        let bytes = group.state.result_bytes(call);
        meter.hold(bytes)?;
        held += bytes;
        group.state.finish(call, &group.labels, &mut result);
    }
    meter.release(held);
    Ok(result)
}
