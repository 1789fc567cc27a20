//! Deletes while samples come in: asked of the server, noted for the judge.
//!
//! A delete lies in the past: its range ends so far back that Prometheus has sent everything of it, and
//! nothing of it comes again. What it hides is then known: every sample of the named metrics in the
//! range, and no other.

use std::net::SocketAddr;
use std::time::Duration;

use siltstone_rig::RigError;
use siltstone_rig::http::{HttpClient, query_value};
use siltstone_rig::seeded::Seeded;

use crate::compare::SeriesSet;

/// Metrics that are never deleted, so that a reader can hold them against what it saw before.
pub(super) const CANARY: &str = "up";
/// A range ends at least this long ago.
const SETTLED: Duration = Duration::from_secs(15);
/// The longest range.
const LENGTH_MAX: Duration = Duration::from_secs(90);
/// The longest that a delete may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// One acknowledged delete: the metrics of a name, in milliseconds with both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delete {
    metric: String,
    start_ms: i64,
    end_ms: i64,
}

impl Delete {
    /// Chooses a metric that the server has and a range that lies between `first_ms` and what is
    /// settled at `sent_ms`; `None` while there is no such range.
    pub(super) fn choose(
        random: &mut Seeded,
        metrics: &[String],
        first_ms: i64,
        sent_ms: i64,
    ) -> Option<Self> {
        let latest = sent_ms - SETTLED.as_millis() as i64;
        let metrics: Vec<_> = metrics.iter().filter(|name| *name != CANARY).collect();
        if latest <= first_ms || metrics.is_empty() {
            return None;
        }
        let metric = metrics[random.below(metrics.len() as u64) as usize].clone();
        let end_ms = latest - random.below((latest - first_ms) as u64) as i64;
        let length = 1 + random.below(LENGTH_MAX.as_millis() as u64) as i64;
        Some(Self { metric, start_ms: end_ms - length, end_ms })
    }

    /// Asks the server to do it.
    ///
    /// # Errors
    /// If it is not acknowledged.
    pub(super) fn send(&self, server: SocketAddr) -> Result<(), RigError> {
        let selector = format!("{{__name__=\"{}\"}}", self.metric);
        let target = format!(
            "/api/v1/admin/tsdb/delete_series?match[]={}&start={}&end={}",
            query_value(&selector),
            seconds(self.start_ms),
            seconds(self.end_ms),
        );
        let mut client = HttpClient::new(server, TIMEOUT);
        let response = client.post(&target, &[], &[]).map_err(RigError::io("a delete"))?;
        if response.is_success() {
            Ok(())
        } else {
            Err(RigError::failed(format!("{self}: {response}")))
        }
    }
}

impl std::fmt::Display for Delete {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { metric, start_ms, end_ms } = self;
        write!(f, "delete of {metric} from {} to {}", seconds(*start_ms), seconds(*end_ms))
    }
}

/// Milliseconds as seconds, exact to the digit.
fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

/// The metric names that the server knows.
///
/// # Errors
/// If it does not answer as specified.
pub(super) fn metrics(server: SocketAddr) -> Result<Vec<String>, RigError> {
    #[derive(serde::Deserialize)]
    struct Values {
        data: Vec<String>,
    }
    let response = HttpClient::new(server, TIMEOUT)
        .get("/api/v1/label/__name__/values")
        .map_err(RigError::io("listing metrics"))?;
    if !response.is_success() {
        return Err(RigError::failed(format!("listing metrics: {response}")));
    }
    let values: Values = serde_json::from_slice(&response.body)
        .map_err(|e| RigError::failed(format!("listing metrics: {e}")))?;
    Ok(values.data)
}

/// Takes out of `expected` what the deletes hide; returns how many samples that was.
pub(super) fn apply(deletes: &[Delete], expected: &mut SeriesSet) -> u64 {
    expected.remove(|labels, timestamp| {
        deletes.iter().any(|delete| {
            labels.get("__name__") == Some(&delete.metric)
                && (delete.start_ms..=delete.end_ms).contains(&timestamp)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::SeriesLabels;

    #[test]
    fn ranges_are_settled_and_the_canary_is_spared() {
        let mut random = Seeded::new(5);
        let metrics = [CANARY.to_owned(), "a".to_owned(), "b".to_owned()];
        assert_eq!(Delete::choose(&mut random, &metrics, 0, 15_000), None);
        assert_eq!(Delete::choose(&mut random, &metrics[..1], 0, 100_000), None);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let delete = Delete::choose(&mut random, &metrics, 0, 100_000).unwrap();
            assert!(delete.end_ms <= 85_000 && delete.start_ms < delete.end_ms, "{delete}");
            seen.insert(delete.metric);
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn what_is_deleted_is_no_longer_expected() {
        let labels = |name: &str| SeriesLabels::new([("__name__".to_owned(), name.to_owned())]);
        let mut set = SeriesSet::default();
        for name in ["a", "ab"] {
            set.add(labels(name), (0..10).map(|t| (t, 0)));
        }
        let delete = Delete { metric: "a".into(), start_ms: 3, end_ms: 5 };
        assert_eq!(apply(&[delete.clone(), delete], &mut set), 3);
        assert_eq!(set.samples(), 17);
        assert_eq!(seconds(1_700_000_000_007), "1700000000.007");
    }
}
