//! An operator between two instant vectors.

use rayon::prelude::*;

use crate::annotations::Annotations;
use crate::ast::{BinaryOp, Cardinality, Matching, Span};
use crate::eval::merge::{merge, same_labels_error};
use crate::eval::meter::Meter;
use crate::eval::threads::Threads;
use crate::flags::Features;
use crate::query_error::QueryError;
use crate::value::{ABSENT, Series};

use super::columns::ColumnRule;
use super::costs::Costs;
use super::group::{Plan, Share, evaluate};
use super::join::Join;
use super::match_error::MatchError;
use super::one_side::{duplicate, mark_present};
use super::pair::PairRule;
use super::result_labels::ResultLabels;
use super::set_operators::combine_sets;
use super::signature::MatchKey;

/// From how many values of the "many" side on the groups are evaluated in parallel: below, it takes
/// longer to hand out the work than to do it.
const PARALLEL_VALUES_MIN: usize = 1 << 15;

/// An operator between two instant vectors, prepared once.
///
/// Holds both sides while it works; the results take the place of the "many" side, but for series
/// that find several partners with differing copied labels. The caller counts both sides as held
/// until the operator is done; what comes on top is counted here meanwhile.
#[derive(Clone, Copy)]
pub(crate) struct VectorVector<'q> {
    pub(crate) op: BinaryOp,
    pub(crate) matching: &'q Matching,
    /// Whether a comparison answers 0 or 1 instead of filtering.
    pub(crate) return_bool: bool,
    /// The whole expression, which annotations blame.
    pub(crate) span: Span,
    pub(crate) features: Features,
    /// The steps of every column.
    pub(crate) steps: usize,
    /// Whether groups may be evaluated on several threads.
    pub(crate) threads: Threads<'q>,
    pub(crate) meter: &'q Meter,
}

