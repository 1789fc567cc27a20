//! The accept loops, one for each listener: connections with limits and deadlines, and an orderly end.
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
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::admission::Place;
use crate::app::{Addresses, App};
use crate::config::ServerConfig;
use crate::connections::{Connection, Connections, Door, PROBE_PLACES};
use crate::gate::Gate;
use crate::hosts::Hosts;
use crate::refusal_log::RefusalLog;
use crate::router::{self, OpenConnection};
use crate::store::{Following, Store};
use crate::timed_io::{TimedIo, Timeouts};

/// Most connections of a server beside [`ServerConfig::connections_max`]: the places kept for probes, and
/// those of [`Listeners::probes`].
pub const PROBE_CONNECTIONS_MAX: usize = 2 * PROBE_PLACES;

/// Connections that the system holds until they are accepted: twice what may be open, so that a burst of them
/// fits. Of one that does not the first packet is dropped, and its client sends it again after a second; the
/// 128 of the standard library and of tokio made probes wait for that beside a flood of connections. The system
/// may allow fewer (`net.core.somaxconn` on Linux).
const BACKLOG: u32 = 1024;

/// Pause after the system refused a connection, for want of file handles say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Numbers of the errors that say that the process, or the system, has no descriptor left: the same on
/// every Unix.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// Time for the headers of a probe, where places are few.
const PROBE_HEADER_TIMEOUT_MAX: Duration = Duration::from_secs(2);

/// What a client is told whose address has too many connections. It fits into the buffer of a new socket,
/// so nobody waits for it to be taken. A client that had already sent its request may see a reset instead:
/// waiting for that would hold the descriptor that is refused.
const TOO_MANY_OF_ADDRESS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: text/plain; charset=utf-8\r\ncontent-length: 39\r\nretry-after: 5\r\n\
    connection: close\r\n\r\ntoo many connections from your address\n";

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
/// How long a refresh of a view that runs at the end is waited for.
const LAST_REFRESH_MAX: Duration = Duration::from_secs(2);

/// Where a server listens. Made from one [`TcpListener`], it has no listener for probes.
#[derive(Debug)]
pub struct Listeners {
    /// For everything.
    pub public: TcpListener,
    /// For `/-/healthy`, `/-/ready` and `/metrics` alone, with places that no other client can take.
    pub probes: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(public: TcpListener) -> Self {
        Self { public, probes: None }
    }
}

impl Listeners {
    fn addresses(&self) -> Addresses {
        let of = |listener: &TcpListener| listener.local_addr().ok();
        Addresses { public: of(&self.public), probes: self.probes.as_ref().and_then(of) }
    }
}

/// Listens on `address`, with room for a burst of connections that the listeners of tokio lack. To be called inside
/// a runtime.
///
/// # Errors
/// What the system says, of an address that is taken for example.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // A server that is started again need not wait until the system has forgotten the connections of the last
    // one. On Windows it would mean that others may listen there too.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `store`, a [`Db`](siltstone::Db) or a [`ReadOnlyDb`](siltstone::ReadOnlyDb), on `listeners` until
/// `shutdown` is ready or the store has failed, then closes it.
///
/// # Errors
/// [`Error::Failed`](siltstone::Error::Failed) if the store has failed, at most 10 s after that; then it may
/// still be closing on a thread of its own. Otherwise what closing the store answers.
pub async fn serve(
    store: impl Into<Store>,
    listeners: impl Into<Listeners>,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
) -> siltstone::Result<()> {
    let (store, listeners) = (store.into(), listeners.into());
    let shutdown_timeout = config.shutdown_timeout;
    let grace = config.failure_grace.min(FAILURE_GRACE_MAX);
    let following = store.follow(config.refresh_interval).map_err(no_threads)?;
    let server = Server::new(store.clone(), &listeners, config)?;
    let place = server.gate.app.admission.place(None);
    {
        let mut shutdown = pin!(shutdown);
        let mut failed = pin!(failure(&store, grace));
        tokio::select! {
            () = &mut shutdown => {}
            () = &mut failed => {}
            () = server.accept_all(&listeners.public, Door::Public) => {}
            () = accept_probes(&server, listeners.probes.as_ref()) => {}
        }
    }
    drop(listeners);
    let shutdown_timeout = match store.fault() {
        None => shutdown_timeout,
        Some(_) => shutdown_timeout.min(FAILED_SHUTDOWN_MAX),
    };
    server.end(shutdown_timeout).await;
    if let Some(following) = following {
        end_following(following, &place).await;
    }
    close(store, &place).await
}

fn no_threads(error: std::io::Error) -> siltstone::Error {
    siltstone::Error::io("start threads for", "requests", error)
}

/// Waits for the refresh that runs, but not for a disk that does not answer.
async fn end_following(following: Following, place: &Place) {
    let ended = place.run(move || following.end());
    if tokio::time::timeout(LAST_REFRESH_MAX, ended).await.is_err() {
        tracing::warn!("a refresh of the view takes too long: it is left");
    }
}

async fn accept_probes(server: &Server, listener: Option<&TcpListener>) {
    match listener {
        Some(listener) => server.accept_all(listener, Door::Probes).await,
        None => std::future::pending().await,
    }
}

