//! Which labels make the groups of an aggregation.

use crate::ast::Grouping;
use crate::value::{LabelSet, METRIC_NAME, SEPARATOR};

/// Which labels make a group.
#[derive(Debug)]
pub(super) struct GroupLabels {
    /// Whether the label of `count_values` is dropped again.
    drops_value_label: bool,
    /// `without`: all labels but `names`; else these only.
    without: bool,
    /// Sorted, no name twice.
    names: Vec<Box<str>>,
}

impl GroupLabels {
    /// `by` keeps the listed labels only, whichever they are. `without` drops them and the name of
    /// the metric; type and unit stay unless they are listed.
    pub(super) fn new(grouping: &Grouping) -> Self {
        let mut names: Vec<Box<str>> =
            grouping.labels.iter().map(|name| name.as_str().into()).collect();
        if grouping.without {
            names.push(METRIC_NAME.into());
        }
        names.sort_unstable();
        names.dedup();
        Self { drops_value_label: false, without: grouping.without, names }
    }

    /// The groups of `count_values`: the label that takes the values makes no group, for they
    /// overwrite what it had.
    pub(super) fn except(grouping: &Grouping, label: &str) -> Self {
        let mut labels = Self::new(grouping);
        match labels.names.binary_search_by(|name| (**name).cmp(label)) {
            Ok(_) if labels.without => labels.drops_value_label = true,
            Err(at) if labels.without => labels.names.insert(at, label.into()),
            Ok(at) => drop(labels.names.remove(at)),
            Err(_) => {}
        }
        labels
    }

    /// Whether the label of `count_values` is one that `without` drops.
    pub(super) fn drops_value_label(&self) -> bool {
        self.drops_value_label
    }

    pub(super) fn keeps(&self, name: &str) -> bool {
        self.names.binary_search_by(|own| (**own).cmp(name)).is_ok() != self.without
    }

    /// Replaces `key` by the encoding of those labels that make the group.
    pub(super) fn write_key(&self, labels: &LabelSet, key: &mut Vec<u8>) {
        key.clear();
        if !self.without && self.names.is_empty() {
            return;
        }
        // Both are in order of names, so one walk finds which labels are listed.
        let mut names = self.names.iter().map(|name| name.as_bytes()).peekable();
        let mut parts = labels.encoded().split(|byte| *byte == SEPARATOR);
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            while names.next_if(|listed| *listed < name).is_some() {}
            if (names.peek() == Some(&name)) != self.without {
                for part in [name, value] {
                    key.extend_from_slice(part);
                    key.push(SEPARATOR);
                }
            }
        }
    }
}
