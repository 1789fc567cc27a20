//! How many series the active label pairs have: what makes a store large.
//!
//! A pair's postings are its count of series, so that everything here follows from one walk over the
//! pairs, without a look at a series. Called by [`Db::cardinality`](crate::Db::cardinality).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Registry;
use super::pairs::Pairs;

/// The name of the label that holds the name of the metric.
const METRIC_NAME: &str = "__name__";

/// Counts of the active series: those with samples in memory, or written lately.
///
/// Lists hold the largest entries, largest first; equal counts are in the order of the text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cardinality {
    /// Active series.
    pub series: u64,
    /// Different pairs of a label name and a value.
    pub label_pairs: u64,
    /// Metric names by their number of series.
    pub series_by_metric: Vec<(String, u64)>,
    /// Label names by their number of values.
    pub values_by_label: Vec<(String, u64)>,
    /// Label names by the bytes of all their values, each value once.
    pub bytes_by_label: Vec<(String, u64)>,
    /// Pairs, as `name=value`, by their number of series.
    pub series_by_pair: Vec<(String, u64)>,
}

impl Registry {
    /// Counts series, with lists of at most `top` entries.
    ///
    /// The registry is locked for reading meanwhile, for a time that grows with the pairs; the memory
    /// grows with `top` alone.
    #[must_use]
    pub fn cardinality(&self, top: usize) -> Cardinality {
        let catalog = self.read();
        Cardinality { series: catalog.len() as u64, ..of_pairs(&catalog.pairs, top) }
    }
}

fn of_pairs(pairs: &Pairs, top: usize) -> Cardinality {
    let mut metrics = Largest::new(top);
    let mut values_by_label = Largest::new(top);
    let mut bytes_by_label = Largest::new(top);
    let mut series_by_pair = Largest::new(top);
    let mut label_pairs = 0;
    for name in pairs.names() {
        let (mut values, mut bytes) = (0, 0);
        for (id, value) in pairs.of_name(name) {
            let series = pairs.postings(id).len() as u64;
            values += 1;
            bytes += value.len() as u64;
            series_by_pair.offer(series, (name, value));
            if name == METRIC_NAME {
                metrics.offer(series, (value, ""));
            }
        }
        label_pairs += values;
        values_by_label.offer(values, (name, ""));
        bytes_by_label.offer(bytes, (name, ""));
    }
    let first = |(text, _): (&str, &str)| text.to_owned();
    Cardinality {
        series: 0,
        label_pairs,
        series_by_metric: metrics.into_list(first),
        values_by_label: values_by_label.into_list(first),
        bytes_by_label: bytes_by_label.into_list(first),
        series_by_pair: series_by_pair.into_list(|(name, value)| format!("{name}={value}")),
    }
}

/// An entry's rank: by count, then against the order of the text.
type Ranked<'a> = (u64, Reverse<(&'a str, &'a str)>);

/// The largest of the entries that were offered.
struct Largest<'a> {
    top: usize,
    /// The smallest entry that is kept is the first to leave.
    kept: BinaryHeap<Reverse<Ranked<'a>>>,
}

impl<'a> Largest<'a> {
    fn new(top: usize) -> Self {
        Self { top, kept: BinaryHeap::new() }
    }

    fn offer(&mut self, count: u64, text: (&'a str, &'a str)) {
        let entry = Reverse((count, Reverse(text)));
        if self.kept.len() < self.top {
            self.kept.push(entry);
        } else if let Some(mut smallest) = self.kept.peek_mut()
            && entry < *smallest
        {
            *smallest = entry;
        }
    }

    fn into_list(self, write: impl Fn((&str, &str)) -> String) -> Vec<(String, u64)> {
        let sorted = self.kept.into_sorted_vec().into_iter();
        sorted.map(|Reverse((count, Reverse(text)))| (write(text), count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Labels, LabelsLimits};

    #[test]
    fn the_largest_come_first_and_counts_are_those_of_series() {
        let registry = Registry::new([7; 32], LabelsLimits::default(), 100);
        for (name, job, host) in
            [("up", "a", "h1"), ("up", "a", "h2"), ("up", "b", "h3"), ("load", "b", "h1")]
        {
            let labels = [("__name__", name), ("job", job), ("host", host)];
            registry.resolve(&Labels::from_pairs(labels).unwrap()).unwrap();
        }
        let list = |entries: &[(&str, u64)]| -> Vec<(String, u64)> {
            entries.iter().map(|(text, count)| ((*text).to_owned(), *count)).collect()
        };
        let all = registry.cardinality(10);
        assert_eq!((all.series, all.label_pairs), (4, 7));
        assert_eq!(all.series_by_metric, list(&[("up", 3), ("load", 1)]));
        assert_eq!(all.values_by_label, list(&[("host", 3), ("__name__", 2), ("job", 2)]));
        assert_eq!(all.bytes_by_label, list(&[("__name__", 6), ("host", 6), ("job", 2)]));
        let pairs = [("__name__=up", 3), ("host=h1", 2), ("job=a", 2), ("job=b", 2)];
        assert_eq!(all.series_by_pair[..4], list(&pairs));
        let few = registry.cardinality(2);
        assert_eq!(few.series_by_pair, list(&pairs[..2]));
        assert_eq!(few.values_by_label, list(&[("host", 3), ("__name__", 2)]));
        assert_eq!((few.series, few.label_pairs), (4, 7), "what is cut is only the lists");
    }
}
