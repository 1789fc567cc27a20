//! `siltstone serve` as a process: signals, file descriptors, its log, its second listener.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::{NamedTempFile, TempDir};

use crate::harness::{Serving, comes, place};

/// A server whose log can be read.
struct Logged {
    server: Serving,
    log: NamedTempFile,
    _dir: TempDir,
}

impl Logged {
    /// Started on loopback with flags, behind a line of shell that sets its limits.
    fn start(limits: &str, flags: &[&str]) -> Self {
        Self::start_bare(limits, &[&["--listen", "127.0.0.1:0"], flags].concat())
    }

    /// Started with these flags alone.
    fn start_bare(limits: &str, flags: &[&str]) -> Self {
        let (dir, data) = place();
        let log = NamedTempFile::new().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limits}\nexec \"$0\" \"$@\"")]);
        command.arg(env!("CARGO_BIN_EXE_siltstone"));
        command.args(["serve", "--data", &data]).args(flags);
        command.env_remove("RUST_LOG").stdin(Stdio::null());
        let server = Serving::of(command, log.reopen().unwrap().into());
        Self { server, log, _dir: dir }
    }

    fn said(&self) -> String {
        let mut text = String::new();
        self.log.reopen().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    fn says(&self, what: &str) -> bool {
        comes(|| self.said().contains(what))
    }
}

fn is_well(server: &Serving) -> bool {
    server.get("/-/healthy").starts_with("HTTP/1.1 200")
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for signal in ["-TERM", "-INT"] {
        let mut logged = Logged::start("", &["--shutdown-timeout", "10m"]);
        let mut stream = TcpStream::connect(&logged.server.address).unwrap();
        let head = "POST /api/v1/import HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n";
        write!(stream, "{head}Content-Length: 1000\r\n\r\n").unwrap();
        let mut go_on = [0; 12];
        stream.read_exact(&mut go_on).unwrap();
        logged.server.signal("-TERM");
        assert!(logged.says("stopping"), "{}", logged.said());
        logged.server.signal(signal);
        assert_eq!(logged.server.wait_within(Duration::from_secs(60)), Some(130), "{signal}");
    }
}

#[test]
fn a_hangup_is_logged_and_ignored() {
    let logged = Logged::start("", &[]);
    logged.server.signal("-HUP");
    assert!(logged.says("SIGHUP is ignored"), "{}", logged.said());
    assert!(is_well(&logged.server));
    assert_eq!(logged.server.end("-TERM"), Some(0));
}

#[test]
fn half_of_the_descriptors_are_the_stores() {
    let logged = Logged::start("ulimit -Sn 128 && ulimit -Hn 256", &[]);
    let flags = logged.server.get("/api/v1/status/flags");
    assert!(flags.contains("\"connections-max\":\"96\""), "{flags}");
    let said = logged.said();
    assert!(said.contains("fewer connections than wanted"), "{said}");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", logged.server.pid()));
    if let Ok(limits) = limits {
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let numbers: Vec<&str> = files.split_whitespace().skip(3).take(2).collect();
        assert_eq!(numbers, ["256", "256"], "the soft limit is raised");
    }
    assert_eq!(logged.server.end("-TERM"), Some(0));
}

#[test]
fn a_connection_without_a_descriptor_takes_that_of_an_idle_one() {
    // None of them becomes free by waiting.
    let logged = Logged::start("", &["--header-timeout", "10m"]);
    let address = &logged.server.address;
    let silent: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert!(is_well(&logged.server), "all of them are accepted");
    // So that none is left.
    let pid = logged.server.pid().to_string();
    let lowered = Command::new("prlimit").args(["--pid", &pid, "--nofile=20:20"]).status();
    if !lowered.is_ok_and(|status| status.success()) {
        println!("SKIPPED: prlimit cannot lower the limit of another process");
        return;
    }
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert!(logged.says("cannot accept a connection"), "{}", logged.said());
    drop(silent);
}

#[test]
fn what_senders_are_refused_is_logged() {
    let logged = Logged::start("", &[]);
    for _ in 0..50 {
        let answer = logged.server.post("/api/v1/import/prometheus", "bad{\n");
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let mut stream = TcpStream::connect(&logged.server.address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n").unwrap();
    let mut stream = TcpStream::connect(&logged.server.address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nbad header\r\n\r\n").unwrap();
    assert!(logged.says("what=\"malformed\" peer=127.0.0.1:"), "{}", logged.said());
    assert!(logged.says("--allowed-host evil.example"), "{}", logged.said());
    assert!(logged.says("what=\"/api/v1/import/prometheus\" peer=127.0.0.1:"), "{}", logged.said());
    let lines = logged.said().lines().filter(|line| line.contains("refused what=")).count();
    assert!(lines < 25, "{}", logged.said());
    // Reads tell who asks.
    logged.server.get("/api/v1/query?query=up%7B");
    assert!(!logged.said().contains("/api/v1/query"));
}

#[test]
fn probes_have_a_listener_of_their_own() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut logged = Logged::start("", &["--probe-listen", &free.to_string()]);
    assert!(logged.says(&format!("listening for probes address={free}")), "{}", logged.said());
    assert!(is_well(&logged.server));
    logged.server.address = free.to_string();
    assert!(is_well(&logged.server));
    assert!(logged.server.get("/api/v1/labels").starts_with("HTTP/1.1 404"));
}

/// An address of this machine that is not loopback, the one that packets to the world leave from. Nothing is sent.
fn address_of_this_machine() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|address| !address.is_loopback())
}

#[test]
fn an_address_has_a_limit_of_its_own() {
    let Some(address) = address_of_this_machine() else {
        println!("SKIPPED: there is no address but loopback");
        return;
    };
    let flags = ["--listen", "0.0.0.0:0", "--connections-per-address-max", "2"];
    let logged = Logged::start_bare("", &flags);
    let port = logged.server.address.rsplit(':').next().unwrap().to_owned();
    let connect = |host: &str| {
        let stream = TcpStream::connect(format!("{host}:{port}")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    let (host, mut working) = (address.to_string(), Vec::new());
    for _ in 0..2 {
        let mut stream = connect(&host);
        let head = "POST /api/v1/import HTTP/1.1\r\nExpect: 100-continue\r\n";
        write!(stream, "{head}Host: {host}\r\nContent-Length: 1000\r\n\r\n").unwrap();
        let mut go_on = [0; 12];
        stream.read_exact(&mut go_on).unwrap();
        assert_eq!(&go_on, b"HTTP/1.1 100");
        working.push(stream);
    }
    let mut answer = String::new();
    connect(&host).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("\r\n\r\ntoo many connections from your address\n"), "{answer}");
    // Proxies share loopback.
    let _proxied: Vec<TcpStream> = (0..10).map(|_| connect("127.0.0.1")).collect();
    let mut probe = connect("127.0.0.1");
    write!(probe, "GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut metrics = String::new();
    probe.read_to_string(&mut metrics).unwrap();
    let line = "siltstone_http_connections_refused_total{reason=\"address\"} 1\n";
    assert!(metrics.contains(line), "{metrics}");
    assert!(metrics.contains("siltstone_http_connections 13\n"), "{metrics}");
}
