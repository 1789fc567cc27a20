//! Asks both sides and decides what a difference is: known, rounding, or a finding.

use siltstone_promql::ast::{AggregateOp, ExprKind};
use siltstone_promql::{Features, MemorySource};
use siltstone_rig::RigError;

use crate::answer::Outcome;
use crate::compare::{Aspect, Difference, compare};
use crate::dataset::Dataset;
use crate::known::{self, Finding};
use crate::ours::{self, Way};
use crate::prometheus::Prometheus;
use crate::shrink::Case;

/// By which part of itself samples are changed to see how much an answer depends on rounding.
const JITTER: f64 = 1e-13;
/// How often Prometheus is asked again about a difference. After a range evaluation its series are in
/// the random order of Go's maps, by which ties are decided; of two series the second comes first in
/// one of eight answers.
const AGAIN: usize = 8;
/// The same where ties are likely.
const AGAIN_OF_TIES: usize = 60;

/// What came of one case.
pub(crate) enum Verdict {
    /// Equal.
    Same(Outcome),
    /// A known difference, for this reason.
    Known(&'static str),
    /// Numbers that differ no more than by what rounding of the samples would change.
    Rounding,
    Different(Difference),
}

/// Both sides, with the same series.
pub(crate) struct Judge {
    prometheus: Prometheus,
    source: MemorySource,
    jittered: Vec<MemorySource>,
    pub(crate) features: Features,
}

impl Judge {
    pub(crate) fn new(prometheus: Prometheus, data: &Dataset, features: Features) -> Self {
        let jittered = (1..=2).map(|seed| data.source(Some((seed, JITTER)))).collect();
        Self { prometheus, source: data.source(None), jittered, features }
    }

    /// Ends the server.
    pub(crate) fn stop(self) -> Result<(), RigError> {
        self.prometheus.stop()
    }

    /// Evaluates the case on both sides.
    pub(crate) fn judge(&mut self, case: &Case, way: Way) -> Result<Verdict, RigError> {
        let ours = ours::ask(&self.source, &case.query, self.features, case.times, way);
        let theirs = self.prometheus.ask(&case.query, case.times)?;
        let ordered = self.is_ordered(&case.query);
        let Err(difference) = compare(&theirs, &ours, ordered) else {
            return Ok(Verdict::Same(theirs));
        };
        let finding = Finding {
            query: &case.query,
            times: case.times,
            theirs: &theirs,
            ours: &ours,
            difference: &difference,
        };
        if let Some(reason) = known::find(&finding) {
            return Ok(Verdict::Known(reason));
        }
        let by_value = difference.aspect == Aspect::Value
            || (difference.aspect == Aspect::Labels && case.query.contains("count_values"));
        if by_value && self.is_rounding(case, way, &ours) {
            return Ok(Verdict::Rounding);
        }
        let chooses = ["topk", "bottomk", "limitk"].iter().any(|op| case.query.contains(op));
        for _ in 0..if chooses { AGAIN_OF_TIES } else { AGAIN } {
            let again = self.prometheus.ask(&case.query, case.times)?;
            if compare(&theirs, &again, ordered).is_err() {
                return Ok(Verdict::Known("Prometheus itself answers differently each time"));
            }
        }
        Ok(Verdict::Different(difference))
    }

    /// Formats the query on both sides; the difference, if there is one.
    pub(crate) fn judge_format(&mut self, query: &str) -> Result<Option<Difference>, RigError> {
        let ours = match siltstone_promql::parse(query, &self.features) {
            Ok(ast) => Ok(siltstone_promql::pretty(&ast)),
            Err(error) => Err(error.to_string()),
        };
        let theirs = self.prometheus.format(query)?;
        let text = || format!("theirs {theirs:?}\n  ours   {ours:?}");
        let aspect = match (&theirs, &ours) {
            (Ok(theirs), Ok(ours)) if theirs == ours => return Ok(None),
            (Err(theirs), Err(ours)) if known::same_refusal(theirs, ours) => return Ok(None),
            (Ok(theirs), Ok(ours)) if known::formatted(theirs) == known::formatted(ours) => {
                return Ok(None);
            }
            (Ok(_), Ok(_)) => Aspect::Format,
            (Err(_), Err(_)) => Aspect::ErrorText,
            _ => Aspect::ErrorOrAnswer,
        };
        Ok(Some(Difference { aspect, text: text() }))
    }

    /// Whether our own answer has other numbers if the samples are changed in their last digits.
    fn is_rounding(&self, case: &Case, way: Way, ours: &Outcome) -> bool {
        self.jittered.iter().any(|source| {
            let changed = ours::ask(source, &case.query, self.features, case.times, way);
            compare(&changed, ours, false).is_err()
        })
    }

    /// Whether the order of an instant query's series is defined.
    fn is_ordered(&self, query: &str) -> bool {
        let Ok(ast) = siltstone_promql::parse(query, &self.features) else { return false };
        match &ast.get(ast.without_parens(ast.root())).kind {
            ExprKind::Call { function, .. } => function.name().starts_with("sort"),
            ExprKind::Aggregate(aggregate) => {
                matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk)
                    && !aggregate.grouping.without
                    && aggregate.grouping.labels.is_empty()
            }
            _ => false,
        }
    }
}
