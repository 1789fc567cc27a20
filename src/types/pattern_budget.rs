//! What the regular expressions of one request may take together.

use super::matcher::Matcher;
use super::matcher_error::MatcherError;

/// A limit on the memory of all compiled regular expressions of one query or request, so that many
/// small ones cannot do what one large one may not.
///
/// ```
/// # use siltstone::{Matcher, PatternBudget};
/// let mut budget = PatternBudget::new(10 << 10);
/// let matcher = Matcher::regex("job", "api|db")?;
/// assert!(budget.take_matcher(&matcher).is_ok());
/// let large = Matcher::regex("job", "(?i)[a-z]{1,100}")?;
/// assert!(budget.take_matcher(&large).is_err());
/// # Ok::<(), siltstone::MatcherError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PatternBudget {
    max: usize,
    left: usize,
}

impl PatternBudget {
    /// The bytes that [`PatternBudget::default`] allows, 8 MiB.
    pub const DEFAULT_BYTES: usize = 8 << 20;

    /// A budget of `bytes` bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { max: bytes, left: bytes }
    }

    /// Takes the memory of a compiled pattern off the budget.
    ///
    /// # Errors
    /// [`MatcherError::OverBudget`] if less is left.
    pub fn take(&mut self, compiled_bytes: usize) -> Result<(), MatcherError> {
        let error = MatcherError::OverBudget { max: self.max };
        self.left = self.left.checked_sub(compiled_bytes).ok_or(error)?;
        Ok(())
    }

    /// As [`take`](Self::take), the memory of a matcher.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub fn take_matcher(&mut self, matcher: &Matcher) -> Result<(), MatcherError> {
        self.take(matcher.compiled_bytes())
    }
}

impl Default for PatternBudget {
    fn default() -> Self {
        Self::new(Self::DEFAULT_BYTES)
    }
}
