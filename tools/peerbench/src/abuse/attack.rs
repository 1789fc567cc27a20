//! The kinds of abuse: what they ask, how they behave, what the answer should be.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use siltstone_rig::http::{HttpClient, Response, query_value};
use siltstone_rig::interrupt::Interrupt;

use crate::queries::span::Span;
use crate::running::Running;

/// How long a client waits for a part of its answer: longer than a query may take by itself.
const TIMEOUT: Duration = Duration::from_secs(180);
/// Points of a large answer.
const LARGE_ANSWER_POINTS: u64 = 10_000_000;
/// Points of a series that the API allows.
const SERIES_POINTS_MAX: u64 = 11_000;
/// Bytes that a client reads to the end of an answer which it had stopped to read: more than lie in
/// the system's buffers on the way, far fewer than the answer has.
const LEFT_READ_MAX: u64 = 64 << 20;
/// All series.
const ALL: &str = "{__name__=~\"cpu_usage_.+\"}";

/// How many clients had which outcome.
pub type Outcomes = BTreeMap<String, u64>;

/// A kind of abuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// A query over everything that may take 50 ms.
    Deadline,
    /// An answer of ten million points, read to its end.
    LargeAnswer,
    /// The same, of which the client reads nothing.
    StopsReading,
    /// A query whose answer would have several series with the same labels.
    DuplicateLabels,
}

/// How one kind was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attacked {
    /// What it is.
    pub name: &'static str,
    /// Outcomes that are right.
    pub expected: &'static [&'static str],
    /// Those that came.
    pub outcomes: Outcomes,
}

impl Attacked {
    /// Clients with another outcome.
    #[must_use]
    pub fn unexpected(&self) -> u64 {
        let other = |outcome: &str| !self.expected.contains(&outcome);
        self.outcomes.iter().filter(|(outcome, _)| other(outcome)).map(|(_, count)| count).sum()
    }
}

impl Attack {
    /// All kinds.
    #[must_use]
    pub fn all() -> &'static [Self] {
        &[Self::Deadline, Self::LargeAnswer, Self::StopsReading, Self::DuplicateLabels]
    }

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deadline => "deadline of 50 ms on a query over everything",
            Self::LargeAnswer => "an answer of 10 M points",
            Self::StopsReading => "the same, not read",
            Self::DuplicateLabels => "duplicate label sets",
        }
    }

    /// Outcomes that are right: an answer that the store has memory for may be given, a larger one
    /// refused, one whose turn does not come in time too, and one that nobody reads cut off.
    #[must_use]
    pub fn expected(self) -> &'static [&'static str] {
        match self {
            // Of twenty at a time some are refused for what they would hold before their time is up.
            Self::Deadline => &["503 timeout", "422 execution"],
            Self::LargeAnswer => &["200", "422 execution", "503 timeout"],
            Self::StopsReading => {
                &["422 execution", "503 timeout", "cut off", "left while it was sent"]
            }
            Self::DuplicateLabels => &["422 execution"],
        }
    }

    /// What it asks for.
    #[must_use]
    pub fn target(self, span: &Span) -> String {
        let range = |query: &str, points: u64| {
            // A step of whole milliseconds, so that there are as many points as wanted.
            let step_ms = (span.hours * 3_600_000 / points.max(1)).max(1);
            let start_s = span.last_s - (step_ms * (points - 1) / 1000).cast_signed();
            format!(
                "/api/v1/query_range?query={}&start={start_s}&end={}&step={step_ms}ms&nocache=1",
                query_value(query),
                span.last_s
            )
        };
        let large = LARGE_ANSWER_POINTS.div_ceil(span.series()).clamp(1, SERIES_POINTS_MAX);
        match self {
            Self::Deadline => {
                // Not a function of all series: without their names, many are the same.
                let query = format!("sum by (region) ({ALL})");
                format!("{}&timeout=50ms", range(&query, SERIES_POINTS_MAX - 1))
            }
            Self::LargeAnswer | Self::StopsReading => range(ALL, large),
            Self::DuplicateLabels => {
                let query = query_value(&format!("rate({ALL}[5m])"));
                format!("/api/v1/query?query={query}&time={}&nocache=1", span.last_s)
            }
        }
    }

    /// Asks once; returns the outcome in words.
    #[must_use]
    pub fn run(
        self,
        running: &Running<'_>,
        target: &str,
        stall: Duration,
        interrupt: &Interrupt,
    ) -> String {
        let outcome = match self {
            Self::StopsReading => stop_reading(running, target, stall, interrupt),
            Self::Deadline | Self::LargeAnswer | Self::DuplicateLabels => {
                let mut client = HttpClient::new(running.address(), TIMEOUT);
                client.get_counted(target, 4096).map(|(start, _)| outcome(&start))
            }
        };
        outcome.unwrap_or_else(|error| format!("no answer ({})", error.kind()))
    }
}

