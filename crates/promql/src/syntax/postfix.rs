//! What stands behind an operand: ranges, subqueries, offsets, `@`, `anchored` and `smoothed`.
//!
//! Modifiers change the selector or subquery before them and are no expressions of their own. As in
//! Prometheus, they lengthen its span, but `anchored` and `smoothed` do not.

use super::duration_expr::Place;
use super::parser::{Parser, Rule};
use super::token::{Keyword, Token, TokenKind};
use crate::ast::{
    At, ExprId, ExprKind, Length, RangeMode, Span, Subquery, TimeShift, UnaryOp, ValueType,
};
use crate::error::Fault;
use crate::go_float::format_f;

impl Parser<'_> {
    /// Everything that may follow `operand` and binds to it.
    pub(super) fn postfix(&mut self, mut operand: ExprId) -> Result<ExprId, Fault> {
        loop {
            let token = self.peek()?;
            match token.kind {
                TokenKind::LeftBracket => operand = self.brackets(operand)?,
                TokenKind::At => self.at(operand)?,
                TokenKind::Keyword(Keyword::Offset) => self.offset(operand)?,
                TokenKind::Keyword(Keyword::Anchored) => {
                    self.range_mode(operand, RangeMode::Anchored)?;
                }
                TokenKind::Keyword(Keyword::Smoothed) => {
                    self.range_mode(operand, RangeMode::Smoothed)?;
                }
                _ => return Ok(operand),
            }
        }
    }

    /// `[range]` or `[range:step]`.
    fn brackets(&mut self, operand: ExprId) -> Result<ExprId, Fault> {
        let open = self.bump()?;
        let range = self.positive_length(Place::Range)?;
        let token = self.peek()?;
        match token.kind {
            TokenKind::RightBracket => {
                self.bump()?;
                self.range(operand, range, open.span.to(token.span))
            }
            TokenKind::Colon => {
                self.bump()?;
                self.subquery(operand, range)
            }
            _ => {
                let expected = "\":\" or \"]\"";
                Err(self.unexpected(token, Rule { context: "subquery or range", expected }))
            }
        }
    }

    /// The samples of a selector; `brackets` is the place of the range.
    fn range(&mut self, operand: ExprId, range: Length, brackets: Span) -> Result<ExprId, Fault> {
        let node = self.node(operand);
        let message = match &node.kind {
            ExprKind::Selector(selector) => match &selector.shift {
                TimeShift { offset: Some(Length::Fixed(_)), .. } => {
                    "no offset modifiers allowed before range"
                }
                TimeShift { at: Some(At::Time(_)), .. } => "no @ modifiers allowed before range",
                // Prometheus lets these pass, and they mean the same as behind the range.
                _ => "",
            },
            _ => "ranges only allowed for vector selectors",
        };
        if !message.is_empty() {
            return Err(Fault::new(brackets, message));
        }
        let span = node.span.to(brackets);
        self.push(ExprKind::Range { selector: operand, range }, span, ValueType::Matrix)
    }

    /// What follows the colon.
    fn subquery(&mut self, operand: ExprId, range: Length) -> Result<ExprId, Fault> {
        let mut step = None;
        if self.peek()?.kind != TokenKind::RightBracket {
            step = Some(self.positive_length(Place::Step)?);
        }
        let rule = Rule { context: "subquery selector", expected: "\"]\"" };
        let close = self.expect(TokenKind::RightBracket, rule)?;
        let span = self.node(operand).span.to(close.span);
        let subquery = Subquery { operand, range, step, shift: TimeShift::default() };
        self.push(ExprKind::Subquery(Box::new(subquery)), span, ValueType::Matrix)
    }

    /// `offset` and a length.
    fn offset(&mut self, operand: ExprId) -> Result<(), Fault> {
        self.bump()?;
        let offset = self.offset_length()?;
        let end = self.taken_end();
        // An error in the next token comes first: it decides whether the length goes on.
        self.peek()?;
        let span = self.node(operand).span;
        let Some(shift) = self.shift_mut(operand) else {
            return Err(not_shiftable("offset", span));
        };
        if shift.offset.is_some() {
            return Err(Fault::new(span, "offset may not be set multiple times"));
        }
        // No offset and an offset of nothing are the same, here as in Prometheus.
        shift.offset = (offset != Length::Fixed(0)).then_some(offset);
        self.node_mut(operand).span.end = end;
        Ok(())
    }

    /// `@` and a time.
    fn at(&mut self, operand: ExprId) -> Result<(), Fault> {
        const RULE: Rule = Rule { context: "@", expected: "timestamp" };
        self.bump()?;
        let span = self.node(operand).span;
        let token = self.peek()?;
        let at = match token.kind {
            TokenKind::Keyword(word @ (Keyword::Start | Keyword::End)) => {
                self.bump()?;
                self.expect(TokenKind::LeftParen, RULE)?;
                self.expect(TokenKind::RightParen, RULE)?;
                if word == Keyword::Start { At::Start } else { At::End }
            }
            _ => {
                let seconds = self.signed_number(RULE)?;
                let time = timestamp(seconds).map_err(|message| Fault::new(span, message))?;
                At::Time(time)
            }
        };
        let end = self.taken_end();
        let Some(shift) = self.shift_mut(operand) else {
            return Err(not_shiftable("@", span));
        };
        if shift.at.is_some() {
            return Err(Fault::new(span, "@ <timestamp> may not be set multiple times"));
        }
        shift.at = Some(at);
        self.node_mut(operand).span.end = end;
        Ok(())
    }

    /// A number or a length in seconds, with an optional sign.
    pub(super) fn signed_number(&mut self, rule: Rule) -> Result<f64, Fault> {
        let sign = super::expression::sign(self.peek()?.kind);
        if sign.is_some() {
            self.bump()?;
        }
        let token = self.peek()?;
        if !matches!(token.kind, TokenKind::Number | TokenKind::Duration) {
            return Err(self.unexpected(token, rule));
        }
        self.bump()?;
        let value = self.number(token)?;
        Ok(if sign == Some(UnaryOp::Minus) { -value } else { value })
    }

    /// `anchored` or `smoothed`.
    fn range_mode(&mut self, operand: ExprId, mode: RangeMode) -> Result<(), Fault> {
        let Token { span: word, .. } = self.bump()?;
        let name = if mode == RangeMode::Anchored { "anchored" } else { "smoothed" };
        debug_assert!(self.written(word).eq_ignore_ascii_case(name), "the keyword of the mode");
        let node = self.node(operand);
        let fault = |message: String| Err(Fault::new(node.span, message));
        if !self.features.extended_ranges {
            return fault(format!("{name} modifier is experimental and not enabled"));
        }
        let selector = match node.kind {
            ExprKind::Selector(_) => operand,
            ExprKind::Range { selector, .. } => selector,
            ExprKind::Subquery(_) => {
                return fault(format!("{name} modifier is not supported for subqueries"));
            }
            _ => return fault(format!("{name} modifier not implemented")),
        };
        let span = node.span;
        if let ExprKind::Selector(selector) = &mut self.node_mut(selector).kind {
            if selector.mode != RangeMode::Inside && selector.mode != mode {
                let message = "anchored and smoothed modifiers cannot be used together";
                return Err(Fault::new(span, message));
            }
            selector.mode = mode;
        }
        Ok(())
    }

    /// What moves the window of a selector, of samples of one, or of a subquery.
    fn shift_mut(&mut self, id: ExprId) -> Option<&mut TimeShift> {
        let id = match self.node(id).kind {
            ExprKind::Range { selector, .. } => selector,
            _ => id,
        };
        match &mut self.node_mut(id).kind {
            ExprKind::Selector(selector) => Some(&mut selector.shift),
            ExprKind::Subquery(subquery) => Some(&mut subquery.shift),
            _ => None,
        }
    }
}

fn not_shiftable(modifier: &str, span: Span) -> Fault {
    let message = format!(
        "{modifier} modifier must be preceded by an instant vector selector or range vector \
         selector or a subquery"
    );
    Fault::new(span, message)
}

/// The milliseconds since the epoch of a time in seconds.
fn timestamp(seconds: f64) -> Result<i64, String> {
    /// 2^63: milliseconds that no longer fit.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let milliseconds = (seconds * 1e3).round();
    if milliseconds.is_nan() || milliseconds.abs() >= LIMIT {
        let shown = if seconds.is_infinite() { format_f(seconds) } else { format!("{seconds:.6}") };
        return Err(format!("timestamp out of bounds for @ modifier: {shown}"));
    }
    Ok(milliseconds as i64)
}
