//! What was refused of a request that was otherwise stored: how many, and why the first few were.

use std::fmt::{self, Display};

/// Reasons that are kept; the rest is counted.
const REASONS_MAX: usize = 10;

/// Counts what was refused and keeps the first reasons.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reasons {
    count: u64,
    first: Vec<String>,
}

impl Reasons {
    /// Counts one more; the reason is only put into words if it is kept.
    pub(crate) fn add(&mut self, reason: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < REASONS_MAX {
            self.first.push(reason());
        }
    }

    /// Adds those of `other`.
    pub(crate) fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.first.extend(other.first);
        self.first.truncate(REASONS_MAX);
    }

    /// How many were refused.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Why the first few were.
    #[must_use]
    pub fn first(&self) -> &[String] {
        &self.first
    }
}

impl Display for Reasons {
    /// One reason a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for reason in &self.first {
            writeln!(f, "{reason}")?;
        }
        let more = self.count - self.first.len() as u64;
        if more > 0 { writeln!(f, "and {more} more") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_are_kept() {
        let mut reasons = Reasons::default();
        assert_eq!(reasons.to_string(), "");
        (0..12).for_each(|i| reasons.add(|| format!("line {i}")));
        assert_eq!((reasons.count(), reasons.first().len()), (12, 10));
        assert!(reasons.to_string().ends_with("line 9\nand 2 more\n"));
    }
}
