//! `promtool query`: each of its subcommands prints what was written.

use std::path::Path;
use std::process::Command;

use siltstone_server_testing::harness::{Server, series, server};

use crate::program::{find, run};

/// 2026-01-01T00:00:00Z.
const START_S: i64 = 1_767_225_600;

/// Two counters and a classic histogram, every 15 s for ten minutes.
fn filled() -> Server {
    let server = server();
    let samples = |rate: f64| -> Vec<(i64, f64)> {
        (0..=40).map(|i| ((START_S + i * 15) * 1000, i as f64 * 15.0 * rate)).collect()
    };
    let mut body = Vec::new();
    for (job, rate) in [("api", 2.0), ("db", 0.5)] {
        body.extend(series(&[("__name__", "requests_total"), ("job", job)], &samples(rate)));
    }
    for (bound, rate) in [("0.1", 1.0), ("0.5", 3.0), ("1", 3.0), ("+Inf", 4.0)] {
        let labels = [("__name__", "latency_seconds_bucket"), ("job", "api"), ("le", bound)];
        body.extend(series(&labels, &samples(rate)));
    }
    assert_eq!(server.write(&body).status, 204);
    server
}

/// What `promtool query` with these arguments, in which `URL` is the server's, prints; as an error if it
/// says that it failed.
fn promtool(program: &Path, server: &Server, arguments: &[&str]) -> Result<String, String> {
    let url = format!("http://{}", server.address);
    let arguments = arguments.iter().map(|argument| argument.replace("URL", &url));
    run(Command::new(program).arg("query").args(arguments))
}

#[track_caller]
fn assert_prints(program: &Path, server: &Server, arguments: &[&str], expected: &str) {
    let printed = promtool(program, server, arguments);
    assert_eq!(printed.as_deref().map(str::trim_end), Ok(expected), "{arguments:?}");
}

#[test]
fn instant_and_range() {
    let Some(program) = find("promtool") else { return };
    let server = filled();
    let check =
        |arguments: &[&str], expected| assert_prints(&program, &server, arguments, expected);
    check(
        &["instant", "--time=1767225660", "URL", "requests_total"],
        "requests_total{job=\"api\"} => 120 @[1767225660]\n\
         requests_total{job=\"db\"} => 30 @[1767225660]",
    );
    check(
        &["instant", "--time=1767226200", "URL", "sum(max_over_time(requests_total[5m])) * 2"],
        "{} => 3000 @[1767226200]",
    );
    check(&["instant", "--time=1767226200", "URL", "1 + 1"], "scalar: 2 @[1767226200]");
    check(
        &["instant", "--time=1767225645", "URL", "requests_total{job='db'}[31s]"],
        "requests_total{job=\"db\"} =>\n7.5 @[1767225615]\n15 @[1767225630]\n22.5 @[1767225645]",
    );
    let times = ["--start=1767225600", "--end=1767225660", "--step=30s"];
    check(
        &[&["range"], &times[..], &["URL", "max by (job) (requests_total)"]].concat(),
        "{job=\"api\"} =>\n0 @[1767225600]\n60 @[1767225630]\n120 @[1767225660]\n\
         {job=\"db\"} =>\n0 @[1767225600]\n15 @[1767225630]\n30 @[1767225660]",
    );
    let refused = promtool(&program, &server, &["instant", "URL", "sum("]).unwrap_err();
    assert!(refused.contains("bad_data"), "{refused}");
}

#[test]
fn series_and_labels() {
    let Some(program) = find("promtool") else { return };
    let server = filled();
    let check =
        |arguments: &[&str], expected| assert_prints(&program, &server, arguments, expected);
    let times = ["--start=1767225600", "--end=1767226200"];
    check(
        &[&["series"], &times[..], &["--match=requests_total", "--match={le='1'}", "URL"]].concat(),
        "{__name__=\"latency_seconds_bucket\", job=\"api\", le=\"1\"}\n\
         {__name__=\"requests_total\", job=\"api\"}\n{__name__=\"requests_total\", job=\"db\"}",
    );
    check(&[&["labels"], &times[..], &["URL", "job"]].concat(), "api\ndb");
    check(&["labels", "--match=requests_total{job='db'}", "URL", "__name__"], "requests_total");
    check(&["labels", "--start=1600000000", "--end=1600000060", "URL", "job"], "");
}

/// It reads the buckets of an hour and counts those that have observations of their own: three of the
/// four in 40 of 41 samples.
#[test]
fn analyze() {
    let Some(program) = find("promtool") else { return };
    let server = filled();
    let printed = promtool(
        &program,
        &server,
        &[
            "analyze",
            "--server=URL",
            "--type=histogram",
            "--time=1767226200",
            "--match=latency_seconds_bucket",
        ],
    )
    .unwrap();
    let line = "- latency_seconds_bucket{job=\"api\"} (classic): 0/2.927/3/4";
    assert!(printed.lines().any(|printed| printed == line), "{printed}");
}
