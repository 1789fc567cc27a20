//! What is stored before the attacks begin: 4,000 series with 100 samples each, a part of them in segments.

use siltstone_rig::RigError;
use siltstone_rig::http::{HttpClient, query_value};
use siltstone_rig::remote_write::{compress, post, put_time_series};
use snap::raw::Encoder;

/// Metrics, each with [`INSTANCES`] series.
const METRICS: u64 = 40;
const INSTANCES: u64 = 100;
const SAMPLES: i64 = 100;
/// Time between two samples of a series.
const STEP_MS: i64 = 15_000;

/// Selects everything that is stored.
pub(crate) const ALL: &str = "{__name__=~\"siege_m.+\"}";

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    /// The time of the last samples.
    pub(crate) last_ms: i64,
}

impl Stored {
    /// Series and samples.
    pub(crate) fn size() -> (u64, u64) {
        let series = METRICS * INSTANCES;
        (series, series * SAMPLES.cast_unsigned())
    }

    /// Writes everything.
    pub(crate) fn fill(&self, client: &mut HttpClient) -> Result<(), RigError> {
        let mut encoder = Encoder::new();
        for metric in 0..METRICS {
            let mut message = Vec::new();
            for instance in 0..INSTANCES {
                let labels = [
                    ("__name__", format!("siege_m{metric}")),
                    ("instance", format!("host-{instance}")),
                    ("zone", format!("zone-{}", instance % 5)),
                ];
                let labels = labels.map(|(name, value)| (name.to_owned(), value));
                let samples: Vec<_> = (0..SAMPLES)
                    .map(|at| {
                        let value = (instance.cast_signed() + at) as f64 * 1.25;
                        (self.last_ms - (SAMPLES - 1 - at) * STEP_MS, value.to_bits())
                    })
                    .collect();
                put_time_series(&mut message, &labels, &samples);
            }
            post(client, &compress(&mut encoder, &message)?)?;
        }
        Ok(())
    }

    /// The time of the first and last samples, in seconds.
    pub(crate) fn span_s(&self) -> (i64, i64) {
        ((self.last_ms - (SAMPLES - 1) * STEP_MS) / 1000, self.last_ms / 1000)
    }

    /// A range query with so many points over what is stored.
    pub(crate) fn range(&self, query: &str, points: i64) -> String {
        let (_, end) = self.span_s();
        let step_ms = ((SAMPLES - 1) * STEP_MS / points.max(1)).max(1);
        let start = end - step_ms * (points - 1) / 1000;
        let query = query_value(query);
        format!("query={query}&start={start}&end={end}&step={step_ms}ms&nocache=1")
    }

    /// An instant query at the end of what is stored.
    pub(crate) fn instant(&self, query: &str) -> String {
        format!("query={}&time={}&nocache=1", query_value(query), self.span_s().1)
    }
}
