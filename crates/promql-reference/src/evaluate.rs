//! Walks the tree of a query: the value of an expression at a list of times.

use siltstone_promql::LabelSet;
use siltstone_promql::ast::{Aggregate, AggregateOp, Ast, Binary, ExprId, ExprKind, UnaryOp};
use siltstone_promql::functions::Function;

use crate::aggregate::{Parameter, aggregate, check_numbers};
use crate::rounding::Rounding;
use crate::value::{Answer, Failure, SAME_LABELS, Sample, Series, Value, is_metric_label};
use crate::{binary, labels};

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

/// One evaluation.
pub(crate) struct Evaluator<'a> {
    pub(crate) ast: &'a Ast,
    pub(crate) series: &'a [Series],
    pub(crate) settings: Settings,
    /// The times of the query: the first, the last, and their distance or 0.
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) step: i64,
    pub(crate) rounding: Rounding,
    /// Whether the language has left open what the answer is.
    is_open: bool,
}

impl Evaluator<'_> {
    /// The value of an expression at each of `times`.
    pub(crate) fn value(&mut self, id: ExprId, times: &[i64]) -> Result<Value, Failure> {
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
}

pub(crate) fn vectors(value: Value) -> Result<Vec<Vec<Sample>>, Failure> {
    match value {
        Value::Vector(vectors) => Ok(vectors),
        // A subquery of a scalar is refused by the type checker.
        _ => Err(Failure::Unsupported),
    }
}

/// `f` of each value and the number of its time; what is computed has no name.
pub(crate) fn map(vectors: Vec<Vec<Sample>>, f: impl Fn(usize, f64) -> Option<f64>) -> Value {
    let of_vector = |(at, vector): (usize, Vec<Sample>)| {
        let of_sample = |sample: Sample| {
            Some(Sample { value: f(at, sample.value)?, drop_name: true, ..sample })
        };
        vector.into_iter().filter_map(of_sample).collect()
    };
    Value::Vector(vectors.into_iter().enumerate().map(of_vector).collect())
}

pub(crate) fn plain(value: f64) -> Sample {
    Sample { labels: LabelSet::default(), drop_name: false, value }
}

pub(crate) fn drop_name(sample: &mut Sample) {
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

pub(crate) fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |largest, value| f64::max(largest, value.abs()))
}
