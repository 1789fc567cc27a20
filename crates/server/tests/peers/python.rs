//! The Prometheus API client from PyPI, by `api_client.py` beside this.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use siltstone_server_testing::harness::{series, server};

use crate::program::{prepared, run, skipped};

/// The newest in November 2026.
const PACKAGE: &str = "prometheus-api-client==0.7.2";
/// 2026-01-01T00:00:00Z, which is in the script too.
const START_S: i64 = 1_767_225_600;

/// A Python that has the client; `None`, loudly, where there is no Python or no way to the package.
fn python() -> Option<PathBuf> {
    let venv = prepared(&PACKAGE.replace("==", "-"), |own| {
        let venv = run_if_there(Command::new("python3").args(["-m", "venv"]).arg(own));
        let install = ["-m", "pip", "install", "--quiet", "--retries=1", "--timeout=15", PACKAGE];
        venv.and_then(|_| run(Command::new(own.join("bin/python")).args(install))).map(drop)
    });
    venv.map(|venv| venv.join("bin/python"))
        .map_err(|why| skipped(&format!("no {PACKAGE}: {why}")))
        .ok()
}

/// As [`run`], for a program that the machine may not have.
fn run_if_there(command: &mut Command) -> Result<String, String> {
    let there = Command::new(command.get_program()).arg("--version").output();
    there.map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    run(command)
}

#[test]
fn the_api_client_gets_what_was_written() {
    let Some(python) = python() else { return };
    let server = server();
    let mut body = Vec::new();
    for (job, rate) in [("api", 2), ("db", 5)] {
        let sample = |i: i64| ((START_S + i * 30) * 1000, (i * 30 * rate) as f64);
        let samples: Vec<_> = (0..=2).map(sample).collect();
        body.extend(series(&[("__name__", "requests_total"), ("job", job)], &samples));
    }
    assert_eq!(server.write(&body).status, 204);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/api_client.py");
    let url = format!("http://{}", server.address);
    let printed = run(Command::new(python).arg(script).arg(url)).unwrap();
    let answers: Value = serde_json::from_str(printed.trim()).unwrap();
    assert_eq!(answers.as_array().unwrap().len(), 2);
    let metric = |job: &str| json!({"__name__": "requests_total", "job": job});
    let values = |rate: i64| {
        let value = |i: i64| json!([START_S + i * 30, (i * 30 * rate).to_string()]);
        (0..=2).map(value).collect::<Vec<_>>()
    };
    let last = START_S + 60;
    let expected = json!({
        "connected": true,
        "all_metrics": ["requests_total"],
        "label_names": ["__name__", "job"],
        "label_values": ["api", "db"],
        "series": [metric("api"), metric("db")],
        "query": [
            {"metric": {"job": "api"}, "value": [last, "120"]},
            {"metric": {"job": "db"}, "value": [last, "300"]},
        ],
        "range": [
            {"metric": metric("api"), "values": values(2)},
            {"metric": metric("db"), "values": values(5)},
        ],
        // The ranges of its windows leave out their start, as those of PromQL do.
        "raw": [{"metric": metric("db"), "values": values(5)[1..]}],
        "metadata": [],
    });
    for answer in answers.as_array().unwrap() {
        assert_eq!(*answer, expected);
    }
}
