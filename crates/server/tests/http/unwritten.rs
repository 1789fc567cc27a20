//! What is not stored costs nothing that lasts: labels without end, series without an accepted sample, and samples
//! that a wrong clock refuses.

use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{Clock, SimClock};
use siltstone::{Background, Options};
use siltstone_server::ServerConfig;
use siltstone_server_testing::client::Answer;
use siltstone_server_testing::harness::{Server, field, one, series, server};

use crate::growth::growth;

/// What a million labels may take at most beside their request: far less than references to them would.
const GROWTH_MAX: u64 = 160 << 20;
/// What a line with two million labels, of 16 MiB, may take at most: a few times itself, and less than references
/// to its labels would.
const LINE_GROWTH_MAX: u64 = 96 << 20;
const LINE_LABELS: usize = 2 << 20;
const NOW_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 86_400_000;

/// A series of remote write with its labels and its samples as they lie on the wire.
fn wire(parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![0x0a];
    let mut left = len;
    while left >= 128 {
        out.push(left as u8 | 128);
        left >>= 7;
    }
    out.push(left as u8);
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

fn label(name: &str, value: &str) -> Vec<u8> {
    field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat())
}

/// The value 1 at the time 1000.
fn sample() -> Vec<u8> {
    let value = [&[0x09][..], &1f64.to_le_bytes(), &[0x10, 0xe8, 0x07]].concat();
    field(2, &value)
}

#[test]
fn labels_without_end_are_counted_and_not_collected() {
    let server = server();
    // Two bytes each: a label without name and value.
    let empty = [0x0a, 0].repeat(8 << 20);
    let many = label("n", "v").repeat(1 << 20);
    let (up, good) = (label("__name__", "up"), one("good", 1000, 1.0));
    for (bomb, status) in [(&empty, 204), (&many, 400)] {
        let together = wire(&[&up, bomb, &sample()]);
        // Something stands between the labels.
        let scattered = wire(&[&up, &sample(), bomb]);
        let apart = wire(&[&up, &sample(), &label("a", "b"), &sample(), bomb]);
        for body in [together, scattered, apart] {
            let body = [&body[..], &good].concat();
            let (answer, grown) = growth(|| server.write(&body));
            let text = answer.text();
            assert_eq!(answer.status, status, "{text}");
            assert!(status == 204 || text.contains("more than the limit of 64"), "{text}");
            assert!(grown < GROWTH_MAX, "{grown}");
        }
    }
    assert_eq!(server.export("good").len(), 1, "the rest of the request is stored");
}

#[test]
fn lines_with_labels_without_end_take_little_more_than_themselves() {
    let config = ServerConfig {
        json_line_bytes_max: 32 << 20,
        text_line_bytes_max: 32 << 20,
        bodies_bytes_max: Some(128 << 20),
        ..ServerConfig::default()
    };
    let server = Server::start(Options::default(), config);
    let line = |labels: &str| {
        format!(
            "{{\"metric\":{{\"__name__\":\"up\"{labels}}},\"values\":[1],\"timestamps\":[1]}}\n"
        )
    };
    let good = line("").replace("up", "good");
    let json = |label: &str| line(&label.repeat(LINE_LABELS)) + &good;
    let text = |label: &str| format!("up{{{}}} 1\ngood 2\n", label.repeat(LINE_LABELS));
    let too_many = |found: usize| format!("{found} labels, more than the limit of 64");
    let prometheus = "/api/v1/import/prometheus";
    for (path, body, refusal) in [
        ("/api/v1/import", json(",\"\":\"\""), String::new()),
        ("/api/v1/import", json(",\"a\":\"b\""), too_many(LINE_LABELS + 1)),
        (prometheus, text("a=\"\","), String::new()),
        (prometheus, text("a=\"b\","), too_many(LINE_LABELS + 1)),
    ] {
        let (answer, grown) = growth(|| server.post(path, &[], body.as_bytes()));
        assert_eq!(answer.status, if refusal.is_empty() { 204 } else { 400 }, "{}", answer.text());
        assert!(answer.text().contains(&refusal), "{}", answer.text());
        assert!(grown < LINE_GROWTH_MAX, "{grown}");
    }
    assert_eq!(server.export("good").len(), 1, "the rest is stored");
}

