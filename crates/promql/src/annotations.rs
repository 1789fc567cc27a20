//! Warnings and infos that an evaluation adds to its answer, each with the place in the query that
//! it blames.
//!
//! Texts are Prometheus's (`util/annotations`), because dashboards show them. Annotations are a set:
//! a text that several series, steps or threads cause is there once, with the place of the last
//! expression that caused it, in the order in which Prometheus evaluates: operands from left to right,
//! then what is made of them. Neither which are held nor their places depend on the order in which
//! they come.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use crate::ast::Span;
use crate::quote::quoted;

/// Most different annotations that an answer holds, so that a query over a million metrics does not
/// hold a million texts. Those are left out that are last in the order of [`Annotation`].
const ANNOTATIONS_MAX: usize = 1000;

/// How serious an annotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The result is not what was meant.
    Warning,
    /// The result may not be what was meant.
    Info,
}

/// During what custom buckets were reconciled or counter resets collided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum HistogramOperation {
    Addition,
    Subtraction,
    Aggregation,
}

impl HistogramOperation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}

/// What an annotation says. `metric` is the metric's name, empty where it is not known.
///
/// In order, warnings are before infos.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the texts of `Display` say it")]
pub enum Annotation {
    // Warnings.
    InvalidRatio { ratio: String, cap: String },
    InvalidQuantile { quantile: String },
    BadBucketLabel { value: String, metric: String },
    MixedFloatsHistograms { metric: String },
    MixedFloatsHistogramsAggregation,
    MixedClassicNativeHistograms { metric: String },
    HistogramNotCounter { metric: String },
    HistogramNotGauge { metric: String },
    MixedExponentialCustomHistograms { metric: String },
    IncompatibleBucketLayout { operator: &'static str },
    CounterResetCollision { during: HistogramOperation },
    SortInRangeQuery { function: &'static str },
    OverlappingStartTimestamp { metric: String },
    // Infos.
    PossibleNonCounter { metric: String },
    PossibleNonCounterLabel { metric: String, type_label: String },
    ForcedMonotonicity { metric: String },
    IncompatibleTypes { left: &'static str, operator: &'static str, right: &'static str },
    HistogramIgnoredInAggregation { aggregation: &'static str },
    HistogramIgnoredInMixedRange { metric: String },
    QuantileNanResult { metric: String },
    QuantileNanSkew { metric: String },
    FractionNans { metric: String },
    MismatchedCustomBuckets { during: HistogramOperation },
}

impl Annotation {
    /// How serious it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::InvalidRatio { .. }
            | Self::InvalidQuantile { .. }
            | Self::BadBucketLabel { .. }
            | Self::MixedFloatsHistograms { .. }
            | Self::MixedFloatsHistogramsAggregation
            | Self::MixedClassicNativeHistograms { .. }
            | Self::HistogramNotCounter { .. }
            | Self::HistogramNotGauge { .. }
            | Self::MixedExponentialCustomHistograms { .. }
            | Self::IncompatibleBucketLayout { .. }
            | Self::CounterResetCollision { .. }
            | Self::SortInRangeQuery { .. }
            | Self::OverlappingStartTimestamp { .. } => Severity::Warning,
            Self::PossibleNonCounter { .. }
            | Self::PossibleNonCounterLabel { .. }
            | Self::ForcedMonotonicity { .. }
            | Self::IncompatibleTypes { .. }
            | Self::HistogramIgnoredInAggregation { .. }
            | Self::HistogramIgnoredInMixedRange { .. }
            | Self::QuantileNanResult { .. }
            | Self::QuantileNanSkew { .. }
            | Self::FractionNans { .. }
            | Self::MismatchedCustomBuckets { .. } => Severity::Info,
        }
    }

    /// The text behind "PromQL warning: ".
    fn write_warning(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidRatio { ratio, cap } => {
                write!(f, "ratio value should be between -1 and 1, got {ratio}, capping to {cap}")
            }
            Self::InvalidQuantile { quantile } => {
                write!(f, "quantile value should be between 0 and 1, got {quantile}")
            }
            Self::BadBucketLabel { value, metric } => {
                write!(
                    f,
                    "bucket label \"le\" is missing or has a malformed value of {value}",
                    value = go_quoted(value)
                )?;
                write_metric(f, metric)
            }
            Self::MixedFloatsHistograms { metric } => {
                write!(
                    f,
                    "encountered a mix of histograms and floats for metric name {metric}",
                    metric = go_quoted(metric)
                )
            }
            Self::MixedFloatsHistogramsAggregation => {
                f.write_str("encountered a mix of histograms and floats for aggregation")
            }
            Self::MixedClassicNativeHistograms { metric } => {
                f.write_str("vector contains a mix of classic and native histograms")?;
                write_metric(f, metric)
            }
            Self::HistogramNotCounter { metric } => {
                write!(
                    f,
                    "this native histogram metric is not a counter: {metric}",
                    metric = go_quoted(metric)
                )
            }
            Self::HistogramNotGauge { metric } => {
                write!(
                    f,
                    "this native histogram metric is not a gauge: {metric}",
                    metric = go_quoted(metric)
                )
            }
            Self::MixedExponentialCustomHistograms { metric } => write!(
                f,
                "vector contains a mix of histograms with exponential and custom buckets schemas \
                 for metric name {metric}",
                metric = go_quoted(metric)
            ),
            Self::IncompatibleBucketLayout { operator } => {
                write!(f, "incompatible bucket layout encountered for binary operator {operator}")
            }
            Self::CounterResetCollision { during } => {
                write!(f, "conflicting counter resets during histogram {}", during.as_str())
            }
            Self::SortInRangeQuery { function } => write!(
                f,
                "{function} is ineffective for range queries since results are always ordered by labels"
            ),
            Self::OverlappingStartTimestamp { metric } => write!(
                f,
                "sample has start time that overlaps with previous sample timestamp for metric \
                 {metric}",
                metric = go_quoted(metric)
            ),
            _ => Ok(()),
        }
    }

    /// The text behind "PromQL info: ".
    fn write_info(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PossibleNonCounter { metric } => write!(
                f,
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \
                 {metric}",
                metric = go_quoted(metric)
            ),
            Self::PossibleNonCounterLabel { metric, type_label } => write!(
                f,
                "metric might not be a counter, __type__ label is not set to \"counter\" or \
                 \"histogram\", got {type_label}: {metric}",
                type_label = go_quoted(type_label),
                metric = go_quoted(metric)
            ),
            Self::ForcedMonotonicity { metric } => {
                f.write_str(
                    "input to histogram_quantile needed to be fixed for monotonicity (see \
                     https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
                )?;
                write_metric(f, metric)
            }
            Self::IncompatibleTypes { left, operator, right } => write!(
                f,
                "incompatible sample types encountered for binary operator {quoted}: {left} \
                 {operator} {right}",
                quoted = go_quoted(operator)
            ),
            Self::HistogramIgnoredInAggregation { aggregation } => {
                write!(f, "ignored histogram in {aggregation} aggregation")
            }
            Self::HistogramIgnoredInMixedRange { metric } => write!(
                f,
                "ignored histograms in a range containing both floats and histograms for metric \
                 name {metric}",
                metric = go_quoted(metric)
            ),
            Self::QuantileNanResult { metric } => {
                f.write_str("input to histogram_quantile has NaN observations, result is NaN")?;
                write_metric(f, metric)
            }
            Self::QuantileNanSkew { metric } => {
                f.write_str(
                    "input to histogram_quantile has NaN observations, result is skewed higher",
                )?;
                write_metric(f, metric)
            }
            Self::FractionNans { metric } => {
                f.write_str(
                    "input to histogram_fraction has NaN observations, which are excluded from all \
                     fractions",
                )?;
                write_metric(f, metric)
            }
            Self::MismatchedCustomBuckets { during } => {
                write!(f, "mismatched custom buckets were reconciled during {}", during.as_str())
            }
            _ => Ok(()),
        }
    }
}

