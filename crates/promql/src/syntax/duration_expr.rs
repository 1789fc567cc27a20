//! Lengths of time in ranges, steps and offsets: literals, and arithmetic with them.
//!
//! Arithmetic needs the flag of duration expressions and is evaluated by the plan, because `step()`
//! and `range()` are those of the query. A literal with an optional sign is a fixed length.

use super::duration::{OUT_OF_RANGE, from_seconds};
use super::expression::{SIGN_POWER, power, sign};
use super::parser::{Parser, Rule};
use super::token::{Keyword, MinMax, Token, TokenKind, minmax};
use crate::ast::{BinaryOp, DurationExpr, DurationNode, DurationOp, ExprId, Length, Span, UnaryOp};
use crate::error::Fault;

/// The weakest operator in the operand of a sign: one that binds stronger than the sign.
const SIGNED_POWER_MIN: u8 = SIGN_POWER + 1;

/// Where a length stands, which decides what is expected there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Range,
    Step,
    Offset,
}

impl Place {
    fn rule(self) -> Rule {
        let (context, expected) = match self {
            Self::Range => ("subquery or range selector", "number, duration, step(), or range()"),
            Self::Step => ("subquery selector", "number, duration, step(), range(), or \"]\""),
            Self::Offset => ("offset", "number, duration, step(), or range()"),
        };
        Rule { context, expected }
    }
}

/// The nodes of one length so far, in post-order.
struct Lengths {
    nodes: Vec<DurationNode>,
    place: Place,
}

impl Lengths {
    fn span(&self, id: ExprId) -> Span {
        self.nodes[id.index()].span
    }

    /// Whether it is a literal or in parentheses.
    fn is_atom(&self, id: ExprId) -> bool {
        matches!(self.nodes[id.index()].op, DurationOp::Number { .. } | DurationOp::Paren(_))
    }

    fn literal(&self, id: ExprId) -> Option<f64> {
        match self.nodes[id.index()].op {
            DurationOp::Number { seconds, .. } => Some(seconds),
            _ => None,
        }
    }

    fn into_length(self) -> Result<Length, Fault> {
        if let [DurationNode { op: DurationOp::Number { seconds, .. }, span }] = self.nodes[..] {
            let length = from_seconds(seconds).ok_or_else(|| Fault::new(span, OUT_OF_RANGE))?;
            return Ok(Length::Fixed(length));
        }
        Ok(Length::Expression(Box::new(DurationExpr::new(self.nodes))))
    }
}

