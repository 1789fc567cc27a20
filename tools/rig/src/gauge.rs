//! The most memory that the store takes while something runs, and what it says of itself then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::RigError;
use crate::http::HttpClient;
use crate::process::Process;

/// How often the store is asked for its own figures.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// Metrics worth showing.
const SHOWN: &[&str] = &[
    "siltstone_memory_bytes",
    "siltstone_series",
    "siltstone_samples ",
    "siltstone_segments ",
    "siltstone_early_seals_total",
    "siltstone_flushes_total",
    "siltstone_stalls_total",
];

/// The most memory at any moment.
#[derive(Debug, Clone, Default)]
pub struct Peak {
    /// RssAnon in bytes.
    pub rss_anon_bytes: u64,
    /// Time after the start.
    pub after: Duration,
    /// Times that RssAnon was read.
    pub readings: u64,
    /// The store's own figures, asked for shortly before.
    pub metrics: Vec<String>,
}

/// Runs `work` and reads the server's memory `every` so often meanwhile, at least once. With a client the
/// store is asked for its own figures too, by which a reading may wait.
///
/// # Errors
/// If the server ends.
pub fn watch<T: Send>(
    server: &Process,
    every: Duration,
    mut client: Option<HttpClient>,
    work: impl FnOnce() -> T + Send,
) -> Result<(T, Peak), RigError> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let started = Instant::now();
            let mut peak = Peak::default();
            let (mut asked, mut latest) = (None::<Instant>, Vec::new());
            loop {
                let last = done.load(Ordering::Acquire);
                if let Some(client) = &mut client
                    && asked.is_none_or(|at| at.elapsed() >= ASK_EVERY)
                {
                    latest = metrics(client).unwrap_or_default();
                    asked = Some(Instant::now());
                }
                let now = server.usage()?.rss_anon_bytes;
                peak.readings += 1;
                if now > peak.rss_anon_bytes {
                    peak.rss_anon_bytes = now;
                    peak.after = started.elapsed();
                    peak.metrics.clone_from(&latest);
                }
                if last {
                    return Ok(peak);
                }
                std::thread::sleep(every);
            }
        });
        let result = work();
        done.store(true, Ordering::Release);
        let peak = watcher.join().map_err(|_| RigError::failed("the watcher panicked"))?;
        Ok((result, peak?))
    })
}

/// The lines of the store's metrics that this workload is about.
///
/// # Errors
/// If the store does not answer.
pub fn metrics(client: &mut HttpClient) -> Result<Vec<String>, RigError> {
    let response = client.get("/metrics").map_err(RigError::io("asking for metrics"))?;
    let text = String::from_utf8_lossy(&response.body);
    let shown = |line: &&str| SHOWN.iter().any(|name| line.starts_with(name));
    Ok(text.lines().filter(shown).map(str::to_owned).collect())
}

/// The value of the metric with this name, which has no labels.
#[must_use]
pub fn value(metrics: &[String], name: &str) -> Option<u64> {
    metrics.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let lines = ["a_total 7".to_owned(), "a 5".to_owned(), "b{x=\"y\"} 9".to_owned()];
        assert_eq!(value(&lines, "a"), Some(5));
        assert_eq!(value(&lines, "a_total"), Some(7));
        assert_eq!(value(&lines, "b"), None);
    }
}
