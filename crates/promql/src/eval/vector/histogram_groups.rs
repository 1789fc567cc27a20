//! Which series of an instant vector make a histogram together.
//!
//! A classic histogram is a group of series of floats with equal labels but for `le`, the upper bound
//! of each one's bucket. A native histogram is in one series. Grouping looks at labels only, once for
//! all steps; series whose values are of both kinds belong to both.

use std::collections::HashMap;

use crate::annotations::{Annotation, Annotations};
use crate::ast::Span;
use crate::histogram::ClassicBucket;
use crate::value::{LabelSet, Series, is_absent};

/// The label that holds the upper bound of a bucket.
const BUCKET_LABEL: &str = "le";

/// The histograms of an instant vector. Numbers of series are places in it.
#[derive(Debug)]
pub(super) struct HistogramGroups {
    pub(super) classic: Vec<ClassicGroup>,
    pub(super) native: Vec<NativeSeries>,
}

/// The series of one classic histogram.
#[derive(Debug)]
pub(super) struct ClassicGroup {
    /// Without `le`.
    pub(super) labels: LabelSet,
    /// Bound and number of each series, in increasing order of bounds; NaN is last.
    buckets: Vec<(f64, usize)>,
    /// The series of native histograms with the same labels.
    native: Option<usize>,
}

/// A series with native histograms.
#[derive(Debug)]
pub(super) struct NativeSeries {
    pub(super) series: usize,
    /// The number of the group with the same labels.
    pub(super) classic: Option<usize>,
}

impl HistogramGroups {
    /// Groups `series`, the value of the expression at `span`. Warns of series of floats whose `le`
    /// is missing or no number, with their names if `name_metrics`, and leaves them out.
    pub(super) fn new(
        series: &[Series],
        span: Span,
        name_metrics: bool,
        notes: &mut Annotations,
    ) -> Self {
        let mut places: HashMap<LabelSet, usize> = HashMap::new();
        let mut classic: Vec<ClassicGroup> = Vec::new();
        for (number, one) in series.iter().enumerate() {
            if one.values.floats().iter().all(|value| is_absent(*value)) {
                continue;
            }
            let text = one.labels.get(BUCKET_LABEL);
            let Some(bound) = bucket_bound(text) else {
                let metric = if name_metrics { one.labels.metric_name() } else { "" }.to_owned();
                notes.add(Annotation::BadBucketLabel { value: text.to_owned(), metric }, span);
                continue;
            };
            let labels = one.labels.filter(|name| name != BUCKET_LABEL);
            let place = *places.entry(labels).or_insert_with_key(|labels| {
                let labels = labels.clone();
                classic.push(ClassicGroup { labels, buckets: Vec::new(), native: None });
                classic.len() - 1
            });
            classic[place].buckets.push((bound, number));
        }
        // Equal bounds are added up in the order of their texts, whichever series came first.
        let text = |number: usize| series[number].labels.get(BUCKET_LABEL);
        for group in &mut classic {
            group
                .buckets
                .sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| text(a.1).cmp(text(b.1))));
        }
        let mut native = Vec::new();
        for (number, one) in series.iter().enumerate() {
            if !one.values.histograms().is_empty() {
                // All labels count here, `le` too.
                let place = places.get(&one.labels).copied();
                native.push(NativeSeries { series: number, classic: place });
                if let Some(place) = place {
                    classic[place].native = Some(number);
                }
            }
        }
        Self { classic, native }
    }
}

impl ClassicGroup {
    /// The number of its series.
    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether there is a bucket at `step`.
    pub(super) fn is_present(&self, series: &[Series], step: usize) -> bool {
        self.buckets.iter().any(|(_, number)| !is_absent(series[*number].values.floats()[step]))
    }

    /// Replaces what is in `buckets` by those of `step`, in increasing order of bounds; by none if
    /// there is a native histogram with the same labels, because then it is not known which of the
    /// two is meant.
    pub(super) fn gather(&self, series: &[Series], step: usize, buckets: &mut Vec<ClassicBucket>) {
        buckets.clear();
        if self.native.is_some_and(|number| series[number].values.histogram(step).is_some()) {
            return;
        }
        for (upper_bound, number) in &self.buckets {
            let count = series[*number].values.floats()[step];
            if !is_absent(count) {
                buckets.push(ClassicBucket { upper_bound: *upper_bound, count });
            }
        }
    }
}

/// The bound that a value of `le` names, as Go's `ParseFloat` reads it, but without hexadecimal
/// numbers and digit separators, which no client writes. `None` for other texts and for numbers too
/// large for a float.
fn bucket_bound(text: &str) -> Option<f64> {
    let bound: f64 = text.parse().ok()?;
    let is_word = !text.bytes().any(|byte| byte.is_ascii_digit());
    let fits = if bound.is_nan() {
        // Go knows no NaN with a sign.
        text.len() == 3
    } else {
        bound.is_finite() || is_word
    };
    fits.then_some(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_as_go_reads_them() {
        for (text, bound) in [
            ("0.1", Some(0.1)),
            ("+Inf", Some(f64::INFINITY)),
            ("inf", Some(f64::INFINITY)),
            ("-infinity", Some(f64::NEG_INFINITY)),
            ("1e3", Some(1000.0)),
            (".5", Some(0.5)),
            ("1e400", None),
            ("", None),
            (" 1", None),
            ("+nan", None),
            ("Hello World", None),
        ] {
            assert_eq!(bucket_bound(text), bound, "{text:?}");
        }
        assert!(bucket_bound("NaN").is_some_and(f64::is_nan));
    }
}
