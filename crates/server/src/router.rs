//! Which handler answers which request: one table.
//!
//! Paths are compared segment by segment and never joined to anything; what is not in the table is
//! 404, a method that a path does not have 405 with `Allow`. Every path is also served under
//! `/prometheus`, where VictoriaMetrics' clients look for it.
//!
//! In one file because the table is half of it, and what a row means is the other half.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue, ORIGIN};
use hyper::{Method, Request, StatusCode};
use tokio::time::Instant;

use crate::admission::Kind;
use crate::app::App;
use crate::call::Call;
use crate::content_coding;
use crate::envelope;
use crate::handlers::{
    admin, export, expressions, federate, health, import, metadata, metrics, promql, remote_read,
    remote_write, scraping, series, status, written,
};
use crate::http_stats::HttpStats;
use crate::params::{self, Params, decode};
use crate::phase::Phase;
use crate::refusal::Refusal;
use crate::refusal_log::Reason;
use crate::reply::{self, OnEnd, Reply};

type Answer = Pin<Box<dyn Future<Output = Result<Reply, Refusal>> + Send>>;

/// A row of the table.
struct Route {
    path: &'static str,
    methods: &'static [&'static str],
    /// How refusals are written.
    errors: Errors,
    input: Input,
}

/// What a handler takes, and when it has its turn.
#[derive(Clone, Copy)]
pub(crate) enum Input {
    /// The parameters, of which a form may be a part. The handler is called when the form is whole, and has a
    /// turn of this kind.
    Form(Kind, fn(Call) -> Answer),
    /// The body, which the handler reads; it takes its turn itself when the body is whole.
    Body(fn(Call, Incoming) -> Answer),
}

impl Route {
    /// Whether it is a part of the query API, which web pages may read.
    fn is_query(&self) -> bool {
        self.errors == Envelope && !self.path.starts_with(ADMIN)
    }

    /// Whether it takes samples.
    fn is_push(&self) -> bool {
        let is_import = self.path.starts_with("/api/v1/import") || self.path == PUSHGATEWAY;
        is_import || self.path == "/api/v1/write"
    }

    /// Whether it changes the store.
    fn writes(&self) -> bool {
        self.is_push() || self.path.starts_with(ADMIN_TSDB)
    }

