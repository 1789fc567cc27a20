//! `/metrics`: the store's figures and the server's own, in the text exposition format. Of a store that is served
//! read-only those that can be known without its owner; the others are left out.

mod view;
mod writable;

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::StatusCode;
use siltstone::{PatternCache, Stats};
use siltstone_query::CacheStats;

use crate::admission::Admission;
use crate::app::App;
use crate::call::Call;
use crate::http_stats::HttpStats;
use crate::queries::Queries;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) async fn metrics(call: Call) -> Result<Reply, Refusal> {
    let Call { app, place, .. } = call;
    let text = place.run(move || {
        let mut page = Page(String::with_capacity(16 << 10));
        let stats = app.store.stats();
        let of_store = match app.store.view_figures() {
            Some(figures) => view::write(&mut page, &stats, &figures, &app),
            None => writable::write(&mut page, &stats, &app),
        };
        of_store
            .and_then(|()| http(&mut page, &app.stats))
            .and_then(|()| queries(&mut page, &app.queries))
            .and_then(|()| results(&mut page, &app.results.stats()))
            .and_then(|()| patterns(&mut page, &app.patterns))
            .map(|()| page.0)
    });
    match text.await? {
        Ok(text) => Ok(reply::whole(StatusCode::OK, CONTENT_TYPE, text.into_bytes())),
        Err(fmt::Error) => {
            Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "cannot format the metrics"))
        }
    }
}

/// The page as it is written.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}")
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.head(name, "gauge", help)?;
        writeln!(self.0, "{name} {value}")
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.head(name, "counter", help)?;
        writeln!(self.0, "{name} {value}")
    }
}

/// What is stored, which everybody sees who reads the directory.
fn stored(page: &mut Page, stats: &Stats) -> fmt::Result {
    page.gauge("siltstone_series_active", "Series in the registry.", stats.active_series)?;
    page.gauge("siltstone_samples", "Samples in segments and memtables.", stats.samples)?;
    page.gauge("siltstone_segments", "Live segments.", stats.segments)?;
    page.gauge("siltstone_last_seq", "The seq of the last batch.", stats.last_seq)?;
    page.head("siltstone_disk_bytes", "gauge", "Bytes on disk by kind.")?;
    let bytes = &stats.bytes_by_kind;
    for (kind, bytes) in [
        ("values", bytes.values),
        ("timestamps", bytes.timestamps),
        ("index", bytes.index),
        ("other_segment", bytes.other_segment),
        ("manifest", bytes.manifest),
        ("wal", bytes.wal),
        ("tombstones", bytes.tombstones),
        ("quarantine", bytes.quarantine),
    ] {
        writeln!(page.0, "siltstone_disk_bytes{{kind=\"{kind}\"}} {bytes}")?;
    }
    Ok(())
}

fn open_files(page: &mut Page, stats: &Stats) -> fmt::Result {
    page.gauge("siltstone_open_files", "Segments that are open.", stats.open_files)?;
    let most = stats.open_files_max;
    page.gauge("siltstone_open_files_max", "Most segments open at a time.", most)
}

/// What bounds requests, and who went for the sake of others.
fn admission(page: &mut Page, admission: &Admission) -> fmt::Result {
    let limit = admission.bodies.bytes_max() as u64;
    page.gauge("siltstone_bodies_bytes_max", "The limit of bodies as they arrive.", limit)?;
    let limit = admission.decoding.bytes_max() as u64;
    page.gauge("siltstone_decoding_bytes_max", "The limit of bodies being decoded.", limit)?;
    let waiting = admission.waiting.count() as u64;
    page.gauge("siltstone_slow_answers", "Answers that wait for slow readers.", waiting)?;
    let help = "Bodies refused before they were whole, for want of memory.";
    page.counter("siltstone_bodies_refused_total", help, admission.bodies.refused())?;
    let help = "Answers cut off for others because their readers stood still.";
    page.counter("siltstone_slow_answers_cut_total", help, admission.waiting.cut_off())
}