/// What the accept loops share.
struct Server {
    gate: Arc<Gate>,
    places: Arc<Connections>,
    graceful: GracefulShutdown,
    tasks: Mutex<JoinSet<()>>,
}

impl Server {
    /// # Errors
    /// If the system refuses the threads.
    fn new(store: Store, listeners: &Listeners, config: ServerConfig) -> siltstone::Result<Self> {
        let addresses = listeners.addresses();
        let ips = addresses.public.into_iter().chain(addresses.probes).map(|address| address.ip());
        let hosts = Hosts::new(&config.allowed_hosts, ips);
        let (places, of_address) = (config.connections_max, config.connections_per_address_max);
        let app = App::new(store, config, addresses, router::stats()).map_err(no_threads)?;
        let app = Arc::new(app);
        let places = Connections::new(places, of_address, app.stats.by_reason.clone());
        Ok(Self {
            gate: Arc::new(Gate { app, hosts, log: RefusalLog::default() }),
            places,
            graceful: GracefulShutdown::new(),
            tasks: Mutex::default(),
        })
    }

    /// Accepts connections for ever.
    async fn accept_all(&self, listener: &TcpListener, door: Door) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.start(stream, peer, door).await,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) {
                        self.places.free_descriptor();
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Waits for a place and serves the connection on a task of its own.
    async fn start(&self, stream: TcpStream, peer: SocketAddr, door: Door) {
        let Some(place) = self.places.admit(peer, door).await else {
            let _ = stream.try_write(TOO_MANY_OF_ADDRESS);
            self.gate.log.note("connection", peer, 503, "too many connections from this address");
            return;
        };
        let served = connection(&self.gate, stream, place, &self.graceful);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(served);
        while tasks.try_join_next().is_some() {}
    }

    /// Lets requests that run end, but no longer than that.
    async fn end(self, timeout: Duration) {
        let mut tasks = self.tasks.into_inner().unwrap_or_else(PoisonError::into_inner);
        tracing::info!(connections = tasks.len(), "shutting down");
        if tokio::time::timeout(timeout, self.graceful.shutdown()).await.is_err() {
            tracing::warn!(connections = tasks.len(), "requests cut off by the shutdown");
        }
        tasks.shutdown().await;
    }
}

/// Ready some time after the store has failed.
async fn failure(store: &Store, grace: Duration) {
    let fault = loop {
        match store.fault() {
            Some(fault) => break fault,
            None => tokio::time::sleep(FAULT_INTERVAL).await,
        }
    };
    tracing::error!(%fault, grace_ms = grace.as_millis() as u64, "the store has failed: the server ends");
    tokio::time::sleep(grace).await;
}

async fn close(store: Store, place: &Place) -> siltstone::Result<()> {
    let fault = store.fault();
    let closing = place.run(move || store.close());
    let Some(fault) = fault else {
        return closing.await.unwrap_or_else(|refusal| {
            Err(siltstone::Error::Failed(format!("closing the store: {}", refusal.message)))
        });
    };
    match tokio::time::timeout(FAILED_CLOSE_MAX, closing).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(%error, "the failed store was closed with an error"),
        Ok(Err(refusal)) => tracing::warn!(error = refusal.message, "closing the failed store"),
        Err(_) => tracing::warn!("closing the failed store takes too long: it is left"),
    }
    Err(siltstone::Error::Failed(fault))
}

/// Serves one connection to its end.
fn connection(
    gate: &Arc<Gate>,
    stream: TcpStream,
    place: Arc<Connection>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + 'static {
    let (gate, app) = (gate.clone(), &gate.app);
    let config = &app.config;
    let headers = match place.is_for_probes() {
        true => config.header_timeout.min(PROBE_HEADER_TIMEOUT_MAX),
        false => config.header_timeout,
    };
    let timeouts = Timeouts {
        headers,
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
    let io = TimedIo::new(stream, place.phase().clone(), timeouts, app.stats.by_reason.clone());
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // The socket keeps the time for headers; see `timed_io`.
        .header_read_timeout(None)
        .max_headers(config.headers_max)
        .max_header_size(config.header_bytes_max)
        .max_buf_size(config.header_bytes_max.max(BUFFER_BYTES_MIN))
        .half_close(false);
    let open = OpenConnection::new(app);
    let (behind, answering) = (gate.clone(), place.clone());
    let service = service_fn(move |request| {
        let (gate, place) = (behind.clone(), answering.clone());
        async move { Ok::<_, Infallible>(gate.answer(place, request).await) }
    });
    let served = graceful.watch(builder.serve_connection(TokioIo::new(io), service));
    async move {
        // The place is free when the socket is closed, and not before.
        if let Err(error) = served.await {
            tracing::debug!(%error, "connection ended");
            if error.is_parse() {
                let status = if error.is_parse_too_large() { 431 } else { 400 };
                router::count_unrouted(&gate.app, status);
                gate.log.note("malformed", place.peer(), status, &error.to_string());
            }
        }
        drop((open, place));
    }
}
