//! The configuration as `/api/v1/status/flags` shows it: by the names of the flags of `siltstone serve`,
//! and by Prometheus' where clients look for those.

use std::collections::BTreeMap;
use std::time::Duration;

use siltstone::{Durability, Options};

use crate::app::App;
use crate::config::ServerConfig;

/// Every flag with its value.
pub(super) fn all(app: &App) -> BTreeMap<&'static str, String> {
    let mut flags = BTreeMap::new();
    let (store, options) = (&app.store, app.store.options());
    let is_read_only = store.writable().is_err();
    flags.insert("data", store.dir().display().to_string());
    flags.insert("read-only", is_read_only.to_string());
    flags.insert("ticks-per-second", store.ticks_per_second().to_string());
    flags.insert("memory-budget", options.memory_budget_bytes.to_string());
    flags.insert("open-files-max", options.open_files_max.to_string());
    flags.insert("query-threads", options.query_threads.to_string());
    if is_read_only {
        flags.insert("refresh-interval", duration(app.config.refresh_interval));
    } else {
        of_writing(options, &mut flags);
    }
    of_server(&app.config, &mut flags);
    flags.insert("listen", optional(app.addresses.public));
    flags.insert("probe-listen", optional(app.addresses.probes));
    flags.insert("bodies-max", app.admission.bodies.bytes_max().to_string());
    flags.insert("decoding-max", app.admission.decoding.bytes_max().to_string());
    for (prometheus, ours) in [
        ("query.max-concurrency", "reads-max"),
        ("query.timeout", "query-timeout"),
        ("storage.tsdb.path", "data"),
        ("storage.tsdb.retention.size", "retention-bytes"),
        ("web.cors.origin", "cors-origin"),
        ("web.enable-admin-api", "enable-admin"),
        ("web.listen-address", "listen"),
        ("web.max-connections", "connections-max"),
    ] {
        let value = flags.get(ours).cloned().unwrap_or_default();
        flags.insert(prometheus, value);
    }
    flags.insert("storage.tsdb.retention.time", retention(options));
    flags.insert("web.enable-remote-write-receiver", (!is_read_only).to_string());
    flags
}

/// How long samples are kept, or how many bytes of them; empty for ever.
pub(super) fn retention(options: &Options) -> String {
    let age = options.retention.map(duration);
    let bytes = options.retention_bytes.map(|bytes| format!("{bytes}B"));
    age.into_iter().chain(bytes).collect::<Vec<_>>().join(" or ")
}

/// The flags without which a store is served read-only.
fn of_writing(options: &Options, flags: &mut BTreeMap<&'static str, String>) {
    let durability = match options.durability {
        Durability::Always => "always".to_owned(),
        Durability::Never => "never".to_owned(),
        Durability::Interval(interval) => duration(interval),
    };
    flags.extend([
        ("durability", durability),
        ("series-max", optional(options.series_max)),
        ("series-idle", duration(options.series_idle)),
        ("admission-wait", duration(options.admission_wait)),
        ("queue-max", optional(options.queue_bytes_max)),
        ("wal-max", options.wal_bytes_max.to_string()),
        ("flush-interval", duration(options.flush_interval)),
        ("erase-after", duration(options.erase_after)),
        ("window", duration(options.window)),
        ("retention", options.retention.map(duration).unwrap_or_default()),
        ("retention-bytes", optional(options.retention_bytes)),
        ("compaction-threads", options.compaction_threads.to_string()),
        ("level0-merge", options.level0_merge.to_string()),
        ("level0-slowdown", options.level0_slowdown.to_string()),
        ("level0-stall", options.level0_stall.to_string()),
        ("labels-max", options.labels.labels_max.to_string()),
        ("label-name-max", options.labels.name_bytes_max.to_string()),
        ("label-value-max", options.labels.value_bytes_max.to_string()),
        ("label-set-max", options.labels.set_bytes_max.to_string()),
        ("age-max", options.age_max.map(duration).unwrap_or_default()),
        ("ahead-max", options.ahead_max.map(duration).unwrap_or_default()),
        ("reserve", optional(options.reserve_bytes)),
    ]);
}

fn of_server(config: &ServerConfig, flags: &mut BTreeMap<&'static str, String>) {
    flags.extend([
        ("enable-admin", config.admin.to_string()),
        ("cors-origin", config.cors_origin.as_str().to_owned()),
        ("allowed-host", list(&config.allowed_hosts)),
        ("connections-per-address-max", config.connections_per_address_max.to_string()),
        ("connections-max", config.connections_max.to_string()),
        ("writes-max", config.writes_max.to_string()),
        ("reads-max", config.reads_max.to_string()),
        ("exports-max", config.exports_max.to_string()),
        ("slow-answers-max", config.slow_answers_max.to_string()),
        ("queue-timeout", duration(config.queue_timeout)),
        ("body-max", config.body_bytes_max.to_string()),
        ("header-bytes-max", config.header_bytes_max.to_string()),
        ("headers-max", config.headers_max.to_string()),
        ("header-timeout", duration(config.header_timeout)),
        ("body-timeout", duration(config.body_timeout)),
        ("body-rate-min", config.body_rate_min.to_string()),
        ("idle-timeout", duration(config.idle_timeout)),
        ("write-timeout", duration(config.write_timeout)),
        ("reply-rate-min", config.reply_rate_min.to_string()),
        ("shutdown-timeout", duration(config.shutdown_timeout)),
        ("request-samples-max", config.request_samples_max.to_string()),
        ("request-series-max", config.request_series_max.to_string()),
        ("json-line-max", config.json_line_bytes_max.to_string()),
        ("text-line-max", config.text_line_bytes_max.to_string()),
        ("import-batch-rows", config.import_batch_rows.to_string()),
        ("query-timeout", duration(config.query_timeout)),
        ("results-max", config.results_max.to_string()),
    ]);
}

fn optional(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn list(values: &[impl ToString]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// A length of time in the largest unit of which it is a multiple.
fn duration(time: Duration) -> String {
    const UNITS: [(u128, &str); 4] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let ms = time.as_millis();
    let unit = UNITS.into_iter().find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit));
    let (unit, name) = unit.unwrap_or((1, "ms"));
    format!("{}{name}", ms / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_written_as_the_command_reads_them() {
        for (ms, text) in [
            (0, "0ms"),
            (1, "1ms"),
            (1500, "1500ms"),
            (10_000, "10s"),
            (90_000, "90s"),
            (120_000, "2m"),
            (7_200_000, "2h"),
            (90 * 86_400_000, "90d"),
        ] {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }
}
