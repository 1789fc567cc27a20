//! `/api/v1/admin/tsdb/`: what changes the store as a whole. Off unless [`ServerConfig::admin`] says
//! otherwise, and never on behalf of a web page.
//!
//! Parameters and answers are Prometheus' where it has the endpoint (`delete_series`, `snapshot`).
//! Work that a client no longer waits for is cancelled where it can be.
//!
//! [`ServerConfig::admin`]: crate::ServerConfig::admin

use std::io::ErrorKind;
use std::path::PathBuf;

use hyper::StatusCode;
use hyper::header::ORIGIN;
use siltstone::Db;
use siltstone::sys::{SyncPoint, random_bytes};

use crate::blocking::blocking;
use crate::protocol::json_lines::write_string;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::router::Call;
use crate::time::format_time;

/// Where snapshots go within the directory of the store.
const SNAPSHOTS: &str = "snapshots";
const CONTENT_TYPE: &str = "application/json";

/// Turns everything in memory into segments.
pub(crate) async fn flush(call: Call) -> Result<Reply, Refusal> {
    check(&call)?;
    let db = call.app.db.clone();
    blocking(move || db.flush()).await??;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// Makes a snapshot under a name of its own and answers with that. What is not flushed yet is in it
/// as well; `skip_head` has no meaning here.
pub(crate) async fn snapshot(call: Call) -> Result<Reply, Refusal> {
    check(&call)?;
    let db = call.app.db.clone();
    let name = blocking(move || {
        let parent = snapshots_dir(&db)?;
        let name = snapshot_name(&db)?;
        db.checkpoint(parent.join(&name))?;
        Ok::<_, Refusal>(name)
    });
    let mut body = b"{\"name\":".to_vec();
    write_string(&name.await??, &mut body);
    body.push(b'}');
    Ok(success(&body))
}

/// Whether the request may do anything here.
fn check(call: &Call) -> Result<(), Refusal> {
    if !call.app.config.admin {
        let message = "the admin API is off; siltstone serve --enable-admin opens it";
        return Err(Refusal::new(StatusCode::FORBIDDEN, message));
    }
    // Browsers send it with every POST, so that a page cannot reach a server on loopback.
    if call.request.headers().contains_key(ORIGIN) {
        let message = "the admin API does not answer web pages";
        return Err(Refusal::new(StatusCode::FORBIDDEN, message));
    }
    Ok(())
}

/// The answer `data`, which is JSON.
fn success(data: &[u8]) -> Reply {
    let body = [&b"{\"status\":\"success\",\"data\":"[..], data, b"}"].concat();
    reply::whole(StatusCode::OK, CONTENT_TYPE, body)
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