/// Memory by what it holds, `more` included, and the bounds of requests.
fn held(page: &mut Page, stats: &Stats, app: &App, more: &[(&str, u64)]) -> fmt::Result {
    page.head("siltstone_memory_bytes", "gauge", "Bytes of memory by what they hold.")?;
    let own = [
        ("memtable", stats.memtable_bytes),
        ("registry", stats.registry_bytes),
        ("cache", stats.cache_bytes),
        ("bodies", app.admission.bodies.bytes_held() as u64),
        ("decoding", app.admission.decoding.bytes_held() as u64),
        ("buffers", app.kept_bytes() as u64),
        ("metadata", app.metadata.size().1 as u64),
        ("result_cache", app.results.stats().bytes),
        ("patterns", app.patterns.stats().bytes as u64),
    ];
    for (kind, bytes) in own.iter().chain(more) {
        writeln!(page.0, "siltstone_memory_bytes{{kind=\"{kind}\"}} {bytes}")?;
    }
    let budget = stats.memory_budget_bytes;
    page.gauge("siltstone_memory_budget_bytes", "The memory budget.", budget)?;
    admission(page, &app.admission)
}

fn http(page: &mut Page, stats: &HttpStats) -> fmt::Result {
    let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let connections = value(&stats.connections);
    page.gauge("siltstone_http_connections", "Open connections.", connections)?;
    let by_reason = &stats.by_reason;
    let name = "siltstone_http_connections_closed_total";
    page.head(name, "counter", "Connections that the server closed, by reason.")?;
    for (reason, count) in by_reason.closed() {
        writeln!(page.0, "{name}{{reason=\"{reason}\"}} {count}")?;
    }
    let name = "siltstone_http_connections_refused_total";
    page.head(name, "counter", "Connections that were not served, by reason.")?;
    writeln!(page.0, "{name}{{reason=\"address\"}} {}", value(&by_reason.refused_of_address))?;
    let name = "siltstone_http_requests_refused_total";
    page.head(name, "counter", "Requests refused before they were routed, by reason.")?;
    for (reason, count) in by_reason.barred() {
        writeln!(page.0, "{name}{{reason=\"{reason}\"}} {count}")?;
    }
    let written = value(&stats.samples_written);
    page.counter("siltstone_http_samples_written_total", "Samples stored by HTTP.", written)?;
    let refused = value(&stats.refused);
    let help = "Series, samples or lines refused of requests whose rest was stored.";
    page.counter("siltstone_http_refused_total", help, refused)?;
    let bytes = value(&stats.remote_write_bytes);
    page.counter("siltstone_remote_write_bytes_total", "Remote write bodies as received.", bytes)?;
    let name = "siltstone_http_requests_total";
    page.head(name, "counter", "Requests by path and status.")?;
    for (path, route) in stats.routes() {
        for (status, count) in &route.by_status {
            writeln!(page.0, "{name}{{path=\"{path}\",status=\"{status}\"}} {count}")?;
        }
    }
    let name = "siltstone_http_request_seconds";
    page.head(name, "summary", "From the headers of a request to the end of its answer.")?;
    for (path, route) in stats.routes() {
        for quantile in [0.5, 0.9, 0.99, 1.0] {
            let us = route.latency_us.value_at_quantile(quantile);
            writeln!(page.0, "{name}{{path=\"{path}\",quantile=\"{quantile}\"}} {}", seconds(us))?;
        }
        let (sum, count) = (seconds(route.total_us), route.latency_us.len());
        writeln!(page.0, "{name}_sum{{path=\"{path}\"}} {sum}")?;
        writeln!(page.0, "{name}_count{{path=\"{path}\"}} {count}")?;
    }
    Ok(())
}

