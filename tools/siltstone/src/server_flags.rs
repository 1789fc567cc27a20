//! The flags of `serve` for the HTTP side: every limit and deadline of the server.

use std::time::Duration;

use clap::Args;
use siltstone_server::{AllowedHost, CorsOrigin, ServerConfig};

use crate::times::parse_duration;
use crate::units::{parse_bytes, parse_bytes_usize};

/// Limits of the server. The defaults are those of [`ServerConfig`].
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerFlags {
    /// Open /api/v1/admin/tsdb/: delete, flush, compact, snapshot. There is no authentication
    #[arg(long)]
    enable_admin: bool,
    /// Whose web pages may read the API: a regular expression of origins, '.*' for everybody's
    /// [default: nobody's]
    #[arg(long, value_name = "REGEX", default_value = "", value_parser = CorsOrigin::new)]
    #[arg(hide_default_value = true)]
    cors_origin: CorsOrigin,
    /// A name by which clients reach the server, such as that of its service or of a proxy; may be given
    /// several times, * for any. Its addresses, the machine's name and, on loopback, localhost need not be
    /// given. Requests for other names are answered 421
    #[arg(long, value_name = "NAME", value_parser = AllowedHost::new)]
    allowed_host: Vec<AllowedHost>,
    /// Connections at a time; a new one takes the place of the one that is idle longest
    #[arg(long, value_name = "N", default_value_t = 512)]
    connections_max: usize,
    /// Connections at a time from one address (of IPv6: one /64), loopback not counted
    #[arg(long, value_name = "N", default_value_t = 128)]
    connections_per_address_max: usize,
    /// Bodies that are decoded and written at a time; more wait
    #[arg(long, value_name = "N", default_value_t = 64)]
    writes_max: usize,
    /// Queries of samples, series and labels at a time; more wait
    #[arg(long, value_name = "N", default_value_t = 20)]
    reads_max: usize,
    /// Exports, federations and remote reads at a time; more wait
    #[arg(long, value_name = "N", default_value_t = 8)]
    exports_max: usize,
    /// Long answers that may wait for slow readers beside those
    #[arg(long, value_name = "N", default_value_t = 32)]
    slow_answers_max: usize,
    /// How long a request waits for its turn before it is refused with 503
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    queue_timeout: Duration,
    /// Bytes that all request bodies together may hold as they arrive [default: an eighth of the memory budget]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes_usize)]
    bodies_max: Option<usize>,
    /// Bytes in which bodies are decoded at a time [default: an eighth of the memory budget]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes_usize)]
    decoding_max: Option<usize>,
    /// Longest body that is held in memory, compressed and decoded
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = parse_bytes_usize)]
    body_max: usize,
    /// Longest request line and headers together
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = parse_bytes_usize)]
    header_bytes_max: usize,
    /// Most header lines
    #[arg(long, value_name = "N", default_value_t = 100)]
    headers_max: usize,
    /// Time for the headers of a request
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    header_timeout: Duration,
    /// Time for a body, or until a streamed one must keep to --body-rate-min
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    body_timeout: Duration,
    /// Bytes per second below which a streamed body is given up
    #[arg(long, value_name = "N", default_value_t = 1024)]
    body_rate_min: u64,
    /// How long a connection may stay open between requests
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    idle_timeout: Duration,
    /// How long a client may take less of an answer than --reply-rate-min
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    write_timeout: Duration,
    /// Bytes per second that a client has to take of an answer
    #[arg(long, value_name = "N", default_value_t = 1024)]
    reply_rate_min: u64,
    /// How long running requests may take to finish after a signal
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = parse_duration)]
    shutdown_timeout: Duration,
    /// Most samples of one remote-write request
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    request_samples_max: usize,
    /// Most series of one remote-write request
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    request_series_max: usize,
    /// Longest JSON line of an import
    #[arg(long, value_name = "SIZE", default_value = "10MiB", value_parser = parse_bytes_usize)]
    json_line_max: usize,
    /// Longest line of a text import
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_bytes_usize)]
    text_line_max: usize,
    /// Samples that an import collects before it writes them
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    import_batch_rows: usize,
    /// Time for a query over series and labels
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_duration)]
    query_timeout: Duration,
    /// How old the newest sample may be that a query shows at a moment
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    lookback: Duration,
    /// Bytes that all queries together may hold [default: a quarter of the memory budget, less the cache]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    query_memory: Option<u64>,
    /// Bytes of answers that are kept for the next range query; 0 for none [default: a sixteenth of the
    /// memory budget]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    query_cache: Option<u64>,
    /// Queries that take so long are written to the log with their cost
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    slow_query: Duration,
    /// Longest answer to a remote read that asks for it in one piece, before compression
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = parse_bytes_usize)]
    read_max: usize,
    /// Most series, names or values in one answer
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    results_max: usize,
}

