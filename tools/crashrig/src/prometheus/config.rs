//! Prometheus's configuration for the main job.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;
use siltstone_rig::store::WRITE_PATH;

/// What is configured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Config<'a> {
    /// Time between two scrapes, as Prometheus writes it: `1s`, `500ms`.
    pub(crate) interval: &'a str,
    /// Where Siltstone listens.
    pub(crate) siltstone: SocketAddr,
    /// The file that lists the targets.
    pub(crate) targets: &'a Path,
}

impl Config<'_> {
    /// The configuration.
    ///
    /// One shard keeps the order of the log, so that the highest timestamp sent says what was sent.
    /// Small batches, a short deadline and short pauses keep the queue close to the present, so that
    /// a kill finds requests on their way. Nothing is given up: a server that refuses for a while
    /// (429, 5xx) gets the same request again.
    ///
    /// The targets are in a file of their own, because targets that leave it end with stale markers,
    /// while those of a removed job just end.
    pub(crate) fn text(&self) -> String {
        let Self { interval, siltstone, targets } = self;
        format!(
            "global:\n  scrape_interval: {interval}\n  scrape_timeout: {interval}\n\
             scrape_configs:\n- job_name: rig\n  file_sd_configs:\n\
             \x20 - files: ['{}']\n    refresh_interval: 1s\n\
             remote_write:\n- name: siltstone\n  url: http://{siltstone}{WRITE_PATH}\n\
             \x20 remote_timeout: 10s\n  queue_config:\n    capacity: 20000\n    min_shards: 1\n\
             \x20   max_shards: 1\n    max_samples_per_send: 500\n    batch_send_deadline: 50ms\n\
             \x20   min_backoff: 20ms\n    max_backoff: 200ms\n    retry_on_http_429: true\n\
             \x20 metadata_config:\n    send: true\n    send_interval: 10s\n",
            targets.display()
        )
    }
}

/// The file of targets: each with its job, or none, which ends scraping.
pub(crate) fn targets_text(targets: &[(&str, SocketAddr)]) -> String {
    let groups: Vec<_> = targets
        .iter()
        .map(|(job, address)| json!({ "targets": [address.to_string()], "labels": { "job": job } }))
        .collect();
    json!(groups).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_ordered_queue_to_the_server() {
        let siltstone = SocketAddr::from(([127, 0, 0, 1], 3));
        let targets = Path::new("/t/targets.json");
        let text = Config { interval: "250ms", siltstone, targets }.text();
        for line in [
            "  scrape_interval: 250ms",
            "  - files: ['/t/targets.json']",
            "  url: http://127.0.0.1:3/api/v1/write",
            "  queue_config:",
            "    max_shards: 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} is not a line of:\n{text}");
        }
    }

    #[test]
    fn targets_have_their_job() {
        let address = SocketAddr::from(([127, 0, 0, 1], 2));
        let text = targets_text(&[("node", address)]);
        assert_eq!(text, r#"[{"labels":{"job":"node"},"targets":["127.0.0.1:2"]}]"#);
        assert_eq!(targets_text(&[]), "[]");
    }
}
