//! Calls of functions and lists of arguments.

use super::parser::Parser;
use super::token::{Token, TokenKind};
use crate::ast::{ExprId, ExprKind, Span};
use crate::error::Fault;
use crate::functions::Function;
use crate::quote::quoted;

impl Parser<'_> {
    /// A call whose name has been taken.
    pub(super) fn call(&mut self, name: Token) -> Result<ExprId, Fault> {
        let (arguments, close) = self.arguments()?;
        let written = self.written(name.span);
        let function = Function::from_name(written).ok_or_else(|| {
            let message = format!("unknown function with name {}", quoted(written.as_bytes()));
            Fault::new(name.span, message)
        })?;
        let signature = function.signature();
        if signature.experimental && !self.features.experimental_functions {
            let message = format!("function {} is not enabled", quoted(written.as_bytes()));
            return Err(Fault::new(name.span, message));
        }
        let span = name.span.to(close);
        self.push(ExprKind::Call { function, arguments }, span, signature.returns)
    }

    /// Expressions in parentheses, and the place of the closing one.
    pub(super) fn arguments(&mut self) -> Result<(Vec<ExprId>, Span), Fault> {
        self.take_or_blame(TokenKind::LeftParen)?;
        let mut arguments = Vec::new();
        if let Some(close) = self.accept(TokenKind::RightParen)? {
            return Ok((arguments, close.span));
        }
        loop {
            arguments.push(self.expression()?);
            let token = self.peek()?;
            match token.kind {
                TokenKind::Comma => {
                    self.bump()?;
                    if !self.peek()?.kind.begins_expression() {
                        let message = "trailing commas not allowed in function call args";
                        return Err(Fault::new(token.span, message));
                    }
                }
                TokenKind::RightParen => {
                    self.bump()?;
                    return Ok((arguments, token.span));
                }
                _ => return Err(self.unexpected_token(token)),
            }
        }
    }
}
