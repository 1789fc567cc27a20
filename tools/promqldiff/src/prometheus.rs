//! A Prometheus server of our own: started, filled by remote write, asked by its HTTP API.

mod read;
mod write;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use siltstone_rig::http::{HttpClient, query_value};
use siltstone_rig::process::{Process, free_address};
use siltstone_rig::{Interrupt, RigError};

use crate::answer::{Outcome, Times};
use crate::dataset::Dataset;

/// How long it may take to start.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// A server that runs; it ends when this is dropped.
pub(crate) struct Prometheus {
    process: Process,
    client: HttpClient,
}

impl Prometheus {
    /// Starts a server on an empty directory `work` and fills it.
    pub(crate) fn start(
        program: &Path,
        work: &Path,
        delayed_names: bool,
        interrupt: &Interrupt,
    ) -> Result<Self, RigError> {
        let address = free_address()?;
        std::fs::create_dir_all(work).map_err(RigError::io("making the server's directory"))?;
        let config = work.join("prometheus.yml");
        std::fs::write(&config, "global: {}\n")
            .map_err(RigError::io("writing its configuration"))?;
        let arguments = arguments(address, &config, &work.join("data"), delayed_names);
        let log = work.join("prometheus.log");
        let mut process = Process::start("prometheus", program, &arguments, &log)?;
        process.wait_ready(address, "/-/ready", READY_TIMEOUT, interrupt)?;
        Ok(Self { process, client: HttpClient::new(address, REQUEST_TIMEOUT) })
    }

    /// Stores all series, which must be within an hour.
    pub(crate) fn fill(&mut self, data: &Dataset) -> Result<(), RigError> {
        write::all(&mut self.client, data)
    }

    /// The version that it says it has.
    pub(crate) fn version(&mut self) -> Result<String, RigError> {
        let json = self.get("/api/v1/status/buildinfo")?;
        Ok(json["data"]["version"].as_str().unwrap_or("unknown").to_owned())
    }

    /// What it answers to a query.
    pub(crate) fn ask(&mut self, query: &str, times: Times) -> Result<Outcome, RigError> {
        let query = query_value(query);
        let target = match times {
            Times::Instant(time) => {
                format!("/api/v1/query?query={query}&time={}", seconds(time))
            }
            Times::Range { start, end, step } => format!(
                "/api/v1/query_range?query={query}&start={}&end={}&step={step}ms",
                seconds(start),
                seconds(end)
            ),
        };
        let json = self.get(&target)?;
        read::outcome(&json).ok_or_else(|| RigError::failed(format!("not an answer: {json}")))
    }

    /// The query in Prometheus's own formatting, or its message if it is refused.
    pub(crate) fn format(&mut self, query: &str) -> Result<Result<String, String>, RigError> {
        let json = self.get(&format!("/api/v1/format_query?query={}", query_value(query)))?;
        Ok(match json["data"].as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(json["error"].as_str().unwrap_or_default().to_owned()),
        })
    }

    fn get(&mut self, target: &str) -> Result<serde_json::Value, RigError> {
        let response = self
            .client
            .get(target)
            .map_err(|error| self.process.failed(&format!("did not answer ({error})")))?;
        serde_json::from_slice(&response.body)
            .map_err(|error| RigError::failed(format!("not JSON ({error}): {response}")))
    }

    /// Ends the server.
    pub(crate) fn stop(mut self) -> Result<(), RigError> {
        self.process.terminate(END_TIMEOUT).map(drop)
    }
}

fn arguments(
    address: SocketAddr,
    config: &Path,
    data: &Path,
    delayed_names: bool,
) -> Vec<OsString> {
    let mut features =
        "promql-experimental-functions,promql-duration-expr,native-histograms".to_owned();
    if delayed_names {
        features.push_str(",promql-delayed-name-removal");
    }
    let path = |name: &str, path: &Path| {
        let mut argument = OsString::from(name);
        argument.push(path);
        argument
    };
    vec![
        path("--config.file=", config),
        path("--storage.tsdb.path=", data),
        format!("--web.listen-address={address}").into(),
        "--storage.tsdb.retention.time=100y".into(),
        "--web.enable-remote-write-receiver".into(),
        format!("--enable-feature={features}").into(),
        "--log.level=warn".into(),
    ]
}

/// Milliseconds as the API takes times.
fn seconds(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    format!("{sign}{}.{:03}", ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact() {
        assert_eq!(seconds(1_795_361_520_174), "1795361520.174");
        assert_eq!(seconds(-1), "-0.001");
    }
}
