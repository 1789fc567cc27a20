//! Selectors: an optional metric name, and label matchers in braces.

use siltstone::{MatchOp, Matcher, Patterns};

use super::parser::{Parser, Rule, within};
use super::string_literal::unquote;
use super::token::{Token, TokenKind};
use crate::ast::{BinaryOp, ExprId, ExprKind, RangeMode, Selector, Span, TimeShift, ValueType};
use crate::error::{Fault, ParseError};
use crate::flags::Features;
use crate::quote::quoted;
use crate::value::METRIC_NAME;

/// Longest selector that is parsed alone, in bytes.
pub const INPUT_BYTES_MAX: usize = 256 << 10;

/// Most matchers in a selector: each may hold a regular expression, which takes time and memory.
pub const MATCHERS_MAX: usize = 64;

/// Most different regular expressions in a query, for the same reason.
pub const REGEXES_MAX: usize = 512;

/// What Prometheus calls a list of matchers.
const MATCHING: &str = "label matching";

/// Parses a selector, such as `metric{a="b",c=~"d.*"}` or `{"metric.with.dots","label name"="v"}`,
/// into its matchers, in the order written; a metric name is a matcher of `__name__`.
///
/// ```
/// let matchers = siltstone_promql::parse_selector(r#"up{job=~"api|db"}"#)?;
/// assert_eq!(matchers.len(), 2);
/// assert!(matchers[1].matches("db"));
/// # Ok::<(), siltstone_promql::ParseError>(())
/// ```
///
/// # Errors
/// [`ParseError`] says where and why `text` is not a selector of at most [`INPUT_BYTES_MAX`] bytes and
/// [`MATCHERS_MAX`] matchers, of which one must exclude the empty value, so that nobody selects
/// everything by a slip.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    parse_selector_with(text, &mut Patterns::default())
}

/// As [`parse_selector`], for a request that has other regular expressions as well: `patterns` compiles those
/// of this selector with them, within their bound.
///
/// # Errors
/// As [`parse_selector`].
pub fn parse_selector_with(
    text: &str,
    patterns: &mut Patterns,
) -> Result<Vec<Matcher>, ParseError> {
    within("selector", text, INPUT_BYTES_MAX)
        .and_then(|()| Parser::new(text, Features::default(), patterns).lone_selector())
        .map_err(|fault| ParseError::new(text, fault))
}

impl Parser<'_> {
    /// A selector that is the whole text.
    fn lone_selector(mut self) -> Result<Vec<Matcher>, Fault> {
        let token = self.peek()?;
        let name = if token.kind == TokenKind::LeftBrace {
            None
        } else if token.kind.is_metric_name() {
            Some(self.bump()?)
        } else {
            return Err(self.unexpected_token(token));
        };
        let root = self.selector(name)?;
        self.expect_end()?;
        self.check_types(root)?;
        match self.nodes.pop().map(|node| node.kind) {
            Some(ExprKind::Selector(selector)) => Ok(selector.matchers),
            _ => Ok(Vec::new()),
        }
    }

    /// A selector whose name, if it has one before the braces, has been taken.
    pub(super) fn selector(&mut self, name: Option<Token>) -> Result<ExprId, Fault> {
        let mut matchers = Vec::new();
        let mut span = name.map(|token| token.span);
        let name = name.map(|token| self.written(token.span).to_owned());
        if let Some(name) = &name {
            matchers.push(Matcher::equal(METRIC_NAME, name.as_str()));
        }
        if self.peek()?.kind == TokenKind::LeftBrace {
            let braces = self.matchers(&mut matchers)?;
            span = Some(span.map_or(braces, |name| name.to(braces)));
        }
        let shift = TimeShift::default();
        let selector = Selector { name, matchers, shift, mode: RangeMode::Inside };
        let span = span.unwrap_or_default();
        self.push(ExprKind::Selector(Box::new(selector)), span, ValueType::Vector)
    }

    /// Matchers in braces; returns the place of the braces.
    fn matchers(&mut self, matchers: &mut Vec<Matcher>) -> Result<Span, Fault> {
        let open = self.bump()?;
        let rule = Rule { context: MATCHING, expected: "\",\" or \"}\"" };
        let close = self.list(TokenKind::RightBrace, rule, |parser| {
            if matchers.len() == MATCHERS_MAX {
                let message = format!("a selector has at most {MATCHERS_MAX} matchers");
                return Err(Fault::new(parser.peek()?.span, message));
            }
            matchers.push(parser.matcher()?);
            Ok(())
        })?;
        Ok(open.span.to(close.span))
    }

    /// `name op "value"`, or a string alone, which is the name of the metric.
    fn matcher(&mut self) -> Result<Matcher, Fault> {
        let token = self.peek()?;
        if !matches!(token.kind, TokenKind::Identifier | TokenKind::String) {
            let expected = "identifier or \"}\"";
            return Err(self.unexpected(token, Rule { context: MATCHING, expected }));
        }
        self.bump()?;
        let name = self.name_or_text(token)?;
        let op_token = self.peek()?;
        let op = match op_token.kind {
            TokenKind::Assign => MatchOp::Equal,
            TokenKind::Operator(BinaryOp::NotEqual) => MatchOp::NotEqual,
            TokenKind::Regex => MatchOp::Regex,
            TokenKind::NotRegex => MatchOp::NotRegex,
            _ if token.kind == TokenKind::String => return Ok(Matcher::equal(METRIC_NAME, name)),
            _ => {
                let expected = "label matching operator";
                return Err(self.unexpected(op_token, Rule { context: MATCHING, expected }));
            }
        };
        self.bump()?;
        let value =
            self.expect(TokenKind::String, Rule { context: MATCHING, expected: "string" })?;
        let text = self.name_or_text(value)?;
        self.made(op, name, text, token.span.to(value.span))
    }

    /// The text of a name or of a string.
    pub(super) fn name_or_text(&self, token: Token) -> Result<String, Fault> {
        let text = self.written(token.span);
        if token.kind != TokenKind::String {
            return Ok(text.to_owned());
        }
        String::from_utf8(unquote(text).into_owned()).map_err(|error| {
            let message = format!("invalid UTF-8 in {}", quoted(error.as_bytes()));
            Fault::new(token.span, message)
        })
    }

    /// A matcher; a regular expression that the request has already is not compiled again.
    fn made(
        &mut self,
        op: MatchOp,
        name: String,
        value: String,
        span: Span,
    ) -> Result<Matcher, Fault> {
        let made = self.patterns.matcher(op, name, value);
        if self.patterns.count() - self.patterns_before > REGEXES_MAX {
            let message = format!("a query has at most {REGEXES_MAX} regular expressions");
            return Err(Fault::new(span, message));
        }
        made.map_err(|error| Fault::new(span, error.to_string()))
    }
}
