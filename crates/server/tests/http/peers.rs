//! Beside a real Prometheus: the same questions, the same answers.
//!
//! The variable `SILTSTONE_PEERS` names a directory in which `usr/bin/prometheus` is; without it nothing
//! is compared, which is said loudly.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, get, request};
use crate::harness::{Server, percent, server};

/// Steps of 50 ms in which Prometheus must be ready, or have done what is waited for.
const STEPS_MAX: usize = 600;

/// Waits until `is_done`.
fn wait(server: &Server, what: &str, mut is_done: impl FnMut() -> bool) {
    for _ in 0..STEPS_MAX {
        if is_done() {
            return;
        }
        server.pause(Duration::from_millis(50));
    }
    panic!("never: {what}");
}

/// A Prometheus; it ends with this value.
struct Prometheus {
    address: SocketAddr,
    process: Child,
    _dir: tempfile::TempDir,
}

impl Prometheus {
    /// One that does nothing by itself.
    fn idle(server: &Server) -> Option<Self> {
        Self::start(server, "global: {}\n")
    }

    /// One with this configuration, in which `ADDRESS` is its own; `None`, and loudly, where there is none.
    #[expect(clippy::print_stderr, reason = "a comparison that does not run must be seen")]
    #[expect(clippy::disallowed_methods, reason = "writes the configuration of another program")]
    fn start(server: &Server, configuration: &str) -> Option<Self> {
        let program = std::env::var_os("SILTSTONE_PEERS")
            .map(|dir| PathBuf::from(dir).join("usr/bin/prometheus"))
            .filter(|program| program.exists());
        let Some(program) = program else {
            eprintln!("SKIPPED: SILTSTONE_PEERS names no directory with usr/bin/prometheus");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        // The port is free again when Prometheus asks for it, unless somebody is very quick.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let configuration = configuration.replace("ADDRESS", &address.to_string());
        std::fs::write(dir.path().join("p.yml"), configuration).unwrap();
        let process = Command::new(program)
            .args(["--config.file=p.yml", "--storage.tsdb.path=data", "--log.level=error"])
            .arg(format!("--web.listen-address={address}"))
            .current_dir(dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self { address, process, _dir: dir };
        wait(server, "Prometheus is ready", || {
            std::net::TcpStream::connect(address).is_ok()
                && get(address, "/-/ready").text().starts_with("Prometheus Server is Ready")
        });
        Some(started)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Takes away what Prometheus 3.5 does not say yet.
fn without_newer_fields(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for newer in
                ["anchored", "smoothed", "fillValues", "rangeExpr", "offsetExpr", "stepExpr"]
            {
                fields.remove(newer);
            }
            fields.values_mut().for_each(without_newer_fields);
        }
        Value::Array(items) => items.iter_mut().for_each(without_newer_fields),
        _ => {}
    }
}

const QUERIES: &[&str] = &[
    "1",
    "-1",
    "+1",
    "0x1F",
    "1e-7",
    "1e21",
    "Inf",
    "-Inf",
    "NaN",
    "5m",
    "-5m",
    "1h30m",
    "\"text\"",
    "'it\\'s'",
    "`raw\\n`",
    "\"\\u00e9\\t\"",
    "\"دما\"",
    "up",
    "up{}",
    "{__name__=\"up\"}",
    "{\"up\"}",
    "{\"http.requests\", a=\"b\"}",
    "{__name__=~\"a.*\"}",
    "up{job=\"a\",job!=\"b\",x=~\"y|z\",u!~\"v\"}",
    "{b=\"1\",a=\"2\"}",
    "up{\"label name\"=\"x\"}",
    "up offset 5m",
    "up offset -5m",
    "up @ 10",
    "up @ -1.5",
    "up @ start()",
    "up @ end() offset 1h",
    "up[5m]",
    "up[1h30m] offset 1d",
    "up[5m] @ 100 offset 3s",
    "(up)",
    "((up))",
    "-up",
    "+(up)",
    "--1",
    "up[5m:]",
    "up[5m:30s]",
    "(up + 1)[1h:5m] offset 1m @ 5",
    "rate(up[1m])[10m:]",
    "max_over_time(rate(up[1m])[10m:1m] @ end())",
    "sum(up)",
    "sum by (job) (up)",
    "sum(up) by (job, x)",
    "sum without () (up)",
    "sum by () (up)",
    "avg without (a, b) (up)",
    "topk(5, up)",
    "quantile by (x) (0.9, up)",
    "count_values(\"v\", up)",
    "stddev(up)",
    "group by (\"a.b\") (up)",
    "bottomk(scalar(up), up)",
    "a + b",
    "a + 1",
    "1 + 1",
    "a == bool b",
    "1 == bool 2",
    "a > 3",
    "2 < a",
    "a ^ b ^ c",
    "-a ^ 2",
    "a and b",
    "a or on () b",
    "a unless ignoring (x) b",
    "a * on (x, y) group_left (z) b",
    "a / ignoring (x) group_right b",
    "a % b",
    "a atan2 b",
    "a != b",
    "a >= b",
    "a <= 1",
    "a + b * c - d / e",
    "a + on () group_left () b",
    "rate(up[5m])",
    "time()",
    "pi()",
    "vector(1)",
    "scalar(up)",
    "round(up)",
    "round(up, 5)",
    "hour()",
    "hour(up)",
    "label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\")",
    "label_join(up, \"a\", \",\", \"b\", \"c\")",
    "label_join(up, \"a\", \",\")",
    "clamp(up, 0, 1)",
    "clamp_max(up, 1)",
    "histogram_quantile(0.9, up)",
    "histogram_fraction(0, 1, up)",
    "predict_linear(up[1h], 3600)",
    "quantile_over_time(0.5, up[1m])",
    "absent(up)",
    "absent_over_time(up[1m])",
    "sort_desc(up)",
    "timestamp(up)",
    "days_in_month()",
    "present_over_time(up[1m])",
    "last_over_time(up[1m])",
    "changes(up[1m])",
    "deriv(up[1m])",
    "sum by (job) (rate(http_requests_total{job=~\"a.*\"}[5m])) / on (job) group_left sum(up) > bool 0.5",
];

/// Errors of ranges and offsets are not among them, since 3.5 allows less there and says so, nor those of
/// regular expressions, which say here what Go leaves out: where.
const BROKEN: &[&str] = &[
    "",
    " ",
    "foo{",
    "foo}",
    "sum(",
    "1 +",
    "a +",
    "rate(up)",
    "up[5m",
    "{}",
    "{a=\"\"}",
    "{a=~\".*\"}",
    "sum by",
    "1 and 2",
    "a == bool",
    "topk(up)",
    "unknown(up)",
    "up @ x",
    "\"open",
    "'a",
    "5mm",
    "a b",
    "up{a}",
    "up{a=b}",
    "rate(up[5m]",
    "count_values(1, up)",
    "-\"a\"",
    "up[5m][5m]",
    "a group_left b",
    "1 + on (x) a",
    "foo{__name__=\"bar\"}",
];

/// What the two answers to `what` differ in.
fn difference(ours: &Answer, theirs: &Answer, what: &str) -> Option<String> {
    let mut json = ours.json();
    without_newer_fields(&mut json);
    let is_same = ours.status == theirs.status && json == theirs.json();
    let (ours, theirs) = (ours.text(), theirs.text());
    (!is_same).then(|| format!("{what}\n  ours:   {ours}\n  theirs: {theirs}"))
}

fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn expressions_are_parsed_and_formatted_alike() {
    let server = server();
    let Some(prometheus) = Prometheus::idle(&server) else { return };
    let mut differences = Vec::new();
    for query in QUERIES.iter().chain(BROKEN) {
        for path in ["parse_query", "format_query"] {
            let path = format!("/api/v1/{path}?query={}", percent(query));
            let theirs = get(prometheus.address, &path);
            differences.extend(difference(&server.get(&path), &theirs, query));
        }
    }
    assert_none(&differences);
}

#[test]
fn what_is_not_there_is_not_there_alike() {
    let server = server();
    let Some(prometheus) = Prometheus::idle(&server) else { return };
    let mut differences = Vec::new();
    for path in [
        "rules",
        "rules?type=record",
        "rules?type=x",
        "alerts",
        "alertmanagers",
        "scrape_pools",
        "targets",
        "targets?state=any",
        "targets?state=active",
        "targets?state=dropped",
        "targets?state=x",
        "targets/metadata",
        "metadata",
        "metadata?metric=up&limit=3",
        "query_exemplars?query=up",
        "query_exemplars?query=up&start=1699999980000&end=1700000040000",
        "query_exemplars?query=up&start=2&end=1",
        "series",
        "series?match[]=up",
        "labels?match[]=up&limit=5",
        "label/job/values?start=1&end=2",
        "status/walreplay",
    ] {
        let path = format!("/api/v1/{path}");
        differences.extend(difference(&server.get(&path), &get(prometheus.address, &path), &path));
    }
    assert_none(&differences);
    // Bodies that tell of the machine have the same members.
    for path in ["status/runtimeinfo", "status/buildinfo", "status/tsdb", "status/config"] {
        let path = format!("/api/v1/{path}");
        let keys = |answer: &Answer| {
            let data = answer.json()["data"].clone();
            data.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(keys(&server.get(&path)), keys(&get(prometheus.address, &path)), "{path}");
    }
}

#[test]
fn heads_are_alike() {
    let server = server();
    let Some(prometheus) = Prometheus::idle(&server) else { return };
    for (method, path) in [
        ("OPTIONS", "/api/v1/labels"),
        ("OPTIONS", "/api/v1/nothing"),
        ("GET", "/api/v1/query_exemplars?query=1"),
        ("GET", "/federate"),
        ("GET", "/federate?match[]=up%7B"),
        ("POST", "/federate"),
        ("PUT", "/api/v1/labels"),
        ("POST", "/api/v1/metadata"),
        ("GET", "/api/v1/nothing"),
    ] {
        let ours = request(server.address, method, path, &[], b"");
        let theirs = request(prometheus.address, method, path, &[], b"");
        assert_eq!(ours.status, theirs.status, "{method} {path}");
        if ours.status == 200 {
            let kind = |answer: &Answer| answer.header("content-type").map(str::to_owned);
            assert_eq!(kind(&ours), kind(&theirs), "{method} {path}");
        }
    }
}

/// A Prometheus that scrapes `/federate` has what is stored here, in each format that it may ask for.
#[test]
fn it_takes_what_is_federated() {
    let server = server();
    let now = server.db.options().clock.wall_ms() / 1000 * 1000;
    let body = format!(
        "up{{job=\"a\",q=\"x\\\"y\\\\z\\nw\"}} 1.5 {now}\nload{{job=\"b\"}} +Inf {now}\n\
         {{\"دما\",\"شهر.نام\"=\"یزد\"}} -3e21 {now}\n"
    );
    assert_eq!(server.post("/api/v1/import/prometheus", &[], body.as_bytes()).status, 204);
    for protocol in ["PrometheusText0.0.4", "PrometheusText1.0.0", "OpenMetricsText1.0.0"] {
        let configuration = format!(
            "scrape_configs:\n- job_name: federated\n  honor_labels: true\n  scrape_interval: 1s\n  \
             scrape_timeout: 1s\n  scrape_protocols: [{protocol}]\n  metrics_path: /federate\n  \
             params: {{\"match[]\": ['{{job!=\"\"}}', '{{\"شهر.نام\"!=\"\"}}']}}\n  \
             static_configs: [{{targets: [\"{}\"]}}]\n",
            server.address
        );
        let Some(prometheus) = Prometheus::start(&server, &configuration) else { return };
        let query = |selector: &str| {
            let path = format!("/api/v1/query?query={}", percent(selector));
            get(prometheus.address, &path).json()["data"]["result"].clone()
        };
        // Those that Prometheus makes of each scrape have the job of the scrape.
        let mine = "{__name__=~\".+\",job!=\"federated\"}";
        wait(&server, protocol, || query(mine).as_array().is_some_and(|found| !found.is_empty()));
        let up = query("up{job=\"a\"}");
        assert_eq!(up[0]["metric"]["q"], "x\"y\\z\nw", "{protocol}: {up}");
        assert_eq!(up[0]["metric"].get("instance"), None, "{protocol}: {up}");
        assert_eq!(up[0]["value"][1], "1.5");
        let at = query("timestamp(up{job=\"a\"})");
        assert_eq!(at[0]["value"][1], (now / 1000).to_string(), "{protocol}");
        assert_eq!(query("load{job=\"b\"}")[0]["value"][1], "+Inf", "{protocol}");
        // The old format has no letters for these names.
        let is_old = protocol == "PrometheusText0.0.4";
        let other = if is_old {
            "___{_______=\"یزد\"}"
        } else {
            "{\"دما\",\"شهر.نام\"=\"یزد\"}"
        };
        assert_eq!(query(other)[0]["value"][1], "-3e+21", "{protocol}");
    }
}

/// What it says of its own metrics by remote write comes back from both alike.
#[test]
fn its_metadata_is_known_here() {
    let server = server();
    let Some(prometheus) = Prometheus::start(&server, &scraping_itself(&server)) else { return };
    let wanted = "/api/v1/metadata?metric=prometheus_build_info";
    wait(&server, "metadata comes", || server.get(wanted).json()["data"] != json!({}));
    let ours = server.get(wanted).json();
    assert_eq!(ours, get(prometheus.address, wanted).json());
    assert_eq!(ours["data"]["prometheus_build_info"][0]["type"], "gauge");
}

/// A configuration in which Prometheus scrapes itself at the address that it is told, and writes here.
fn scraping_itself(server: &Server) -> String {
    format!(
        "scrape_configs:\n- job_name: itself\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  \
         static_configs: [{{targets: [\"ADDRESS\"]}}]\n\
         remote_write:\n- url: http://{}/api/v1/write\n  \
         metadata_config: {{send: true, send_interval: 1s}}\n",
        server.address
    )
}
