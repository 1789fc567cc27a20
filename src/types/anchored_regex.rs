//! A regular expression with captures, as PromQL's `label_replace` applies it.
//!
//! Pure; built by the query languages above the engine. Its syntax and limits are those of
//! [`Matcher`](super::Matcher).

use std::fmt;

use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::captures::Captures;

use super::automaton;
use super::matcher_error::MatcherError;
use super::template::{Reference, parts};

/// A regular expression that must match a whole value, with what its groups captured.
///
/// ```
/// # use siltstone::AnchoredRegex;
/// let regex = AnchoredRegex::new("(?P<host>[^:]+):([0-9]+)")?;
/// assert_eq!(regex.expand("port $2 of ${host}", "db-1:9090").as_deref(), Some("port 9090 of db-1"));
/// assert_eq!(regex.expand("$1", "db-1"), None);
/// # Ok::<(), siltstone::MatcherError>(())
/// ```
#[derive(Clone)]
pub struct AnchoredRegex {
    pattern: String,
    regex: Regex,
    /// The names of the groups from the first on.
    names: Vec<Option<String>>,
}

impl AnchoredRegex {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// [`MatcherError`] as for the pattern of a matcher.
    pub fn new(pattern: &str) -> Result<Self, MatcherError> {
        let parsed = automaton::parse(pattern)?;
        let regex = automaton::compile(pattern, parsed.hir, WhichCaptures::All)?;
        Ok(Self { pattern: pattern.to_owned(), regex, names: parsed.names })
    }

    /// The regular expression as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Whether the whole of `value` matches. Takes time linear in the value.
    #[must_use]
    pub fn is_match(&self, value: &str) -> bool {
        self.regex.is_match(value)
    }

    /// What the groups captured, if the whole of `value` matches. Of several ways to match, that of
    /// Perl counts: earlier branches and, unless lazy, more repetitions first.
    #[must_use]
    pub fn captures<'a>(&'a self, value: &'a str) -> Option<ValueCaptures<'a>> {
        let mut captures = self.regex.create_captures();
        self.regex.captures(value, &mut captures);
        captures.is_match().then_some(ValueCaptures { regex: self, value, captures })
    }

    /// The template with what `value` captured, or `None` if the whole of `value` does not match.
    ///
    /// As Go's `Regexp.Expand`: `$1` and `${1}` stand for a group's text, `$name` and `${name}` for
    /// that of the first group of this name that captured anything, `$0` for the whole value, `$$`
    /// for a dollar. A name takes all letters, digits and underscores that follow: `$1x` is the group
    /// called `1x`. Groups that do not exist or captured nothing are empty; a dollar that begins none
    /// of these stands for itself.
    #[must_use]
    pub fn expand(&self, template: &str, value: &str) -> Option<String> {
        let captures = self.captures(value)?;
        let mut out = String::new();
        for (text, reference) in parts(template) {
            out.push_str(text);
            out.push_str(match reference {
                Some(Reference::Index(index)) => captures.get(index).unwrap_or_default(),
                Some(Reference::Name(name)) => captures.name(name).unwrap_or_default(),
                None => "",
            });
        }
        Some(out)
    }

    /// The memory that it holds, in bytes; see [`PatternBudget`](super::PatternBudget).
    #[must_use]
    pub fn compiled_bytes(&self) -> usize {
        size_of::<Self>() + self.pattern.len() + automaton::bytes(&self.regex)
    }
}

impl fmt::Debug for AnchoredRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnchoredRegex").field(&self.pattern).finish()
    }
}

/// What the groups of an [`AnchoredRegex`] captured of a value.
#[derive(Debug, Clone)]
pub struct ValueCaptures<'a> {
    regex: &'a AnchoredRegex,
    value: &'a str,
    captures: Captures,
}

impl<'a> ValueCaptures<'a> {
    /// What the group with this number captured, counted by opening parentheses from 1; 0 is the
    /// whole value. `None` if it captured nothing or does not exist.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'a str> {
        let span = self.captures.get_group(index)?;
        self.value.get(span.start..span.end)
    }

    /// What the first group of this name that captured anything captured.
    #[must_use]
    pub fn name(&self, name: &str) -> Option<&'a str> {
        let named = self.regex.names.iter().enumerate();
        named
            .filter(|(_, other)| other.as_deref() == Some(name))
            .find_map(|(index, _)| self.get(index + 1))
    }
}