impl Parser<'_> {
    /// A range or a step: a literal must be greater than zero.
    pub(super) fn positive_length(&mut self, place: Place) -> Result<Length, Fault> {
        let mut lengths = Lengths { nodes: Vec::new(), place };
        self.length(&mut lengths, 0)?;
        // The next token is looked at first: an error of syntax comes before one of the value.
        self.peek()?;
        if let [DurationNode { op: DurationOp::Number { seconds, .. }, span }] = lengths.nodes[..]
            && seconds <= 0.0
        {
            return Err(Fault::new(span, "duration must be greater than 0"));
        }
        lengths.into_length()
    }

    /// What follows `offset`: one operand with a sign, but what begins with a parenthesis or with two
    /// signs goes on.
    pub(super) fn offset_length(&mut self) -> Result<Length, Fault> {
        let mut lengths = Lengths { nodes: Vec::new(), place: Place::Offset };
        let token = self.peek()?;
        if let Some(op) = sign(token.kind) {
            self.bump()?;
            let goes_on = sign(self.peek()?.kind).is_some();
            let operand = if goes_on {
                self.length(&mut lengths, SIGNED_POWER_MIN)?
            } else {
                self.length_operand(&mut lengths)?
            };
            let operand = self.signed(&mut lengths, op, token.span, operand)?;
            if goes_on {
                self.length_operators(&mut lengths, operand, 0)?;
            }
        } else {
            let operand = self.length_operand(&mut lengths)?;
            if token.kind == TokenKind::LeftParen {
                self.length_operators(&mut lengths, operand, 0)?;
            }
        }
        lengths.into_length()
    }

    /// A length of operators that bind at least as strongly as `power_min`.
    fn length(&mut self, lengths: &mut Lengths, power_min: u8) -> Result<ExprId, Fault> {
        let token = self.peek()?;
        let operand = match sign(token.kind) {
            Some(op) => {
                self.bump()?;
                let operand = self.nested(token.span, |p| p.length(lengths, SIGNED_POWER_MIN))?;
                self.signed(lengths, op, token.span, operand)?
            }
            None => self.length_operand(lengths)?,
        };
        self.length_operators(lengths, operand, power_min)
    }

    /// Operators behind `left` that bind at least as strongly as `power_min`, and their operands.
    fn length_operators(
        &mut self,
        lengths: &mut Lengths,
        mut left: ExprId,
        power_min: u8,
    ) -> Result<ExprId, Fault> {
        use BinaryOp::{Add, Div, Mod, Mul, Pow, Sub};
        while let Token {
            kind: TokenKind::Operator(op @ (Add | Sub | Mul | Div | Mod | Pow)),
            span: place,
        } = self.peek()?
        {
            if power(op) < power_min {
                break;
            }
            self.bump()?;
            let right_min = power(op) + u8::from(op != Pow);
            let right = self.nested(place, |p| p.length(lengths, right_min))?;
            self.require_expressions(lengths.span(left))?;
            if lengths.literal(right) == Some(0.0) && matches!(op, Div | Mod) {
                let what = if op == Div { "division" } else { "modulo" };
                return Err(Fault::new(place, format!("{what} by zero")));
            }
            let span = lengths.span(left).to(lengths.span(right));
            left = self.push_length(lengths, DurationOp::Binary(op, left, right), span)?;
        }
        Ok(left)
    }

    /// A sign before a length; it becomes a part of a literal.
    fn signed(
        &mut self,
        lengths: &mut Lengths,
        op: UnaryOp,
        sign: Span,
        operand: ExprId,
    ) -> Result<ExprId, Fault> {
        let node = &mut lengths.nodes[operand.index()];
        let span = sign.to(node.span);
        if let DurationOp::Number { seconds, .. } = &mut node.op {
            if op == UnaryOp::Minus {
                *seconds = -*seconds;
            }
            node.span = span;
            return Ok(operand);
        }
        match op {
            UnaryOp::Plus => Ok(operand),
            UnaryOp::Minus => self.push_length(lengths, DurationOp::Minus(operand), span),
        }
    }

    /// A literal, a function or a length in parentheses.
    fn length_operand(&mut self, lengths: &mut Lengths) -> Result<ExprId, Fault> {
        let token = self.peek()?;
        match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                self.bump()?;
                let seconds = self.number(token)?;
                if from_seconds(seconds).is_none() {
                    return Err(Fault::new(token.span, OUT_OF_RANGE));
                }
                let is_duration = token.kind == TokenKind::Duration;
                self.push_length(lengths, DurationOp::Number { seconds, is_duration }, token.span)
            }
            TokenKind::LeftParen => self.nested(token.span, |p| {
                p.bump()?;
                let inner = p.length(lengths, 0)?;
                let close = p.expect(TokenKind::RightParen, lengths.place.rule())?;
                p.require_expressions(lengths.span(inner))?;
                // As in Prometheus, parentheses around a literal or others leave no trace.
                if lengths.is_atom(inner) {
                    return Ok(inner);
                }
                p.push_length(lengths, DurationOp::Paren(inner), token.span.to(close.span))
            }),
            TokenKind::Keyword(Keyword::Step) => self.no_arguments(lengths, DurationOp::Step),
            TokenKind::Keyword(Keyword::Range) => self.no_arguments(lengths, DurationOp::Range),
            TokenKind::Identifier => match minmax(self.written(token.span)) {
                Some(make) => self.nested(token.span, |p| p.two_lengths(lengths, make)),
                None => Err(self.unexpected(token, lengths.place.rule())),
            },
            _ => Err(self.unexpected(token, lengths.place.rule())),
        }
    }

    /// `step()` or `range()`.
    fn no_arguments(&mut self, lengths: &mut Lengths, op: DurationOp) -> Result<ExprId, Fault> {
        let name = self.bump()?;
        self.expect(TokenKind::LeftParen, lengths.place.rule())?;
        let close = self.expect(TokenKind::RightParen, lengths.place.rule())?;
        let span = name.span.to(close.span);
        self.require_expressions(span)?;
        self.push_length(lengths, op, span)
    }

    /// `min_of(a, b)` or `max_of(a, b)`.
    fn two_lengths(&mut self, lengths: &mut Lengths, make: MinMax) -> Result<ExprId, Fault> {
        let name = self.bump()?;
        self.expect(TokenKind::LeftParen, lengths.place.rule())?;
        let left = self.length(lengths, 0)?;
        self.expect(TokenKind::Comma, lengths.place.rule())?;
        let right = self.length(lengths, 0)?;
        let close = self.expect(TokenKind::RightParen, lengths.place.rule())?;
        let span = name.span.to(close.span);
        self.require_expressions(span)?;
        self.push_length(lengths, make(left, right), span)
    }

    fn require_expressions(&self, span: Span) -> Result<(), Fault> {
        if self.features.duration_expressions {
            return Ok(());
        }
        Err(Fault::new(span, "experimental duration expression is not enabled"))
    }

    fn push_length(
        &mut self,
        lengths: &mut Lengths,
        op: DurationOp,
        span: Span,
    ) -> Result<ExprId, Fault> {
        self.count_length_node(span)?;
        let id = u32::try_from(lengths.nodes.len()).unwrap_or(u32::MAX);
        lengths.nodes.push(DurationNode { op, span });
        Ok(ExprId(id))
    }
}
