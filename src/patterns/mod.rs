//! The regular expressions of one request: compiled one by one, within one bound.
//!
//! Whoever reads a request makes one [`Patterns`] and gives it to every parser that meets regular expressions
//! in it. Pure but for the caller's check of the time.
//!
//! # Invariants
//!
//! - What is compiled, the bound is asked for before the next one is: never more is held than the bound and
//!   one pattern.
//! - Equal texts are compiled once and counted once.

mod cache;

use std::collections::HashMap;
use std::fmt;

use crate::types::{AnchoredRegex, MatchOp, Matcher, MatcherError, Pattern, PatternBudget};

pub use cache::{PatternCache, PatternCacheStats};

/// What a regular expression takes beside its text and its automaton, in bytes.
const PATTERN_BYTES: usize = 512;

/// Compiles the regular expressions of a request, which share a [`PatternBudget`].
///
/// ```
/// # use siltstone::{MatchOp, MatcherError, PatternBudget, Patterns};
/// let mut patterns = Patterns::within(PatternBudget::new(16 << 10));
/// let matcher = patterns.matcher(MatchOp::Regex, "job", "api|db")?;
/// assert!(matcher.matches("db"));
/// let large = patterns.matcher(MatchOp::Regex, "job", "(?i)[a-z]{1,100}");
/// assert!(matches!(large, Err(MatcherError::OverBudget { .. })));
/// # Ok::<(), MatcherError>(())
/// ```
pub struct Patterns {
    budget: PatternBudget,
    cache: Option<PatternCache>,
    goes_on: Box<dyn FnMut() -> bool>,
    matchers: HashMap<String, Pattern>,
    captures: HashMap<String, AnchoredRegex>,
    stopped: bool,
}

impl Patterns {
    /// None yet, of at most the bytes of `budget`.
    #[must_use]
    pub fn within(budget: PatternBudget) -> Self {
        Self {
            budget,
            cache: None,
            goes_on: Box::new(|| true),
            matchers: HashMap::new(),
            captures: HashMap::new(),
            stopped: false,
        }
    }

    /// Takes from `cache` what is kept there, and keeps there what is compiled.
    #[must_use]
    pub fn cached(mut self, cache: &PatternCache) -> Self {
        self.cache = Some(cache.clone());
        self
    }

    /// Asks `goes_on` before each one is compiled, and compiles none any more when it says no: the request
    /// was cancelled, or its time is over.
    #[must_use]
    pub fn while_true(mut self, goes_on: impl FnMut() -> bool + 'static) -> Self {
        self.goes_on = Box::new(goes_on);
        self
    }

    /// As [`Matcher::new`].
    ///
    /// # Errors
    /// As [`Matcher::new`]; [`MatcherError::OverBudget`], [`MatcherError::Stopped`].
    pub fn matcher(
        &mut self,
        op: MatchOp,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Matcher, MatcherError> {
        let value = value.into();
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(self.pattern(&value)?),
        };
        Ok(Matcher::from_parts(op, name.into(), value, pattern))
    }

    fn pattern(&mut self, text: &str) -> Result<Pattern, MatcherError> {
        if let Some(pattern) = self.matchers.get(text) {
            return Ok(pattern.clone());
        }
        self.check()?;
        let kept = self.cache.as_ref().and_then(|cache| cache.matcher(text));
        let is_new = kept.is_none();
        let pattern = kept.map_or_else(|| Pattern::new(text), Ok)?;
        self.budget.take(PATTERN_BYTES + text.len() + pattern.bytes())?;
        if let Some(cache) = self.cache.as_ref().filter(|_| is_new) {
            cache.keep_matcher(text, &pattern);
        }
        self.matchers.insert(text.to_owned(), pattern.clone());
        Ok(pattern)
    }

    /// As [`AnchoredRegex::new`].
    ///
    /// # Errors
    /// As [`AnchoredRegex::new`]; [`MatcherError::OverBudget`], [`MatcherError::Stopped`].
    pub fn captures(&mut self, text: &str) -> Result<AnchoredRegex, MatcherError> {
        if let Some(regex) = self.captures.get(text) {
            return Ok(regex.clone());
        }
        self.check()?;
        let kept = self.cache.as_ref().and_then(|cache| cache.captures(text));
        let is_new = kept.is_none();
        let regex = kept.map_or_else(|| AnchoredRegex::new(text), Ok)?;
        self.budget.take(PATTERN_BYTES + text.len() + regex.compiled_bytes())?;
        if let Some(cache) = self.cache.as_ref().filter(|_| is_new) {
            cache.keep_captures(text, &regex);
        }
        self.captures.insert(text.to_owned(), regex.clone());
        Ok(regex)
    }