fn go_quoted(text: &str) -> String {
    quoted(text.as_bytes())
}

fn write_metric(f: &mut fmt::Formatter<'_>, metric: &str) -> fmt::Result {
    if metric.is_empty() {
        Ok(())
    } else {
        write!(f, " for metric name {metric}", metric = go_quoted(metric))
    }
}

impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.severity() {
            Severity::Warning => {
                f.write_str("PromQL warning: ")?;
                self.write_warning(f)
            }
            Severity::Info => {
                f.write_str("PromQL info: ")?;
                self.write_info(f)
            }
        }
    }
}

/// When the expression at `span` is evaluated, compared with others of the query: behind its operands,
/// which end where it ends or before.
fn evaluated(span: Span) -> (u32, Reverse<u32>) {
    (span.end, Reverse(span.start))
}

/// The annotations of one evaluation.
#[derive(Debug, Clone, Default)]
pub struct Annotations {
    set: BTreeMap<Annotation, Span>,
    omitted: bool,
}

impl Annotations {
    /// Adds `annotation`, which blames the expression at `span`.
    pub fn add(&mut self, annotation: Annotation, span: Span) {
        let is_full = self.set.len() >= ANNOTATIONS_MAX;
        if is_full && self.set.last_key_value().is_some_and(|(last, _)| *last < annotation) {
            self.omitted = true;
            return;
        }
        match self.set.entry(annotation) {
            Entry::Occupied(mut held) => {
                if evaluated(*held.get()) < evaluated(span) {
                    held.insert(span);
                }
            }
            Entry::Vacant(free) => {
                free.insert(span);
                if is_full {
                    self.set.pop_last();
                    self.omitted = true;
                }
            }
        }
    }

