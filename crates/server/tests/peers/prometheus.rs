//! A Prometheus on a port of its own, with its data in a temporary directory.

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use serde_json::Value;
use siltstone_server_testing::client::{get, request};
use siltstone_server_testing::harness::percent;
use tempfile::TempDir;

use crate::program::{Running, find, free_address, wait};

pub(crate) struct Prometheus {
    pub(crate) address: SocketAddr,
    _running: Running,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts one with this configuration, in which `ADDRESS` is its own; `None`, loudly, where there
    /// is none.
    pub(crate) fn start(config: &str) -> Option<Self> {
        let program = find("prometheus")?;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("prometheus.yml");
        let address = free_address();
        #[expect(clippy::disallowed_methods, reason = "a configuration, not a store")]
        std::fs::write(&file, config.replace("ADDRESS", &address.to_string())).unwrap();
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            // Samples of any time stay.
            .arg("--storage.tsdb.retention.time=100y")
            .args(["--web.enable-remote-write-receiver", "--log.level=error"])
            .stdout(Stdio::null());
        let mut running = Running::start(&mut command);
        wait("Prometheus is ready", || {
            assert!(!running.has_ended(), "Prometheus ended");
            TcpStream::connect(address).is_ok() && get(address, "/-/ready").status == 200
        });
        Some(Self { address, _running: running, _dir: dir })
    }

    /// The result of an instant query.
    pub(crate) fn query(&self, expression: &str, at_s: i64) -> Value {
        self.ask(&format!("/api/v1/query?query={}&time={at_s}", percent(expression)))
    }

    /// The result of a query over steps from `start_s` to `end_s`, both included.
    pub(crate) fn query_range(&self, expression: &str, times: (i64, i64), step_s: i64) -> Value {
        let (start, end, query) = (times.0, times.1, percent(expression));
        let path = format!("query_range?query={query}&start={start}&end={end}&step={step_s}");
        self.ask(&format!("/api/v1/{path}"))
    }

    fn ask(&self, path: &str) -> Value {
        let answer = get(self.address, path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let mut json = answer.json();
        assert_eq!(json.get("warnings"), None, "{path}");
        json["data"]["result"].take()
    }

    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
        let answer = request(self.address, "POST", path, headers, body);
        (answer.status, answer.body)
    }
}
