//! Differences between Prometheus 3.5 and 3.14, whose semantics are ours.
//!
//! Each row says by what it is recognised, as narrowly as texts allow, and why it is no fault.

use crate::answer::Outcome;
use crate::compare::Difference;

/// A finding: the query, both outcomes, and in what they differ.
pub(crate) struct Finding<'a> {
    pub(crate) query: &'a str,
    pub(crate) theirs: &'a Outcome,
    pub(crate) ours: &'a Outcome,
    pub(crate) difference: &'a Difference,
}

/// A known difference.
pub(crate) struct Known {
    pub(crate) reason: &'static str,
    holds: fn(&Finding<'_>) -> bool,
}

/// All known differences.
const KNOWN: &[Known] = &[];

/// The known difference that explains this finding.
pub(crate) fn find(finding: &Finding<'_>) -> Option<&'static Known> {
    KNOWN.iter().find(|known| (known.holds)(finding))
}
