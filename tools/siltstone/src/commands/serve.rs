//! `siltstone serve`: the HTTP server until a signal, over a store of its own or, with `--read-only`, one that
//! another process may have open. Flags that only mean something where data is written are refused then.

mod descriptors;
mod signals;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clap::Args as ClapArgs;
use siltstone::{Db, OpenReport, ReadOnlyDb};
use siltstone_server::{Listeners, Store, serve};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::failure::{Failure, Outcome, Result};
use crate::output;
use crate::server_flags::ServerFlags;
use crate::store_flags::{DataFlag, OF_WRITING, StoreFlags};
use crate::times::parse_duration;
use crate::units::describe_durability;

/// The least that the server knows.
const REFRESH_INTERVAL_MIN: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  siltstone serve
  siltstone serve --listen 127.0.0.1:9090 --data /var/lib/siltstone --memory-budget 2GiB
  siltstone serve --durability 1s        a power cut may take the last second, in exchange for speed
  siltstone serve --read-only --data snapshots/20260101T000000Z-2be650b6d019eb54 --listen 127.0.0.1:7481

With --read-only the directory may be a snapshot, on a read-only disk, or open in another process,
whose writes are seen after --refresh-interval. Nothing in it is changed; what would write is
answered 403. The series and samples of its log are held in memory, beside the memory budget, and
twice while it is read anew. Limits of what writes, and --query-cache, have no effect.

Prometheus pushes to it with
  remote_write: [{url: http://127.0.0.1:7480/api/v1/write}]

It answers only to its own names, so that no web page reaches it by another. Where clients use the
name of a service or a proxy, say so:
  siltstone serve --listen 0.0.0.0:7480 --allowed-host siltstone

SIGTERM and SIGINT end it in order: running requests are finished and the store is closed. A
second one ends it at once with exit code 130, and what was acknowledged is as safe as after a
crash. SIGHUP is ignored.
If the store fails, so that it takes no writes until it is opened again, the server ends by
itself within 10 s with exit code 5, for a supervisor to start it again; until then
/-/healthy answers 503 and says why. A full disk does not end it: writes go on when there is room.
The variable RUST_LOG sets what is logged, for example RUST_LOG=debug.";

/// Serve a store over HTTP
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Address to listen on; there is no authentication, so think before it is not loopback
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7480")]
    listen: SocketAddr,
    /// Another address, for /-/healthy, /-/ready and /metrics alone: clients of the first cannot take
    /// its connections away
    #[arg(long, value_name = "ADDR")]
    probe_listen: Option<SocketAddr>,
    #[command(flatten)]
    data: DataFlag,
    /// Serve what is stored and change nothing: a snapshot, a read-only disk, or a directory that another
    /// process has open. Writes are answered 403
    #[arg(long, conflicts_with_all = OF_WRITING)]
    read_only: bool,
    /// How often the view of --read-only takes in what the owner has written, at least 100ms
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_refresh_interval)]
    #[arg(requires = "read_only")]
    refresh_interval: Duration,
    #[command(flatten)]
    server: ServerFlags,
    #[command(flatten)]
    store: StoreFlags,
}

fn parse_refresh_interval(text: &str) -> std::result::Result<Duration, String> {
    let time = parse_duration(text)?;
    if time < REFRESH_INTERVAL_MIN {
        return Err("it is at least 100ms: each refresh lists the directory".to_owned());
    }
    Ok(time)
}

/// What is served, and what the greeting says of it.
struct Opened {
    store: Store,
    how: String,
    /// A command line to try.
    example: String,
}

pub(crate) fn run(args: &Args) -> Result {
    // Before there are threads: what these free is to go back to the system.
    siltstone::sys::bound_allocator_caches();
    start_log();
    let mut config = args.server.config();
    config.refresh_interval = args.refresh_interval;
    config.connections_max = descriptors::provide(config.connections_max);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::io("start threads for", Path::new("serve"), &e))?;
    let no_signals = |e| Failure::io("wait for", Path::new("signals"), &e);
    let within = runtime.enter();
    // At once: recovery may take a while, and a terminal that is closed should not end it.
    signals::ignore_hangup().map_err(no_signals)?;
    // The addresses first: a store need not be opened to learn that a port is taken.
    let public = listen(args.listen)?;
    let probes = args.probe_listen.map(listen).transpose()?;
    let address = public.local_addr().unwrap_or(args.listen);
    let opened = open(args, address)?;
    // Before the greeting: who has read that may end the server in order.
    let stop = signals::shutdown().map_err(no_signals)?;
    drop(within);
    output::print(&greeting(address, &args.data.data, &opened))?;
    if let Some(address) = probes.as_ref().and_then(|probes| probes.local_addr().ok()) {
        tracing::info!(%address, "listening for probes");
    }
    let served = runtime.block_on(serve(opened.store, Listeners { public, probes }, config, stop));
    if served.is_err() {
        // What still runs may wait for a disk that never answers, and is no reason to stay.
        runtime.shutdown_background();
    }
    served?;
    tracing::info!("closed");
    Ok(Outcome::Good)
}

fn open(args: &Args, address: SocketAddr) -> std::result::Result<Opened, Failure> {
    let dir = &args.data.data;
    let export = format!("curl 'http://{address}/api/v1/export?match\\[\\]=up'");
    if args.read_only {
        let db = ReadOnlyDb::open(dir, args.store.read_only_options())?;
        log_opening(db.open_report());
        let how = format!("read-only      refreshed every {:?}", args.refresh_interval);
        return Ok(Opened { store: db.into(), how, example: export });
    }
    let db = Db::open(dir, args.store.options(dir))?;
    log_opening(db.open_report());
    let how = format!("durability     {}", describe_durability(db.options().durability));
    let import =
        format!("curl -d 'up{{job=\"demo\"}} 1' http://{address}/api/v1/import/prometheus");
    Ok(Opened { store: db.into(), how, example: format!("{import} && {export}") })
}

/// To be called inside the runtime.
fn listen(address: SocketAddr) -> std::result::Result<TcpListener, Failure> {
    siltstone_server::listen(address)
        .map_err(|e| Failure::io("listen on", Path::new(&address.to_string()), &e))
}

fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_target(false)
        .init();
}

fn log_opening(report: &OpenReport) {
    tracing::info!(
        batches = report.recovered_batches,
        rows = report.recovered_rows,
        torn_bytes = report.torn_bytes,
        elapsed_ms = report.elapsed.as_millis() as u64,
        "store opened"
    );
    if report.lost_rows > 0 {
        tracing::error!(rows = report.lost_rows, "acknowledged samples were lost to damage");
    }
    for finding in &report.findings {
        tracing::error!(%finding, "damage found");
    }
}

fn greeting(address: SocketAddr, data: &Path, opened: &Opened) -> String {
    let Opened { how, example, .. } = opened;
    let data = data.display();
    format!(
        "listening on   http://{address}\ndata           {data}\n{how}\ntry            {example}\n"
    )
}
