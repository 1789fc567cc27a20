//! The grammar of a selector: an optional metric name, and label matchers in braces.
//!
//! Iterative, and bounded by the length of the input. As in Prometheus, a selector needs one matcher
//! that the empty value does not satisfy, so that nobody selects everything by a slip.

use std::borrow::Cow;
use std::ops::Range;

use siltstone::{MatchOp, Matcher, PatternBudget};

use crate::error::{Fault, SelectorError};
use crate::lexer::{Lexer, Token, TokenKind};
use crate::string_literal::unquote;

/// Longest selector that is parsed, in bytes: a few of the longest regular expressions.
pub const INPUT_BYTES_MAX: usize = 256 << 10;

/// Most matchers in a selector: each may hold a regular expression, which takes time and memory.
pub const MATCHERS_MAX: usize = 64;

/// The label that holds the name of the metric.
const METRIC_NAME: &str = "__name__";

/// Parses a selector, such as `metric{a="b",c=~"d.*"}` or `{"metric.with.dots","label name"="v"}`,
/// into its matchers, in the order written; a metric name is a matcher of `__name__`.
///
/// ```
/// let matchers = siltstone_promql::parse_selector(r#"up{job=~"api|db"}"#)?;
/// assert_eq!(matchers.len(), 2);
/// assert!(matchers[1].matches("db"));
/// # Ok::<(), siltstone_promql::SelectorError>(())
/// ```
///
/// # Errors
/// [`SelectorError`] says where and why `input` is not a selector of at most [`INPUT_BYTES_MAX`]
/// bytes and [`MATCHERS_MAX`] matchers, whose regular expressions fit in a [`PatternBudget`].
pub fn parse_selector(input: &str) -> Result<Vec<Matcher>, SelectorError> {
    let parsed = if input.len() > INPUT_BYTES_MAX {
        let message = format!("the selector is longer than the limit of {INPUT_BYTES_MAX} bytes");
        Err(Fault::new(INPUT_BYTES_MAX..input.len(), message))
    } else {
        let budget = PatternBudget::default();
        Parser { input, lexer: Lexer::new(input), budget }.selector()
    };
    parsed.map_err(|fault| SelectorError::new(input, fault))
}

struct Parser<'a> {
    input: &'a str,
    lexer: Lexer<'a>,
    budget: PatternBudget,
}

impl<'a> Parser<'a> {
    fn selector(&mut self) -> Result<Vec<Matcher>, Fault> {
        let mut matchers = Vec::new();
        let mut token = self.lexer.next()?;
        let start = token.span.start;
        let mut named = false;
        if token.kind == TokenKind::Identifier {
            matchers.push(self.metric_name(&token)?);
            named = true;
            token = self.lexer.next()?;
        }
        let mut end = token.span.start;
        let braces = token.kind == TokenKind::LeftBrace;
        if braces {
            end = self.braces(named, &mut matchers)?;
            token = self.lexer.next()?;
        } else if !named {
            return Err(unexpected(&token, "a metric name or '{'"));
        }
        if token.kind != TokenKind::End {
            let expected = if braces { "" } else { "'{' or " };
            return Err(unexpected(&token, &format!("{expected}the end of the selector")));
        }
        if matchers.iter().all(Matcher::matches_empty) {
            let message = "a selector needs at least one matcher that excludes the empty value";
            return Err(Fault::new(start..end, message));
        }
        Ok(matchers)
    }

    /// A metric name before the braces.
    fn metric_name(&self, token: &Token) -> Result<Matcher, Fault> {
        let name = &self.input[token.span.clone()];
        if name.eq_ignore_ascii_case("inf") || name.eq_ignore_ascii_case("nan") {
            let message = format!("{name} is a number; as a metric name write {{\"{name}\"}}");
            return Err(Fault::new(token.span.clone(), message));
        }
        matcher(MatchOp::Equal, METRIC_NAME, name, token.span.clone())
    }

    /// What follows `{`, up to and with `}`, whose end is returned.
    fn braces(&mut self, named: bool, matchers: &mut Vec<Matcher>) -> Result<usize, Fault> {
        let mut token = self.lexer.next()?;
        while token.kind != TokenKind::RightBrace {
            let start = token.clone();
            if matchers.len() == MATCHERS_MAX {
                let message = format!("more than {MATCHERS_MAX} matchers");
                return Err(Fault::new(start.span, message));
            }
            let name = self.label_name(&token)?;
            token = self.lexer.next()?;
            let is_metric_name = match token.kind {
                TokenKind::MatchOp(op) => {
                    let value = self.lexer.next()?;
                    if value.kind != TokenKind::String {
                        return Err(unexpected(&value, "a string, the value of the label"));
                    }
                    let text = unquote(&self.input[value.span.clone()], value.span.start)?;
                    let matcher = matcher(op, &name, &text, value.span.clone())?;
                    let taken = self.budget.take_matcher(&matcher);
                    taken.map_err(|e| Fault::new(value.span, e.to_string()))?;
                    matchers.push(matcher);
                    token = self.lexer.next()?;
                    name == METRIC_NAME
                }
                _ if start.kind == TokenKind::String => {
                    matchers.push(matcher(MatchOp::Equal, METRIC_NAME, &name, start.span.clone())?);
                    true
                }
                _ => return Err(unexpected(&token, "'=', '!=', '=~' or '!~'")),
            };
            if named && is_metric_name {
                let message = "the metric name is set already, before the braces";
                return Err(Fault::new(start.span, message));
            }
            match token.kind {
                TokenKind::Comma => token = self.lexer.next()?,
                TokenKind::RightBrace => {}
                _ => return Err(unexpected(&token, "',' or '}'")),
            }
        }
        Ok(token.span.end)
    }

    /// A label name, or a quoted metric name: what follows decides.
    fn label_name(&self, token: &Token) -> Result<Cow<'a, str>, Fault> {
        let text = &self.input[token.span.clone()];
        match token.kind {
            TokenKind::Identifier => Ok(text.into()),
            TokenKind::String => match unquote(text, token.span.start)? {
                name if name.is_empty() => {
                    Err(Fault::new(token.span.clone(), "a name must not be empty"))
                }
                name => Ok(name),
            },
            _ => Err(unexpected(token, "a label name or '}'")),
        }
    }
}

fn unexpected(token: &Token, expected: &str) -> Fault {
    let message = format!("expected {expected}, found {}", token.kind.describe());
    Fault::new(token.span.clone(), message)
}

/// Builds a matcher; a bad regular expression is shown at `span`, its literal.
fn matcher(op: MatchOp, name: &str, value: &str, span: Range<usize>) -> Result<Matcher, Fault> {
    Matcher::new(op, name, value).map_err(|e| Fault::new(span, e.to_string()))
}

#[cfg(test)]
mod tests;