    /// Adds all of `other`. The order in which annotations are merged does not matter.
    pub fn merge(&mut self, other: Self) {
        self.omitted |= other.omitted;
        for (annotation, span) in other.set {
            self.add(annotation, span);
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Whether there were more than are held.
    #[must_use]
    pub fn some_were_omitted(&self) -> bool {
        self.omitted
    }

    /// The texts of one severity in the order of their places in `query`, each with its line and
    /// column: `PromQL info: ... (1:5)`.
    #[must_use]
    pub fn texts(&self, severity: Severity, query: &str) -> Vec<String> {
        let mut found: Vec<(Span, String)> = self
            .set
            .iter()
            .filter(|(annotation, _)| annotation.severity() == severity)
            .map(|(annotation, span)| (*span, annotation.to_string()))
            .collect();
        found.sort_unstable();
        let placed = |(span, text): (Span, String)| {
            let (line, column) = span.line_and_column(query);
            format!("{text} ({line}:{column})")
        };
        found.into_iter().map(placed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(number: usize) -> Annotation {
        Annotation::PossibleNonCounter { metric: format!("metric_{number:05}") }
    }

    fn texts(notes: &Annotations) -> Vec<String> {
        let query = "x".repeat(100);
        [Severity::Warning, Severity::Info]
            .iter()
            .flat_map(|severity| notes.texts(*severity, &query))
            .collect()
    }

    #[test]
    fn what_is_held_does_not_depend_on_the_order() {
        let part = |numbers: &mut dyn Iterator<Item = usize>| {
            let mut notes = Annotations::default();
            for number in numbers {
                let start = number * 7 % 50;
                notes.add(note(number % 1500), Span::new(start, start + 5));
            }
            notes
        };
        let parts = [
            part(&mut (0..1100)),
            part(&mut (900..2500).rev()),
            part(&mut (0..3000).step_by(7)),
            part(&mut [5].into_iter()),
        ];
        let merged = |order: &[usize]| {
            let mut all = Annotations::default();
            order.iter().for_each(|at| all.merge(parts[*at].clone()));
            all.add(Annotation::MixedFloatsHistogramsAggregation, Span::new(1, 2));
            assert!(all.some_were_omitted());
            texts(&all)
        };
        let expected = merged(&[0, 1, 2, 3]);
        assert_eq!(expected.len(), ANNOTATIONS_MAX);
        assert!(expected[0].starts_with("PromQL warning"), "warnings stay");
        for order in [[3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
            assert_eq!(merged(&order), expected);
        }
    }

    #[test]
    fn a_thousand_are_not_too_many() {
        let mut notes = Annotations::default();
        (0..ANNOTATIONS_MAX).for_each(|number| notes.add(note(number), Span::default()));
        notes.add(note(7), Span::default());
        assert!(!notes.some_were_omitted());
        notes.add(note(ANNOTATIONS_MAX), Span::default());
        assert!(notes.some_were_omitted() && texts(&notes).len() == ANNOTATIONS_MAX);
    }

    #[test]
    fn the_place_is_that_of_the_last_expression() {
        // `rate(rate(x[5m])[5m:])` and `rate(x[5m]) + rate(x[5m])`: the outer one, the right one.
        for (first, last) in
            [(Span::new(10, 15), Span::new(5, 21)), (Span::new(5, 10), Span::new(19, 24))]
        {
            for order in [[first, last], [last, first]] {
                let mut notes = Annotations::default();
                order.iter().for_each(|span| notes.add(note(0), *span));
                let place = format!("(1:{})", last.start + 1);
                assert!(texts(&notes)[0].ends_with(&place), "{:?}", texts(&notes));
            }
        }
    }

    #[test]
    fn names_are_quoted_as_go_does() {
        let metric = "a\"\u{0}\u{7f}\u{200b}دما\n".to_owned();
        let quoted = r#""a\"\x00\x7f\u200bدما\n""#;
        let ends = [
            Annotation::MixedFloatsHistograms { metric: metric.clone() },
            Annotation::HistogramNotCounter { metric: metric.clone() },
            Annotation::HistogramNotGauge { metric: metric.clone() },
            Annotation::MixedClassicNativeHistograms { metric: metric.clone() },
            Annotation::MixedExponentialCustomHistograms { metric: metric.clone() },
            Annotation::OverlappingStartTimestamp { metric: metric.clone() },
            Annotation::PossibleNonCounter { metric: metric.clone() },
            Annotation::PossibleNonCounterLabel {
                metric: metric.clone(),
                type_label: metric.clone(),
            },
            Annotation::HistogramIgnoredInMixedRange { metric: metric.clone() },
            Annotation::BadBucketLabel { value: metric, metric: String::new() },
        ];
        for annotation in ends {
            let text = annotation.to_string();
            assert!(text.ends_with(quoted), "{text}");
        }
        let (left, operator, right) = ("float", "+", "histogram");
        let text = Annotation::IncompatibleTypes { left, operator, right }.to_string();
        assert!(text.ends_with("binary operator \"+\": float + histogram"), "{text}");
    }
}
