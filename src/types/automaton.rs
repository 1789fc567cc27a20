//! From the text of a regular expression to an automaton, and the limits on both.
//!
//! Used by [`Pattern`](super::pattern::Pattern) and [`AnchoredRegex`](super::AnchoredRegex), so that
//! there is one syntax and one set of limits.

use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_syntax::hir::{Hir, Look};

use super::matcher_error::MatcherError;
use super::re2::{self, Fault, Parsed};

/// Longest pattern in bytes: a dashboard's "All" lists every value that a variable has.
const PATTERN_BYTES_MAX: usize = 64 << 10;
/// Largest compiled automaton in bytes: the states of the NFA, from which the others are made.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// What an automaton takes beside what it says itself: the engines' own fields, and working memory from the
/// first match on. Measured with patterns of a few characters.
const AUTOMATON_BYTES: usize = 8 << 10;

/// The memory that `regex` holds, in bytes.
pub(super) fn bytes(regex: &Regex) -> usize {
    AUTOMATON_BYTES + regex.memory_usage()
}

/// Reads `pattern`, which may be long, but not too long.
pub(super) fn parse(pattern: &str) -> Result<Parsed, MatcherError> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(MatcherError::TooLong { bytes: pattern.len(), max: PATTERN_BYTES_MAX });
    }
    re2::parse(pattern).map_err(|Fault { span, message }| MatcherError::Syntax {
        pattern: pattern.to_owned(),
        start: span.start,
        end: span.end,
        message: message.to_owned(),
    })
}

/// Compiles `hir`, which was read from `pattern`, so that only a whole value matches.
pub(super) fn compile(
    pattern: &str,
    hir: Hir,
    captures: WhichCaptures,
) -> Result<Regex, MatcherError> {
    let anchored = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
    let config = Regex::config()
        .which_captures(captures)
        .nfa_size_limit(Some(COMPILED_BYTES_MAX))
        .onepass_size_limit(Some(COMPILED_BYTES_MAX))
        .hybrid_cache_capacity(COMPILED_BYTES_MAX);
    let built = Regex::builder().configure(config).build_from_hir(&anchored);
    built.map_err(|e| match e.size_limit() {
        Some(max) => MatcherError::TooLarge { pattern: pattern.to_owned(), max },
        None => MatcherError::Syntax {
            pattern: pattern.to_owned(),
            start: 0,
            end: pattern.len(),
            message: e.to_string(),
        },
    })
}