fn at(clock: &Arc<SimClock>, series_max: u32) -> Options {
    Options {
        clock: clock.clone(),
        background: Background::Manual,
        ahead_max: Some(Duration::from_secs(3600)),
        age_max: Some(Duration::from_secs(7 * 86_400)),
        series_max: Some(series_max),
        ..Options::default()
    }
}

fn active_series(server: &Server) -> u64 {
    let answer = server.get("/metrics");
    let name = "siltstone_series_active ";
    let line = answer.text().lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().parse().unwrap()
}

#[test]
fn series_without_an_accepted_sample_are_not_registered() {
    let clock = Arc::new(SimClock::new(NOW_MS));
    let server = Server::start(at(&clock, 100), ServerConfig::default());
    let name = |number: usize| format!("ghost{number}");
    let bad = |time: i64| (0..300).flat_map(|i| one(&name(i), time, 1.0)).collect::<Vec<_>>();
    for time in [NOW_MS + DAY_MS, 0] {
        let answer = server.write(&bad(time));
        assert_eq!(answer.status, 400, "{}", answer.text());
        let lines: String = (0..300).map(|i| format!("{} 1 {time}\n", name(i))).collect();
        let answer = server.post("/api/v1/import/prometheus", &[], lines.as_bytes());
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    let none: Vec<u8> = (0..300).flat_map(|i| series(&[("__name__", &name(i))], &[])).collect();
    assert_eq!(server.write(&none).status, 204, "nothing to store, nothing refused");
    let labels: String = "x".repeat(2000);
    let answer = server.write(&series(&[("__name__", "up"), (&labels, "v")], &[]));
    assert_eq!(answer.status, 400, "labels are judged without samples, too");
    assert_eq!(active_series(&server), 0);
    let good: Vec<u8> = (0..100).flat_map(|i| one(&format!("good{i}"), NOW_MS, 1.0)).collect();
    assert_eq!(server.write(&good).status, 204);
    // One good sample among bad ones.
    let mixed = series(&[("__name__", "good0")], &[(0, 1.0), (NOW_MS + 1, 2.0), (0, 3.0)]);
    assert_eq!(server.write(&mixed).status, 400);
    assert_eq!(active_series(&server), 100);
    assert!(server.export("good0")[0].contains("\"2\""));
}

fn asks_to_come_again(answer: &Answer) -> bool {
    answer.status == 503
        && answer.header("retry-after").is_some()
        && answer.text().contains("the clock of this server")
}

#[test]
fn samples_wait_while_the_clock_is_in_the_past() {
    let clock = Arc::new(SimClock::new(NOW_MS));
    let server = Server::start(at(&clock, 1000), ServerConfig::default());
    assert_eq!(server.write(&one("up", NOW_MS, 1.0)).status, 204);
    // Ahead of a good clock: never to be taken.
    assert_eq!(server.write(&one("up", NOW_MS + DAY_MS, 1.0)).status, 400);
    clock.set_wall_ms(0);
    let answer = server.write(&one("up", NOW_MS + 1, 2.0));
    assert!(asks_to_come_again(&answer), "{} {}", answer.status, answer.text());
    let text = format!("up 2 {}\n", NOW_MS + 1);
    let answer = server.post("/api/v1/import/prometheus", &[], text.as_bytes());
    assert!(asks_to_come_again(&answer), "{} {}", answer.status, answer.text());
    // What is wrong by any clock is still wrong.
    assert_eq!(server.write(&series(&[("__name__", "")], &[(0, 1.0)])).status, 400);
    clock.set_wall_ms(NOW_MS);
    assert_eq!(server.write(&one("up", NOW_MS + 1, 2.0)).status, 204);
    assert_eq!(clock.wall_ms(), NOW_MS);
}
