//! The series that both sides hold: parts of recordings, and synthetic ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use siltstone_promql::{LabelSet, MemorySource, Point};
use siltstone_rig::{RigError, recording};

use crate::random::Random;
use crate::stored::{Stored, StoredSeries};
use crate::synthetic;

/// Where time starts if no recording says so.
const START_MS: i64 = 1_795_361_520_000;
/// How long the synthetic series are.
const LENGTH_MS: i64 = 54 * 60_000;
/// Metrics of recordings with more series are cut to this many.
const SERIES_PER_METRIC_MAX: usize = 40;
/// One in so many metrics of a recording is taken, besides [`TAKEN`].
const ONE_METRIC_IN: usize = 5;

/// Metrics of recordings that are always taken: those that queries of dashboards are made of.
const TAKEN: &[&str] = &[
    "node_cpu_seconds_total",
    "node_network_receive_bytes_total",
    "node_network_transmit_bytes_total",
    "node_network_info",
    "go_gc_duration_seconds",
    "go_goroutines",
    "go_info",
    "process_start_time_seconds",
    "prometheus_http_requests_total",
    "prometheus_http_request_duration_seconds_bucket",
    "prometheus_http_request_duration_seconds_sum",
    "prometheus_http_request_duration_seconds_count",
];

/// All series, in the order of their labels.
#[derive(Debug, Default)]
pub(crate) struct Dataset {
    pub(crate) series: Vec<StoredSeries>,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
}

impl Dataset {
    /// Parts of these recordings and the synthetic series.
    pub(crate) fn read(recordings: &[impl AsRef<Path>]) -> Result<Self, RigError> {
        let mut series: BTreeMap<LabelSet, Vec<(i64, Stored)>> = BTreeMap::new();
        for path in recordings {
            read_part(path.as_ref(), &mut series)?;
        }
        let times = || series.values().flatten().map(|(time, _)| *time);
        let start_ms = times().min().unwrap_or(START_MS);
        let end_ms = times().max().unwrap_or(START_MS + LENGTH_MS);
        for made in synthetic::series(start_ms, end_ms) {
            series.insert(made.labels, made.samples);
        }
        let series = series.into_iter();
        let series = series.map(|(labels, samples)| StoredSeries { labels, samples }).collect();
        Ok(Self { series, start_ms, end_ms })
    }

    /// The number of samples.
    pub(crate) fn samples(&self) -> usize {
        self.series.iter().map(|series| series.samples.len()).sum()
    }

    /// The series as a source. With a `jitter`, each float is changed by up to that part of itself,
    /// which shows how much an answer depends on rounding.
    pub(crate) fn source(&self, jitter: Option<(u64, f64)>) -> MemorySource {
        let mut random = Random::new(jitter.map_or(0, |(seed, _)| seed));
        let mut source = MemorySource::new();
        for StoredSeries { labels, samples } in &self.series {
            for (time, value) in samples {
                let mut change =
                    || jitter.map_or(1.0, |(_, part)| 1.0 + part * (random.unit() * 2.0 - 1.0));
                let point = match value {
                    Stored::Float(value) if value.is_finite() => Point::Float(value * change()),
                    Stored::Float(value) => Point::Float(*value),
                    Stored::Native(native) => Point::Histogram(native.histogram(change())),
                };
                source.insert(labels, *time, 0, point);
            }
        }
        source
    }
}

/// Adds a part of the recording's metrics.
fn read_part(
    path: &Path,
    series: &mut BTreeMap<LabelSet, Vec<(i64, Stored)>>,
) -> Result<(), RigError> {
    let lines = recording::read(path)?;
    let name = |labels: &[(String, String)]| {
        labels.iter().find(|l| l.0 == "__name__").map_or(String::new(), |l| l.1.clone())
    };
    let names: BTreeSet<String> = lines.iter().map(|line| name(&line.labels)).collect();
    let taken: BTreeSet<String> = names
        .into_iter()
        .enumerate()
        .filter(|(at, name)| at % ONE_METRIC_IN == 0 || TAKEN.contains(&name.as_str()))
        .map(|(_, name)| name)
        .collect();
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for line in lines {
        let name = name(&line.labels);
        let count = count.entry(name.clone()).or_default();
        if !taken.contains(&name) || *count >= SERIES_PER_METRIC_MAX {
            continue;
        }
        *count += 1;
        let samples =
            line.samples.iter().map(|(t, bits)| (*t, Stored::Float(f64::from_bits(*bits))));
        series.entry(LabelSet::from_pairs(line.labels)).or_default().extend(samples);
    }
    Ok(())
}
