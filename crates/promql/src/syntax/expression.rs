//! Expressions: operators between operands, signs before them, and primaries.
//!
//! Pratt's operator precedence with the operators on a stack of their own in place of recursion: an
//! operator waits until its right operand is complete, which is when one that binds weaker follows.

use std::sync::Arc;

use super::parser::{Parser, Pending};
use super::string_literal::unquote;
use super::token::{Keyword, Token, TokenKind};
use super::{duration, number};
use crate::ast::{Binary, BinaryOp, ExprId, ExprKind, Span, UnaryOp, ValueType};
use crate::error::Fault;

/// How strongly a sign binds its operand: as a multiplication does.
pub(super) const SIGN_POWER: u8 = 5;

/// How strongly an operator binds its operands.
pub(super) fn power(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And | BinaryOp::Unless => 2,
        BinaryOp::Equal
        | BinaryOp::NotEqual
        | BinaryOp::Greater
        | BinaryOp::Less
        | BinaryOp::GreaterOrEqual
        | BinaryOp::LessOrEqual
        | BinaryOp::TrimUpper
        | BinaryOp::TrimLower => 3,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => SIGN_POWER,
        BinaryOp::Pow => 6,
    }
}

/// The sign that an operator is before an operand.
pub(super) fn sign(kind: TokenKind) -> Option<UnaryOp> {
    match kind {
        TokenKind::Operator(BinaryOp::Add) => Some(UnaryOp::Plus),
        TokenKind::Operator(BinaryOp::Sub) => Some(UnaryOp::Minus),
        _ => None,
    }
}

impl Parser<'_> {
    /// An expression, up to the first token that cannot go on with it.
    pub(super) fn expression(&mut self) -> Result<ExprId, Fault> {
        let base = self.pending.len();
        loop {
            let token = self.peek()?;
            if let Some(op) = sign(token.kind) {
                self.bump()?;
                self.pending.push(Pending::Unary { op, span: token.span });
                continue;
            }
            let operand = self.primary()?;
            let mut left = self.postfix(operand)?;
            let TokenKind::Operator(op) = self.peek()?.kind else {
                return self.reduce(left, base, 0);
            };
            self.bump()?;
            // Of two `^`, the right one binds first.
            let threshold = power(op) + u8::from(op == BinaryOp::Pow);
            left = self.reduce(left, base, threshold)?;
            let binary = self.modifiers(op, left)?;
            self.pending.push(Pending::Binary(binary));
        }
    }

    /// Completes all operators above `base` that bind at least as strongly as `threshold`, whose last
    /// operand is `right`.
    fn reduce(&mut self, mut right: ExprId, base: usize, threshold: u8) -> Result<ExprId, Fault> {
        while self.pending.len() > base {
            let top_power = match self.pending.last() {
                Some(Pending::Unary { .. }) => SIGN_POWER,
                Some(Pending::Binary(binary)) => power(binary.op),
                None => break,
            };
            if top_power < threshold {
                break;
            }
            right = match self.pending.pop() {
                Some(Pending::Unary { op, span }) => self.unary(op, span, right)?,
                Some(Pending::Binary(binary)) => self.binary(binary, right)?,
                None => break,
            };
        }
        Ok(right)
    }

    /// A sign before `operand`; it becomes a part of a number.
    fn unary(&mut self, op: UnaryOp, sign: Span, operand: ExprId) -> Result<ExprId, Fault> {
        let node = self.node_mut(operand);
        let span = sign.to(node.span);
        if let ExprKind::Number { value, .. } = &mut node.kind {
            if op == UnaryOp::Minus {
                *value = -*value;
            }
            node.span = span;
            return Ok(operand);
        }
        let value_type = node.value_type;
        self.push(ExprKind::Unary { op, operand }, span, value_type)
    }

    fn binary(&mut self, mut binary: Box<Binary>, right: ExprId) -> Result<ExprId, Fault> {
        binary.right = right;
        let (left, right) = (self.node(binary.left), self.node(right));
        let span = left.span.to(right.span);
        let scalars = left.value_type == ValueType::Scalar && right.value_type == ValueType::Scalar;
        let fills = binary
            .matching
            .as_ref()
            .is_some_and(|m| m.fill.left.is_some() || m.fill.right.is_some());
        if fills && !self.features.fill_modifiers {
            let message = "binop fill modifiers are experimental and not enabled";
            return Err(Fault::new(span, message));
        }
        let value_type = if scalars { ValueType::Scalar } else { ValueType::Vector };
        self.push(ExprKind::Binary(binary), span, value_type)
    }

    /// What stands by itself, without anything behind it.
    fn primary(&mut self) -> Result<ExprId, Fault> {
        let token = self.peek()?;
        match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                self.bump()?;
                let value = self.number(token)?;
                let is_duration = token.kind == TokenKind::Duration;
                let kind = ExprKind::Number { value, is_duration };
                self.push(kind, token.span, ValueType::Scalar)
            }
            TokenKind::String => {
                self.bump()?;
                let text = Arc::from(unquote(self.written(token.span)));
                self.push(ExprKind::String(text), token.span, ValueType::String)
            }
            TokenKind::LeftParen => self.nested(token.span, |p| p.parentheses()),
            TokenKind::LeftBrace => self.selector(None),
            kind if kind.is_metric_name() => {
                self.bump()?;
                self.named(token)
            }
            _ => Err(self.unexpected_token(token)),
        }
    }

    /// What begins with a name that has been taken.
    fn named(&mut self, name: Token) -> Result<ExprId, Fault> {
        use Keyword::{By, End, Range, Start, Step, Without};
        let next = self.peek()?.kind;
        let calls = next == TokenKind::LeftParen;
        match name.kind {
            TokenKind::Aggregate(op)
                if calls || matches!(next, TokenKind::Keyword(By | Without)) =>
            {
                self.nested(name.span, |p| p.aggregate(op, name))
            }
            TokenKind::Identifier | TokenKind::Keyword(Start | End | Step | Range) if calls => {
                self.nested(name.span, |p| p.call(name))
            }
            _ => self.selector(Some(name)),
        }
    }

    fn parentheses(&mut self) -> Result<ExprId, Fault> {
        let open = self.bump()?;
        let inner = self.expression()?;
        let close = self.take_or_blame(TokenKind::RightParen)?;
        let value_type = self.node(inner).value_type;
        self.push(ExprKind::Paren(inner), open.span.to(close.span), value_type)
    }

    /// The value of a number or, in seconds, of a length of time.
    pub(super) fn number(&self, token: Token) -> Result<f64, Fault> {
        let text = self.written(token.span);
        let value = if token.kind == TokenKind::Duration {
            duration::parse_duration(text).map(|milliseconds| milliseconds as f64 / 1e3)
        } else {
            number::value(text)
        };
        value.map_err(|message| Fault::new(token.span, message))
    }
}
