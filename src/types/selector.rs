//! Labels and selectors as text: `name{label="value", other=~"re"}`, as Prometheus writes them.
//!
//! Reads what [`Labels`] and [`Selector`] print, and what people write: a metric's name before the braces or
//! quoted inside them, names that are not identifiers in quotes, values in `"`, `'` or backquotes, spaces
//! and a last comma. No other part of PromQL is here.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use super::labels::is_bare;
use super::{LabelError, Labels, MatchOp, Matcher, MatcherError};

/// Matchers as one text: a series has to satisfy all of them.
///
/// ```
/// # use siltstone::{Labels, Matcher, Selector};
/// let selector: Selector = r#"up{job=~"node|db", "برچسب"!="x"}"#.parse()?;
/// let matchers = [
///     Matcher::equal("__name__", "up"),
///     Matcher::regex("job", "node|db")?,
///     Matcher::not_equal("برچسب", "x"),
/// ];
/// assert_eq!(*selector, matchers);
/// let labels: Labels = r#"up{job="node"}"#.parse()?;
/// assert_eq!(labels, Labels::from_pairs([("__name__", "up"), ("job", "node")])?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(Vec<Matcher>);

/// Why a text names no labels or no selector.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// The text is not well formed.
    #[non_exhaustive]
    Syntax {
        /// The byte at which it stops being so.
        at: usize,
        /// What is expected there.
        expected: &'static str,
    },
    /// The labels are well formed and refused.
    Label(LabelError),
    /// A matcher is well formed and refused.
    Matcher(MatcherError),
}

impl Deref for Selector {
    type Target = [Matcher];

    fn deref(&self) -> &[Matcher] {
        &self.0
    }
}

impl From<Vec<Matcher>> for Selector {
    fn from(matchers: Vec<Matcher>) -> Self {
        Self(matchers)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, matcher) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { ", " };
            write!(f, "{separator}{matcher}")?;
        }
        f.write_str("}")
    }
}

impl FromStr for Selector {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let matcher = |(name, op, value): Item| Ok(Matcher::new(op, name, value)?);
        parse(text, true)?.into_iter().map(matcher).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Labels {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let items = parse(text, false)?;
        Ok(Self::from_pairs(items.iter().map(|(name, _, value)| (name, value)))?)
    }
}

/// Name, operator and value.
type Item = (String, MatchOp, String);

/// The items of a text; with `matchers`, other operators than `=` are allowed.
fn parse(text: &str, matchers: bool) -> Result<Vec<Item>, ParseError> {
    let mut parser = Parser { text, at: 0 };
    let mut items = Vec::new();
    let metric = |name: String| ("__name__".to_owned(), MatchOp::Equal, name);
    items.extend(parser.word(true).map(metric));
    if parser.eat("{") {
        while !parser.eat("}") {
            let (name, quoted) = match parser.word(false) {
                Some(name) => (name, false),
                None => (parser.string("a label name or \"}\"")?, true),
            };
            let ops = [MatchOp::Regex, MatchOp::NotRegex, MatchOp::NotEqual, MatchOp::Equal];
            let allowed = if matchers { &ops[..] } else { &ops[3..] };
            match allowed.iter().find(|op| parser.eat(op.as_str())) {
                Some(op) => items.push((name, *op, parser.string("a quoted value")?)),
                None if quoted && items.is_empty() => items.push(metric(name)),
                None => return Err(parser.expected(if matchers { "an operator" } else { "=" })),
            }
            if !parser.eat(",") && !parser.rest().starts_with('}') {
                return Err(parser.expected("\",\" or \"}\""));
            }
        }
    }
    match parser.rest() {
        "" if items.is_empty() => Err(parser.expected("a metric name or a label")),
        "" => Ok(items),
        _ => Err(parser.expected("the end")),
    }
}

