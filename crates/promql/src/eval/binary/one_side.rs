//! What the series of the "many" side of a group find at each step: one series of the "one" side,
//! or the value that fills in for it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use crate::query_error::QueryError;
use crate::value::{LabelSet, Series, StepColumn, is_absent};

use super::costs::Costs;
use super::join::Member;
use super::match_error::MatchError;

/// A column to match with.
#[derive(Debug)]
pub(super) struct OneSide<'a> {
    /// The labels that the result may copy; `None` where a value fills in, which has those labels
    /// of its match that count.
    pub(super) labels: Option<&'a LabelSet>,
    pub(super) values: Cow<'a, StepColumn>,
    /// All steps with a value are in here.
    steps: Range<usize>,
}

impl OneSide<'_> {
    /// How many steps [`OneSide::meets`] looks at.
    pub(super) fn extent(&self) -> usize {
        self.steps.len()
    }

    /// Whether the series has a value at some step of this side.
    pub(super) fn meets(&self, series: &StepColumn) -> bool {
        self.steps.clone().any(|step| self.values.is_present(step) && series.is_present(step))
    }
}

/// The sides that the series of one signature make: one for all that agree in the labels `include`,
/// since the result of a pair depends on these only. At each step at most one side has a value,
/// because two series of a signature with values at one step are an error. Returns the bytes, too,
/// that `costs` holds for the sides.
pub(super) fn sides<'a>(
    one: &[Member<&'a Series>],
    include: &[String],
    costs: &mut Costs<'_>,
) -> Result<(Vec<OneSide<'a>>, usize), QueryError> {
    if let [only] = one {
        return Ok((vec![side(only.series)], 0));
    }
    let mut bytes = 0;
    let mut sides: Vec<OneSide<'a>> = Vec::new();
    let mut places: HashMap<Vec<&str>, usize> = HashMap::new();
    for Member { series, .. } in one {
        costs.tick(series.values.steps())?;
        let copied: Vec<&str> = include.iter().map(|name| series.labels.get(name)).collect();
        let place = *places.entry(copied).or_insert(sides.len());
        let other = side(series);
        match sides.get_mut(place) {
            Some(known) => {
                if matches!(known.values, Cow::Borrowed(_)) {
                    costs.hold(known.values.heap_bytes())?;
                    bytes += known.values.heap_bytes();
                }
                add(known.values.to_mut(), &series.values);
                let start = known.steps.start.min(other.steps.start);
                known.steps = start..known.steps.end.max(other.steps.end);
            }
            None => sides.push(other),
        }
    }
    Ok((sides, bytes))
}

fn side(series: &Series) -> OneSide<'_> {
    let (labels, values) = (Some(&series.labels), Cow::Borrowed(&series.values));
    OneSide { labels, values, steps: extent(&series.values) }
}

/// The side of `value` at all steps at which no series of the signature has one; `None` if there are
/// no such steps.
pub(super) fn filled(
    one: &[Member<&Series>],
    value: f64,
    steps: usize,
) -> Option<OneSide<'static>> {
    let mut values = StepColumn::absent(steps);
    let mut missing = vec![true; steps];
    one.iter().for_each(|member| mark_present(&member.series.values, &mut missing, false));
    for (step, _) in missing.iter().enumerate().filter(|(_, missing)| **missing) {
        values.set_float(step, value);
    }
    let is_needed = missing.contains(&true);
    is_needed.then_some(OneSide { labels: None, values: Cow::Owned(values), steps: 0..steps })
}

/// Sets the mark of each step at which the column has a value.
pub(super) fn mark_present(column: &StepColumn, marks: &mut [bool], mark: bool) {
    for (own, value) in marks.iter_mut().zip(column.floats()) {
        if !is_absent(*value) {
            *own = mark;
        }
    }
    for (step, _) in column.histograms() {
        marks[*step as usize] = mark;
    }
}

/// The first step at which two series of a signature have values, and which those are: an error,
/// if `matters` at that step.
pub(super) fn duplicate(
    one: &[Member<&Series>],
    steps: usize,
    matters: impl Fn(usize) -> bool,
    costs: &mut Costs<'_>,
) -> Result<Option<MatchError>, QueryError> {
    let bytes = steps.saturating_mul(size_of::<Option<usize>>());
    costs.hold(bytes)?;
    let mut owners: Vec<Option<usize>> = vec![None; steps];
    let mut found: Option<(usize, usize, usize)> = None;
    for (at, Member { series, .. }) in one.iter().enumerate() {
        costs.tick(steps)?;
        for (step, _) in series.values.iter() {
            match owners[step] {
                None => owners[step] = Some(at),
                Some(other) => {
                    if found.is_none_or(|(earliest, ..)| step < earliest) && matters(step) {
                        found = Some((step, other, at));
                    }
                }
            }
        }
    }
    drop(owners);
    costs.give_back(bytes);
    let Some((step, first, second)) = found else { return Ok(None) };
    let labels = |at: usize| one[at].series.labels.clone();
    let place = one[second].place;
    Ok(Some(MatchError::duplicate(step, place, [labels(first), labels(second)])))
}

/// From the first step with a value to behind the last.
fn extent(column: &StepColumn) -> Range<usize> {
    let floats = column.floats();
    let present = |value: &f64| !is_absent(*value);
    let first_float = floats.iter().position(present).unwrap_or(floats.len());
    let last_float = floats.iter().rposition(present).map_or(0, |last| last + 1);
    let histograms = column.histograms();
    let first = histograms.first().map_or(first_float, |(step, _)| *step as usize);
    let last = histograms.last().map_or(last_float, |(step, _)| *step as usize + 1);
    first.min(first_float)..last.max(last_float)
}

/// Adds the values of another series of the signature, which are at other steps (or else there is an
/// error, and no result).
fn add(own: &mut StepColumn, other: &StepColumn) {
    let taken: Vec<bool> = (0..own.steps()).map(|step| own.is_present(step)).collect();
    for (step, own) in own.floats_mut().iter_mut().enumerate().filter(|(step, _)| !taken[*step]) {
        *own = other.floats()[step];
    }
    let histograms = own.histograms_mut();
    let free = |step: &u32| !taken[*step as usize];
    histograms.extend(other.histograms().iter().filter(|(step, _)| free(step)).cloned());
    histograms.sort_by_key(|(step, _)| *step);
}