    fn check(&mut self) -> Result<(), MatcherError> {
        self.stopped |= !(self.goes_on)();
        if self.stopped { Err(MatcherError::Stopped) } else { Ok(()) }
    }

    /// Whether one was not compiled because the check said no: for callers whose parser puts errors into words.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// How many different ones there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.matchers.len() + self.captures.len()
    }

    /// What is left for others.
    #[must_use]
    pub fn budget(&self) -> &PatternBudget {
        &self.budget
    }
}

impl Default for Patterns {
    /// Those of [`PatternBudget::default`], without a cache.
    fn default() -> Self {
        Self::within(PatternBudget::default())
    }
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patterns").field("budget", &self.budget).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    fn regex(patterns: &mut Patterns, name: &str, value: &str) -> Result<(), MatcherError> {
        patterns.matcher(MatchOp::Regex, name, value).map(drop)
    }

    /// How many were compiled, and the check that counts them.
    fn counted() -> (Rc<Cell<usize>>, impl FnMut() -> bool) {
        let compiled = Rc::new(Cell::new(0));
        let counter = Rc::clone(&compiled);
        let count = move || {
            counter.set(counter.get() + 1);
            true
        };
        (compiled, count)
    }

    #[test]
    fn equal_ones_are_compiled_and_counted_once() {
        let (compiled, count) = counted();
        let mut patterns = Patterns::default().while_true(count);
        for name in 0..10_000 {
            regex(&mut patterns, &name.to_string(), "(?i)[a-z]{1,100}").unwrap();
        }
        patterns.matcher(MatchOp::NotRegex, "x", "(?i)[a-z]{1,100}").unwrap();
        assert_eq!(compiled.get(), 1);
        patterns.captures("(?i)[a-z]{1,100}").unwrap();
        patterns.captures("(?i)[a-z]{1,100}").unwrap();
        assert_eq!(compiled.get(), 2);
    }

    #[test]
    fn nothing_is_compiled_beyond_the_budget() {
        let (compiled, count) = counted();
        let mut patterns = Patterns::within(PatternBudget::new(1 << 20)).while_true(count);
        let mut add = |number: usize| regex(&mut patterns, "a", &format!(r"{number}\pL{{10}}"));
        let held = (0..5000).take_while(|number| add(*number).is_ok()).count();
        assert!(held < 100 && compiled.get() == held + 1, "{held} of {}", compiled.get());
        assert_eq!(add(5000), Err(MatcherError::OverBudget { max: 1 << 20 }));
    }

    #[test]
    fn many_small_ones_count_too() {
        let mut patterns = Patterns::default();
        let mut add = |number: usize| regex(&mut patterns, "a", &number.to_string());
        let held = (0..100_000).take_while(|number| add(*number).is_ok()).count();
        assert!(held <= PatternBudget::DEFAULT_BYTES / PATTERN_BYTES, "{held}");
    }

    #[test]
    fn what_is_kept_is_not_compiled_again_and_counts() {
        let cache = PatternCache::new(1 << 20, 100);
        for request in 0..3 {
            let mut patterns = Patterns::default().cached(&cache);
            regex(&mut patterns, "a", "a[0-9]+").unwrap();
            regex(&mut patterns, "b", "a[0-9]+").unwrap();
            patterns.captures("b([0-9]+)").unwrap();
            assert_eq!((cache.stats().hits, cache.stats().misses), (2 * request, 2));
        }
        let mut small = Patterns::within(PatternBudget::new(1 << 10)).cached(&cache);
        assert!(matches!(regex(&mut small, "a", "a[0-9]+"), Err(MatcherError::OverBudget { .. })));
    }

    #[test]
    fn it_stops_when_it_is_told_to() {
        let mut left = 3;
        let mut patterns = Patterns::default().while_true(move || {
            left -= 1;
            left > 0
        });
        assert_eq!(regex(&mut patterns, "a", "a+"), Ok(()));
        assert_eq!(regex(&mut patterns, "a", "b+"), Ok(()));
        assert_eq!(regex(&mut patterns, "a", "c+"), Err(MatcherError::Stopped));
        assert_eq!(regex(&mut patterns, "a", "a+"), Ok(()), "is there already");
    }
}
