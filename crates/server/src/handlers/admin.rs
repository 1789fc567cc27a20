//! `/api/v1/admin/tsdb/`: what changes the store as a whole. Off unless [`ServerConfig::admin`] says
//! otherwise, and never on behalf of a web page.
//!
//! Parameters and answers are Prometheus' where it has the endpoint (`delete_series`, `snapshot`).
//! Work that a client no longer waits for is cancelled where it can be.
//!
//! [`ServerConfig::admin`]: crate::ServerConfig::admin

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::ORIGIN;
use siltstone::sys::{SyncPoint, random_bytes};
use siltstone::{Cancel, Db, QueryOptions};

use super::query::{flag, selection, time_range};
use crate::call::Call;
use crate::envelope::{CONTENT_TYPE, success};
use crate::protocol::json_lines::string;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::reports;
use crate::selected_series::unlimited;
use crate::time::{TimeScale, format_time};

/// Where snapshots go within the directory of the store.
const SNAPSHOTS: &str = "snapshots";
const JSON_LINES: &str = "application/stream+json; charset=utf-8";
/// Least time between two lines of progress.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Turns everything in memory into segments.
pub(crate) async fn flush(call: Call) -> Result<Reply, Refusal> {
    check(&call)?;
    let db = call.app.store.writable()?.clone();
    call.place.run(move || db.flush()).await??;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// Deletes the samples of `match[]` between `start` and `end`, both included: 204, as Prometheus
/// answers, or with `receipt=true` what is hidden; with `dry_run=true` what would be. Each selector is
/// a delete of its own. One that selects every series needs `all=true`.
pub(crate) async fn delete_series(call: Call) -> Result<Reply, Refusal> {
    check(&call)?;
    let Call { app, params, place, .. } = call;
    let range = time_range(&params, TimeScale::new(app.store.ticks_per_second()))?;
    let texts: Vec<String> = params.all("match[]").map(str::to_owned).collect();
    if texts.is_empty() {
        return Err(Refusal::bad_request("no match[] parameter provided"));
    }
    let (all, dry_run) = (flag(&params, "all")?, flag(&params, "dry_run")?);
    let wants_receipt = dry_run || flag(&params, "receipt")?;
    let options = QueryOptions { timeout: Some(app.config.query_timeout), ..unlimited() };
    let db = app.store.writable()?.clone();
    let receipts = place.run(move || {
        // Who deletes does not leave it half done by leaving.
        let mut patterns = app.compiler(&Cancel::default(), app.query_deadline());
        let selection = selection(texts.iter().map(String::as_str), range, &mut patterns)?;
        if !all && let Some(selector) = selection.of_everything(&db.snapshot()?, &options)? {
            let message = format!("{selector} selects every series: add all=true to mean it");
            return Err(Refusal::bad_request(message));
        }
        let mut receipts = Vec::new();
        for (text, matchers) in texts.iter().zip(&selection.selectors) {
            let receipt = if dry_run {
                db.preview_delete(matchers, range)?
            } else {
                db.delete(matchers, range)?
            };
            receipts.push(reports::delete_receipt(text, &receipt));
        }
        Ok(receipts)
    });
    let receipts = receipts.await??;
    if !wants_receipt {
        return Ok(reply::empty(StatusCode::NO_CONTENT));
    }
    Ok(success(format!("{{\"receipts\":[{}]}}", receipts.join(","))))
}

/// Merges what overlaps `start` and `end`, and answers when it is done. With `progress=true` the
/// answer is JSON lines: where the work is, about each second, and the outcome last. A client that
/// goes away stops it; what is merged stays.
pub(crate) async fn compact(call: Call) -> Result<Reply, Refusal> {
    check(&call)?;
    let Call { app, params, place, .. } = call;
    let range = time_range(&params, TimeScale::new(app.store.ticks_per_second()))?;
    let in_lines = flag(&params, "progress")?;
    let db = app.store.writable()?.clone();
    let content_type = if in_lines { JSON_LINES } else { CONTENT_TYPE };
    reply::stream(&place, content_type, move |sink, cancel| {
        let mut told = None;
        let compacted = db.compact(range, &mut |now| {
            if in_lines && told.is_none_or(|at| now.elapsed >= at + PROGRESS_INTERVAL) {
                told = Some(now.elapsed);
                let line = format!("{{\"progress\":{}}}\n", reports::compact_progress(now));
                sink.buffer().extend_from_slice(line.as_bytes());
                sink.offer();
            }
            if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let data = match compacted {
            Ok(report) => reports::compact_report(&report),
            Err(error) if told.is_some() => {
                // The head may be sent: the last line tells.
                let refusal = Refusal::from(error);
                let line = format!(
                    "{{\"status\":\"error\",\"errorType\":\"{}\",\"error\":{}}}\n",
                    refusal.error_type(),
                    string(&refusal.message)
                );
                sink.buffer().extend_from_slice(line.as_bytes());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let line = format!("{{\"status\":\"success\",\"data\":{data}}}\n");
        sink.buffer().extend_from_slice(line.as_bytes());
        Ok(())
    })
    .await
}

/// Makes a snapshot under a name of its own and answers with that. What is not flushed yet is in it
/// as well; `skip_head` has no meaning here.
pub(crate) async fn snapshot(call: Call) -> Result<Reply, Refusal> {
    check(&call)?;
    let db = call.app.store.writable()?.clone();
    let name = call.place.run(move || {
        let parent = snapshots_dir(&db)?;
        let name = snapshot_name(&db)?;
        db.checkpoint(parent.join(&name))?;
        Ok::<_, Refusal>(name)
    });
    Ok(success(format!("{{\"name\":{}}}", string(&name.await??))))
}

/// Whether the request may do anything here.
pub(crate) fn check(call: &Call) -> Result<(), Refusal> {
    if !call.app.config.admin {
        let message = "the admin API is off; siltstone serve --enable-admin opens it";
        return Err(Refusal::new(StatusCode::FORBIDDEN, message));
    }
    // Browsers send it with every POST, so that a page cannot reach a server on loopback.
    if call.head.headers.contains_key(ORIGIN) {
        let message = "the admin API does not answer web pages";
        return Err(Refusal::new(StatusCode::FORBIDDEN, message));
    }
    Ok(())
}

/// The directory of snapshots, durably.
fn snapshots_dir(db: &Db) -> Result<PathBuf, Refusal> {
    let vfs = &db.options().vfs;
    let dir = db.dir().join(SNAPSHOTS);
    match vfs.create_dir(&dir) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(siltstone::Error::io("create", dir, error).into()),
        Ok(()) => vfs
            .sync_dir(db.dir(), SyncPoint::StoreDirectory)
            .map_err(|error| siltstone::Error::io("sync directory", db.dir(), error))?,
    }
    Ok(dir)
}

/// As Prometheus names them: `20171210T211224Z-2be650b6d019eb54`.
fn snapshot_name(db: &Db) -> Result<String, Refusal> {
    let seconds_ms = db.options().clock.wall_ms().div_euclid(1000) * 1000;
    let mut time = format_time(seconds_ms);
    time.retain(|c| c.is_ascii_alphanumeric());
    let random = random_bytes().map_err(|error| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("no random number: {error}"))
    })?;
    Ok(format!("{time}-{:016x}", u64::from_le_bytes(random)))
}
