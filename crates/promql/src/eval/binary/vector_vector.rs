//! An operator between two instant vectors.

use rayon::prelude::*;

use crate::annotations::Annotations;
use crate::ast::{BinaryOp, Cardinality, Matching, Span};
use crate::eval::merge::{merge, same_labels_error};
use crate::flags::Features;
use crate::query_error::QueryError;
use crate::value::Series;

use super::columns::ColumnRule;
use super::group::{Share, evaluate};
use super::join::Join;
use super::match_error::MatchError;
use super::one_side::mark_present;
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
/// that find several partners with differing copied labels.
#[derive(Debug, Clone, Copy)]
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
}

/// What is needed to evaluate a group.
#[derive(Debug)]
pub(super) struct Plan<'q> {
    pub(super) key: MatchKey,
    pub(super) rule: ColumnRule,
    pub(super) labels: ResultLabels<'q>,
    pub(super) matching: &'q Matching,
    /// What results say about the removal of their names.
    pub(super) drop_name: bool,
    pub(super) steps: usize,
    /// How many series the "many" side has: what fills in for them comes behind.
    pub(super) many: usize,
    /// At which steps the "many" side has values at all; `None` if that does not matter.
    pub(super) active: Option<Vec<bool>>,
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
    /// left to the end of the evaluation for an instant query that removes names at the end.
    pub(crate) fn evaluate(
        &self,
        left: Vec<Series>,
        right: Vec<Series>,
        notes: &mut Annotations,
    ) -> Result<Vec<Series>, QueryError> {
        let (results, error) = if self.op.is_set_operator() {
            let key = MatchKey::new(&self.matching.labels);
            (combine_sets(self.op, &key, left, right), None)
        } else {
            self.evaluate_pairs(left, right, notes)
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
    fn evaluate_pairs(
        &self,
        left: Vec<Series>,
        right: Vec<Series>,
        notes: &mut Annotations,
    ) -> (Vec<Series>, Option<MatchError>) {
        let (many, one) = if self.many_is_left() { (left, right) } else { (right, left) };
        let mut plan = self.plan(many.len());
        let mut join = Join::new(&plan.key, many, &one);
        let is_large = join.many.len().saturating_mul(self.steps) >= PARALLEL_VALUES_MIN;
        plan.active = self.active_steps(&join);
        let groups = join.groups();
        let share = if is_large {
            let each = |share, group| evaluate(&plan, group, share);
            groups.into_par_iter().fold(Share::default, each).reduce(Share::default, Share::merge)
        } else {
            groups.into_iter().fold(Share::default(), |share, group| evaluate(&plan, group, share))
        };
        share.notes.report(self.op, self.span, notes);
        let mut results = share.results;
        results.sort_by_key(|(place, _)| *place);
        (results.into_iter().map(|(_, series)| series).collect(), share.error)
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
            active: None,
        }
    }

    /// The steps at which duplicates of the "one" side are an error: those at which the other side
    /// has any value, or all of them if a value may fill in. `None` is all, too.
    fn active_steps(&self, join: &Join<'_>) -> Option<Vec<bool>> {
        let fill = &self.matching.fill;
        if fill.left.is_some() || fill.right.is_some() || !join.one_has_duplicates() {
            return None;
        }
        let mut active = vec![false; self.steps];
        for member in &join.many {
            mark_present(&member.series.values, &mut active, true);
        }
        Some(active)
    }

    fn query_error(&self, error: &MatchError) -> QueryError {
        let key = MatchKey::new(&self.matching.labels);
        QueryError::execution(error.message(&key, self.matching.cardinality))
    }
}
