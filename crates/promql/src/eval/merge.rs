//! Series with equal labels made one.
//!
//! Removing names, types or units can leave several series of a value with equal labels. Where at
//! most one of them has a value at each step they are one series whose name changed; where two have
//! one, there is no answer. Every operator and function that changes labels ends here.

use std::collections::{HashMap, HashSet};

use crate::query_error::QueryError;
use crate::value::{LabelSet, Series, StepColumn, is_absent};

/// Makes one series of those with equal labels, at the place of the first of them. The series has
/// the `drop_name` of the one whose values begin earliest.
///
/// Costs a table of one entry a series, and nothing more where all labels differ.
///
/// # Errors
/// [`QueryError::Execution`] if two series with equal labels have values at one step.
pub(crate) fn merge_same_labels(series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    merge(series).map_err(|_| same_labels_error())
}

/// The error of two series with equal labels.
pub(crate) fn same_labels_error() -> QueryError {
    QueryError::execution("vector cannot contain metrics with the same labelset")
}

/// Two series with equal labels have values at this step, and none at an earlier one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overlap {
    pub(super) step: usize,
}

/// [`merge_same_labels`], with the earliest step of an overlap.
pub(super) fn merge(series: Vec<Series>) -> Result<Vec<Series>, Overlap> {
    if all_differ(&series) {
        return Ok(series);
    }
    let mut places: HashMap<LabelSet, usize> = HashMap::with_capacity(series.len());
    let mut merged: Vec<Series> = Vec::with_capacity(series.len());
    let mut overlap: Option<usize> = None;
    for one in series {
        let place = *places.entry(one.labels.clone()).or_insert(merged.len());
        match merged.get_mut(place) {
            None => merged.push(one),
            Some(first) => {
                if let Some(step) = absorb(first, one) {
                    overlap = Some(overlap.map_or(step, |earliest| earliest.min(step)));
                }
            }
        }
    }
    overlap.map_or(Ok(merged), |step| Err(Overlap { step }))
}

pub(super) fn all_differ(series: &[Series]) -> bool {
    let mut seen = HashSet::with_capacity(series.len());
    series.iter().all(|one| seen.insert(one.labels.encoded()))
}

/// Moves the values of `other` to `target`. Returns the earliest step at which both have one.
fn absorb(target: &mut Series, other: Series) -> Option<usize> {
    let begins = |column: &StepColumn| column.iter().next().map_or(usize::MAX, |(step, _)| step);
    if begins(&other.values) < begins(&target.values) {
        target.drop_name = other.drop_name;
    }
    let overlap = (0..other.values.steps())
        .find(|step| other.values.is_present(*step) && target.values.is_present(*step));
    for (own, value) in target.values.floats_mut().iter_mut().zip(other.values.floats()) {
        if !is_absent(*value) {
            *own = *value;
        }
    }
    let histograms = target.values.histograms_mut();
    histograms.extend(other.values.histograms().iter().cloned());
    histograms.sort_by_key(|(step, _)| *step);
    overlap
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::histogram::{Histogram, HistogramParts};
    use crate::value::{ABSENT, Point};

    fn series(name: &str, drop_name: bool, floats: &[f64]) -> Series {
        let values = StepColumn::from_floats(floats.to_vec());
        Series { labels: LabelSet::from_pairs([("name", name)]), drop_name, values }
    }

    fn histogram_of(count: f64) -> Arc<Histogram> {
        let parts = HistogramParts { count, ..HistogramParts::default() };
        Arc::new(parts.try_into().unwrap())
    }

    fn text(series: &[Series]) -> Vec<String> {
        let points = |s: &Series| {
            let point = |(step, point): (usize, Point)| match point {
                Point::Float(value) => format!(" {step}:{value}"),
                Point::Histogram(h) => format!(" {step}:h{}", h.count),
            };
            s.values.iter().map(point).collect::<String>()
        };
        series.iter().map(|s| format!("{}{}{}", s.labels, s.drop_name, points(s))).collect()
    }

    #[test]
    fn series_that_take_turns_are_one() {
        let mut histogram = series("a", false, &[ABSENT, ABSENT, ABSENT]);
        histogram.values.push_histogram(1, histogram_of(7.0));
        let merged = merge_same_labels(vec![
            series("a", false, &[ABSENT, ABSENT, 3.0]),
            series("b", false, &[5.0, 5.0, 5.0]),
            series("a", true, &[1.0, ABSENT, ABSENT]),
            histogram,
        ]);
        let expected = [r#"{name="a"}true 0:1 1:h7 2:3"#, r#"{name="b"}false 0:5 1:5 2:5"#];
        assert_eq!(text(&merged.unwrap()), expected);
    }

    #[test]
    fn series_at_one_step_are_an_error_at_the_earliest() {
        let late =
            [series("a", false, &[1.0, 1.0, 1.0]), series("a", false, &[ABSENT, ABSENT, 1.0])];
        let early = [series("b", false, &[1.0, 1.0]), series("b", false, &[ABSENT, 1.0])];
        let all: Vec<Series> = late.into_iter().chain(early).collect();
        assert_eq!(merge(all.clone()).unwrap_err(), Overlap { step: 1 });
        let error = merge_same_labels(all).unwrap_err().to_string();
        assert_eq!(error, "vector cannot contain metrics with the same labelset");
    }

    #[test]
    fn a_float_and_a_histogram_at_one_step_are_an_error() {
        let mut histogram = series("a", false, &[ABSENT, ABSENT]);
        histogram.values.push_histogram(1, histogram_of(1.0));
        let float = series("a", false, &[ABSENT, 1.0]);
        let overlap = Overlap { step: 1 };
        assert_eq!(merge(vec![float.clone(), histogram.clone()]).unwrap_err(), overlap);
        assert_eq!(merge(vec![histogram, float]).unwrap_err(), overlap);
    }

    #[test]
    fn different_series_stay_as_they_are() {
        let all = vec![series("b", true, &[1.0]), series("a", false, &[2.0])];
        assert_eq!(text(&merge_same_labels(all.clone()).unwrap()), text(&all));
    }
}
