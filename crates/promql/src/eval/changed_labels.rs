//! The labels that the stages of a chain make.
//!
//! `runner` computes them for all series before any sample is read; `stage_run` and `wave` look them
//! up.

use crate::value::LabelSet;

/// The labels of a chain's series behind the stages that change them, by key ([`Origin::set`](super::chain::Origin::set)).
///
/// `behind[i]` is for stage `i`; `None` where it changes nothing, which is the rule.
pub(super) struct ChangedLabels {
    pub(super) behind: Vec<Option<Vec<(LabelSet, bool)>>>,
}

impl ChangedLabels {
    /// The labels that the sink sees, if any stage changes them.
    pub(super) fn last(&self) -> Option<&[(LabelSet, bool)]> {
        self.behind.iter().rev().flatten().next().map(Vec::as_slice)
    }

    /// Bytes of the labels, which the meter knows of.
    pub(super) fn bytes(&self) -> usize {
        let sets = self.behind.iter().flatten().flatten();
        sets.map(|(labels, _)| labels.encoded().len()).sum()
    }
}
