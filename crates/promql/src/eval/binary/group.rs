//! The results of all series with one signature.

use std::borrow::Cow;

use crate::ast::Matching;
use crate::eval::meter::Meter;
use crate::query_error::QueryError;
use crate::value::{LabelSet, Series, StepColumn};

use super::columns::{ColumnRule, Observer};
use super::costs::Costs;
use super::join::{Group, Member};
use super::match_error::MatchError;
use super::notes::{Note, StepNotes};
use super::one_side::{OneSide, filled, mark_present, sides};
use super::result_labels::ResultLabels;
use super::signature::MatchKey;
use super::taken::Taken;

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
}

/// What some of the groups give.
pub(super) struct Share<'m> {
    /// Results, with the place of the series on the "many" side.
    pub(super) results: Vec<(usize, Series)>,
    pub(super) notes: StepNotes,
    /// The first error.
    pub(super) error: Option<MatchError>,
    /// What is held for the results: their labels, and the columns that are none of the operands'.
    pub(super) costs: Costs<'m>,
}

impl<'m> Share<'m> {
    pub(super) fn new(meter: &'m Meter) -> Self {
        let (results, notes) = (Vec::new(), StepNotes::default());
        Self { results, notes, error: None, costs: Costs::new(meter) }
    }

    /// Both together.
    pub(super) fn merge(mut self, mut other: Self) -> Self {
        self.results.append(&mut other.results);
        other.error.into_iter().for_each(|error| self.fail(error));
        self.costs.merge(other.costs);
        Self { notes: self.notes.merge(other.notes), ..self }
    }

    /// Adds the result of a pair, for whose column `held` bytes were held before it was there.
    fn add(&mut self, place: usize, plan: &Plan<'_>, result: (LabelSet, StepColumn), held: usize) {
        let (labels, values) = result;
        if values.is_empty() {
            self.costs.give_back(held + labels_bytes(&labels));
        } else {
            self.costs.give_back(held.saturating_sub(values.heap_bytes()));
            self.results.push((place, Series { labels, drop_name: plan.drop_name, values }));
        }
    }

    fn fail(&mut self, error: MatchError) {
        self.error = Some(match self.error.take() {
            Some(known) => known.first(error),
            None => error,
        });
    }
}

/// What is held for the labels of a result.
fn labels_bytes(labels: &LabelSet) -> usize {
    size_of::<(usize, Series)>() + labels.encoded().len()
}

/// Adds the results of a group to `share`. At no step two series of the "one" side have a value, or
/// at those only that do not matter.
///
/// # Errors
/// The evaluation is to end. Errors of matching are in the share.
pub(super) fn evaluate<'m>(
    plan: &Plan<'_>,
    group: Group<'_, '_>,
    mut share: Share<'m>,
) -> Result<Share<'m>, QueryError> {
    let (mut found, sides_bytes) = sides(group.one, &plan.matching.include, &mut share.costs)?;
    // A column, and marks: the steps at which something is missing, and those that matched.
    let marks_bytes = plan.steps.saturating_mul(size_of::<f64>() + 2);
    share.costs.hold(marks_bytes)?;
    if !group.many.is_empty() {
        let fill = plan.matching.fill.right;
        found.extend(fill.and_then(|value| filled(group.one, value, plan.steps)));
    }
    let fill = plan.matching.fill.left;
    let mut matched = fill.map(|_| vec![false; plan.steps]);
    let mut pairs = Pairs { plan, share: &mut share, matched: matched.as_mut() };
    for (at, side) in found.iter().enumerate() {
        pairs.match_with(side, group.many, at + 1 == found.len())?;
    }
    if let (Some(value), Some(matched)) = (fill, matched) {
        for one in group.one {
            fill_in(plan, one, (value, &matched), &mut share)?;
        }
    }
    share.costs.give_back(sides_bytes + marks_bytes);
    Ok(share)
}

/// The results of the pairs of one group.
struct Pairs<'p, 'q, 'm> {
    plan: &'p Plan<'q>,
    share: &'p mut Share<'m>,
    /// At which steps there were matches, if that is wanted.
    matched: Option<&'p mut Vec<bool>>,
}

