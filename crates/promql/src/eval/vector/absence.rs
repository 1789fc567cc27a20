//! `absent` and `absent_over_time`: 1 where a vector has nothing.
//!
//! Both stream: a [`Presence`] observes the series one by one, and those of several shares are
//! merged. It holds one byte for each step.

use siltstone::{MatchOp, Matcher};

use crate::ast::Selector;
use crate::value::{LabelSet, METRIC_NAME, Series, StepColumn, is_absent};

/// The labels of the result for a selector as the argument itself, also one of a range: those that
/// it demands with `=`. For all other arguments there are none.
///
/// Of several matchers of one label the first that is `=` sets it and any that follows removes it:
/// `{a="1", a="2"}` has no `a`. Those that only take series away (`a!="1"`) follow all others, because
/// Prometheus's storage puts them last; `{a=~"1|2", a="2"}` has `a="2"`. The name of the metric is left
/// out.
pub(crate) fn absent_labels(selector: &Selector) -> LabelSet {
    let mut set: Vec<(&str, &str)> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    let takes_away = |m: &&Matcher| !m.op().is_positive() && m.matches_empty();
    let all = || selector.matchers.iter().filter(|matcher| matcher.name() != METRIC_NAME);
    for matcher in all().filter(|m| !takes_away(m)).chain(all().filter(takes_away)) {
        let name = matcher.name();
        if matcher.op() == MatchOp::Equal && !seen.contains(&name) {
            set.push((name, matcher.value()));
            seen.push(name);
        } else {
            set.retain(|(other, _)| *other != name);
        }
    }
    LabelSet::from_pairs(set)
}

/// At which steps any of the series that were observed has a value, of either kind.
#[derive(Debug, Clone)]
pub(crate) struct Presence {
    present: Vec<bool>,
}

impl Presence {
    /// Of no series yet, at `steps` steps.
    pub(crate) fn new(steps: usize) -> Self {
        Self { present: vec![false; steps] }
    }

    /// Takes one series into account. For `absent_over_time` it has a value at each step whose window
    /// has one.
    pub(crate) fn observe(&mut self, column: &StepColumn) {
        for (present, value) in self.present.iter_mut().zip(column.floats()) {
            *present |= !is_absent(*value);
        }
        for (step, _) in column.histograms() {
            self.present[*step as usize] = true;
        }
    }

    /// Takes the series of another share into account.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (present, other) in self.present.iter_mut().zip(&other.present) {
            *present |= other;
        }
    }

    /// Bytes of heap that it holds.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.present.len()
    }

    /// The result: one series of `labels` that is 1 at the steps without a value, or none if there
    /// are no such steps.
    pub(crate) fn absent(self, labels: LabelSet) -> Vec<Series> {
        if self.present.iter().all(|present| *present) {
            return Vec::new();
        }
        let mut values = StepColumn::absent(self.present.len());
        for (step, _) in self.present.iter().enumerate().filter(|(_, present)| !**present) {
            values.set_float(step, 1.0);
        }
        vec![Series { labels, drop_name: false, values }]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ast::{RangeMode, TimeShift};
    use crate::value::ABSENT;

    fn labels(matchers: Vec<Matcher>) -> String {
        let (shift, mode) = (TimeShift::default(), RangeMode::Inside);
        absent_labels(&Selector { name: None, matchers, shift, mode }).to_string()
    }

    #[test]
    fn labels_are_those_that_equal_one_value() {
        let equal = |name: &str, value: &str| Matcher::equal(name, value);
        let differ = |name: &str, value: &str| Matcher::not_equal(name, value);
        let regex = Matcher::regex("r", "x|y").unwrap();
        let all = vec![equal("__name__", "m"), equal("a", "1"), regex, differ("d", "1")];
        assert_eq!(labels(all), r#"{a="1"}"#);
        let twice = vec![equal("a", "1"), equal("a", "2"), equal("b", "1")];
        assert_eq!(labels(twice), r#"{b="1"}"#);
        let three_times = vec![equal("a", "1"), equal("a", "2"), equal("a", "3")];
        assert_eq!(labels(three_times), "{}");
        assert_eq!(labels(vec![equal("a", "1"), differ("a", "2")]), "{}");
        assert_eq!(labels(vec![differ("a", "2"), equal("a", "1")]), "{}");
        assert_eq!(labels(vec![differ("a", ""), equal("a", "1")]), r#"{a="1"}"#);
        let regex = Matcher::regex("a", "x|1").unwrap();
        assert_eq!(labels(vec![regex, equal("a", "1")]), r#"{a="1"}"#);
        assert_eq!(labels(vec![equal("a", "")]), "{}");
    }

    #[test]
    fn one_where_nothing_is() {
        let mut histogram = StepColumn::absent(3);
        histogram.push_histogram(1, Arc::default());
        let float = StepColumn::from_floats(vec![f64::NAN, ABSENT, ABSENT]);
        let (mut left, mut right) = (Presence::new(3), Presence::new(3));
        left.observe(&histogram);
        right.observe(&float);
        left.merge(&right);
        let result = left.clone().absent(LabelSet::default());
        let points: Vec<usize> = result[0].values.iter().map(|(step, _)| step).collect();
        assert_eq!(points, [2]);
        assert_eq!(result[0].values.floats()[2], 1.0);
        left.observe(&StepColumn::from_floats(vec![ABSENT, ABSENT, 0.0]));
        assert!(left.absent(LabelSet::default()).is_empty());
        assert_eq!(Presence::new(1).absent(LabelSet::default()).len(), 1);
    }
}