/// A text and how far it is read; what is left never begins with a space.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        rest
    }

    fn expected(&self, expected: &'static str) -> ParseError {
        ParseError::Syntax { at: self.at, expected }
    }

    /// Whether `token` comes next, which is then read.
    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    /// The identifier that comes next, of a metric or of a label.
    fn word(&mut self, metric: bool) -> Option<String> {
        let rest = self.rest();
        let is_part = |c: char| is_bare(c.encode_utf8(&mut [0; 4]), metric) || c.is_ascii_digit();
        let word = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        let word = Some(word).filter(|word| is_bare(word, metric))?;
        self.at += word.len();
        Some(word.to_owned())
    }

    /// The quoted string that comes next.
    fn string(&mut self, expected: &'static str) -> Result<String, ParseError> {
        let rest = self.rest();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\'' | '`'));
        let Some(quote) = quote else { return Err(self.expected(expected)) };
        let mut value = String::new();
        let mut chars = rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.at += at + c.len_utf8();
                return Ok(value);
            }
            if c != '\\' || quote == '`' {
                value.push(c);
                continue;
            }
            let escaped = chars.next().map(|(_, c)| c);
            value.push(match escaped {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(c @ ('\\' | '"' | '\'')) => c,
                _ => {
                    self.at += at;
                    return Err(self.expected("one of the escapes \\n, \\r, \\t, \\\\, \\\", \\'"));
                }
            });
        }
        self.at = self.text.len();
        Err(self.expected("the closing quote"))
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { at, expected } => write!(f, "at byte {at}, {expected} is expected"),
            Self::Label(e) => e.fmt(f),
            Self::Matcher(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for ParseError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Syntax { .. } => None,
            Self::Label(e) => Some(e),
            Self::Matcher(e) => Some(e),
        }
    }
}

impl From<LabelError> for ParseError {
    fn from(e: LabelError) -> Self {
        Self::Label(e)
    }
}

impl From<MatcherError> for ParseError {
    fn from(e: MatcherError) -> Self {
        Self::Matcher(e)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(text: &str) -> (usize, &'static str) {
        match text.parse::<Selector>() {
            Err(ParseError::Syntax { at, expected }) => (at, expected),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_people_write() {
        let read = |text: &str| text.parse::<Selector>().unwrap().to_string();
        assert_eq!(read("up"), r#"{__name__="up"}"#);
        assert_eq!(read(" a:b { x = 'y' , } "), r#"{__name__="a:b", x="y"}"#);
        assert_eq!(read(r#"{"my metric", z!~`\d`}"#), r#"{__name__="my metric", z!~"\\d"}"#);
        assert_eq!(read(r#"{a="\"\\\n\t'"}"#), "{a=\"\\\"\\\\\\n\t'\"}");
        assert_eq!(
            read("{شهر!=\"تبریز\"}".replace("شهر", "\"شهر\"").as_str()).matches('"').count(),
            4
        );
    }

    #[test]
    fn what_is_wrong_and_where() {
        assert_eq!(refused(""), (0, "a metric name or a label"));
        assert_eq!(refused("{}"), (2, "a metric name or a label"));
        assert_eq!(refused("up{a}"), (4, "an operator"));
        assert_eq!(refused("up{a=b}"), (5, "a quoted value"));
        assert_eq!(refused("up{a=\"b\" c=\"d\"}"), (9, "\",\" or \"}\""));
        assert_eq!(refused("up{a=\"b"), (7, "the closing quote"));
        assert_eq!(refused("up{a=\"b\"} 1"), (10, "the end"));
        assert_eq!(refused("up{a=\"\\x\"}").0, 6);
        assert_eq!(refused("up{é=\"1\"}"), (3, "a label name or \"}\""));
        assert_eq!(refused("up{a=\"1\""), (8, "\",\" or \"}\""));
        assert!(matches!("{a=~\"(\"}".parse::<Selector>(), Err(ParseError::Matcher(_))));
        assert!(matches!(r#"a{a=~"b"}"#.parse::<Labels>(), Err(ParseError::Syntax { at: 4, .. })));
        let twice = r#"a{b="1", b="2"}"#.parse::<Labels>();
        assert!(matches!(twice, Err(ParseError::Label(LabelError::DuplicateName(_)))));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(
            pairs in prop::collection::btree_map("\\PC{1,8}|[a-z_]{1,4}|__name__", "(?s).{1,8}", 1..5),
            op in 0usize..2,
        ) {
            let labels = Labels::from_pairs(&pairs).unwrap();
            prop_assert_eq!(labels.to_string().parse::<Labels>().unwrap(), labels);
            let op = [MatchOp::Equal, MatchOp::NotEqual][op];
            let matchers = pairs.iter().map(|(name, value)| Matcher::new(op, name, value).unwrap());
            let selector = Selector(matchers.collect());
            prop_assert_eq!(selector.to_string().parse::<Selector>().unwrap(), selector);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a{}=~!,\"'`\\\\ é]{0,20}") {
            let _ = text.parse::<Selector>();
            let _ = text.parse::<Labels>();
        }
    }
}
