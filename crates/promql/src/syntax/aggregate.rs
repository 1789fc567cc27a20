//! Aggregations: `sum by (job) (x)` and `sum(x) by (job)`.

use super::parser::Parser;
use super::token::{Keyword, Token, TokenKind};
use crate::ast::{Aggregate, AggregateOp, ExprId, ExprKind, Grouping, Span, ValueType};
use crate::error::Fault;

impl Parser<'_> {
    /// An aggregation whose operator has been taken.
    pub(super) fn aggregate(&mut self, op: AggregateOp, name: Token) -> Result<ExprId, Fault> {
        self.aggregations += 1;
        let mut grouping = self.grouping()?;
        let (arguments, close) = self.arguments()?;
        let mut span = name.span.to(close);
        if !grouping.is_written {
            // The end of a list of labels, if there is one, is the last token that was taken.
            grouping = self.grouping()?;
            if grouping.is_written {
                span.end = self.taken_end();
            }
        }
        self.aggregations -= 1;
        let (parameter, operand) = self.aggregate_operands(op, &arguments, span)?;
        let aggregate = Aggregate { op, parameter, operand, grouping };
        self.push(ExprKind::Aggregate(Box::new(aggregate)), span, ValueType::Vector)
    }

    /// `by` or `without` and labels, if they follow.
    fn grouping(&mut self) -> Result<Grouping, Fault> {
        let without = match self.peek()?.kind {
            TokenKind::Keyword(Keyword::By) => false,
            TokenKind::Keyword(Keyword::Without) => true,
            _ => return Ok(Grouping::default()),
        };
        self.bump()?;
        Ok(Grouping { without, labels: self.labels()?, is_written: true })
    }

    /// The parameter, if the operator takes one, and the operand.
    fn aggregate_operands(
        &self,
        op: AggregateOp,
        arguments: &[ExprId],
        span: Span,
    ) -> Result<(Option<ExprId>, ExprId), Fault> {
        if arguments.is_empty() {
            return Err(Fault::new(span, "no arguments for aggregate expression provided"));
        }
        if op.is_experimental() && !self.features.experimental_functions {
            let message = format!(
                "{}() is experimental and must be enabled with \
                 --enable-feature=promql-experimental-functions",
                op.as_str()
            );
            return Err(Fault::new(span, message));
        }
        match *arguments {
            [operand] if !op.has_parameter() => Ok((None, operand)),
            [parameter, operand] if op.has_parameter() => Ok((Some(parameter), operand)),
            _ => {
                let wanted = if op.has_parameter() { 2 } else { 1 };
                let message = format!(
                    "wrong number of arguments for aggregate expression provided, \
                     expected {wanted}, got {}",
                    arguments.len()
                );
                Err(Fault::new(span, message))
            }
        }
    }
}
