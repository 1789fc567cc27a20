//! The results of all series with one signature.

use crate::value::{LabelSet, Series, StepColumn};

use super::columns::Observer;
use super::join::{Group, Member};
use super::match_error::MatchError;
use super::notes::{Note, StepNotes};
use super::one_side::{OneSide, duplicate, filled, mark_present, sides};
use super::taken::Taken;
use super::vector_vector::Plan;

/// What some of the groups give.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// Results, with the place of the series on the "many" side.
    pub(super) results: Vec<(usize, Series)>,
    pub(super) notes: StepNotes,
    /// The first error.
    pub(super) error: Option<MatchError>,
}

impl Share {
    /// Both together.
    pub(super) fn merge(mut self, mut other: Self) -> Self {
        self.results.append(&mut other.results);
        other.error.into_iter().for_each(|error| self.fail(error));
        Self { notes: self.notes.merge(other.notes), ..self }
    }

    fn add(&mut self, place: usize, plan: &Plan<'_>, labels: LabelSet, values: StepColumn) {
        if !values.is_empty() {
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

/// Adds the results of a group to `share`.
pub(super) fn evaluate(plan: &Plan<'_>, group: Group<'_, '_>, mut share: Share) -> Share {
    if group.one.len() > 1 {
        let matters = |step: usize| plan.active.as_ref().is_none_or(|active| active[step]);
        let error = duplicate(group.one, plan.steps, matters);
        error.into_iter().for_each(|error| share.fail(error));
    }
    let mut found = sides(group.one, &plan.matching.include);
    if !group.many.is_empty() {
        let fill = plan.matching.fill.right;
        found.extend(fill.and_then(|value| filled(group.one, value, plan.steps)));
    }
    let fill = plan.matching.fill.left;
    let mut matched = fill.map(|_| vec![false; plan.steps]);
    let mut pairs = Pairs { plan, share: &mut share, matched: matched.as_mut() };
    for (at, side) in found.iter().enumerate() {
        pairs.match_with(side, group.many, at + 1 == found.len());
    }
    if let (Some(value), Some(matched)) = (fill, matched) {
        for one in group.one {
            fill_in(plan, one, value, &matched, &mut share);
        }
    }
    share
}

/// The results of the pairs of one group.
struct Pairs<'p, 'q> {
    plan: &'p Plan<'q>,
    share: &'p mut Share,
    /// At which steps there were matches, if that is wanted.
    matched: Option<&'p mut Vec<bool>>,
}

impl Pairs<'_, '_> {
    /// Adds the results of the series of the "many" side with one side that they find. After the
    /// last side the values of the series are no longer needed.
    fn match_with(&mut self, side: &OneSide<'_>, many: &mut [Member<Series>], is_last: bool) {
        let meeting: Vec<&mut Member<Series>> =
            many.iter_mut().filter(|member| side.meets(&member.series.values)).collect();
        let labels: Vec<LabelSet> =
            meeting.iter().map(|member| self.labels(&member.series.labels, side)).collect();
        let mut taken = Taken::new(self.plan.matching.cardinality, &labels);
        for (at, (member, labels)) in meeting.into_iter().zip(labels).enumerate() {
            let values = &mut member.series.values;
            let own = if is_last { std::mem::take(values) } else { values.clone() };
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
            self.share.add(member.place, self.plan, labels, values);
        }
    }

    fn labels(&self, many: &LabelSet, side: &OneSide<'_>) -> LabelSet {
        match side.labels {
            Some(one) => self.plan.labels.of(many, one),
            None => self.plan.labels.of(many, &self.plan.key.labels(many)),
        }
    }
}

/// Adds the results of a series of the "one" side with the value that fills in for the "many" side
/// where nothing matched.
fn fill_in(
    plan: &Plan<'_>,
    one: &Member<&Series>,
    value: f64,
    matched: &[bool],
    share: &mut Share,
) {
    let mut wanted = vec![false; plan.steps];
    mark_present(&one.series.values, &mut wanted, true);
    let mut own = StepColumn::absent(plan.steps);
    for step in 0..plan.steps {
        if wanted[step] && !matched[step] {
            own.set_float(step, value);
        }
    }
    let place = plan.many.saturating_add(one.place);
    let notes = &mut share.notes;
    let mut watcher = Watcher { place, notes, matched: None, taken: None, conflict: None };
    let values = plan.rule.combine(own, &one.series.values, &mut watcher);
    let labels = plan.labels.of(&plan.key.labels(&one.series.labels), &one.series.labels);
    share.add(place, plan, labels, values);
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
