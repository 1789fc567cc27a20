//! The labels of a series as test scripts and rule tests write them: `name{label="value"}`.

use siltstone::Patterns;

use super::parser::{Parser, QUERY_BYTES_MAX, Rule, within};
use super::token::TokenKind;
use crate::error::{Fault, ParseError};
use crate::flags::Features;
use crate::value::METRIC_NAME;

/// What Prometheus calls the labels of a series.
const LABEL_SET: &str = "label set";

/// Reads the labels at the start of a series description, and the byte at which its values begin.
///
/// The labels come in the order written, the metric name as `__name__`; a label may come twice, and
/// its value may be empty. Braces follow the name without a blank.
///
/// ```
/// let (labels, rest) = siltstone_promql::parse_series_labels(r#"up{job="a"} 1 2 _"#)?;
/// assert_eq!(labels, [("__name__".into(), "up".into()), ("job".into(), "a".into())]);
/// assert_eq!(rest, 11);
/// # Ok::<(), siltstone_promql::ParseError>(())
/// ```
///
/// # Errors
/// [`ParseError`] says where and why the labels are wrong.
pub fn parse_series_labels(text: &str) -> Result<(Vec<(String, String)>, usize), ParseError> {
    within("series description", text, QUERY_BYTES_MAX)
        .and_then(|()| {
            Parser::new(text, Features::default(), &mut Patterns::default()).series_labels()
        })
        .map_err(|fault| ParseError::new(text, fault))
}

impl Parser<'_> {
    fn series_labels(mut self) -> Result<(Vec<(String, String)>, usize), Fault> {
        let mut labels = Vec::new();
        let token = self.bump()?;
        if token.kind.is_metric_name() {
            labels.push((METRIC_NAME.to_owned(), self.written(token.span).to_owned()));
            let end = token.span.end as usize;
            // The lexer must not look at the values, which are not of its language.
            if !self.text[end..].starts_with('{') {
                return Ok((labels, end));
            }
            self.bump()?;
        } else if token.kind != TokenKind::LeftBrace {
            return Err(self.unexpected_token(token));
        }
        let rule = Rule { context: LABEL_SET, expected: "\",\" or \"}\"" };
        let close = self.list(TokenKind::RightBrace, rule, |parser| {
            labels.push(parser.series_label()?);
            Ok(())
        })?;
        Ok((labels, close.span.end as usize))
    }

    /// `name="value"`, or a string alone, which is the name of the metric.
    fn series_label(&mut self) -> Result<(String, String), Fault> {
        let token = self.peek()?;
        if !matches!(token.kind, TokenKind::Identifier | TokenKind::String) {
            let expected = "identifier or \"}\"";
            return Err(self.unexpected(token, Rule { context: LABEL_SET, expected }));
        }
        self.bump()?;
        let name = self.name_or_text(token)?;
        let is_alone = self.peek()?.kind != TokenKind::Assign;
        if is_alone && token.kind == TokenKind::String {
            return Ok((METRIC_NAME.to_owned(), name));
        }
        self.expect(TokenKind::Assign, Rule { context: LABEL_SET, expected: "\"=\"" })?;
        let value =
            self.expect(TokenKind::String, Rule { context: LABEL_SET, expected: "string" })?;
        Ok((name, self.name_or_text(value)?))
    }
}
