//! Calls of functions that take no range vector.

use siltstone_promql::ast::{ExprId, ExprKind, ValueType};
use siltstone_promql::functions::Function;

use crate::calendar::date_part;
use crate::evaluate::{Evaluator, map, plain};
use crate::ranges::absent;
use crate::value::{Failure, Sample, Value};
use crate::window::seconds;
use crate::{histogram, labels, math};

/// The arguments of a call at each of its times.
struct Arguments<'a> {
    values: Vec<Value>,
    times: &'a [i64],
}

impl Arguments<'_> {
    /// An argument that is a scalar.
    fn numbers(&self, at: usize) -> Result<Vec<f64>, Failure> {
        match self.values.get(at) {
            Some(Value::Scalar(numbers)) => Ok(numbers.clone()),
            _ => Err(Failure::Unsupported),
        }
    }

    /// An argument that is an instant vector.
    fn vectors(&self, at: usize) -> Result<Vec<Vec<Sample>>, Failure> {
        match self.values.get(at) {
            Some(Value::Vector(vectors)) => Ok(vectors.clone()),
            _ => Err(Failure::Unsupported),
        }
    }

    /// All arguments that are texts.
    fn texts(&self) -> Vec<Vec<u8>> {
        let text = |value: &Value| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        };
        self.values.iter().filter_map(text).collect()
    }
}

impl Evaluator<'_> {
    pub(crate) fn call(
        &mut self,
        function: Function,
        arguments: &[ExprId],
        times: &[i64],
    ) -> Result<Value, Failure> {
        let ast = self.ast;
        let is_range = |a: &&ExprId| ast.get(**a).value_type == ValueType::Matrix;
        if let Some(range) = arguments.iter().find(is_range) {
            return self.range_function(function, arguments, *range, times);
        }
        if arguments.is_empty() {
            return self.of_times(function, times);
        }
        let first = &ast.get(ast.without_parens(arguments[0])).kind;
        if let (Function::Timestamp, ExprKind::Selector(selector)) = (function, first) {
            let at = |time: &i64| self.instant(selector, *time, |sample| seconds(sample.0));
            let vectors = times.iter().map(at).collect::<Result<Vec<_>, _>>()?;
            return Ok(map(vectors, |_, x| Some(x)));
        }
        let values = arguments.iter().map(|argument| self.value(*argument, times));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        if function == Function::Absent {
            let labels = self.labels_of_absent(arguments[0]);
            let Value::Vector(vectors) = &values[0] else { return Err(Failure::Unsupported) };
            return Ok(absent(vectors.iter().map(|vector| !vector.is_empty()), &labels));
        }
        of_vectors(function, &Arguments { values, times })
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
                    let part = date_part(function, time / 1000);
                    part.map(|part| vec![plain(part as f64)]).ok_or(Failure::Unsupported)
                };
                Ok(Value::Vector(times.iter().map(part).collect::<Result<_, _>>()?))
            }
        }
    }
}

/// Functions of whole vectors, and of scalars.
fn of_vectors(function: Function, arguments: &Arguments<'_>) -> Result<Value, Failure> {
    use Function as F;
    Ok(match function {
        F::Scalar => {
            let vectors = arguments.vectors(0)?;
            Value::Scalar(vectors.iter().map(|vector| sole_value(vector)).collect())
        }
        F::Vector => {
            let numbers = arguments.numbers(0)?;
            Value::Vector(numbers.into_iter().map(|value| vec![plain(value)]).collect())
        }
        F::MinOf | F::MaxOf => {
            let choose = if function == F::MinOf { math::min } else { math::max };
            let (left, right) = (arguments.numbers(0)?, arguments.numbers(1)?);
            Value::Scalar(left.iter().zip(&right).map(|(a, b)| choose(*a, *b)).collect())
        }
        // The order of series is compared by nobody.
        F::Sort | F::SortDesc | F::SortByLabel | F::SortByLabelDesc => {
            Value::Vector(arguments.vectors(0)?)
        }
        F::LabelReplace | F::LabelJoin => {
            let apply = if function == F::LabelReplace { labels::replace } else { labels::join };
            let (mut vectors, texts) = (arguments.vectors(0)?, arguments.texts());
            // Bad texts are refused also where there is no series.
            apply(&mut [], &texts)?;
            vectors.iter_mut().try_for_each(|vector| apply(vector, &texts))?;
            Value::Vector(vectors)
        }
        F::HistogramQuantile => {
            let quantiles = arguments.numbers(0)?.into_iter().zip(arguments.vectors(1)?);
            let at = |(q, vector): (f64, Vec<Sample>)| histogram::quantiles(q, &vector);
            Value::Vector(quantiles.map(at).collect())
        }
        _ => return of_samples(function, arguments),
    })
}

/// Functions of each sample.
fn of_samples(function: Function, arguments: &Arguments<'_>) -> Result<Value, Failure> {
    use Function as F;
    let vectors = arguments.vectors(0)?;
    Ok(match function {
        F::Timestamp => map(vectors, |at, _| Some(seconds(arguments.times[at]))),
        F::Round => {
            let to = match arguments.values.len() {
                1 => vec![1.0; arguments.times.len()],
                _ => arguments.numbers(1)?,
            };
            map(vectors, |at, x| Some(math::round(x, to[at])))
        }
        F::Clamp => {
            let (low, high) = (arguments.numbers(1)?, arguments.numbers(2)?);
            map(vectors, |at, x| math::clamp(x, low[at], high[at]))
        }
        F::ClampMin => {
            let low = arguments.numbers(1)?;
            map(vectors, |at, x| Some(math::max(x, low[at])))
        }
        F::ClampMax => {
            let high = arguments.numbers(1)?;
            map(vectors, |at, x| Some(math::min(x, high[at])))
        }
        _ => {
            let is_known = math::of_number(function, 0.0).is_some();
            let is_far = |sample: &Sample| sample.value.is_nan() || sample.value.abs() >= 1e11;
            let is_date = date_part(function, 0).is_some();
            if !is_known || (is_date && vectors.iter().flatten().any(is_far)) {
                return Err(Failure::Unsupported);
            }
            map(vectors, |_, x| math::of_number(function, x))
        }
    })
}

fn sole_value(vector: &[Sample]) -> f64 {
    match vector {
        [sample] => sample.value,
        _ => f64::NAN,
    }
}
