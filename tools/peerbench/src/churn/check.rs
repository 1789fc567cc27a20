//! Whether the store holds what it said it had stored.

use siltstone_rig::error::RigError;
use siltstone_rig::http::{HttpClient, query_value};
use siltstone_rig::tsbs::METRICS;

use super::sender::{Plan, Sent};
use siltstone_rig::gauge::value;

/// Hosts of different requests that are read back sample by sample.
const HOSTS_MAX: usize = 24;

/// What was read back.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checked {
    /// Series compared sample by sample.
    pub series: u64,
    /// Samples compared.
    pub samples: u64,
}

/// Compares the store's own count of samples with what it acknowledged, and hosts from all over the
/// series that were taken at first sight with what was sent.
pub(super) fn read_back(
    client: &mut HttpClient,
    plan: &Plan,
    sent: &Sent,
    metrics: &[String],
) -> Result<Checked, RigError> {
    let counted = value(metrics, "siltstone_samples");
    if counted.is_some_and(|counted| counted != sent.samples) {
        return Err(RigError::failed(format!(
            "{} samples were acknowledged and {counted:?} are stored",
            sent.samples
        )));
    }
    let mut known = sent.known_requests.clone();
    known.sort_unstable();
    let mut checked = Checked::default();
    for request in known.iter().step_by(known.len().div_ceil(HOSTS_MAX).max(1)) {
        let metric_count = METRICS.len() as u64;
        let load = plan.load;
        let first = request * load.request_series;
        // The middle host of the request, whose ten series all belong to it.
        let host = (first + load.request_series / 2) / metric_count;
        let selector = format!("{{hostname=\"host_{host}\"}}");
        let target = format!("/api/v1/export?match[]={}", query_value(&selector));
        let response = client.get(&target).map_err(RigError::io("an export"))?;
        if !response.is_success() {
            return Err(RigError::failed(format!("{target} was answered with {response}")));
        }
        let text = String::from_utf8_lossy(&response.body);
        let samples = check_host(plan, host, &text, sent.cut_short)?;
        checked.series += metric_count;
        checked.samples += samples;
    }
    Ok(checked)
}

/// Checks the export of one host's series; returns its samples.
fn check_host(plan: &Plan, host: u64, text: &str, cut_short: bool) -> Result<u64, RigError> {
    let fail = |what: String| Err(RigError::failed(format!("host_{host}: {what}")));
    let metric_count = METRICS.len();
    if text.lines().count() != metric_count {
        return fail(format!("{} series instead of {metric_count}", text.lines().count()));
    }
    let mut samples = 0;
    for line in text.lines() {
        let metric = METRICS.iter().position(|m| line.contains(&format!("\"__name__\":\"{m}\"")));
        let Some(metric) = metric else { return fail(format!("a series of no metric: {line}")) };
        let series = host * metric_count as u64 + metric as u64;
        let (values, timestamps) = (list(line, "values"), list(line, "timestamps"));
        let wanted = plan.load.samples_per_series as usize;
        if values.len() != timestamps.len() || (values.len() != wanted && !cut_short) {
            return fail(format!("{} samples instead of {wanted}: {line}", values.len()));
        }
        for (value, timestamp) in values.iter().zip(&timestamps) {
            let round = (timestamp - plan.first_ms) / super::STEP_MS;
            let expected = Plan::value_of(series, round.cast_unsigned());
            if plan.time_of(round.cast_unsigned()) != *timestamp || *value != expected as i64 {
                return fail(format!("{value} at {timestamp} was not sent: {line}"));
            }
            samples += 1;
        }
    }
    Ok(samples)
}

/// The whole numbers of the array `name` in a line of JSON.
fn list(line: &str, name: &str) -> Vec<i64> {
    let Some((_, rest)) = line.split_once(&format!("\"{name}\":[")) else { return Vec::new() };
    let Some((array, _)) = rest.split_once(']') else { return Vec::new() };
    array.split(',').filter_map(|number| number.trim_matches('"').parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_read_from_a_line() {
        let line = r#"{"metric":{"a":"b"},"values":[1,20,"3"],"timestamps":[5,-6,7]}"#;
        assert_eq!(list(line, "values"), [1, 20, 3]);
        assert_eq!(list(line, "timestamps"), [5, -6, 7]);
        assert_eq!(list(line, "absent"), [0i64; 0]);
    }
}
