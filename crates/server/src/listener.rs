//! The accept loop: connections with limits and deadlines, and an orderly end.
//!
//! At the shutdown signal nothing more is accepted, idle connections close, requests that run are
//! finished within `shutdown_timeout`, and then the store is closed.

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

/// Serves `db` on `listener` until `shutdown` is ready, then closes it.
///
/// # Errors
/// What closing the store answers.
pub async fn serve(
    db: Db,
    listener: TcpListener,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
) -> siltstone::Result<()> {
    let connections_max = config.connections_max.clamp(1, Semaphore::MAX_PERMITS);
    let shutdown_timeout = config.shutdown_timeout;
    let app = Arc::new(App::new(db.clone(), config, router::stats()));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(connections_max));
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
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
    tracing::info!(connections = connections.len(), "shutting down");
    if tokio::time::timeout(shutdown_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests cut off by the shutdown");
    }
    connections.shutdown().await;
    match tokio::task::spawn_blocking(move || db.close()).await {
        Ok(result) => result,
        Err(error) => Err(siltstone::Error::Failed(format!("closing the store: {error}"))),
    }
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
    };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot disable Nagle's algorithm");
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
