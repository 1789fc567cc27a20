//! Repetition operators: `*`, `+`, `?`, and counts in braces.

use super::input::{Fault, Input};
use super::node::REPEAT_MAX;

/// `min` to `max` times, without bound if `max` is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) min: u32,
    pub(super) max: Option<u32>,
}

impl Count {
    /// Whether RE2 makes copies of what is repeated, and therefore limits them.
    pub(super) fn copies(self) -> bool {
        self.min >= 2 || self.max.is_some_and(|max| max >= 2)
    }
}

/// Reads a repetition operator; `None`, and nothing is read, if what comes is none: such braces are
/// literal.
pub(super) fn read_count(input: &mut Input<'_>) -> Result<Option<Count>, Fault> {
    let start = input.at();
    let (min, max) = match input.peek() {
        Some('*') => (0, None),
        Some('+') => (1, None),
        Some('?') => (0, Some(1)),
        Some('{') => {
            let Some((bytes, min, max)) = braces(input.rest()) else { return Ok(None) };
            input.take(bytes);
            let too_many = |times: u32| times > REPEAT_MAX;
            if too_many(min) || max.is_some_and(|max| too_many(max) || min > max) {
                return Err(input.fault(start, "invalid repeat count"));
            }
            return Ok(Some(Count { min, max }));
        }
        _ => return Ok(None),
    };
    input.next();
    Ok(Some(Count { min, max }))
}

/// `{min}`, `{min,}` and `{min,max}`: the length in bytes and the bounds.
fn braces(text: &str) -> Option<(usize, u32, Option<u32>)> {
    let (min, rest) = number(text.strip_prefix('{')?)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => number(rest).map(|(max, rest)| (Some(max), rest))?,
    };
    let rest = rest.strip_prefix('}')?;
    Some((text.len() - rest.len(), min, max))
}

/// A decimal number without leading zeros, and what follows it. One that is too large is `u32::MAX`.
fn number(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    if number.is_empty() || (number.len() > 1 && number.starts_with('0')) {
        return None;
    }
    Some((number.parse().unwrap_or(u32::MAX), rest))
}
