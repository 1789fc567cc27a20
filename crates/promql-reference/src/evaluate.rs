//! Walks the tree of a query: the value of an expression at a list of times.

use siltstone_promql::LabelSet;
use siltstone_promql::ast::{
    Aggregate, AggregateOp, Ast, At, Binary, ExprId, ExprKind, Length, RangeMode, Selector,
    Subquery, TimeShift, UnaryOp, ValueType,
};
use siltstone_promql::functions::Function;

use crate::aggregate::{Parameter, aggregate, check_numbers};
use crate::rounding::Rounding;
use crate::value::{Answer, Failure, SAME_LABELS, Sample, Series, Value, is_metric_label};
use crate::window::{Window, over_window, seconds};
use crate::{binary, histogram, labels, math};

/// The bits of the value that says that a series has ended. All other NaNs are values.
const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;

/// The times of a query, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// An instant query.
    Instant(i64),
    /// `start`, `start + step`, ... up to `end`.
    Range {
        /// The first time.
        start: i64,
        /// No time is behind it; not before `start`.
        end: i64,
        /// The distance; at least 1.
        step: i64,
    },
}

/// What an answer depends on besides query, times and series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// How old the sample of an instant lookup may be, in milliseconds.
    pub lookback: i64,
    /// The step of subqueries that have none, in milliseconds.
    pub subquery_step: i64,
    /// Whether names go at the end of the evaluation, instead of at once.
    pub delayed_names: bool,
    /// By how much, relatively, roundings are exaggerated; 0 for not at all.
    pub rounding: f64,
}

/// The value of `ast` over `series`, which are in the order of their labels.
///
/// # Errors
/// [`Failure`] says why there is none.
pub fn evaluate(
    ast: &Ast,
    series: &[Series],
    times: Times,
    settings: Settings,
) -> Result<Answer, Failure> {
    let (start, end, step, at) = match times {
        Times::Instant(time) => (time, time, 0, vec![time]),
        Times::Range { start, end, step } => {
            let count = (end - start) / step;
            (start, end, step, (0..=count).map(|at| start + at * step).collect())
        }
    };
    let rounding = Rounding::new(settings.rounding);
    let mut evaluator =
        Evaluator { ast, series, settings, start, end, step, rounding, is_open: false };
    let mut value = evaluator.value(ast.root(), &at)?;
    if let Value::Vector(vectors) = &mut value {
        vectors.iter_mut().flatten().for_each(drop_name);
        check_labels(vectors)?;
    }
    Ok(Answer { value, times: at, is_open: evaluator.is_open })
}

struct Evaluator<'a> {
    ast: &'a Ast,
    series: &'a [Series],
    settings: Settings,
    start: i64,
    end: i64,
    step: i64,
    rounding: Rounding,
    is_open: bool,
}

