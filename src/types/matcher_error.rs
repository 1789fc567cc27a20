//! Why a matcher was refused.
//!
//! Below [`Matcher`](super::Matcher) and all that compiles regular expressions: they share it.

use std::borrow::Cow;
use std::fmt;

/// Most characters of a pattern that an error shows.
const SHOWN_CHARS_MAX: usize = 200;

/// Why a matcher was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MatcherError {
    /// The regular expression is longer than the limit.
    TooLong {
        /// Its length in bytes.
        bytes: usize,
        /// Longest allowed, in bytes.
        max: usize,
    },
    /// The regular expression is not well formed.
    Syntax {
        /// The regular expression.
        pattern: String,
        /// Where the error starts, in bytes of the pattern.
        start: usize,
        /// Where the error ends, in bytes of the pattern.
        end: usize,
        /// What is wrong there.
        message: String,
    },
    /// The regular expression compiles to more than the limit.
    TooLarge {
        /// The regular expression.
        pattern: String,
        /// Largest compiled size allowed, in bytes.
        max: usize,
    },
    /// The regular expressions of one request compile to more than the limit together.
    OverBudget {
        /// Largest compiled size of all of them, in bytes.
        max: usize,
    },
    /// The request was cancelled, or its time was over, before this one was compiled.
    Stopped,
}

impl fmt::Display for MatcherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes, max } => {
                write!(f, "the regular expression has {bytes} bytes, more than the limit of {max}")
            }
            Self::Syntax { pattern, start, end, message } => {
                let (before, at) = (excerpt(pattern, 0, *start), excerpt(pattern, *start, *end));
                let (pattern, column) = (shortened(pattern), before.chars().count() + 1);
                write!(
                    f,
                    "invalid regular expression {pattern:?}: {message} at character {column}"
                )?;
                if at.is_empty() { Ok(()) } else { write!(f, " ({:?})", shortened(at)) }
            }
            Self::TooLarge { pattern, max } => {
                let pattern = shortened(pattern);
                write!(
                    f,
                    "the regular expression {pattern:?} compiles to more than the limit of {max} \
                     bytes: shorten its repetitions"
                )
            }
            Self::OverBudget { max } => write!(
                f,
                "the regular expressions compile to more than the limit of {max} bytes together"
            ),
            Self::Stopped => f.write_str(
                "the request was cancelled or out of time before its regular expressions were compiled",
            ),
        }
    }
}

impl std::error::Error for MatcherError {}

/// A text as far as a message shows it.
fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

fn excerpt(pattern: &str, start: usize, end: usize) -> &str {
    pattern.get(start..end).unwrap_or_default()
}