impl Pairs<'_, '_, '_> {
    /// Adds the results of the series of the "many" side with one side that they find. After the
    /// last side the values of the series are no longer needed.
    fn match_with(
        &mut self,
        side: &OneSide<'_>,
        many: &mut [Member<Series>],
        is_last: bool,
    ) -> Result<(), QueryError> {
        let mut meeting = Vec::new();
        for member in many {
            self.share.costs.tick(1 + side.extent())?;
            if side.meets(&member.series.values) {
                let labels = self.labels(&member.series.labels, side);
                self.share.costs.hold(labels_bytes(&labels))?;
                meeting.push((member, labels));
            }
        }
        let labels = meeting.iter().map(|(_, labels)| labels);
        let mut taken = Taken::new(self.plan.matching.cardinality, labels);
        for (at, (member, labels)) in meeting.into_iter().enumerate() {
            self.share.costs.tick(self.plan.steps)?;
            let values = &mut member.series.values;
            let own =
                if is_last { Cow::Owned(std::mem::take(values)) } else { Cow::Borrowed(&*values) };
            let held = self.plan.rule.new_bytes(&own, is_last, &side.values);
            self.share.costs.hold(held)?;
            let mut watcher = Watcher {
                place: member.place,
                notes: &mut self.share.notes,
                matched: self.matched.as_deref_mut(),
                taken: taken.by(at, self.plan.steps),
                conflict: None,
            };
            let values = self.plan.rule.combine(own, &side.values, &mut watcher);
            let conflict = watcher.conflict.map(MatchError::not_unique);
            conflict.into_iter().for_each(|error| self.share.fail(error));
            self.share.add(member.place, self.plan, (labels, values), held);
        }
        Ok(())
    }

    fn labels(&self, many: &LabelSet, side: &OneSide<'_>) -> LabelSet {
        match side.labels {
            Some(one) => self.plan.labels.of(many, one),
            None => self.plan.labels.of(many, &self.plan.key.labels(many)),
        }
    }
}

/// Adds the results of a series of the "one" side with the value that fills in for the "many" side
/// at steps at which nothing `matched`.
fn fill_in(
    plan: &Plan<'_>,
    one: &Member<&Series>,
    (value, matched): (f64, &[bool]),
    share: &mut Share<'_>,
) -> Result<(), QueryError> {
    share.costs.tick(plan.steps)?;
    let labels = plan.labels.of(&plan.key.labels(&one.series.labels), &one.series.labels);
    let own_bytes = plan.steps.saturating_mul(size_of::<f64>());
    share.costs.hold(own_bytes.saturating_add(labels_bytes(&labels)))?;
    let mut wanted = vec![false; plan.steps];
    mark_present(&one.series.values, &mut wanted, true);
    let mut own = StepColumn::absent(plan.steps);
    for step in 0..plan.steps {
        if wanted[step] && !matched[step] {
            own.set_float(step, value);
        }
    }
    let own = Cow::Owned(own);
    let more_bytes = plan.rule.new_bytes(&own, true, &one.series.values);
    share.costs.hold(more_bytes)?;
    let place = plan.many.saturating_add(one.place);
    let notes = &mut share.notes;
    let mut watcher = Watcher { place, notes, matched: None, taken: None, conflict: None };
    let values = plan.rule.combine(own, &one.series.values, &mut watcher);
    share.add(place, plan, (labels, values), own_bytes + more_bytes);
    Ok(())
}

/// Takes down what happens while the columns of a pair are combined.
struct Watcher<'w> {
    /// The place of the pair in every step.
    place: usize,
    notes: &'w mut StepNotes,
    /// At which steps anything of the group matched.
    matched: Option<&'w mut Vec<bool>>,
    /// At which steps there is a result already with which another would be confused.
    taken: Option<&'w mut Vec<bool>>,
    /// The first step at which there were both.
    conflict: Option<usize>,
}

impl Observer for Watcher<'_> {
    fn wants_matches(&self) -> bool {
        self.matched.is_some() || self.taken.is_some()
    }

    fn matched(&mut self, step: usize) {
        if let Some(matched) = &mut self.matched {
            matched[step] = true;
        }
        if let Some(taken) = &mut self.taken {
            if taken[step] {
                self.conflict = self.conflict.or(Some(step));
            }
            taken[step] = true;
        }
    }

    fn noted(&mut self, step: usize, note: Note) {
        self.notes.add(step, self.place, note);
    }
}