impl ServerFlags {
    pub(crate) fn config(&self) -> ServerConfig {
        ServerConfig {
            admin: self.enable_admin,
            cors_origin: self.cors_origin.clone(),
            allowed_hosts: self.allowed_host.clone(),
            connections_max: self.connections_max,
            connections_per_address_max: self.connections_per_address_max,
            writes_max: self.writes_max,
            reads_max: self.reads_max,
            exports_max: self.exports_max,
            slow_answers_max: self.slow_answers_max,
            queue_timeout: self.queue_timeout,
            bodies_bytes_max: self.bodies_max,
            decoding_bytes_max: self.decoding_max,
            header_bytes_max: self.header_bytes_max,
            headers_max: self.headers_max,
            header_timeout: self.header_timeout,
            body_timeout: self.body_timeout,
            body_rate_min: self.body_rate_min,
            idle_timeout: self.idle_timeout,
            write_timeout: self.write_timeout,
            reply_rate_min: self.reply_rate_min,
            shutdown_timeout: self.shutdown_timeout,
            failure_grace: ServerConfig::default().failure_grace,
            body_bytes_max: self.body_max,
            request_samples_max: self.request_samples_max,
            request_series_max: self.request_series_max,
            json_line_bytes_max: self.json_line_max,
            text_line_bytes_max: self.text_line_max,
            import_batch_rows: self.import_batch_rows,
            query_timeout: self.query_timeout,
            lookback: self.lookback,
            refresh_interval: ServerConfig::default().refresh_interval,
            query_bytes_max: self.query_memory,
            query_cache_bytes: self.query_cache,
            slow_query: self.slow_query,
            read_bytes_max: self.read_max,
            results_max: self.results_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{FromArgMatches, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        flags: ServerFlags,
    }

    /// What the help says of a default that no value stands for.
    fn default_of(argument: &clap::Arg) -> Option<String> {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let told = help.split_once("[default: ").and_then(|(_, rest)| rest.split_once(']'));
        let values = argument.get_default_values().iter().filter_map(|value| value.to_str());
        let value = values.filter(|value| !value.is_empty()).collect::<Vec<_>>().join(",");
        match (told, argument.get_action()) {
            (Some((told, _)), _) => Some(told.to_owned()),
            (None, clap::ArgAction::SetTrue) => Some("off".to_owned()),
            (None, _) => (!value.is_empty()).then_some(value),
        }
    }

    #[test]
    fn the_table_of_limits_is_what_the_flags_say() {
        use clap::{Args, CommandFactory};
        let table = include_str!("../../../crates/server/LIMITS.md");
        let rows = table.lines().filter_map(|line| line.strip_prefix("| ")).map(|line| {
            let mut cells = line.split(" | ").map(str::trim);
            (cells.next().unwrap(), cells.next().unwrap())
        });
        let mut rows: std::collections::BTreeMap<_, _> = rows.collect();
        assert_eq!(rows.remove("option"), Some("default"));
        let server = Alone::command();
        let store = crate::store_flags::StoreFlags::augment_args(clap::Command::new("store"));
        let of_store: Vec<_> = store.get_arguments().collect();
        for argument in server.get_arguments().chain(of_store.iter().copied()) {
            let Some(name) = argument.get_long().filter(|name| *name != "help") else { continue };
            // Of the store's options those that bound what a client sends.
            let is_of_store = of_store.iter().any(|other| other.get_long() == Some(name));
            match (rows.remove(name), default_of(argument)) {
                (None, _) if is_of_store => {}
                (Some(row), Some(default)) => assert_eq!(row, default, "{name}"),
                // Without a value the row says what holds.
                (Some(row), None) => assert!(!row.is_empty(), "{name}"),
                (None, _) => panic!("LIMITS.md has no row for {name}"),
            }
        }
        assert!(rows.is_empty(), "there is no such option: {rows:?}");
    }

    #[test]
    fn the_defaults_are_those_of_the_server() {
        use clap::CommandFactory;
        let matches = Alone::command().get_matches_from(["serve"]);
        let alone = Alone::from_arg_matches(&matches).unwrap();
        assert_eq!(alone.flags.config(), ServerConfig::default());
    }
}
