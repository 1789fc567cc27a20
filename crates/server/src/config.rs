//! What the operator of a server may choose, with the defaults that `siltstone serve` shows.

use std::time::Duration;

use crate::cors::CorsOrigin;
use crate::hosts::AllowedHost;

/// Limits and timeouts of a server. Every limit is checked before memory is allocated for what it
/// limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Whether `/api/v1/admin/tsdb/` may delete, flush, compact and snapshot; without it, it answers
    /// 403. Default: false.
    pub admin: bool,
    /// Whose web pages may read the API. Default: nobody's.
    pub cors_origin: CorsOrigin,
    /// Names by which clients reach the server, besides what it listens on and the name of the machine;
    /// requests for others are refused with 421. Default: none.
    pub allowed_hosts: Vec<AllowedHost>,
    /// Connections at a time. When there are so many, a new one takes the place of the one that has been
    /// without a request longest; while all have one, it is served probes alone, or waits. Default: 512.
    pub connections_max: usize,
    /// Connections at a time from one address, or from one /64 of IPv6; loopback is not counted. Default:
    /// 128.
    pub connections_per_address_max: usize,
    /// Bodies that are decoded and written at a time; more wait. Default: 64.
    pub writes_max: usize,
    /// Queries of samples, series and labels at a time; more wait. Default: 20.
    pub reads_max: usize,
    /// Exports, federations and remote reads at a time; more wait. Default: 8.
    pub exports_max: usize,
    /// Long answers that may wait for slow readers without a turn; beyond them those whose readers stand still
    /// are cut off. Default: 32.
    pub slow_answers_max: usize,
    /// How long a request waits for its turn or for memory before it is refused with 503. Default: 10 s.
    pub queue_timeout: Duration,
    /// Bytes that request bodies may hold at a time, as they arrive. An eighth of it is for bodies up to 256 KiB
    /// alone; no body may be larger than the rest. Where memory is short, bodies that are still arriving are
    /// refused with 503, the slow and the young ones first. Default: an eighth of the store's memory budget.
    pub bodies_bytes_max: Option<usize>,
    /// Bytes in which bodies are decoded and their samples collected at a time; more wait. No body may decode to
    /// more than half of it. Default: an eighth of the store's memory budget.
    pub decoding_bytes_max: Option<usize>,
    /// Longest request line and header section in bytes. Default: 64 KiB.
    pub header_bytes_max: usize,
    /// Most header lines. Default: 100.
    pub headers_max: usize,
    /// Time for the headers of a request, from their first byte, and for the first byte of a new
    /// connection. On places that are kept for probes it is 2 s at most. Default: 10 s.
    pub header_timeout: Duration,
    /// Time for a whole body, where it is held in memory. A streamed body may take longer if it keeps
    /// to `body_rate_min`: what it sends earns it time, but never more than this. Default: 30 s.
    pub body_timeout: Duration,
    /// Bytes per second below which a streamed body is given up after `body_timeout`, and below which any body
    /// is the first to be refused where memory is short. Default: 1,024.
    pub body_rate_min: u64,
    /// How long a connection may stay open between requests. Default: 60 s.
    pub idle_timeout: Duration,
    /// How long a client may take less of a response than `reply_rate_min`. Default: 30 s.
    pub write_timeout: Duration,
    /// Bytes per second that a client has to take of a response; what it takes earns it time, but never more than
    /// `write_timeout`. Default: 1,024.
    pub reply_rate_min: u64,
    /// How long running requests may take to finish after the shutdown signal. Default: 25 s,
    /// since many supervisors kill after 30 s.
    pub shutdown_timeout: Duration,
    /// How long a server whose store has failed goes on answering, so that who asks it learns why, before
    /// it ends by itself. Default, and at most: 5 s.
    pub failure_grace: Duration,
    /// Longest body that is held in memory (remote write, forms), before decompression and after, in
    /// bytes; less where `bodies_bytes_max` and `decoding_bytes_max` leave room for less. Default: 32 MiB.
    pub body_bytes_max: usize,
    /// Most samples of one remote-write request. Default: 1,000,000.
    pub request_samples_max: usize,
    /// Most series of one remote-write request. Default: 100,000.
    pub request_series_max: usize,
    /// Longest JSON line of an import in bytes. Default: 10 MiB.
    pub json_line_bytes_max: usize,
    /// Longest line of a text import in bytes. Default: 1 MiB.
    pub text_line_bytes_max: usize,
    /// Samples that an import collects before it writes them. Default: 50,000.
    pub import_batch_rows: usize,
    /// Time for a query over series and labels. Default: 2 minutes.
    pub query_timeout: Duration,
    /// How old the sample of an instant lookup may be, unless the query says. Default: 5 minutes.
    pub lookback: Duration,
    /// How often the view is refreshed of a store that is served read-only: its owner's writes are seen after
    /// this time, and what a refresh takes. At least 100 ms; less often where a refresh takes more than a
    /// quarter of it. Default: 5 s.
    pub refresh_interval: Duration,
    /// Bytes that all queries together may hold: lists of series, values, what operators hold, answers.
    /// A quarter of it is set aside in equal parts for as many as may hold some: `reads_max`,
    /// `exports_max` and `slow_answers_max` together. Default: a quarter of the
    /// store's memory budget, less what `query_cache_bytes` says, but an eighth of the budget at least.
    pub query_bytes_max: Option<u64>,
    /// Bytes of answers to range queries that may be kept, so that the same query a little later costs
    /// what is new; 0 keeps none. Default: a sixteenth of the store's memory budget.
    pub query_cache_bytes: Option<u64>,
    /// A query that takes at least so long is written to the log with its cost. Default: 5 s.
    pub slow_query: Duration,
    /// Longest answer to a remote read that asks for it in one piece, before compression, in bytes;
    /// about four times as much is held while it is made. Streamed answers have no limit. Default:
    /// 16 MiB.
    pub read_bytes_max: usize,
    /// Most series, names or values in one answer; what is cut is said in a warning. Default:
    /// 1,000,000.
    pub results_max: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            admin: false,
            cors_origin: CorsOrigin::default(),
            allowed_hosts: Vec::new(),
            connections_max: 512,
            connections_per_address_max: 128,
            writes_max: 64,
            reads_max: 20,
            exports_max: 8,
            slow_answers_max: 32,
            queue_timeout: Duration::from_secs(10),
            bodies_bytes_max: None,
            decoding_bytes_max: None,
            header_bytes_max: 64 << 10,
            headers_max: 100,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            body_rate_min: 1024,
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            reply_rate_min: 1024,
            shutdown_timeout: Duration::from_secs(25),
            failure_grace: Duration::from_secs(5),
            body_bytes_max: 32 << 20,
            request_samples_max: 1_000_000,
            request_series_max: 100_000,
            json_line_bytes_max: 10 << 20,
            text_line_bytes_max: 1 << 20,
            import_batch_rows: 50_000,
            query_timeout: Duration::from_secs(120),
            lookback: Duration::from_secs(300),
            refresh_interval: Duration::from_secs(5),
            query_bytes_max: None,
            query_cache_bytes: None,
            slow_query: Duration::from_secs(5),
            read_bytes_max: 16 << 20,
            results_max: 1_000_000,
        }
    }
}
