//! Which series of two vectors match: the labels that count, and one number for each of their
//! values.

use std::collections::HashMap;

use crate::ast::MatchingLabels;
use crate::value::{LabelSet, METRIC_NAME, SEPARATOR, Series};

/// The labels that must be equal in a match: `on`, those listed; `ignoring`, all but those listed
/// and the name of the metric.
#[derive(Debug, Clone)]
pub(super) struct MatchKey {
    on: bool,
    /// In order.
    names: Vec<String>,
}

impl MatchKey {
    pub(super) fn new(labels: &MatchingLabels) -> Self {
        let mut names = labels.labels.clone();
        if !labels.on {
            names.push(METRIC_NAME.to_owned());
        }
        names.sort_unstable();
        Self { on: labels.on, names }
    }

    /// The labels of a series that count.
    pub(super) fn labels(&self, labels: &LabelSet) -> LabelSet {
        let is_listed = |name: &str| self.names.binary_search_by(|n| n.as_str().cmp(name)).is_ok();
        labels.filter(|name| is_listed(name) == self.on)
    }

    /// Writes the encoding of [`labels`](Self::labels) without building them: both lists of names
    /// are in order, so one walk over the bytes does.
    fn write(&self, labels: &LabelSet, key: &mut Vec<u8>) {
        key.clear();
        let mut rest = labels.encoded();
        let mut names = self.names.iter().map(String::as_bytes).peekable();
        while !rest.is_empty() {
            let name_end = field_end(rest);
            let label_end = name_end + field_end(&rest[name_end..]);
            let name = &rest[..name_end - 1];
            while names.next_if(|listed| *listed < name).is_some() {}
            if names.peek().is_some_and(|listed| *listed == name) == self.on {
                key.extend_from_slice(&rest[..label_end]);
            }
            rest = &rest[label_end..];
        }
    }
}

/// Behind the separator of the first field.
fn field_end(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == SEPARATOR).map_or(bytes.len(), |at| at + 1)
}

/// Numbers the distinct keys of series, from 0, in the order in which they are met.
#[derive(Debug)]
pub(super) struct Signatures<'a> {
    key: &'a MatchKey,
    numbers: HashMap<Box<[u8]>, u32>,
    buffer: Vec<u8>,
}

impl<'a> Signatures<'a> {
    pub(super) fn new(key: &'a MatchKey, expected: usize) -> Self {
        Self { key, numbers: HashMap::with_capacity(expected), buffer: Vec::new() }
    }

    /// The number of a series; the same for all whose labels that count are equal.
    pub(super) fn number(&mut self, series: &Series) -> u32 {
        self.key.write(&series.labels, &mut self.buffer);
        if let Some(number) = self.numbers.get(self.buffer.as_slice()) {
            return *number;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(self.buffer.as_slice().into(), number);
        number
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(on: bool, labels: &[&str]) -> MatchKey {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        MatchKey::new(&MatchingLabels { on, labels })
    }

    #[test]
    fn ignoring_leaves_out_the_name_and_on_does_not() {
        let labels = LabelSet::from_pairs([("__name__", "m"), ("__type__", "t"), ("a", "1")]);
        let expected = LabelSet::from_pairs([("__type__", "t"), ("a", "1")]);
        assert_eq!(key(false, &[]).labels(&labels), expected);
        let expected = LabelSet::from_pairs([("__name__", "m")]);
        assert_eq!(key(true, &["__name__", "z"]).labels(&labels), expected);
    }

    proptest! {
        #[test]
        fn written_keys_are_the_labels_that_count(
            labels in prop::collection::vec(("(__name__|[a-c]{1,2})", "[xy]{0,2}"), 0..6),
            names in prop::collection::vec("(__name__|[a-c]{1,2})", 0..5),
            on in any::<bool>(),
        ) {
            let labels = LabelSet::from_pairs(labels);
            let key = key(on, &names.iter().map(String::as_str).collect::<Vec<_>>());
            let mut written = Vec::new();
            key.write(&labels, &mut written);
            let counted = key.labels(&labels);
            prop_assert_eq!(written.as_slice(), counted.encoded());
        }
    }
}
