//! What modifies a binary operator, and lists of labels.

use super::parser::{Parser, Rule};
use super::string_literal::unquote;
use super::token::{Keyword, Token, TokenKind};
use crate::ast::{Binary, BinaryOp, Cardinality, ExprId, Fill, Matching, MatchingLabels};
use crate::error::Fault;
use crate::quote::quoted;

/// What Prometheus calls a list of labels.
const GROUPING: &str = "grouping opts";

impl Parser<'_> {
    /// The modifiers behind an operator; the right operand is left open.
    pub(super) fn modifiers(&mut self, op: BinaryOp, left: ExprId) -> Result<Box<Binary>, Fault> {
        let mut cardinality = Cardinality::OneToOne;
        let mut labels = MatchingLabels { on: false, labels: Vec::new() };
        let mut include = Vec::new();
        let return_bool = self.accept(TokenKind::Keyword(Keyword::Bool))?.is_some();
        if let TokenKind::Keyword(word @ (Keyword::On | Keyword::Ignoring)) = self.peek()?.kind {
            self.bump()?;
            labels = MatchingLabels { on: word == Keyword::On, labels: self.labels()? };
            let group = match self.peek()?.kind {
                TokenKind::Keyword(Keyword::GroupLeft) => Some(Cardinality::ManyToOne),
                TokenKind::Keyword(Keyword::GroupRight) => Some(Cardinality::OneToMany),
                _ => None,
            };
            if let Some(group) = group {
                self.bump()?;
                cardinality = group;
                if self.peek()?.kind == TokenKind::LeftParen {
                    include = self.labels()?;
                }
            }
        }
        let fill = self.fill()?;
        let matching = Some(Matching { cardinality, labels, include, fill });
        Ok(Box::new(Binary { op, left, right: left, return_bool, matching }))
    }

    /// `fill`, or `fill_left` and `fill_right` in any order.
    fn fill(&mut self) -> Result<Fill, Fault> {
        let mut fill = Fill::default();
        match self.peek()?.kind {
            TokenKind::Keyword(Keyword::Fill) => {
                self.bump()?;
                let value = self.fill_value()?;
                fill = Fill { left: Some(value), right: Some(value) };
            }
            TokenKind::Keyword(Keyword::FillLeft) => {
                self.bump()?;
                fill.left = Some(self.fill_value()?);
                if self.accept(TokenKind::Keyword(Keyword::FillRight))?.is_some() {
                    fill.right = Some(self.fill_value()?);
                }
            }
            TokenKind::Keyword(Keyword::FillRight) => {
                self.bump()?;
                fill.right = Some(self.fill_value()?);
                if self.accept(TokenKind::Keyword(Keyword::FillLeft))?.is_some() {
                    fill.left = Some(self.fill_value()?);
                }
            }
            _ => {}
        }
        Ok(fill)
    }

    /// A number with an optional sign in parentheses.
    fn fill_value(&mut self) -> Result<f64, Fault> {
        self.take_or_blame(TokenKind::LeftParen)?;
        let value = self.signed_number(self.expression_rule())?;
        self.take_or_blame(TokenKind::RightParen)?;
        Ok(value)
    }

    /// Takes the next token, which the grammar of expressions wants to be of this kind.
    pub(super) fn take_or_blame(&mut self, kind: TokenKind) -> Result<Token, Fault> {
        self.expect(kind, self.expression_rule())
    }

    /// A list of labels in parentheses.
    pub(super) fn labels(&mut self) -> Result<Vec<String>, Fault> {
        let mut labels = Vec::new();
        self.expect(TokenKind::LeftParen, Rule { context: GROUPING, expected: "\"(\"" })?;
        let rule = Rule { context: GROUPING, expected: "\",\" or \")\"" };
        self.list(TokenKind::RightParen, rule, |parser| {
            labels.push(parser.label()?);
            Ok(())
        })?;
        Ok(labels)
    }

    /// The name of a label: a word, or a string of any characters.
    fn label(&mut self) -> Result<String, Fault> {
        let token = self.peek()?;
        let text = self.written(token.span);
        if token.kind.is_label_name() {
            self.bump()?;
            return Ok(text.to_owned());
        }
        if token.kind != TokenKind::String {
            return Err(self.unexpected(token, Rule { context: GROUPING, expected: "label" }));
        }
        self.bump()?;
        let name = unquote(text);
        match str::from_utf8(&name) {
            Ok(valid) if !valid.is_empty() => Ok(valid.to_owned()),
            _ => {
                let message = format!("invalid label name for grouping: {}", quoted(&name));
                Err(Fault::new(token.span, message))
            }
        }
    }
}
