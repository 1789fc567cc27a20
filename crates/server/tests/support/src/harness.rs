//! A server on a port of its own over a store in a temporary directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use siltstone::{Db, Options, ReadOnlyDb, Sample};
use siltstone_server::protocol::{remote_write, snappy};
use siltstone_server::{AllowedHost, Listeners, ServerConfig, Store, listen, serve};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::{Answer, get, request};

/// Running until it is dropped, or stopped in order.
pub struct Server<D = Db> {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it listens for probes.
    pub probes: SocketAddr,
    /// Its store; nothing of one that is served read-only.
    pub db: D,
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<siltstone::Result<()>>>,
    _dir: Option<TempDir>,
}

/// A server as users have it.
pub fn server() -> Server {
    Server::start(Options::default(), ServerConfig::default())
}

impl Server {
    /// A server over an empty store, which goes when it does.
    pub fn start(options: Options, config: ServerConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        let mut server = Self::over(&path, options, config);
        server._dir = Some(dir);
        server
    }

    /// A server over the store at `path`, which outlives it.
    pub fn over(path: &Path, options: Options, config: ServerConfig) -> Self {
        let db = Db::open(path, options).unwrap();
        Self::over_open(db, config)
    }

    /// A server over an open store.
    pub fn over_open(db: Db, config: ServerConfig) -> Self {
        Self::of(db.clone(), db.into(), config)
    }
}

impl Server<()> {
    /// A read-only server over the store at `path`, which somebody else may have open.
    pub fn reading(path: &Path, options: Options, config: ServerConfig) -> Self {
        Self::of((), ReadOnlyDb::open(path, options).unwrap().into(), config)
    }
}

impl<D> Server<D> {
    fn of(db: D, store: Store, mut config: ServerConfig) -> Self {
        // What the client calls it.
        config.allowed_hosts.push(AllowedHost::new("t").unwrap());
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.unwrap();
        let bind = || listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let within = runtime.enter();
        let (public, probes) = (bind(), bind());
        drop(within);
        let (address, probe_address) = (public.local_addr().unwrap(), probes.local_addr().unwrap());
        let listeners = Listeners { public, probes: Some(probes) };
        let (stop, stopped) = oneshot::channel::<()>();
        let served = runtime.spawn(serve(store, listeners, config, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            probes: probe_address,
            db,
            runtime: Some(runtime),
            stop: Some(stop),
            served: Some(served),
            _dir: None,
        }
    }

    /// Begins the shutdown.
    pub fn signal(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// Waits for the end after [`Server::signal`].
    pub fn join(&mut self) -> siltstone::Result<()> {
        let served = self.served.take().unwrap();
        self.runtime.as_ref().unwrap().block_on(served).unwrap()
    }

    /// Waits for the end by itself, at most so long: what the server answered, or `None`.
    pub fn join_within(&mut self, time: Duration) -> Option<siltstone::Result<()>> {
        let served = self.served.as_mut().unwrap();
        let runtime = self.runtime.as_ref().unwrap();
        runtime
            .block_on(async { tokio::time::timeout(time, served).await.ok() })
            .map(|s| s.unwrap())
    }

    /// Waits while the server runs.
    pub fn pause(&self, time: Duration) {
        self.runtime.as_ref().unwrap().block_on(async { tokio::time::sleep(time).await });
    }

    /// Asks for a path.
    pub fn get(&self, path: &str) -> Answer {
        get(self.address, path)
    }

    /// Posts a body.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        request(self.address, "POST", path, headers, body)
    }

    /// Remote write of a protobuf body.
    pub fn write(&self, protobuf: &[u8]) -> Answer {
        let body = snappy::compress(protobuf).unwrap();
        self.post("/api/v1/write", REMOTE_WRITE, &body)
    }

    /// All lines of an export, sorted: only the series of one selector come in an order.
    pub fn export(&self, selector: &str) -> Vec<String> {
        let answer = self.get(&format!("/api/v1/export?match[]={}", percent(selector)));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut lines: Vec<String> = answer.text().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// All lines of an export of every series, sorted.
    pub fn everything(&self) -> Vec<String> {
        self.export("{__name__=~\".+\"}")
    }

    /// A figure of `/metrics`, by its name with its labels.
    pub fn metric(&self, name: &str) -> u64 {
        let page = self.get("/metrics");
        let mut lines = page.text().lines().filter_map(|line| line.strip_prefix(name));
        let value = lines.find_map(|rest| rest.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name} in {}", page.text())).parse().unwrap()
    }

    /// Waits, but not for ever.
    pub fn wait_for(&self, what: &str, mut done: impl FnMut() -> bool) {
        let came = (0..2000).any(|_| {
            self.pause(Duration::from_millis(5));
            done()
        });
        assert!(came, "{what}");
    }

    /// It answers, and takes a write.
    pub fn assert_healthy(&self) {
        assert_eq!(self.get("/-/healthy").status, 200);
        assert_eq!(self.write(&one("healthy", 1, 1.0)).status, 204);
    }
}

impl<D> Drop for Server<D> {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

/// The headers that Prometheus sends.
pub const REMOTE_WRITE: &[(&str, &str)] = &[
    ("Content-Encoding", "snappy"),
    ("Content-Type", "application/x-protobuf"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

/// A request with one sample of one series.
pub fn one(name: &str, timestamp: i64, value: f64) -> Vec<u8> {
    series(&[("__name__", name)], &[(timestamp, value)])
}

/// A series of a request; requests are their series one after the other.
pub fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Vec<u8> {
    let samples: Vec<Sample> =
        samples.iter().map(|&(timestamp, value)| Sample { timestamp, value }).collect();
    let mut out = Vec::new();
    remote_write::encode_series(labels.iter().copied(), &samples, &mut out);
    out
}

/// A length-delimited field of a protobuf message.
pub fn field(number: u8, content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 128, "one byte of length");
    let mut out = vec![number << 3 | 2, content.len() as u8];
    out.extend_from_slice(content);
    out
}

/// The line that an export writes for one sample.
pub fn line(metric: &str, value: &str, timestamp: i64) -> String {
    format!("{{\"metric\":{{{metric}}},\"values\":[\"{value}\"],\"timestamps\":[{timestamp}]}}")
}

/// Percent encoding of everything that is not a letter or digit.
pub fn percent(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}

/// Flushes the store and finds its only segment.
pub fn segment(server: &Server) -> PathBuf {
    server.db.flush().unwrap();
    #[expect(clippy::disallowed_methods, reason = "looks for the file to damage")]
    let entries = std::fs::read_dir(server.db.dir()).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    paths.find(|path| path.extension().is_some_and(|e| e == "seg")).unwrap()
}

/// Flips a bit of a file, at a part of its length.
#[expect(clippy::disallowed_methods, reason = "damages a file from outside of the store")]
pub fn damage(path: &Path, percent: usize) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let at = file.metadata().unwrap().len() * percent as u64 / 100;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}
