//! Tokens, the keywords among them, and how error messages name them.

use crate::ast::{AggregateOp, BinaryOp, DurationOp, ExprId, Span};
use crate::quote::quoted;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=`
    Assign,
    /// `=~`, only in braces.
    Regex,
    /// `!~`, only in braces.
    NotRegex,
    /// `@`
    At,
    /// An operator between two operands; in braces `!=` only.
    Operator(BinaryOp),
    Aggregate(AggregateOp),
    Keyword(Keyword),
    /// A name without a colon.
    Identifier,
    /// A name with a colon.
    MetricIdentifier,
    /// A number, `Inf` and `NaN` included.
    Number,
    /// A length of time such as `1h30m`.
    Duration,
    /// A quoted text, quotes included, whose escapes are valid.
    String,
    /// The end of the text.
    End,
}

/// A word that is neither an operator nor an aggregation; in any case of letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    Anchored,
    Bool,
    By,
    End,
    Fill,
    FillLeft,
    FillRight,
    GroupLeft,
    GroupRight,
    Ignoring,
    Offset,
    On,
    Range,
    Smoothed,
    Start,
    Step,
    Without,
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

/// Makes the node of `min_of` or of `max_of`.
pub(super) type MinMax = fn(ExprId, ExprId) -> DurationOp;

/// The function of two lengths of this name, in any case of letters.
pub(super) fn minmax(name: &str) -> Option<MinMax> {
    if name.eq_ignore_ascii_case("min_of") {
        Some(DurationOp::Min)
    } else if name.eq_ignore_ascii_case("max_of") {
        Some(DurationOp::Max)
    } else {
        None
    }
}

/// The longest keyword, `count_values`.
const KEYWORD_BYTES_MAX: usize = 12;

/// What the word `text`, which has no colon, is outside of braces and brackets.
pub(super) fn word_kind(text: &str) -> TokenKind {
    let mut lower = [0; KEYWORD_BYTES_MAX];
    if let Some(lower) = lower.get_mut(..text.len()) {
        lower.copy_from_slice(text.as_bytes());
        lower.make_ascii_lowercase();
        if let Some(kind) = keyword(lower) {
            return kind;
        }
    }
    TokenKind::Identifier
}

fn keyword(lower: &[u8]) -> Option<TokenKind> {
    use TokenKind::{Aggregate, Keyword as Word, Number, Operator};
    Some(match lower {
        b"and" => Operator(BinaryOp::And),
        b"or" => Operator(BinaryOp::Or),
        b"unless" => Operator(BinaryOp::Unless),
        b"atan2" => Operator(BinaryOp::Atan2),
        b"sum" => Aggregate(AggregateOp::Sum),
        b"avg" => Aggregate(AggregateOp::Avg),
        b"count" => Aggregate(AggregateOp::Count),
        b"min" => Aggregate(AggregateOp::Min),
        b"max" => Aggregate(AggregateOp::Max),
        b"group" => Aggregate(AggregateOp::Group),
        b"stddev" => Aggregate(AggregateOp::Stddev),
        b"stdvar" => Aggregate(AggregateOp::Stdvar),
        b"topk" => Aggregate(AggregateOp::Topk),
        b"bottomk" => Aggregate(AggregateOp::Bottomk),
        b"count_values" => Aggregate(AggregateOp::CountValues),
        b"quantile" => Aggregate(AggregateOp::Quantile),
        b"limitk" => Aggregate(AggregateOp::Limitk),
        b"limit_ratio" => Aggregate(AggregateOp::LimitRatio),
        b"anchored" => Word(Keyword::Anchored),
        b"bool" => Word(Keyword::Bool),
        b"by" => Word(Keyword::By),
        b"end" => Word(Keyword::End),
        b"fill" => Word(Keyword::Fill),
        b"fill_left" => Word(Keyword::FillLeft),
        b"fill_right" => Word(Keyword::FillRight),
        b"group_left" => Word(Keyword::GroupLeft),
        b"group_right" => Word(Keyword::GroupRight),
        b"ignoring" => Word(Keyword::Ignoring),
        b"offset" => Word(Keyword::Offset),
        b"on" => Word(Keyword::On),
        b"range" => Word(Keyword::Range),
        b"smoothed" => Word(Keyword::Smoothed),
        b"start" => Word(Keyword::Start),
        b"step" => Word(Keyword::Step),
        b"without" => Word(Keyword::Without),
        b"inf" | b"nan" => Number,
        _ => return None,
    })
}

impl TokenKind {
    /// Whether it may stand for the name of a metric: a name, or a keyword that the grammar can tell
    /// from one by its place.
    pub(super) fn is_metric_name(self) -> bool {
        match self {
            Self::Identifier | Self::MetricIdentifier | Self::Aggregate(_) => true,
            Self::Operator(op) => op.is_set_operator(),
            Self::Keyword(word) => !matches!(
                word,
                Keyword::Bool
                    | Keyword::GroupLeft
                    | Keyword::GroupRight
                    | Keyword::Ignoring
                    | Keyword::On
            ),
            _ => false,
        }
    }

    /// Whether an expression may begin with it.
    pub(super) fn begins_expression(self) -> bool {
        match self {
            Self::LeftParen
            | Self::LeftBrace
            | Self::Number
            | Self::Duration
            | Self::String
            | Self::Operator(BinaryOp::Add | BinaryOp::Sub) => true,
            _ => self.is_metric_name(),
        }
    }

    /// Whether it may stand for the name of a label in a list of them.
    pub(super) fn is_label_name(self) -> bool {
        match self {
            Self::Identifier | Self::MetricIdentifier | Self::Aggregate(_) => true,
            Self::Keyword(word) => word != Keyword::Without,
            Self::Operator(op) => op.is_set_operator() || op == BinaryOp::Atan2,
            _ => false,
        }
    }

    /// How messages name a token of this kind that is written `text`.
    pub(super) fn describe(self, text: &str) -> String {
        match self {
            Self::End => "end of input".to_owned(),
            Self::Identifier => format!("identifier {}", quoted(text.as_bytes())),
            Self::MetricIdentifier => format!("metric identifier {}", quoted(text.as_bytes())),
            Self::String => format!("string {}", excerpt(text)),
            Self::Number => format!("number {}", excerpt(text)),
            Self::Duration => format!("duration {}", excerpt(text)),
            Self::Keyword(Keyword::Start | Keyword::End | Keyword::Step | Keyword::Range) => {
                quoted(text.as_bytes())
            }
            Self::Keyword(_) => format!("<{text}>"),
            Self::Aggregate(_) => format!("<aggr:{text}>"),
            Self::Operator(_) | Self::Regex | Self::NotRegex | Self::At => format!("<op:{text}>"),
            _ => quoted(text.as_bytes()),
        }
    }
}

/// The text in quotes, at most ten characters of it.
fn excerpt(text: &str) -> String {
    if text.len() <= 10 {
        return quoted(text.as_bytes());
    }
    let end = text.char_indices().nth(10).map_or(text.len(), |(at, _)| at);
    quoted(&text.as_bytes()[..end]) + "..."
}