impl Evaluator<'_> {
    fn value(&mut self, id: ExprId, times: &[i64]) -> Result<Value, Failure> {
        let ast = self.ast;
        let expression = ast.get(id);
        let value = match &expression.kind {
            ExprKind::Number { value, .. } => Value::Scalar(vec![*value; times.len()]),
            ExprKind::String(text) => Value::Text(text.to_vec()),
            ExprKind::Paren(inner) | ExprKind::Unary { op: UnaryOp::Plus, operand: inner } => {
                return self.value(*inner, times);
            }
            ExprKind::Unary { op: UnaryOp::Minus, operand } => match self.value(*operand, times)? {
                Value::Scalar(numbers) => Value::Scalar(numbers.iter().map(|x| -x).collect()),
                other => map(vectors(other)?, |_, x| Some(-x)),
            },
            ExprKind::Binary(binary) => self.binary(binary, times)?,
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate, times)?,
            ExprKind::Call { function, arguments } => self.call(*function, arguments, times)?,
            ExprKind::Selector(selector) => {
                let at = |time| self.instant(selector, time, |sample| sample.1);
                Value::Vector(times.iter().map(|time| at(*time)).collect::<Result<_, _>>()?)
            }
            ExprKind::Range { .. } | ExprKind::Subquery(_) => {
                return Ok(Value::Matrix(self.samples_of_root(id, times)?));
            }
        };
        self.settled(value, &expression.kind, times)
    }

    /// Drops names where they go at once, and refuses vectors with two series of the same labels. In
    /// an instant query with names that go at the end, that is checked at the end only, and where
    /// labels change.
    fn settled(
        &mut self,
        mut value: Value,
        kind: &ExprKind,
        times: &[i64],
    ) -> Result<Value, Failure> {
        match &mut value {
            Value::Vector(vectors) => {
                for sample in vectors.iter_mut().flatten() {
                    sample.value = self.rounding.moved(sample.value);
                    if !self.settings.delayed_names {
                        drop_name(sample);
                    }
                }
                if !self.settings.delayed_names || times.len() > 1 || changes_labels(kind) {
                    check_labels(vectors)?;
                }
                self.is_open |= flags_differ(vectors);
            }
            Value::Scalar(numbers) => {
                numbers.iter_mut().for_each(|number| *number = self.rounding.moved(*number));
            }
            _ => {}
        }
        Ok(value)
    }

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
    fn instant(
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
    fn samples_of_root(&mut self, id: ExprId, times: &[i64]) -> Result<Vec<Series>, Failure> {
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
        let ends = windows.first().zip(windows.last());
        let numbers = ends.map_or(0..=-1, |((start, _), (_, end))| {
            start.div_euclid(step) + 1..=end.div_euclid(step)
        });
        let inner: Vec<i64> = numbers.map(|number| number * step).collect();
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

    fn binary(&mut self, operator: &Binary, times: &[i64]) -> Result<Value, Failure> {
        let left = self.value(operator.left, times)?;
        let right = self.value(operator.right, times)?;
        let delayed = self.settings.delayed_names;
        let op = operator.op;
        Ok(match (left, right, &operator.matching) {
            (Value::Scalar(left), Value::Scalar(right), _) => {
                let number = |(l, r): (&f64, &f64)| {
                    Ok(match binary::of_numbers(op, *l, *r)? {
                        binary::Outcome::Number(number) => number,
                        binary::Outcome::Holds(holds) => f64::from(holds),
                    })
                };
                Value::Scalar(left.iter().zip(&right).map(number).collect::<Result<_, _>>()?)
            }
            (Value::Vector(left), Value::Vector(right), Some(matching)) => {
                let sides = left.into_iter().zip(right);
                let both = |(left, right)| match op.is_set_operator() {
                    true => Ok(binary::sets(op, &matching.labels, left, right)),
                    false => binary::vector_vector(operator, matching, left, right, delayed),
                };
                Value::Vector(sides.map(both).collect::<Result<_, _>>()?)
            }
            (Value::Vector(vectors), Value::Scalar(numbers), _) => {
                let sides = vectors.into_iter().zip(numbers);
                let both = |(vector, number)| binary::vector_scalar(operator, vector, number, true);
                Value::Vector(sides.map(both).collect::<Result<_, _>>()?)
            }
            (Value::Scalar(numbers), Value::Vector(vectors), _) => {
                let sides = vectors.into_iter().zip(numbers);
                let both =
                    |(vector, number)| binary::vector_scalar(operator, vector, number, false);
                Value::Vector(sides.map(both).collect::<Result<_, _>>()?)
            }
            _ => return Err(Failure::Unsupported),
        })
    }

    fn aggregate(&mut self, call: &Aggregate, times: &[i64]) -> Result<Value, Failure> {
        let parameters: Vec<Parameter> = match call.parameter {
            None => times.iter().map(|_| Parameter::None).collect(),
            Some(id) => match self.value(id, times)? {
                Value::Scalar(numbers) => {
                    check_numbers(call.op, &numbers)?;
                    numbers.into_iter().map(Parameter::Number).collect()
                }
                Value::Text(text) => {
                    labels::label_name(&text)?;
                    times.iter().map(|_| Parameter::Label(text.clone())).collect()
                }
                _ => return Err(Failure::Unsupported),
            },
        };
        let operand = vectors(self.value(call.operand, times)?)?;
        let in_order = self.is_in_order(call.operand);
        let mut results = Vec::new();
        for (vector, parameter) in operand.into_iter().zip(&parameters) {
            let before = vector.len();
            let scale = largest(vector.iter().map(|sample| sample.value));
            let mut result = aggregate(call.op, &call.grouping, parameter, vector)?;
            let cuts = call.op == AggregateOp::Limitk && result.samples.len() < before;
            self.is_open |= result.is_open || (cuts && !in_order);
            if matches!(call.op, AggregateOp::Stddev | AggregateOp::Stdvar) {
                for sample in &mut result.samples {
                    sample.value = self.rounding.moved_by(sample.value, scale);
                }
            }
            results.push(result.samples);
        }
        Ok(Value::Vector(results))
    }

    /// Whether the series of a vector are in the order of their labels: it is made of a selector by
    /// functions of single series. The order of other vectors is left open.
    fn is_in_order(&self, id: ExprId) -> bool {
        let mut id = id;
        loop {
            id = match &self.ast.get(id).kind {
                ExprKind::Selector(_) => return true,
                ExprKind::Paren(inner) | ExprKind::Unary { operand: inner, .. } => *inner,
                ExprKind::Call { function, arguments } => match function {
                    Function::LabelReplace | Function::LabelJoin => return false,
                    _ => match arguments.first() {
                        Some(first) => *first,
                        None => return false,
                    },
                },
                ExprKind::Range { selector, .. } => *selector,
                _ => return false,
            }
        }
    }

    fn call(
        &mut self,
        function: Function,
        arguments: &[ExprId],
        times: &[i64],
    ) -> Result<Value, Failure> {
        use Function as F;
        let ast = self.ast;
        let is_range = |a: &&ExprId| ast.get(**a).value_type == ValueType::Matrix;
        if let Some(range) = arguments.iter().find(is_range) {
            return self.range_function(function, arguments, *range, times);
        }
        if arguments.is_empty() {
            return self.of_times(function, times);
        }
        let first = ast.without_parens(arguments[0]);
        if let (F::Timestamp, ExprKind::Selector(selector)) = (function, &ast.get(first).kind) {
            let at = |time: &i64| self.instant(selector, *time, |sample| seconds(sample.0));
            let vectors = times.iter().map(at).collect::<Result<Vec<_>, _>>()?;
            return Ok(map(vectors, |_, x| Some(x)));
        }
        let mut values = Vec::new();
        for argument in arguments {
            values.push(self.value(*argument, times)?);
        }
        let numbers = |at: usize| match values.get(at) {
            Some(Value::Scalar(numbers)) => Ok(numbers.clone()),
            _ => Err(Failure::Unsupported),
        };
        let operand = || match &values[0] {
            Value::Vector(vectors) => Ok(vectors.clone()),
            _ => Err(Failure::Unsupported),
        };
        Ok(match function {
            F::Scalar => {
                Value::Scalar(operand()?.iter().map(|vector| sole_value(vector)).collect())
            }
            F::Vector => {
                Value::Vector(numbers(0)?.into_iter().map(|value| vec![plain(value)]).collect())
            }
            F::MinOf | F::MaxOf => {
                let choose = if function == F::MinOf { math::min } else { math::max };
                let (left, right) = (numbers(0)?, numbers(1)?);
                Value::Scalar(left.iter().zip(&right).map(|(a, b)| choose(*a, *b)).collect())
            }
            F::Absent => {
                let labels = self.labels_of_absent(arguments[0]);
                absent(operand()?.iter().map(|vector| !vector.is_empty()), &labels)
            }
            F::Sort | F::SortDesc | F::SortByLabel | F::SortByLabelDesc => {
                Value::Vector(operand()?)
            }
            F::LabelReplace | F::LabelJoin => {
                let apply =
                    if function == F::LabelReplace { labels::replace } else { labels::join };
                let texts: Vec<Vec<u8>> = values[1..].iter().filter_map(text).collect();
                let mut vectors = operand()?;
                // Bad texts are refused also where there is no series.
                apply(&mut [], &texts)?;
                vectors.iter_mut().try_for_each(|vector| apply(vector, &texts))?;
                Value::Vector(vectors)
            }
            F::HistogramQuantile => {
                let Value::Vector(vectors) = &values[1] else { return Err(Failure::Unsupported) };
                let quantiles = numbers(0)?.into_iter().zip(vectors);
                let at = |(q, vector): (f64, &Vec<Sample>)| histogram::quantiles(q, vector);
                Value::Vector(quantiles.map(at).collect())
            }
            F::Timestamp => map(operand()?, |at, _| Some(seconds(times[at]))),
            F::Round => {
                let to = if arguments.len() > 1 { numbers(1)? } else { vec![1.0; times.len()] };
                map(operand()?, |at, x| Some(math::round(x, to[at])))
            }
            F::Clamp => {
                let (low, high) = (numbers(1)?, numbers(2)?);
                map(operand()?, |at, x| math::clamp(x, low[at], high[at]))
            }
            F::ClampMin => {
                let low = numbers(1)?;
                map(operand()?, |at, x| Some(math::max(x, low[at])))
            }
            F::ClampMax => {
                let high = numbers(1)?;
                map(operand()?, |at, x| Some(math::min(x, high[at])))
            }
            _ => {
                let vectors = operand()?;
                let is_date = math::of_number(function, 0.0).is_some()
                    && crate::calendar::date_part(function, 0).is_some();
                if is_date && vectors.iter().flatten().any(|s| !(s.value.abs() < 1e11)) {
                    return Err(Failure::Unsupported);
                }
                if math::of_number(function, 0.0).is_none() {
                    return Err(Failure::Unsupported);
                }
                map(vectors, |_, x| math::of_number(function, x))
            }
        })
    }

    /// Functions without arguments.
    fn of_times(&self, function: Function, times: &[i64]) -> Result<Value, Failure> {
        let constant = |value| Ok(Value::Scalar(vec![value; times.len()]));
        match function {
            Function::Time => Ok(Value::Scalar(times.iter().map(|time| seconds(*time)).collect())),
            Function::Pi => constant(std::f64::consts::PI),
            Function::Start => constant(seconds(self.start)),
            Function::End => constant(seconds(self.end)),
            Function::Step => constant(seconds(self.step)),
            Function::Range => constant(seconds(self.end - self.start)),
            _ => {
                let part = |time: &i64| {
                    let part = crate::calendar::date_part(function, time / 1000);
                    part.map(|part| vec![plain(part as f64)]).ok_or(Failure::Unsupported)
                };
                Ok(Value::Vector(times.iter().map(part).collect::<Result<_, _>>()?))
            }
        }
    }

    /// A function of a range vector, at each step for the samples in its window.
    fn range_function(
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
    fn labels_of_absent(&self, argument: ExprId) -> LabelSet {
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

/// Series with all their samples, and the window of each time: after its start, up to its end.
struct RangeVector {
    series: Vec<(Sample, Vec<(i64, f64)>)>,
    windows: Vec<(i64, i64)>,
}

fn length(length: &Length) -> Result<i64, Failure> {
    match length {
        Length::Fixed(milliseconds) => Ok(*milliseconds),
        Length::Expression(_) => Err(Failure::Unsupported),
    }
}

fn vectors(value: Value) -> Result<Vec<Vec<Sample>>, Failure> {
    match value {
        Value::Vector(vectors) => Ok(vectors),
        // A subquery of a scalar is refused by the type checker.
        _ => Err(Failure::Unsupported),
    }
}

fn text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// `f` of each value and the number of its time; what is computed has no name.
fn map(vectors: Vec<Vec<Sample>>, f: impl Fn(usize, f64) -> Option<f64>) -> Value {
    let of_vector = |(at, vector): (usize, Vec<Sample>)| {
        let of_sample = |sample: Sample| {
            Some(Sample { value: f(at, sample.value)?, drop_name: true, ..sample })
        };
        vector.into_iter().filter_map(of_sample).collect()
    };
    Value::Vector(vectors.into_iter().enumerate().map(of_vector).collect())
}

fn plain(value: f64) -> Sample {
    Sample { labels: LabelSet::default(), drop_name: false, value }
}

fn sole_value(vector: &[Sample]) -> f64 {
    match vector {
        [sample] => sample.value,
        _ => f64::NAN,
    }
}

fn absent(present: impl Iterator<Item = bool>, labels: &LabelSet) -> Value {
    let one = Sample { labels: labels.clone(), ..plain(1.0) };
    Value::Vector(present.map(|present| if present { vec![] } else { vec![one.clone()] }).collect())
}

fn drop_name(sample: &mut Sample) {
    if std::mem::take(&mut sample.drop_name) {
        sample.labels = sample.labels.filter(|name| !is_metric_label(name));
    }
}

fn check_labels(vectors: &[Vec<Sample>]) -> Result<(), Failure> {
    for vector in vectors {
        let mut labels: Vec<&LabelSet> = vector.iter().map(|sample| &sample.labels).collect();
        labels.sort();
        if labels.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(SAME_LABELS);
        }
    }
    Ok(())
}

/// Whether series with the same labels keep their name at one time and lose it at another. Series are
/// made of such samples when the evaluation ends, and what then happens to the name is open.
fn flags_differ(vectors: &[Vec<Sample>]) -> bool {
    let mut all: Vec<(&LabelSet, bool)> =
        vectors.iter().flatten().map(|sample| (&sample.labels, sample.drop_name)).collect();
    all.sort();
    all.windows(2).any(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1)
}

fn changes_labels(kind: &ExprKind) -> bool {
    use Function::{LabelJoin, LabelReplace};
    matches!(kind, ExprKind::Call { function: LabelReplace | LabelJoin, .. })
}

/// Whether the function subtracts sums, so that little may be left of many digits.
fn subtracts(function: Function) -> bool {
    use Function as F;
    matches!(function, F::Deriv | F::PredictLinear | F::StddevOverTime | F::StdvarOverTime)
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |largest, value| f64::max(largest, value.abs()))
}

fn check_factors(factors: &[f64]) -> Result<(), Failure> {
    match factors.iter().any(|factor| *factor <= 0.0 || *factor >= 1.0) {
        true => Err(Failure::Forbidden("invalid smoothing or trend factor")),
        false => Ok(()),
    }
}
