//! Lengths of time: the values of duration expressions.

use crate::ast::{BinaryOp, DurationExpr, DurationOp, ExprId, Length};
use crate::eval::vector::{go_max, go_min};
use crate::query_error::QueryError;

/// What `step()` and `range()` stand for in duration expressions, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct LengthContext {
    pub(super) step: i64,
    pub(super) range: i64,
}

impl LengthContext {
    /// The length of a window or the step of a subquery, in milliseconds: 0 for less than one, else
    /// at least 1.
    pub(super) fn positive(&self, length: &Length) -> Result<i64, QueryError> {
        match length {
            Length::Fixed(milliseconds) => Ok(*milliseconds),
            Length::Expression(expression) => {
                let seconds = self.seconds(expression)?;
                let root = last(expression);
                if !seconds.is_nan() && seconds <= 0.0 {
                    return Err(refused(expression, root, "duration must be greater than 0"));
                }
                milliseconds(expression, seconds)
            }
        }
    }

    /// An offset in milliseconds, of any sign; 0 where there is none.
    pub(super) fn offset(&self, length: Option<&Length>) -> Result<i64, QueryError> {
        match length {
            None => Ok(0),
            Some(Length::Fixed(milliseconds)) => Ok(*milliseconds),
            Some(Length::Expression(expression)) => {
                milliseconds(expression, self.seconds(expression)?)
            }
        }
    }

    fn seconds(&self, expression: &DurationExpr) -> Result<f64, QueryError> {
        let mut values: Vec<f64> = Vec::with_capacity(expression.nodes().len());
        for (node, id) in expression.nodes().iter().zip((0..).map(ExprId)) {
            let of = |id: ExprId| values[id.index()];
            let value = match node.op {
                DurationOp::Number { seconds, .. } => seconds,
                DurationOp::Step => self.step as f64 / 1000.0,
                DurationOp::Range => self.range as f64 / 1000.0,
                DurationOp::Paren(operand) => of(operand),
                DurationOp::Minus(operand) => -of(operand),
                DurationOp::Min(a, b) => go_min(of(a), of(b)),
                DurationOp::Max(a, b) => go_max(of(a), of(b)),
                DurationOp::Binary(op, left, right) => binary(op, of(left), of(right))
                    .map_err(|message| refused(expression, id, message))?,
            };
            values.push(value);
        }
        Ok(values.pop().unwrap_or(f64::NAN))
    }
}

fn binary(op: BinaryOp, left: f64, right: f64) -> Result<f64, &'static str> {
    match op {
        BinaryOp::Add => Ok(left + right),
        BinaryOp::Sub => Ok(left - right),
        BinaryOp::Mul => Ok(left * right),
        BinaryOp::Div if right == 0.0 => Err("division by zero"),
        BinaryOp::Div => Ok(left / right),
        BinaryOp::Mod if right == 0.0 => Err("modulo by zero"),
        BinaryOp::Mod => Ok(left % right),
        BinaryOp::Pow => Ok(left.powf(right)),
        _ => Err("unexpected duration expression operator"),
    }
}

/// Whole milliseconds, cut towards zero. Prometheus's durations are nanoseconds in an `i64`, hence
/// the limit of 292 years.
fn milliseconds(expression: &DurationExpr, seconds: f64) -> Result<i64, QueryError> {
    const SECONDS_MAX: f64 = 9_223_372_036.0;
    if seconds.is_nan() || seconds.abs() > SECONDS_MAX {
        return Err(refused(expression, last(expression), "duration is out of range"));
    }
    Ok((seconds * 1000.0) as i64)
}

fn last(expression: &DurationExpr) -> ExprId {
    ExprId::at(expression.nodes().len() - 1)
}

/// The error of a length, which is one of the query's times, as Prometheus words it: the first byte
/// of its expression and the byte behind, both from 0 and without parentheses around the ends.
fn refused(expression: &DurationExpr, id: ExprId, message: &str) -> QueryError {
    let node = |id: ExprId| &expression.nodes()[id.index()];
    let (mut first, mut end) = (id, id);
    while let DurationOp::Paren(inner) | DurationOp::Binary(_, inner, _) = node(first).op {
        first = inner;
    }
    while let DurationOp::Paren(inner)
    | DurationOp::Minus(inner)
    | DurationOp::Binary(_, _, inner) = node(end).op
    {
        end = inner;
    }
    let (start, end) = (node(first).span.start, node(end).span.end);
    QueryError::BadTimes(format!("{start}:{end}: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::{DurationNode, Span};
    use crate::eval::{Engine, Query};
    use crate::flags::Features;
    use crate::source::MemorySource;
    use crate::value::{LabelSet, Point};

    fn evaluate(ops: Vec<DurationOp>) -> Result<i64, QueryError> {
        let nodes = ops.into_iter().map(|op| DurationNode { op, span: Span::default() }).collect();
        let length = Length::Expression(Box::new(DurationExpr::new(nodes)));
        LengthContext { step: 15_000, range: 60_000 }.positive(&length)
    }

    fn number(seconds: f64) -> DurationOp {
        DurationOp::Number { seconds, is_duration: false }
    }

    #[test]
    fn expressions_know_the_step_and_the_range() {
        let sum = DurationOp::Binary(BinaryOp::Add, ExprId(0), ExprId(1));
        assert_eq!(evaluate(vec![DurationOp::Step, DurationOp::Range, sum]).unwrap(), 75_000);
        let least = DurationOp::Min(ExprId(0), ExprId(1));
        assert_eq!(evaluate(vec![DurationOp::Step, number(1.0005), least]).unwrap(), 1000);
    }

    #[test]
    fn lengths_that_are_none_are_refused() {
        let quotient = DurationOp::Binary(BinaryOp::Div, ExprId(0), ExprId(1));
        let text = |ops| evaluate(ops).unwrap_err().to_string();
        assert_eq!(text(vec![number(1.0), number(0.0), quotient]), "0:0: division by zero");
        assert_eq!(text(vec![number(-1.0)]), "0:0: duration must be greater than 0");
        assert_eq!(text(vec![number(1e300)]), "0:0: duration is out of range");
        assert_eq!(text(vec![number(f64::NAN)]), "0:0: duration is out of range");
        assert_eq!(evaluate(vec![number(1e-9)]).unwrap(), 0);
    }

    #[test]
    fn a_literal_below_a_millisecond_is_none_as_is_an_expression() {
        let mut source = MemorySource::new();
        source.insert(&LabelSet::from_pairs([("__name__", "m")]), 0, 0, Point::Float(1.0));
        for (literal, expression) in
            [("1e-9", "1e-9 + 0"), ("0.0019", "0.0009 + 0.001"), ("1e-9", "(1e-9)")]
        {
            let answer = |text: &str| {
                let query = format!("sum_over_time(m[{text}])");
                let query = Query::parse(&query, Features::experimental()).unwrap();
                Engine::default().instant(&source, &query, 1).unwrap().value
            };
            assert_eq!(answer(literal), answer(expression), "{literal}");
        }
    }
}