/// A status, with the API's type of error where there is one.
fn outcome(response: &Response) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(&response.body).ok();
    let kind = json.as_ref().and_then(|json| json["errorType"].as_str());
    match kind {
        Some(kind) => format!("{} {kind}", response.status),
        None => response.status.to_string(),
    }
}

/// Asks and reads nothing for a while; then finds out what has become of the answer.
fn stop_reading(
    running: &Running<'_>,
    target: &str,
    stall: Duration,
    interrupt: &Interrupt,
) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&running.address(), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let host = running.address();
    stream.write_all(
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes(),
    )?;
    if interrupt.sleep(stall).is_err() {
        return Ok("interrupted".into());
    }
    let mut left = Vec::new();
    let ended = stream.take(LEFT_READ_MAX).read_to_end(&mut left);
    Ok(what_became(&left, ended.is_err()))
}

/// What the rest of an answer tells that was read after a while; `broken` says that it ended with an error.
fn what_became(left: &[u8], broken: bool) -> String {
    if !broken && left.len() as u64 == LEFT_READ_MAX {
        return "left while it was sent".into();
    }
    let text = String::from_utf8_lossy(left);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    match (status, text.split_once("\r\n\r\n")) {
        (Some(status), Some((_, body))) if status != 200 => {
            outcome(&Response { status, body: body.into() })
        }
        _ => "cut off".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { hosts: 1_000, hours: 6, last_s: 1_795_000_000 };

    #[test]
    fn a_large_answer_has_as_many_points_as_are_allowed() {
        let target = Attack::LargeAnswer.target(&SPAN);
        // 10,000 series of 1,000 points over six hours.
        assert!(target.contains("&step=21600ms&"), "{target}");
        assert!(target.contains(&format!("&start={}&", 1_795_000_000 - 21_578)), "{target}");
        let few = Attack::LargeAnswer.target(&Span { hosts: 8, ..SPAN });
        assert!(few.contains("&step=1963ms&"), "11,000 points: {few}");
        assert!(Attack::Deadline.target(&SPAN).ends_with("&timeout=50ms"));
    }

    #[test]
    fn outcomes_are_status_and_type() {
        let json = |status, body: &str| outcome(&Response { status, body: body.into() });
        assert_eq!(json(503, r#"{"status":"error","errorType":"timeout"}"#), "503 timeout");
        assert_eq!(json(200, r#"{"status":"success","da"#), "200");
        assert_eq!(json(429, "busy"), "429");
    }

    #[test]
    fn what_became_of_an_answer_that_nobody_read() {
        let head = "HTTP/1.1 422 X\r\ncontent-type: y\r\n\r\n";
        let refused = format!("{head}{{\"errorType\":\"execution\"}}");
        assert_eq!(what_became(refused.as_bytes(), false), "422 execution");
        assert_eq!(what_became(b"HTTP/1.1 200 OK\r\n\r\nabc", true), "cut off");
        assert_eq!(what_became(b"", true), "cut off");
        let much = vec![b'x'; LEFT_READ_MAX as usize];
        assert_eq!(what_became(&much, false), "left while it was sent");
    }

    #[test]
    fn other_outcomes_are_counted() {
        let attacked = Attacked {
            name: "it",
            expected: Attack::Deadline.expected(),
            outcomes: Outcomes::from([("503 timeout".into(), 18), ("200".into(), 2)]),
        };
        assert_eq!(attacked.unexpected(), 2);
    }
}
