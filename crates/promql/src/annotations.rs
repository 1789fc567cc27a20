//! Warnings and infos that an evaluation adds to its answer, each with the place in the query that
//! it blames.
//!
//! Texts are Prometheus's (`util/annotations`), because dashboards show them. Annotations are a set:
//! a text that several series, steps or threads cause is there once, with the place of the last
//! expression that caused it.

use std::collections::HashMap;
use std::fmt;

use crate::ast::Span;

/// Most different annotations that an answer holds; further ones are counted only, so that a query
/// over a million metrics does not hold a million texts.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
                write!(f, "bucket label \"le\" is missing or has a malformed value of {value:?}")?;
                write_metric(f, metric)
            }
            Self::MixedFloatsHistograms { metric } => {
                write!(f, "encountered a mix of histograms and floats for metric name {metric:?}")
            }
            Self::MixedFloatsHistogramsAggregation => {
                f.write_str("encountered a mix of histograms and floats for aggregation")
            }
            Self::MixedClassicNativeHistograms { metric } => {
                f.write_str("vector contains a mix of classic and native histograms")?;
                write_metric(f, metric)
            }
            Self::HistogramNotCounter { metric } => {
                write!(f, "this native histogram metric is not a counter: {metric:?}")
            }
            Self::HistogramNotGauge { metric } => {
                write!(f, "this native histogram metric is not a gauge: {metric:?}")
            }
            Self::MixedExponentialCustomHistograms { metric } => write!(
                f,
                "vector contains a mix of histograms with exponential and custom buckets schemas \
                 for metric name {metric:?}"
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
                 {metric:?}"
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
                 {metric:?}"
            ),
            Self::PossibleNonCounterLabel { metric, type_label } => write!(
                f,
                "metric might not be a counter, __type__ label is not set to \"counter\" or \
                 \"histogram\", got {type_label:?}: {metric:?}"
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
                "incompatible sample types encountered for binary operator {operator:?}: {left} \
                 {operator} {right}"
            ),
            Self::HistogramIgnoredInAggregation { aggregation } => {
                write!(f, "ignored histogram in {aggregation} aggregation")
            }
            Self::HistogramIgnoredInMixedRange { metric } => write!(
                f,
                "ignored histograms in a range containing both floats and histograms for metric \
                 name {metric:?}"
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

fn write_metric(f: &mut fmt::Formatter<'_>, metric: &str) -> fmt::Result {
    if metric.is_empty() { Ok(()) } else { write!(f, " for metric name {metric:?}") }
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

/// The annotations of one evaluation.
#[derive(Debug, Clone, Default)]
pub struct Annotations {
    set: HashMap<Annotation, Span>,
    omitted: bool,
}

impl Annotations {
    /// Adds `annotation`, which blames the expression at `span`.
    pub fn add(&mut self, annotation: Annotation, span: Span) {
        if self.set.len() >= ANNOTATIONS_MAX && !self.set.contains_key(&annotation) {
            self.omitted = true;
            return;
        }
        self.set.insert(annotation, span);
    }

    /// Adds all of `other`, which were caused later.
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