    /// Whether it answers samples without an envelope.
    fn streams(&self) -> bool {
        matches!(self.path, "/api/v1/export" | "/federate")
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Errors {
    Text,
    Envelope,
}

/// A browser asks with OPTIONS before it sends a page's request here; the answer is in the headers.
const API: &str = "/api/v1/";
/// What supervisors and scrapers ask.
const PROBES: [&str; 4] = ["/metrics", "/-/healthy", "/-/ready", "/health"];
/// Where clients of a Pushgateway send text.
const PUSHGATEWAY: &str = "/metrics/{*}";
/// What lies below it has answers for the operator alone.
const ADMIN: &str = "/api/v1/admin/";
/// The part of it that changes the store.
const ADMIN_TSDB: &str = "/api/v1/admin/tsdb/";

/// HEAD is where GET is: handlers do not know it apart, and hyper leaves the body out.
const GET: &[&str] = &["GET", "HEAD"];
const GET_POST: &[&str] = &["GET", "HEAD", "POST"];
const POST: &[&str] = &["POST"];
const POST_PUT: &[&str] = &["POST", "PUT"];

use Errors::{Envelope, Text};
use Input::{Body, Form};
use Kind::{Admin, Control, Export, Free, Query};

const fn route(
    path: &'static str,
    methods: &'static [&'static str],
    errors: Errors,
    input: Input,
) -> Route {
    Route { path, methods, errors, input }
}

static ROUTES: &[Route] = &[
    route(
        "/api/v1/write",
        POST,
        Text,
        Body(|call, body| Box::pin(remote_write::write(call, body))),
    ),
    route(
        "/api/v1/import",
        POST,
        Text,
        Body(|call, body| Box::pin(import::json_lines(call, body))),
    ),
    route(
        "/api/v1/import/prometheus",
        POST,
        Text,
        Body(|call, body| Box::pin(import::text(call, body))),
    ),
    route(PUSHGATEWAY, POST_PUT, Text, Body(|call, body| Box::pin(import::push(call, body)))),
    route(
        "/api/v1/import/prometheus/metrics/{*}",
        POST_PUT,
        Text,
        Body(|call, body| Box::pin(import::push(call, body))),
    ),
    route("/api/v1/read", POST, Text, Body(|call, body| Box::pin(remote_read::read(call, body)))),
    route(
        "/api/v1/export",
        GET_POST,
        Text,
        Form(Export, |call| Box::pin(export::json_lines(call))),
    ),
    route("/api/v1/query", GET_POST, Envelope, Form(Query, |call| Box::pin(promql::instant(call)))),
    route(
        "/api/v1/query_range",
        GET_POST,
        Envelope,
        Form(Query, |call| Box::pin(promql::range(call))),
    ),
    route(
        "/api/v1/status/active_queries",
        GET,
        Envelope,
        Form(Free, |call| Box::pin(promql::active_queries(call))),
    ),
    route(
        "/api/v1/admin/queries/{}/cancel",
        POST_PUT,
        Envelope,
        Form(Free, |call| Box::pin(promql::cancel_query(call))),
    ),
    route("/api/v1/series", GET_POST, Envelope, Form(Query, |call| Box::pin(series::series(call)))),
    route("/api/v1/labels", GET_POST, Envelope, Form(Query, |call| Box::pin(series::names(call)))),
    route(
        "/api/v1/label/{}/values",
        GET,
        Envelope,
        Form(Query, |call| Box::pin(series::values(call))),
    ),
    route("/federate", GET, Text, Form(Export, |call| Box::pin(federate::federate(call)))),
    route(
        "/api/v1/format_query",
        GET_POST,
        Envelope,
        Form(Query, |call| Box::pin(expressions::format_query(call))),
    ),
    route(
        "/api/v1/parse_query",
        GET_POST,
        Envelope,
        Form(Query, |call| Box::pin(expressions::parse_query(call))),
    ),
    route(
        "/api/v1/query_exemplars",
        GET_POST,
        Envelope,
        Form(Query, |call| Box::pin(expressions::query_exemplars(call))),
    ),
    route(
        "/api/v1/metadata",
        GET,
        Envelope,
        Form(Query, |call| Box::pin(metadata::metadata(call))),
    ),
    route("/api/v1/rules", GET, Envelope, Form(Query, |call| Box::pin(scraping::rules(call)))),
    route("/api/v1/alerts", GET, Envelope, Form(Free, |call| Box::pin(scraping::alerts(call)))),
    route(
        "/api/v1/alertmanagers",
        GET,
        Envelope,
        Form(Free, |call| Box::pin(scraping::alertmanagers(call))),
    ),
    route("/api/v1/targets", GET, Envelope, Form(Free, |call| Box::pin(scraping::targets(call)))),
    route(
        "/api/v1/targets/metadata",
        GET,
        Envelope,
        Form(Query, |call| Box::pin(scraping::targets_metadata(call))),
    ),
    route(
        "/api/v1/scrape_pools",
        GET,
        Envelope,
        Form(Free, |call| Box::pin(scraping::scrape_pools(call))),
    ),
    route(
        "/api/v1/status/buildinfo",
        GET,
        Envelope,
        Form(Free, |call| Box::pin(status::buildinfo(call))),
    ),
    route(
        "/api/v1/status/config",
        GET,
        Envelope,
        Form(Free, |call| Box::pin(status::config(call))),
    ),
    route("/api/v1/status/flags", GET, Envelope, Form(Free, |call| Box::pin(status::flags(call)))),
    route(
        "/api/v1/status/runtimeinfo",
        GET,
        Envelope,
        Form(Control, |call| Box::pin(status::runtimeinfo(call))),
    ),
    route("/api/v1/status/tsdb", GET, Envelope, Form(Query, |call| Box::pin(status::tsdb(call)))),
    route(
        "/api/v1/status/integrity",
        GET,
        Envelope,
        Form(Query, |call| Box::pin(status::integrity(call))),
    ),
    route(
        "/api/v1/status/walreplay",
        GET,
        Envelope,
        Form(Free, |call| Box::pin(status::walreplay(call))),
    ),
    route(
        "/api/v1/admin/tsdb/delete_series",
        POST_PUT,
        Envelope,
        Form(Admin, |call| Box::pin(admin::delete_series(call))),
    ),
    route(
        "/api/v1/admin/tsdb/flush",
        POST_PUT,
        Envelope,
        Form(Admin, |call| Box::pin(admin::flush(call))),
    ),
    route(
        "/api/v1/admin/tsdb/compact",
        POST_PUT,
        Envelope,
        Form(Admin, |call| Box::pin(admin::compact(call))),
    ),
    route(
        "/api/v1/admin/tsdb/snapshot",
        POST_PUT,
        Envelope,
        Form(Admin, |call| Box::pin(admin::snapshot(call))),
    ),
    route("/metrics", GET, Text, Form(Control, |call| Box::pin(metrics::metrics(call)))),
    route("/", GET, Text, Form(Free, |call| Box::pin(health::root(call)))),
    route("/health", GET, Text, Form(Free, |call| Box::pin(health::health(call)))),
    route("/-/healthy", GET, Text, Form(Free, |call| Box::pin(health::healthy(call)))),
    route("/-/ready", GET, Text, Form(Control, |call| Box::pin(health::ready(call)))),
];

/// The name under which requests without a route are counted.
const NO_ROUTE: &str = "none";

/// Counters for every route.
pub(crate) fn stats() -> HttpStats {
    HttpStats::new(ROUTES.iter().map(|route| route.path).chain([NO_ROUTE]))
}

/// What is held until an answer has been sent.
#[derive(Debug)]
struct Finish {
    phase: Phase,
    recorder: Recorder,
}

impl OnEnd for Finish {}

impl Drop for Finish {
    fn drop(&mut self) {
        self.recorder.record();
        self.phase.idle();
    }
}

struct Recorder {
    app: Arc<App>,
    route: usize,
    status: u16,
    started: Instant,
}

impl Recorder {
    fn record(&self) {
        self.app.stats.record(self.route, self.status, self.started.elapsed());
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("route", &self.route).finish_non_exhaustive()
    }
}

/// Answers one request.
pub(crate) async fn dispatch(app: Arc<App>, phase: Phase, request: Request<Incoming>) -> Reply {
    phase.busy();
    let started = Instant::now();
    let coding = content_coding::preferred(request.headers());
    let origin = request.headers().get(ORIGIN).cloned();
    let (index, mut answer) = answer(&app, request).await;
    let route = ROUTES.get(index);
    if route.is_some_and(Route::is_query) {
        app.config.cors_origin.apply(origin.as_ref(), answer.headers_mut());
    }
    if route.is_some_and(|route| route.is_query() || route.streams()) {
        content_coding::apply(coding, &app.encoders, &mut answer);
    }
    if route.is_some_and(Route::is_push) {
        written::complete(answer.headers_mut());
    }
    let status = answer.status().as_u16();
    let recorder = Recorder { app, route: index, status, started };
    answer.body_mut().hold(Box::new(Finish { phase, recorder }));
    answer
}

/// The index of the route, and its answer.
async fn answer(app: &Arc<App>, request: Request<Incoming>) -> (usize, Reply) {
    let (index, route, segment) = match find(request.uri().path()) {
        Ok(Some(found)) => found,
        Ok(None) if is_preflight(&request) => {
            return (ROUTES.len(), reply::empty(StatusCode::NO_CONTENT));
        }
        Ok(None) => {
            let text = "there is no such path; see README.md for those that are\n";
            return (ROUTES.len(), reply::text(StatusCode::NOT_FOUND, text));
        }
        Err(refusal) => return (ROUTES.len(), reply::refused(&refusal)),
    };
    if is_preflight(&request) {
        return (index, reply::empty(StatusCode::NO_CONTENT));
    }
    if !route.methods.contains(&request.method().as_str()) {
        let allowed = route.methods.join(", ");
        let mut answer = reply::text(StatusCode::METHOD_NOT_ALLOWED, format!("use {allowed}\n"));
        if let Ok(value) = HeaderValue::from_str(&allowed) {
            answer.headers_mut().insert(ALLOW, value);
        }
        return (index, answer);
    }
    let answer = handled(app, route, segment, request).await.unwrap_or_else(|refusal| {
        let mut answer = match route.errors {
            Text => reply::refused(&refusal),
            Envelope => envelope::error(&refusal),
        };
        answer.extensions_mut().insert(Reason(refusal.message));
        answer
    });
    (index, answer)
}

/// The body first, then the turn, then the work. Where nothing is written, no body is read for that.
async fn handled(
    app: &Arc<App>,
    route: &Route,
    segment: String,
    request: Request<Incoming>,
) -> Result<Reply, Refusal> {
    if route.writes() {
        app.store.writable()?;
    }
    let (head, body) = request.into_parts();
    let app = Arc::clone(app);
    match route.input {
        Form(kind, handler) => {
            let params = params::of_request(&app, &head, body).await?;
            let place = app.admission.take(kind).await?;
            handler(Call { app, head, params, segment, place }).await
        }
        Body(handler) => {
            let mut params = Params::default();
            params.add(head.uri.query().unwrap_or(""))?;
            let place = app.admission.place(None);
            handler(Call { app, head, params, segment, place }, body).await
        }
    }
}

/// Whether a browser asks what a page may send.
fn is_preflight(request: &Request<Incoming>) -> bool {
    let path = request.uri().path();
    request.method() == Method::OPTIONS && without_prefix(path).starts_with(API)
}

/// The path as it stands in the table.
fn without_prefix(path: &str) -> &str {
    match path.strip_prefix("/prometheus") {
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

/// The row for `path`, and the decoded segment that stands for `{}`, or all that stands for `{*}`, as it is.
fn find(path: &str) -> Result<Option<(usize, &'static Route, String)>, Refusal> {
    let path = without_prefix(path);
    for (index, route) in ROUTES.iter().enumerate() {
        if route.path == path {
            return Ok(Some((index, route, String::new())));
        }
        if let Some(before) = route.path.strip_suffix("{*}") {
            match path.strip_prefix(before) {
                Some(rest) => return Ok(Some((index, route, rest.to_owned()))),
                None => continue,
            }
        }
        let Some((before, after)) = route.path.split_once("{}") else { continue };
        let segment = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        if let Some(segment) = segment.filter(|s| !s.is_empty() && !s.contains('/')) {
            return Ok(Some((index, route, decode(segment, false)?)));
        }
    }
    Ok(None)
}

/// What is known of a request before it is routed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About {
    /// Of its route, or that of requests without one.
    pub(crate) path: &'static str,
    /// Whether it asks how the server is.
    pub(crate) is_probe: bool,
    /// Whether it may change something.
    pub(crate) changes: bool,
    /// Whether it brings samples.
    pub(crate) is_push: bool,
    /// Whether its refusals are written as Prometheus' envelope.
    pub(crate) has_envelope: bool,
}

/// What the table says of a path.
pub(crate) fn about(path: &str) -> About {
    let route = find(path).ok().flatten().map(|(_, route, _)| route);
    let is = |fits: fn(&Route) -> bool| route.is_some_and(fits);
    About {
        path: route.map_or(NO_ROUTE, |route| route.path),
        is_probe: is(|route| PROBES.contains(&route.path)),
        changes: is(|route| route.is_push() || route.path.starts_with(ADMIN)),
        is_push: is(Route::is_push),
        has_envelope: is(|route| route.errors == Envelope),
    }
}

/// Counts a request that was not let through to a route.
pub(crate) fn count_unrouted(app: &App, status: u16) {
    app.stats.record(ROUTES.len(), status, Duration::ZERO);
}

/// The number of open connections, as long as one of these is.
pub(crate) struct OpenConnection(Arc<App>);

impl OpenConnection {
    pub(crate) fn new(app: &Arc<App>) -> Self {
        app.stats.connections.fetch_add(1, Ordering::Relaxed);
        Self(app.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.stats.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> Option<(&'static str, String)> {
        find(path).unwrap().map(|(_, route, segment)| (route.path, segment))
    }

    #[test]
    fn paths_with_and_without_the_prefix() {
        assert_eq!(found("/api/v1/write"), Some(("/api/v1/write", String::new())));
        assert_eq!(found("/prometheus/api/v1/write"), found("/api/v1/write"));
        assert_eq!(found("/prometheusapi/v1/write"), None);
        assert_eq!(found("/prometheus"), None);
        assert_eq!(found("/api/v1/write/"), None);
    }

    #[test]
    fn the_segment_is_decoded_once_and_holds_no_slash() {
        let values = "/api/v1/label/{}/values";
        let segment = |s: &str| found(&format!("/api/v1/label/{s}/values"));
        assert_eq!(segment("job"), Some((values, "job".to_owned())));
        assert_eq!(segment("%D8%AF"), Some((values, "د".to_owned())));
        assert_eq!(segment("a%2Fb"), Some((values, "a/b".to_owned())));
        assert_eq!(segment("%252e"), Some((values, "%2e".to_owned())));
        assert_eq!(segment(""), None);
        assert_eq!(segment("a/b"), None);
        assert!(find("/api/v1/label/%ff/values").is_err());
        let push = |rest: &str| found(&format!("/metrics/{rest}"));
        assert_eq!(push("job/a%2Fb/x/y"), Some((PUSHGATEWAY, "job/a%2Fb/x/y".to_owned())));
        assert_eq!(found("/metrics"), Some(("/metrics", String::new())));
    }

    #[test]
    fn nothing_climbs() {
        for path in ["/../etc/passwd", "/%2e%2e/etc/passwd", "/api/v1/../../metrics", "//metrics"] {
            assert_eq!(found(path), None, "{path}");
        }
    }
}
