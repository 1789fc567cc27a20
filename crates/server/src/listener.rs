//! The accept loop: connections with limits and deadlines, and an orderly end.
//!
//! At the shutdown signal nothing more is accepted, idle connections close, requests that run are
//! finished within `shutdown_timeout`, and then the store is closed.
//!
//! A store that has failed takes no writes until it is opened again, so the server ends by itself, and
//! whoever watches it can start it again. It does so within 10 s: for `failure_grace` it goes on answering,
//! so that probes learn why and queries under way have their answer; then the same end as at the signal,
//! with shorter limits, because the disk may be one that never answers. A full disk is no failure.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use siltstone::Db;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::app::App;
use crate::config::ServerConfig;
use crate::router::{self, OpenConnection};
use crate::timed_io::{TimedIo, Timeouts};

/// Pause after the system refused a connection, for want of file handles say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Least bytes that are buffered for a connection, whatever the limit of headers.
const BUFFER_BYTES_MIN: usize = 8 << 10;

/// Bytes of an answer that wait in the system to be sent.
const UNSENT_BYTES: u32 = 64 << 10;

/// How often it is looked whether the store has failed.
const FAULT_INTERVAL: Duration = Duration::from_millis(500);
/// Longest grace, for running requests to end, and for closing, when the store has failed: 10 s in all
/// with what it takes to notice.
const FAILURE_GRACE_MAX: Duration = Duration::from_secs(5);
const FAILED_SHUTDOWN_MAX: Duration = Duration::from_secs(2);
const FAILED_CLOSE_MAX: Duration = Duration::from_secs(2);

/// Serves `db` on `listener` until `shutdown` is ready or the store has failed, then closes it.
///
/// # Errors
/// [`Error::Failed`](siltstone::Error::Failed) if the store has failed, at most 10 s after that; then it may
/// still be closing on a thread of the runtime. Otherwise what closing the store answers.
pub async fn serve(
    db: Db,
    listener: TcpListener,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
) -> siltstone::Result<()> {
    let connections_max = config.connections_max.clamp(1, Semaphore::MAX_PERMITS);
    let shutdown_timeout = config.shutdown_timeout;
    let grace = config.failure_grace.min(FAILURE_GRACE_MAX);
    let app = App::new(db.clone(), config, router::stats());
    let app = Arc::new(
        app.map_err(|error| siltstone::Error::io("start threads for", "requests", error))?,
    );
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(connections_max));
    let mut shutdown = pin!(shutdown);
    let mut failed = pin!(failure(db.clone(), grace));
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            () = &mut failed => break,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                connections.spawn(connection(app.clone(), stream, place, &graceful));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let shutdown_timeout = match db.fault() {
        None => shutdown_timeout,
        Some(_) => shutdown_timeout.min(FAILED_SHUTDOWN_MAX),
    };
    tracing::info!(connections = connections.len(), "shutting down");
    if tokio::time::timeout(shutdown_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests cut off by the shutdown");
    }
    connections.shutdown().await;
    close(db).await
}

/// Ready some time after the store has failed.
async fn failure(db: Db, grace: Duration) {
    let fault = loop {
        match db.fault() {
            Some(fault) => break fault,
            None => tokio::time::sleep(FAULT_INTERVAL).await,
        }
    };
    tracing::error!(%fault, grace_ms = grace.as_millis() as u64, "the store has failed: the server ends");
    tokio::time::sleep(grace).await;
}

async fn close(db: Db) -> siltstone::Result<()> {
    let fault = db.fault();
    let closing = tokio::task::spawn_blocking(move || db.close());
    let Some(fault) = fault else {
        return closing.await.unwrap_or_else(|error| {
            Err(siltstone::Error::Failed(format!("closing the store: {error}")))
        });
    };
    match tokio::time::timeout(FAILED_CLOSE_MAX, closing).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(%error, "the failed store was closed with an error"),
        Ok(Err(error)) => tracing::warn!(%error, "closing the failed store"),
        Err(_) => tracing::warn!("closing the failed store takes too long: it is left"),
    }
    Err(siltstone::Error::Failed(fault))
}

/// Waits for a place first: connections beyond the limit wait in the system's backlog.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// Serves one connection to its end.
fn connection(
    app: Arc<App>,
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + 'static {
    let config = &app.config;
    let timeouts = Timeouts {
        headers: config.header_timeout,
        idle: config.idle_timeout,
        write: config.write_timeout,
        write_rate_min: config.reply_rate_min,
    };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot disable Nagle's algorithm");
    }
    // Otherwise megabytes wait in the system for a slow reader, and are acknowledged in steps so large that one
    // who steadily takes 16 KB/s seems to stand still.
    if let Err(error) = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES) {
        tracing::debug!(%error, "cannot bound what waits to be sent");
    }
    let io = TimedIo::new(stream, timeouts);
    let phase = io.phase();
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The socket keeps the time for headers; see `timed_io`.
        .header_read_timeout(None)
        .max_headers(config.headers_max)
        .max_header_size(config.header_bytes_max)
        .max_buf_size(config.header_bytes_max.max(BUFFER_BYTES_MIN))
        .half_close(false);
    let open = OpenConnection::new(&app);
    let service = service_fn(move |request| {
        let (app, phase) = (app.clone(), phase.clone());
        async move { Ok::<_, Infallible>(router::dispatch(app, phase, request).await) }
    });
    let served = graceful.watch(builder.serve_connection(TokioIo::new(io), service));
    async move {
        let _held = (open, place);
        if let Err(error) = served.await {
            tracing::debug!(%error, "connection ended");
        }
    }
}