fn queries(page: &mut Page, queries: &Queries) -> fmt::Result {
    let running = queries.shown().len() as u64;
    page.gauge("siltstone_queries_running", "PromQL queries that run now.", running)?;
    let help = "Bytes that queries hold beyond what is set aside for each.";
    page.gauge("siltstone_query_bytes_shared", help, queries.pool().bytes_taken())?;
    let help = "Bytes that all queries together may hold.";
    page.gauge("siltstone_query_bytes_max", help, queries.pool().bytes_max())?;
    let kinds = queries.statistics.kinds();
    page.head("siltstone_queries_total", "counter", "PromQL queries by kind and outcome.")?;
    for (kind, of) in &kinds {
        for (outcome, count) in &of.by_outcome {
            let (kind, outcome) = (kind.as_str(), outcome.as_str());
            let labels = format!("kind=\"{kind}\",outcome=\"{outcome}\"");
            writeln!(page.0, "siltstone_queries_total{{{labels}}} {count}")?;
        }
    }
    let name = "siltstone_query_samples_read_total";
    page.head(name, "counter", "Samples that queries have read.")?;
    for (kind, of) in &kinds {
        writeln!(page.0, "{name}{{kind=\"{}\"}} {}", kind.as_str(), of.samples_read)?;
    }
    let name = "siltstone_query_series_total";
    page.head(name, "counter", "Series that queries have answered.")?;
    for (kind, of) in &kinds {
        writeln!(page.0, "{name}{{kind=\"{}\"}} {}", kind.as_str(), of.series)?;
    }
    let name = "siltstone_query_seconds";
    page.head(name, "summary", "From the turn of a query to the end of its answer.")?;
    for (kind, of) in &kinds {
        let kind = kind.as_str();
        for quantile in [0.5, 0.9, 0.99, 1.0] {
            let us = of.took_us.value_at_quantile(quantile);
            writeln!(page.0, "{name}{{kind=\"{kind}\",quantile=\"{quantile}\"}} {}", seconds(us))?;
        }
        writeln!(page.0, "{name}_sum{{kind=\"{kind}\"}} {}", seconds(of.total_us))?;
        writeln!(page.0, "{name}_count{{kind=\"{kind}\"}} {}", of.took_us.len())?;
    }
    Ok(())
}

/// Answers of range queries that are kept.
fn results(page: &mut Page, stats: &CacheStats) -> fmt::Result {
    let help = "The limit of answers that are kept.";
    page.gauge("siltstone_result_cache_bytes_max", help, stats.bytes_max)?;
    page.gauge("siltstone_result_cache_queries", "Queries with kept answers.", stats.queries)?;
    let name = "siltstone_result_cache_lookups_total";
    page.head(name, "counter", "Range queries by how much of their answer was kept.")?;
    for (outcome, count) in [
        ("whole", stats.whole),
        ("partial", stats.partial),
        ("miss", stats.misses),
        ("unfit", stats.unfit),
    ] {
        writeln!(page.0, "{name}{{outcome=\"{outcome}\"}} {count}")?;
    }
    let help = "Steps of answers that were not evaluated anew.";
    page.counter("siltstone_result_cache_steps_total", help, stats.steps)?;
    let help = "Queries whose kept answers had to go for others.";
    page.counter("siltstone_result_cache_evicted_total", help, stats.evicted)
}

fn patterns(page: &mut Page, cache: &PatternCache) -> fmt::Result {
    let stats = cache.stats();
    let help = "The limit of regular expressions that are kept compiled.";
    page.gauge("siltstone_patterns_bytes_max", help, cache.bytes_max() as u64)?;
    let help = "Regular expressions that are kept compiled.";
    page.gauge("siltstone_patterns", help, stats.entries as u64)?;
    let name = "siltstone_patterns_lookups_total";
    page.head(name, "counter", "Regular expressions of requests by whether they were kept.")?;
    for (outcome, count) in [("hit", stats.hits), ("miss", stats.misses)] {
        writeln!(page.0, "{name}{{outcome=\"{outcome}\"}} {count}")?;
    }
    Ok(())
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
