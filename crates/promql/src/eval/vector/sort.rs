//! `sort`, `sort_desc`, `sort_by_label` and `sort_by_label_desc`: the order of the series in the
//! result of an instant query.
//!
//! They hold all of their input, and move it. With several steps there is no order to choose, because
//! results of range queries are ordered by labels: then they leave the series as they are, and warn.
//! Names of metrics stay.

use std::cmp::Ordering;

use super::natural_order;
use crate::annotations::{Annotation, Annotations};
use crate::ast::Span;
use crate::functions::Function;
use crate::value::{Series, is_absent};

/// A call of such a function with all but its series.
#[derive(Debug, Clone)]
pub(crate) struct Sort {
    key: Key,
    descending: bool,
    span: Span,
}

#[derive(Debug, Clone)]
enum Key {
    Value,
    /// Names of labels.
    Labels(Vec<String>),
}

impl Sort {
    /// Prepares `function` with its text arguments, the names of labels; `span` is the place of the
    /// call. `None` if it is no function of this kind. Names that are not UTF-8 are those of no
    /// label.
    pub(crate) fn prepare<'a>(
        function: Function,
        labels: impl IntoIterator<Item = &'a [u8]>,
        span: Span,
    ) -> Option<Self> {
        let (by_label, descending) = match function {
            Function::Sort => (false, false),
            Function::SortDesc => (false, true),
            Function::SortByLabel => (true, false),
            Function::SortByLabelDesc => (true, true),
            _ => return None,
        };
        let names = labels.into_iter().filter_map(|name| str::from_utf8(name).ok());
        let key =
            if by_label { Key::Labels(names.map(str::to_owned).collect()) } else { Key::Value };
        Some(Self { key, descending, span })
    }

    /// The series in their order if there is one step, as they are if there are several.
    ///
    /// By value: floats only, histograms are dropped; NaN is last in both directions; equal values
    /// stay in the order in which they came. By labels: one label after the other in natural order
    /// (a label that is missing is empty and so before all others), then all labels in theirs;
    /// descending is the exact reverse.
    pub(crate) fn apply(
        &self,
        mut series: Vec<Series>,
        steps: usize,
        notes: &mut Annotations,
    ) -> Vec<Series> {
        if matches!(self.key, Key::Value) {
            series.iter_mut().for_each(|series| series.values.clear_histograms());
            series.retain(|series| !series.values.is_empty());
        }
        if steps != 1 {
            // The text is the same for all four functions.
            notes.add(Annotation::SortInRangeQuery { function: "sort" }, self.span);
            return series;
        }
        match &self.key {
            Key::Value => series.sort_by(|a, b| {
                let value = |series: &Series| series.values.floats()[0];
                by_value(value(a), value(b), self.descending)
            }),
            Key::Labels(names) => series.sort_by(|a, b| {
                let order = by_labels(a, b, names);
                if self.descending { order.reverse() } else { order }
            }),
        }
        series
    }
}

fn by_value(a: f64, b: f64, descending: bool) -> Ordering {
    debug_assert!(!is_absent(a) && !is_absent(b), "series without values are gone");
    let order = a.partial_cmp(&b).map(|order| if descending { order.reverse() } else { order });
    order.unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn by_labels(a: &Series, b: &Series, names: &[String]) -> Ordering {
    let by_name = names
        .iter()
        .map(|name| natural_order::compare(a.labels.get(name), b.labels.get(name)))
        .find(|order| order.is_ne());
    by_name.unwrap_or_else(|| a.labels.cmp(&b.labels))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::annotations::Severity;
    use crate::value::{ABSENT, LabelSet, StepColumn};

    const SPAN: Span = Span { start: 0, end: 7 };

    fn series(name: &str, floats: &[f64]) -> Series {
        let values = StepColumn::from_floats(floats.to_vec());
        Series { labels: LabelSet::from_pairs([("n", name)]), drop_name: false, values }
    }

    fn sorted(function: Function, labels: &[&str], series: Vec<Series>) -> Vec<String> {
        let labels = labels.iter().map(|name| name.as_bytes());
        let sort = Sort::prepare(function, labels, SPAN).expect("a sort");
        let mut notes = Annotations::default();
        let sorted = sort.apply(series, 1, &mut notes);
        assert!(notes.is_empty());
        sorted.iter().map(|series| series.labels.get("n").to_owned()).collect()
    }

    #[test]
    fn nan_is_last_in_both_directions() {
        let mut histogram = series("histogram", &[ABSENT]);
        histogram.values.push_histogram(0, Arc::default());
        let all = vec![
            series("nan", &[f64::NAN]),
            series("two", &[2.0]),
            series("inf", &[f64::INFINITY]),
            histogram,
            series("nan2", &[-f64::NAN]),
            series("two2", &[2.0]),
            series("one", &[1.0]),
        ];
        let ascending = ["one", "two", "two2", "inf", "nan", "nan2"];
        assert_eq!(sorted(Function::Sort, &[], all.clone()), ascending);
        let descending = ["inf", "two", "two2", "one", "nan", "nan2"];
        assert_eq!(sorted(Function::SortDesc, &[], all), descending);
    }

    #[test]
    fn labels_are_in_natural_order() {
        let mut histogram = series("a2", &[ABSENT]);
        histogram.values.push_histogram(0, Arc::default());
        let all = vec![series("a10", &[1.0]), histogram, series("a1", &[1.0])];
        assert_eq!(sorted(Function::SortByLabel, &["x", "n"], all.clone()), ["a1", "a2", "a10"]);
        assert_eq!(sorted(Function::SortByLabelDesc, &["n"], all.clone()), ["a10", "a2", "a1"]);
        // All labels are in their plain order.
        assert_eq!(sorted(Function::SortByLabel, &["x"], all), ["a1", "a10", "a2"]);
    }

    #[test]
    fn several_steps_have_no_order() {
        for function in Function::ALL {
            let Some(sort) = Sort::prepare(*function, [b"n".as_slice()], SPAN) else { continue };
            let mut notes = Annotations::default();
            let all = vec![series("b", &[2.0, 1.0]), series("a", &[1.0, 2.0])];
            let result = sort.apply(all, 2, &mut notes);
            assert_eq!(result[0].labels.get("n"), "b");
            let warning = "PromQL warning: sort is ineffective for range queries since results are \
                           always ordered by labels (1:1)";
            assert_eq!(notes.texts(Severity::Warning, "sort(x)"), [warning]);
        }
    }
}
