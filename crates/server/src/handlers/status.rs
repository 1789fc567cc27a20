//! `/api/v1/status/`: what the server is, how it is configured, and what makes its store large, in the
//! shapes of Prometheus.

mod flags;

use hyper::StatusCode;

use crate::app::App;
use crate::call::Call;
use crate::envelope::{success, success_with_warning};
use crate::json::{Object, array};
use crate::params::Params;
use crate::protocol::json_lines::string;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::reports;
use crate::time::{TimeScale, format_time};

/// The version of Prometheus whose language and API are spoken here. Clients decide by it what they
/// may ask: Grafana sends `match[]` with labels only to 2.24 or later. The version of Siltstone follows
/// as build metadata, which such comparisons leave out.
const VERSION: &str = concat!("3.14.0+siltstone.", env!("CARGO_PKG_VERSION"));

/// Entries of each list of `/api/v1/status/tsdb`, unless the client says.
const TOP: usize = 10;
/// The most that it may ask for.
const TOP_MAX: usize = 10_000;

/// Everything of a Prometheus that a configuration file may hold is left out: there is none.
const CONFIGURATION: &str = "\
# Siltstone has no configuration file; its flags are at /api/v1/status/flags.
global:
  external_labels: {}
";

/// What the counts of a view leave out.
const OF_THE_LOG: &str =
    "read-only: series are counted that have samples in the log, not those in segments alone";

/// `/api/v1/status/buildinfo`. Of the build nothing else is recorded. There are no `features`: by
/// them Grafana takes a server for a Mimir.
pub(crate) async fn buildinfo(_call: Call) -> Result<Reply, Refusal> {
    let empty = ["revision", "branch", "buildUser", "buildDate", "goVersion"];
    let start = Object::new().text("version", VERSION);
    Ok(success(empty.into_iter().fold(start, |object, name| object.text(name, "")).end()))
}

/// `/api/v1/status/config`
pub(crate) async fn config(_call: Call) -> Result<Reply, Refusal> {
    Ok(success(Object::new().text("yaml", CONFIGURATION).end()))
}

/// `/api/v1/status/flags`
pub(crate) async fn flags(call: Call) -> Result<Reply, Refusal> {
    let flags = flags::all(&call.app);
    let members = flags.iter().map(|(name, value)| format!("{}:{}", string(name), string(value)));
    Ok(success(format!("{{{}}}", members.collect::<Vec<_>>().join(","))))
}

/// `/api/v1/status/runtimeinfo`: what Go calls goroutines are the tasks of the server; the memory
/// limit is the budget of the store.
pub(crate) async fn runtimeinfo(call: Call) -> Result<Reply, Refusal> {
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let Call { app, place, .. } = call;
    place.run(move || Ok(success(runtime(&app, tasks)))).await?
}

fn runtime(app: &App, tasks: usize) -> String {
    let options = app.store.options();
    let started = format_time(app.started_ms);
    let directory = std::env::current_dir().map(|dir| dir.display().to_string());
    // The kernel's own file, not one of a store; where there is none the name stays empty.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Object::new()
        .text("startTime", &started)
        .text("CWD", &directory.unwrap_or_default())
        .text("hostname", host.trim_end())
        .text("serverTime", &format_time(options.clock.wall_ms()))
        .flag("reloadConfigSuccess", true)
        .text("lastConfigTime", &started)
        .number("corruptionCount", app.store.stats().corruption)
        .number("goroutineCount", tasks as u64)
        .number("GOMAXPROCS", threads as u64)
        .number("GOMEMLIMIT", options.memory_budget_bytes)
        .text("GOGC", "")
        .text("GODEBUG", "")
        .text("storageRetention", &flags::retention(options))
        .end()
}

/// `/api/v1/status/integrity`: what is known to be lost, and what cannot be read. Of Siltstone alone.
pub(crate) async fn integrity(call: Call) -> Result<Reply, Refusal> {
    let Call { app, place, .. } = call;
    place
        .run(move || {
            let losses = app.store.losses().map_err(Refusal::of_read)?;
            Ok(success(reports::losses(&losses, TimeScale::new(app.store.ticks_per_second()))))
        })
        .await?
}

/// `/api/v1/status/walreplay`: the batches of the log that opening the store has recovered, or the last
/// refresh of its view has read. It is over when the server answers.
pub(crate) async fn walreplay(call: Call) -> Result<Reply, Refusal> {
    let batches = call.app.store.recovered_batches();
    let object = Object::new().number("min", 0).number("max", batches);
    Ok(success(object.number("current", batches).end()))
}

/// `/api/v1/status/tsdb`: series in memory, as Prometheus counts its head, but the times are those of
/// all samples stored. There are no chunks in memory, but samples, so `chunkCount` is 0. Which series the owner of
/// a view has in memory is not known: those with samples in its log are counted, and a warning says so.
pub(crate) async fn tsdb(call: Call) -> Result<Reply, Refusal> {
    let Call { app, params, place, .. } = call;
    let top = top(&params)?;
    place
        .run(move || {
            let cardinality = app.store.cardinality(top);
            let extent = app.store.snapshot().map_err(Refusal::of_read)?.extent();
            let scale = TimeScale::new(app.store.ticks_per_second());
            let ms = |ticks| scale.to_ms(ticks).to_string();
            // Without samples, as Prometheus: from the end of time to its start.
            let (first, last) = extent.unwrap_or((i64::MAX, i64::MIN));
            let head = Object::new()
                .number("numSeries", cardinality.series)
                .number("numLabelPairs", cardinality.label_pairs)
                .number("chunkCount", 0)
                .raw("minTime", &ms(first))
                .raw("maxTime", &ms(last));
            let data = Object::new()
                .raw("headStats", &head.end())
                .raw("seriesCountByMetricName", &counts(&cardinality.series_by_metric))
                .raw("labelValueCountByLabelName", &counts(&cardinality.values_by_label))
                .raw("memoryInBytesByLabelName", &counts(&cardinality.bytes_by_label))
                .raw("seriesCountByLabelValuePair", &counts(&cardinality.series_by_pair));
            match app.store.view_figures() {
                None => Ok(success(data.end())),
                Some(_) => Ok(success_with_warning(data.end(), OF_THE_LOG)),
            }
        })
        .await?
}

fn top(params: &Params) -> Result<usize, Refusal> {
    let Some(text) = params.get("limit") else { return Ok(TOP) };
    let limit = text.parse().ok().filter(|limit| (1..=TOP_MAX).contains(limit));
    limit.ok_or_else(|| {
        let message = format!("limit must be a number from 1 to {TOP_MAX}, not {text:?}");
        Refusal::new(StatusCode::BAD_REQUEST, message)
    })
}

fn counts(list: &[(String, u64)]) -> String {
    array(
        list.iter()
            .map(|(name, count)| Object::new().text("name", name).number("value", *count).end()),
    )
}
