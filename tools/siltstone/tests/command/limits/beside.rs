//! Runs attackers against a server of its own, with a healthy client beside them.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::messages::{Series, remote_write, write_request};
use super::requests::get;
use crate::harness::{Serving, place};

/// Every server's; bodies and decoding have an eighth each, queries up to a quarter.
const BUDGET: &str = "64MiB";
pub(super) const BODIES: u64 = 8 << 20;
pub(super) const DECODING: u64 = 8 << 20;
pub(super) const QUERIES: u64 = 16 << 20;
/// By how much memory may grow beyond what the row's limit allows.
const BEYOND_MAX: u64 = 64 << 20;
/// Attackers at a time.
const CLIENTS: usize = 4;
/// Rounds of the healthy client that each attack takes at least.
const ROUNDS: usize = 2;
/// No test waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// 2025-01-01, in milliseconds.
pub(super) const START_MS: i64 = 1_735_689_600_000;

/// What an attacker has who is not answered.
pub(super) const CLOSED: u16 = 0;
/// What it has whose answer ends before its end.
pub(super) const CUT: u16 = 1;

/// A server under attack.
pub(super) struct Besieged {
    server: Serving,
    _dir: TempDir,
}

impl Besieged {
    /// A server with these flags, which the healthy client has used already.
    pub(super) fn start(flags: &[&str]) -> Self {
        let (dir, data) = place();
        let server = Serving::start_with(&data, &[&["--memory-budget", BUDGET], flags].concat());
        let besieged = Self { server, _dir: dir };
        besieged.healthy_round(0).unwrap();
        besieged
    }

    pub(super) fn address(&self) -> &str {
        &self.server.address
    }

    /// Stores so many series `stored`, each with a sample at [`START_MS`].
    pub(super) fn store(&self, series: usize) {
        let numbers: Vec<String> = (0..series).map(|n| n.to_string()).collect();
        let labels: Vec<[(&str, &str); 2]> =
            numbers.iter().map(|n| [("__name__", "stored"), ("n", n)]).collect();
        let sample = [(START_MS, 1.0)];
        let all: Vec<Series<'_>> = labels.iter().map(|labels| (&labels[..], &sample[..])).collect();
        let (status, text) = exchange(self.address(), &remote_write(&write_request(&all)));
        assert_eq!(status, 204, "{text}");
    }

    /// Sends each request from several clients at once: all must be answered with one of `expected`, within
    /// `limit` bytes, and beside the healthy client.
    pub(super) fn answers(&self, limit: u64, requests: &[Vec<u8>], expected: &[u16]) {
        self.holds(limit, expected, || {
            requests.iter().map(|request| exchange(self.address(), request).0).collect()
        });
    }

    /// As [`Besieged::answers`], with clients that do what `attack` does again and again, and returns the
    /// statuses it had. Returns those of all clients.
    pub(super) fn holds(
        &self,
        limit: u64,
        expected: &[u16],
        attack: impl Fn() -> Vec<u16> + Sync,
    ) -> Vec<u16> {
        let before = self.rss_anon();
        let ended = AtomicBool::new(false);
        let rounds = AtomicUsize::new(0);
        let repeated = || {
            let mut statuses = attack();
            while rounds.load(Ordering::Relaxed) < ROUNDS {
                statuses.extend(attack());
            }
            statuses
        };
        let (statuses, most, healthy) = std::thread::scope(|scope| {
            let watch = scope.spawn(|| self.most_rss_anon(&ended));
            let healthy = scope.spawn(|| self.healthy(&rounds, &ended));
            let attackers: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(repeated)).collect();
            // Whoever fails here must not keep the others going.
            let attacked: Vec<_> = attackers.into_iter().map(|thread| thread.join()).collect();
            ended.store(true, Ordering::Relaxed);
            let statuses = attacked.into_iter().flat_map(|thread| thread.unwrap());
            (statuses.collect::<Vec<_>>(), watch.join().unwrap(), healthy.join().unwrap())
        });
        let longest = healthy.unwrap_or_else(|failed| panic!("the healthy client: {failed}"));
        for status in &statuses {
            assert!(expected.contains(status), "{status}, not one of {expected:?}");
        }
        let grown = most.saturating_sub(before);
        let rounds = rounds.into_inner();
        let alone = self.healthy_round(rounds).unwrap();
        say(&format!(
            "{} KiB more; {} answers; {rounds} healthy rounds, longest {longest:?}, alone {alone:?}",
            grown >> 10,
            statuses.len()
        ));
        assert!(grown <= limit + BEYOND_MAX, "{} MiB more than before", grown >> 20);
        statuses
    }

    fn most_rss_anon(&self, ended: &AtomicBool) -> u64 {
        let mut most = 0;
        while !ended.load(Ordering::Relaxed) {
            most = most.max(self.rss_anon());
            std::thread::yield_now();
        }
        most
    }

    /// Goes on until the attack has ended, or something went wrong, which ends the attack as well; returns the
    /// time of the longest round.
    fn healthy(&self, rounds: &AtomicUsize, ended: &AtomicBool) -> Result<Duration, String> {
        let mut longest = Duration::ZERO;
        let mut round = 0;
        while !ended.load(Ordering::Relaxed) {
            let time = self.healthy_round(round).inspect_err(|_| {
                rounds.store(ROUNDS, Ordering::Relaxed);
            })?;
            longest = longest.max(time);
            round += 1;
            rounds.store(round, Ordering::Relaxed);
        }
        Ok(longest)
    }

    /// A write, a query that sees it, and a probe: how long they take, or what went wrong.
    #[expect(clippy::disallowed_methods, reason = "times of another process, for print")]
    fn healthy_round(&self, round: usize) -> Result<Duration, String> {
        let started = std::time::Instant::now();
        let value = round as f64;
        let body = write_request(&[(&[("__name__", "healthy")], &[(START_MS, value)])]);
        let (status, text) = exchange(self.address(), &remote_write(&body));
        if status != 204 {
            return Err(format!("a write: {text}"));
        }
        let query = format!("/api/v1/query?query=healthy&time={}", START_MS / 1000);
        let (status, text) = exchange(self.address(), &get(&query));
        if status != 200 || !text.contains(&format!("\"{value}\"]")) {
            return Err(format!("a read: {text}"));
        }
        match exchange(self.address(), &get("/-/healthy")) {
            (200, _) => Ok(started.elapsed()),
            (_, text) => Err(format!("a probe: {text}")),
        }
    }

    fn rss_anon(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.server.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB").parse::<u64>().unwrap();
        kib << 10
    }
}

#[expect(clippy::print_stdout, reason = "figures beside the verdict")]
fn say(what: &str) {
    println!("{what}");
}

/// A connection that does not wait for ever.
pub(super) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends bytes on a connection of their own, and gives the status of the first answer with all that came.
/// Somebody who is refused before everything is sent has an answer nevertheless.
pub(super) fn exchange(address: &str, bytes: &[u8]) -> (u16, String) {
    let mut stream = connect(address);
    let _ = stream.write_all(bytes);
    answer(&mut stream)
}

/// What comes up to the end of the connection.
pub(super) fn answer(stream: &mut TcpStream) -> (u16, String) {
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer);
    let timed_out = ended.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    assert!(!timed_out, "neither an answer nor an end");
    let text = String::from_utf8_lossy(&answer).into_owned();
    if answer.is_empty() {
        return (CLOSED, format!("{ended:?}"));
    }
    let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let is_cut = head.contains("transfer-encoding: chunked") && !body.ends_with("0\r\n\r\n");
    (if is_cut { CUT } else { status }, text)
}
