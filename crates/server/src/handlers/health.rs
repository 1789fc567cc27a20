//! Probes: `/-/healthy`, the process answers and need not be started again; `/-/ready`, the store takes
//! writes, or is served read-only; `/`, by which clients such as prometheus-api-client look whether a server is there; and `/health`,
//! which is `/-/healthy` with the answer of VictoriaMetrics.
//!
//! A store on a full disk is not ready and still healthy, since that ends by itself. One that has failed
//! is neither: the server is about to end (`listener`). A view that cannot be refreshed is ready: what it has is
//! served, and its age is a metric.

use hyper::StatusCode;
use siltstone::{Error, WriteBatch};

use crate::call::Call;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};

/// For people, where to go on; for clients, that somebody is there.
pub(crate) async fn root(_call: Call) -> Result<Reply, Refusal> {
    Ok(reply::text(StatusCode::OK, "Siltstone. Its API is that of Prometheus, below /api/v1/.\n"))
}

pub(crate) async fn healthy(call: Call) -> Result<Reply, Refusal> {
    health_as(&call, "Siltstone is Healthy.\n")
}

pub(crate) async fn health(call: Call) -> Result<Reply, Refusal> {
    health_as(&call, "OK")
}

fn health_as(call: &Call, good: &'static str) -> Result<Reply, Refusal> {
    match call.app.store.fault() {
        None => Ok(reply::text(StatusCode::OK, good)),
        Some(fault) => {
            let error = Error::Failed(fault);
            Err(Refusal::unavailable(format!("not healthy, the server ends: {error}")))
        }
    }
}

/// Asks the store by writing nothing: a store that failed or was closed refuses even that. A view has nothing to
/// refuse.
pub(crate) async fn ready(call: Call) -> Result<Reply, Refusal> {
    let Ok(db) = call.app.store.writable().cloned() else {
        return Ok(reply::text(StatusCode::OK, "Siltstone is Ready, read-only.\n"));
    };
    match call.place.run(move || db.write(&WriteBatch::new())).await? {
        Ok(_) => Ok(reply::text(StatusCode::OK, "Siltstone is Ready.\n")),
        Err(error) => Err(Refusal::unavailable(format!("not ready: {error}"))),
    }
}