impl VectorVector<'_> {
    /// Evaluates the operator at all steps.
    ///
    /// `drop_name` is set on the results of `bool` comparisons if names are removed at the end of
    /// the evaluation; else they are without name, type and unit already, as those of arithmetic
    /// always are. Set operators pass on series as they are. Series are in the order of the "many"
    /// side, as Prometheus has them at one step; those for which a value filled in come behind.
    ///
    /// # Errors
    /// [`QueryError::Execution`] at the earliest step with one of these, and of those at one step
    /// the first: two series of the "one" side with one signature, two pairs whose results are not
    /// told apart by their labels within a signature, two results with the same labels. The last is
    /// left to the end of the evaluation for an instant query that removes names at the end. The
    /// errors of the meter come before any of these.
    pub(crate) fn evaluate(
        &self,
        left: Vec<Series>,
        right: Vec<Series>,
        notes: &mut Annotations,
    ) -> Result<Vec<Series>, QueryError> {
        let (results, error) = if self.op.is_set_operator() {
            let key = MatchKey::new(&self.matching.labels);
            let mut costs = Costs::new(self.meter);
            let results = combine_sets(self.op, &key, left, right, &mut costs)?;
            costs.end();
            (results, None)
        } else {
            self.evaluate_pairs(left, right, notes)?
        };
        let merged = if self.features.delayed_name_removal && self.steps == 1 {
            Ok(results)
        } else {
            merge(results)
        };
        match (merged, error) {
            (Ok(merged), None) => Ok(merged),
            (Err(overlap), Some(error)) if overlap.step < error.step => Err(same_labels_error()),
            (_, Some(error)) => Err(self.query_error(&error)),
            (Err(_), None) => Err(same_labels_error()),
        }
    }

    /// The results of all pairs in the order of the "many" side, and the first error.
    ///
    /// Duplicates of the "one" side are looked for before there are any pairs, of which they might
    /// make as many as both sides multiplied. Pairs are then made at earlier steps only, where there
    /// may be another error.
    fn evaluate_pairs(
        &self,
        left: Vec<Series>,
        right: Vec<Series>,
        notes: &mut Annotations,
    ) -> Result<(Vec<Series>, Option<MatchError>), QueryError> {
        let (many, mut one) = if self.many_is_left() { (left, right) } else { (right, left) };
        let plan = self.plan(many.len());
        let join = Join::new(&plan.key, many, &one);
        let Some(duplicate) = self.first_duplicate(&join)? else {
            return self.evaluate_groups(&plan, join, notes);
        };
        let mut many = join.into_many();
        if duplicate.step == 0 {
            return Ok((Vec::new(), Some(duplicate)));
        }
        many.iter_mut().chain(&mut one).for_each(|series| forget_from(series, duplicate.step));
        let join = Join::new(&plan.key, many, &one);
        let (results, earlier) = self.evaluate_groups(&plan, join, notes)?;
        Ok((results, Some(earlier.unwrap_or(duplicate))))
    }

    /// The earliest step at which two series of the "one" side have the same signature, if that
    /// matters there.
    fn first_duplicate(&self, join: &Join<'_>) -> Result<Option<MatchError>, QueryError> {
        let mut groups = join.one_groups().filter(|group| group.len() > 1).peekable();
        if groups.peek().is_none() {
            return Ok(None);
        }
        let mut costs = Costs::new(self.meter);
        let active = self.active_steps(join, &mut costs)?;
        let matters = |step: usize| active.as_ref().is_none_or(|active| active[step]);
        let mut first: Option<MatchError> = None;
        for group in groups {
            let found = duplicate(group, self.steps, matters, &mut costs)?;
            first = match (first, found) {
                (Some(first), Some(found)) => Some(first.first(found)),
                (first, found) => first.or(found),
            };
        }
        costs.end();
        Ok(first)
    }

    /// The results of all groups in the order of the "many" side, and the first error.
    fn evaluate_groups(
        &self,
        plan: &Plan<'_>,
        mut join: Join<'_>,
        notes: &mut Annotations,
    ) -> Result<(Vec<Series>, Option<MatchError>), QueryError> {
        let values = join.many.len().saturating_mul(self.steps);
        let groups = join.groups();
        let new = || Share::new(self.meter);
        let each = |share, group| evaluate(plan, group, share);
        let share = if self.threads.are_many() && values >= PARALLEL_VALUES_MIN {
            self.threads.run(|| {
                let shares = groups.into_par_iter().try_fold(new, each);
                shares.try_reduce(new, |left, right| Ok(left.merge(right)))
            })?
        } else {
            groups.into_iter().try_fold(new(), each)?
        };
        share.costs.end();
        share.notes.report(self.op, self.span, notes);
        let mut results = share.results;
        results.sort_by_key(|(place, _)| *place);
        Ok((results.into_iter().map(|(_, series)| series).collect(), share.error))
    }

    fn many_is_left(&self) -> bool {
        self.matching.cardinality != Cardinality::OneToMany
    }

    fn plan(&self, many: usize) -> Plan<'_> {
        let delayed = self.features.delayed_name_removal;
        let pair = PairRule { op: self.op, return_bool: self.return_bool };
        Plan {
            key: MatchKey::new(&self.matching.labels),
            rule: ColumnRule { pair, own_is_left: self.many_is_left() },
            labels: ResultLabels::new(self.op, self.matching, self.return_bool && !delayed),
            matching: self.matching,
            drop_name: self.return_bool && delayed,
            steps: self.steps,
            many,
        }
    }

    /// The steps at which duplicates of the "one" side are an error: those at which the other side
    /// has any value, or all of them if a value may fill in. `None` is all, too.
    fn active_steps(
        &self,
        join: &Join<'_>,
        costs: &mut Costs<'_>,
    ) -> Result<Option<Vec<bool>>, QueryError> {
        let fill = &self.matching.fill;
        if fill.left.is_some() || fill.right.is_some() {
            return Ok(None);
        }
        costs.hold(self.steps)?;
        let mut active = vec![false; self.steps];
        for member in &join.many {
            costs.tick(self.steps)?;
            mark_present(&member.series.values, &mut active, true);
        }
        Ok(Some(active))
    }

    fn query_error(&self, error: &MatchError) -> QueryError {
        let key = MatchKey::new(&self.matching.labels);
        QueryError::execution(error.message(&key, self.matching.cardinality))
    }
}

/// Removes the values from a step on.
fn forget_from(series: &mut Series, step: usize) {
    series.values.floats_mut()[step..].fill(ABSENT);
    series.values.histograms_mut().retain(|(at, _)| (*at as usize) < step);
}
