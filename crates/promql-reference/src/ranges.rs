//! Selectors, subqueries, and functions of range vectors.

use siltstone_promql::LabelSet;
use siltstone_promql::ast::{
    At, ExprId, ExprKind, Length, RangeMode, Selector, Subquery, TimeShift,
};
use siltstone_promql::functions::Function;

use crate::evaluate::{Evaluator, drop_name, largest, plain, vectors};
use crate::labels;
use crate::value::{Failure, SAME_LABELS, Sample, Series, Value};
use crate::window::{Window, over_window};

/// The bits of the value that says that a series has ended. All other NaNs are values.
const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;

/// Series with all their samples, and the window of each time: after its start, up to its end.
struct RangeVector {
    series: Vec<(Sample, Vec<(i64, f64)>)>,
    windows: Vec<(i64, i64)>,
}

impl Evaluator<'_> {
    /// The time that a selector or subquery looks at.
    fn shifted(&self, shift: &TimeShift, time: i64) -> Result<i64, Failure> {
        let at = match shift.at {
            None => time,
            Some(At::Time(fixed)) => fixed,
            Some(At::Start) => self.start,
            Some(At::End) => self.end,
        };
        Ok(at - shift.offset.as_ref().map_or(Ok(0), length)?)
    }

    /// The newest sample of each series, if it is young enough and no stale marker.
    pub(crate) fn instant(
        &self,
        selector: &Selector,
        time: i64,
        value: impl Fn(&(i64, f64)) -> f64,
    ) -> Result<Vec<Sample>, Failure> {
        let end = self.shifted(&selector.shift, time)?;
        let mut vector = Vec::new();
        for series in self.selected(selector)? {
            let newest = series.samples.iter().filter(|(t, _)| *t <= end).max_by_key(|(t, _)| *t);
            let Some(newest) = newest else { continue };
            if newest.0 > end - self.settings.lookback && newest.1.to_bits() != STALE_MARKER {
                let labels = series.labels.clone();
                vector.push(Sample { labels, drop_name: false, value: value(newest) });
            }
        }
        Ok(vector)
    }

    fn selected(&self, selector: &Selector) -> Result<Vec<&Series>, Failure> {
        if selector.mode != RangeMode::Inside {
            return Err(Failure::Unsupported);
        }
        let matches = |series: &&Series| {
            selector
                .matchers
                .iter()
                .all(|matcher| matcher.matches(series.labels.get(matcher.name())))
        };
        Ok(self.series.iter().filter(matches).collect())
    }

    /// The range vector as the answer of an instant query.
    pub(crate) fn samples_of_root(
        &mut self,
        id: ExprId,
        times: &[i64],
    ) -> Result<Vec<Series>, Failure> {
        let range = self.range_vector(id, times)?;
        let mut all = Vec::new();
        for (mut sample, samples) in range.series {
            let (start, end) = range.windows[0];
            let inside: Vec<_> =
                samples.into_iter().filter(|(t, _)| *t > start && *t <= end).collect();
            if !inside.is_empty() {
                drop_name(&mut sample);
                all.push(Series { labels: sample.labels, samples: inside });
            }
        }
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        if all.windows(2).any(|pair| pair[0].labels == pair[1].labels) {
            return Err(SAME_LABELS);
        }
        Ok(all)
    }

    fn range_vector(&mut self, id: ExprId, times: &[i64]) -> Result<RangeVector, Failure> {
        let ast = self.ast;
        match &ast.get(ast.without_parens(id)).kind {
            ExprKind::Range { selector, range } => {
                let ExprKind::Selector(selector) = &ast.get(*selector).kind else {
                    return Err(Failure::Unsupported);
                };
                let windows = self.windows(&selector.shift, range, times)?;
                let series = self.selected(selector)?.into_iter().map(|series| {
                    let sample =
                        Sample { labels: series.labels.clone(), drop_name: false, value: 0.0 };
                    let fresh = |s: &&(i64, f64)| s.1.to_bits() != STALE_MARKER;
                    (sample, series.samples.iter().filter(fresh).copied().collect())
                });
                Ok(RangeVector { series: series.collect(), windows })
            }
            ExprKind::Subquery(subquery) => self.subquery(subquery, times),
            _ => Err(Failure::Unsupported),
        }
    }

    fn windows(
        &self,
        shift: &TimeShift,
        range: &Length,
        times: &[i64],
    ) -> Result<Vec<(i64, i64)>, Failure> {
        let range = length(range)?;
        let window = |time: &i64| self.shifted(shift, *time).map(|end| (end - range, end));
        times.iter().map(window).collect()
    }

    /// The operand at all multiples of the step in the windows, as series.
    fn subquery(&mut self, subquery: &Subquery, times: &[i64]) -> Result<RangeVector, Failure> {
        let windows = self.windows(&subquery.shift, &subquery.range, times)?;
        let step = subquery.step.as_ref().map_or(Ok(self.settings.subquery_step), length)?;
        let mut inner: Vec<i64> = Vec::new();
        if let (Some((start, _)), Some((_, end))) = (windows.first(), windows.last()) {
            let numbers = start.div_euclid(step) + 1..=end.div_euclid(step);
            inner.extend(numbers.map(|number| number * step));
        }
        let mut series: Vec<(Sample, Vec<(i64, f64)>)> = Vec::new();
        for (time, vector) in inner.iter().zip(vectors(self.value(subquery.operand, &inner)?)?) {
            // Of two samples with the same labels at one time, each goes to a series of its own.
            for sample in vector {
                let found = series.iter_mut().find(|(known, samples)| {
                    known.labels == sample.labels
                        && samples.last().is_none_or(|(last, _)| last != time)
                });
                let point = (*time, sample.value);
                match found {
                    Some((_, samples)) => samples.push(point),
                    None => series.push((sample, vec![point])),
                }
            }
        }
        series.sort_by(|a, b| a.0.labels.cmp(&b.0.labels));
        Ok(RangeVector { series, windows })
    }

    /// A function of a range vector, at each step for the samples in its window.
    pub(crate) fn range_function(
        &mut self,
        function: Function,
        arguments: &[ExprId],
        range: ExprId,
        times: &[i64],
    ) -> Result<Value, Failure> {
        use Function as F;
        let mut parameters: Vec<Vec<f64>> = Vec::new();
        for argument in arguments.iter().filter(|argument| **argument != range) {
            match self.value(*argument, times)? {
                Value::Scalar(numbers) => parameters.push(numbers),
                _ => return Err(Failure::Unsupported),
            }
        }
        let range_vector = self.range_vector(range, times)?;
        let keeps_name = matches!(function, F::LastOverTime | F::FirstOverTime);
        let called = if function == F::AbsentOverTime { F::PresentOverTime } else { function };
        let mut results: Vec<Vec<Sample>> = vec![Vec::new(); times.len()];
        let mut labels_seen: Vec<LabelSet> = Vec::new();
        for (series, samples) in &range_vector.series {
            let mut result = series.clone();
            result.drop_name |= !keeps_name;
            if !self.settings.delayed_names && function != F::AbsentOverTime {
                drop_name(&mut result);
            }
            let mut has_values = false;
            for (at, (start, end)) in range_vector.windows.iter().enumerate() {
                let inside: Vec<(i64, f64)> =
                    samples.iter().filter(|(t, _)| t > start && t <= end).copied().collect();
                let parameters: Vec<f64> = parameters.iter().map(|numbers| numbers[at]).collect();
                if function == F::DoubleExponentialSmoothing && !inside.is_empty() {
                    check_factors(&parameters)?;
                }
                let window = Window {
                    start: *start,
                    end: *end,
                    time: times[at],
                    samples: &inside,
                    parameters: &parameters,
                };
                if let Some(mut value) = over_window(called, &window) {
                    if subtracts(function) {
                        value = self.rounding.moved_by(value, largest(inside.iter().map(|s| s.1)));
                    }
                    results[at].push(Sample { value, ..result.clone() });
                    has_values = true;
                }
            }
            // Two series may not even take turns.
            let is_known = labels_seen.contains(&result.labels);
            if has_values && is_known && !self.settings.delayed_names {
                return Err(SAME_LABELS);
            }
            labels_seen.extend(has_values.then_some(result.labels));
        }
        if function == F::AbsentOverTime {
            let labels = self.labels_of_absent(range);
            return Ok(absent(results.iter().map(|vector| !vector.is_empty()), &labels));
        }
        Ok(Value::Vector(results))
    }

    /// The labels of `absent(argument)`: only a selector itself has any.
    pub(crate) fn labels_of_absent(&self, argument: ExprId) -> LabelSet {
        let kind = match &self.ast.get(self.ast.without_parens(argument)).kind {
            ExprKind::Range { selector, .. } => &self.ast.get(*selector).kind,
            kind => kind,
        };
        match kind {
            ExprKind::Selector(selector) => labels::of_absent(selector),
            _ => LabelSet::default(),
        }
    }
}

fn length(length: &Length) -> Result<i64, Failure> {
    match length {
        Length::Fixed(milliseconds) => Ok(*milliseconds),
        Length::Expression(_) => Err(Failure::Unsupported),
    }
}

pub(crate) fn absent(present: impl Iterator<Item = bool>, labels: &LabelSet) -> Value {
    let one = Sample { labels: labels.clone(), ..plain(1.0) };
    Value::Vector(present.map(|present| if present { vec![] } else { vec![one.clone()] }).collect())
}

/// Whether the function subtracts sums, so that little may be left of many digits.
fn subtracts(function: Function) -> bool {
    use Function as F;
    matches!(function, F::Deriv | F::PredictLinear | F::StddevOverTime | F::StdvarOverTime)
}

fn check_factors(factors: &[f64]) -> Result<(), Failure> {
    match factors.iter().any(|factor| *factor <= 0.0 || *factor >= 1.0) {
        true => Err(Failure::Forbidden("invalid smoothing or trend factor")),
        false => Ok(()),
    }
}
