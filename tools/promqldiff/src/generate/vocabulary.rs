//! The metrics and labels of a data set, and the functions that both sides have.

use std::collections::BTreeMap;

use siltstone_promql::functions::Function;

use crate::dataset::Dataset;
use crate::stored::Stored;

/// What the samples of a metric are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    /// Buckets of a classic histogram.
    Bucket,
    /// Native histograms, perhaps with floats.
    Native,
}

/// A metric.
#[derive(Debug, Clone)]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) series: usize,
    /// Its labels and their values.
    pub(super) labels: BTreeMap<String, Vec<String>>,
    /// Whether it was made for tests; these are chosen more often.
    pub(super) is_synthetic: bool,
}

/// What queries are made of.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    pub(super) metrics: Vec<Metric>,
    /// Functions that both sides know.
    pub(super) functions: Vec<Function>,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
}

impl Vocabulary {
    /// Of these series, with the functions for which `knows` holds.
    pub(crate) fn new(data: &Dataset, mut knows: impl FnMut(Function) -> bool) -> Self {
        let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
        for series in &data.series {
            let name = series.labels.metric_name();
            let metric = metrics.entry(name.to_owned()).or_insert_with(|| Metric {
                name: name.to_owned(),
                kind: Kind::Gauge,
                series: 0,
                labels: BTreeMap::new(),
                is_synthetic: series.labels.get("job") != "node"
                    && series.labels.get("job") != "prometheus",
            });
            metric.series += 1;
            let has_native = series.samples.iter().any(|s| matches!(s.1, Stored::Native(_)));
            metric.kind = match name {
                _ if has_native || metric.kind == Kind::Native => Kind::Native,
                _ if name.ends_with("_bucket") => Kind::Bucket,
                _ if ["_total", "_sum", "_count"].iter().any(|end| name.ends_with(end)) => {
                    Kind::Counter
                }
                _ => Kind::Gauge,
            };
            for (label, value) in series.labels.iter().filter(|(label, _)| *label != "__name__") {
                let values = metric.labels.entry(label.to_owned()).or_default();
                if !values.iter().any(|v| v == value) {
                    values.push(value.to_owned());
                }
            }
        }
        let functions = Function::ALL.iter().copied().filter(|f| knows(*f)).collect();
        Self {
            metrics: metrics.into_values().collect(),
            functions,
            start_ms: data.start_ms,
            end_ms: data.end_ms,
        }
    }

    /// Whether both sides know this function.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.functions.iter().any(|f| f.name() == name)
    }
}
