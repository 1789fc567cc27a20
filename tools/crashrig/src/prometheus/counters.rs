//! Prometheus's own counters of its remote write, from its `/metrics`.

use siltstone_rig::RigError;
use siltstone_rig::http::HttpClient;

const PREFIX: &str = "prometheus_remote_storage_";

/// What Prometheus says that it has sent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Counters {
    /// Samples read from its log to be sent.
    pub(crate) samples_in: f64,
    /// Samples given to requests; a repeated request counts again.
    pub(crate) samples: f64,
    /// Samples in requests that are to be repeated.
    pub(crate) samples_retried: f64,
    /// Samples that were given up.
    pub(crate) samples_failed: f64,
    /// Samples that were not sent on purpose.
    pub(crate) samples_dropped: f64,
    /// Samples that wait.
    pub(crate) samples_pending: f64,
    /// Time of the newest sample in the log, in whole seconds.
    pub(crate) highest_in_s: f64,
    /// Time of the newest sample that was sent, in whole seconds.
    pub(crate) highest_sent_s: f64,
}

impl Counters {
    /// Asks Prometheus.
    ///
    /// # Errors
    /// If it does not answer.
    pub(crate) fn read(client: &mut HttpClient) -> Result<Self, RigError> {
        let response = client.get("/metrics").map_err(RigError::io("Prometheus's /metrics"))?;
        if !response.is_success() {
            return Err(RigError::failed(format!("Prometheus's /metrics: {response}")));
        }
        Ok(Self::parse(&String::from_utf8_lossy(&response.body)))
    }

    /// Adds up the series of each counter (there is one remote).
    fn parse(text: &str) -> Self {
        let mut counters = Self::default();
        for line in text.lines() {
            let Some(line) = line.strip_prefix(PREFIX) else { continue };
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let name = series.split('{').next().unwrap_or_default();
            let counter = match name {
                "samples_in_total" => &mut counters.samples_in,
                "samples_total" => &mut counters.samples,
                "samples_retried_total" => &mut counters.samples_retried,
                "samples_failed_total" => &mut counters.samples_failed,
                "samples_dropped_total" => &mut counters.samples_dropped,
                "samples_pending" => &mut counters.samples_pending,
                "highest_timestamp_in_seconds" => &mut counters.highest_in_s,
                "queue_highest_sent_timestamp_seconds" => &mut counters.highest_sent_s,
                _ => continue,
            };
            *counter += value;
        }
        counters
    }

    /// Whether nothing waits to be sent, to the second that the counters have.
    pub(crate) fn is_drained(&self) -> bool {
        self.samples_pending == 0.0
            && self.highest_sent_s > 0.0
            && self.highest_sent_s >= self.highest_in_s
    }

    /// Samples that were answered with a success, by these counters.
    pub(crate) fn acknowledged(&self) -> f64 {
        self.samples - self.samples_retried - self.samples_failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "\
# TYPE prometheus_remote_storage_samples_total counter
prometheus_remote_storage_highest_timestamp_in_seconds 1.795000123e+09
prometheus_remote_storage_queue_highest_sent_timestamp_seconds{remote_name=\"s\",url=\"u\"} 1.795000122e+09
prometheus_remote_storage_samples_dropped_total{remote_name=\"s\",url=\"u\"} 1
prometheus_remote_storage_samples_failed_total{remote_name=\"s\",url=\"u\"} 2
prometheus_remote_storage_samples_in_total 106
prometheus_remote_storage_samples_pending{remote_name=\"s\",url=\"u\"} 3
prometheus_remote_storage_samples_retried_total{remote_name=\"s\",url=\"u\"} 10
prometheus_remote_storage_samples_total{remote_name=\"s\",url=\"u\"} 112
go_goroutines 40
";

    #[test]
    fn counters_are_read_and_judged() {
        let counters = Counters::parse(METRICS);
        assert_eq!(counters.samples_in, 106.0);
        assert_eq!(counters.acknowledged(), 100.0);
        assert_eq!((counters.samples_dropped, counters.samples_pending), (1.0, 3.0));
        assert!(!counters.is_drained(), "some wait and the newest was not sent");
        let sent = Counters { samples_pending: 0.0, ..counters };
        assert!(!sent.is_drained(), "the newest was not sent");
        assert!(Counters { highest_sent_s: counters.highest_in_s, ..sent }.is_drained());
        assert!(!Counters::default().is_drained(), "nothing was sent at all");
    }
}
