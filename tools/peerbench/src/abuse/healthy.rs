//! Clients that ask for little: a query, a write, a probe; whether and how fast they are served.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use siltstone_rig::error::RigError;
use siltstone_rig::http::{HttpClient, Response, query_value};
use siltstone_rig::remote_write::{HEADERS, compress, put_time_series};
use siltstone_rig::seeded::Seeded;
use siltstone_rig::served::Served;
use siltstone_rig::store::WRITE_PATH;
use snap::raw::Encoder;

use crate::queries::answer::{Answer, parse};
use crate::queries::span::Span;
use crate::running::Running;

/// How long a healthy client waits for its answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Series of a write, with one sample each.
const WRITTEN_SERIES: u64 = 100;
/// The metric that is written.
const WRITTEN: &str = "healthy_writes";

/// The clients, with what was written until now.
#[derive(Debug)]
pub struct Healthy {
    span: Span,
    /// The time of the next write.
    next_ms: i64,
    /// Samples acknowledged.
    promised: u64,
}

impl Healthy {
    /// Clients that ask about what is stored, and write what is not, from `now_ms` on.
    #[must_use]
    pub fn new(span: Span, now_ms: i64) -> Self {
        Self { span, next_ms: now_ms, promised: 0 }
    }

    /// Runs the clients until `end` is set, and `work` beside them, which sets it.
    ///
    /// # Errors
    /// If a client panicked.
    pub fn run<T>(
        &mut self,
        running: &Running<'_>,
        end: &AtomicBool,
        work: impl FnOnce() -> T,
    ) -> Result<(Vec<Served>, T), RigError> {
        let client = || HttpClient::new(running.address(), TIMEOUT);
        let (mut querying, mut writing, mut probing) = (client(), client(), client());
        let mut random = Seeded::new(self.next_ms.cast_unsigned());
        let span = self.span;
        let (served, result) = std::thread::scope(|scope| {
            let clients = [
                scope.spawn(move || {
                    Served::run("query", end, || querying.get(&target(&span, &mut random)))
                }),
                scope.spawn(|| Served::run("write", end, || self.write(&mut writing))),
                scope.spawn(move || Served::run("probe", end, || probing.get("/-/ready"))),
            ];
            let result = work();
            (clients.map(std::thread::ScopedJoinHandle::join), result)
        });
        let served = served.into_iter().collect::<Result<_, _>>();
        Ok((served.map_err(|_| RigError::failed("a healthy client panicked"))?, result))
    }

    fn write(&mut self, client: &mut HttpClient) -> std::io::Result<Response> {
        let mut message = Vec::new();
        for series in 0..WRITTEN_SERIES {
            let labels = [("__name__", WRITTEN), ("n", &series.to_string())];
            let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
            put_time_series(&mut message, &labels, &[(self.next_ms, 1f64.to_bits())]);
        }
        self.next_ms += 1;
        let body = compress(&mut Encoder::new(), &message).map_err(std::io::Error::other)?;
        let response = client.post(WRITE_PATH, HEADERS, &body)?;
        if response.is_success() {
            self.promised += WRITTEN_SERIES;
        }
        Ok(response)
    }

    /// Counts what is there of what was acknowledged.
    #[must_use]
    pub fn check(&self, running: &Running<'_>) -> Kept {
        let query = query_value(&format!("sum(count_over_time({WRITTEN}[1h]))"));
        let target = format!("/api/v1/query?query={query}&time={}", self.next_ms / 1000 + 1);
        let response = running.client().get(&target).map_err(|error| error.to_string());
        Kept { promised: self.promised, there: response.and_then(|r| count(&target, &r)) }
    }
}

/// What became of the healthy writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Samples that were acknowledged.
    pub promised: u64,
    /// Samples that are there, or why that is not known.
    pub there: Result<u64, String>,
}

/// The one value of an answer; 0 of none.
fn count(target: &str, response: &Response) -> Result<u64, String> {
    match parse(target, response)? {
        Answer::Samples { series, .. } => {
            let point = series.first().and_then(|series| series.points.first());
            Ok(point.map_or(0, |point| point.1 as u64))
        }
        Answer::LabelSets(_) | Answer::LabelValues(_) => Err("not an answer with samples".into()),
    }
}

/// A query about one series.
fn target(span: &Span, random: &mut Seeded) -> String {
    let host = random.below(span.hosts);
    let query =
        query_value(&format!("max_over_time(cpu_usage_user{{hostname=\"host_{host}\"}}[1m])"));
    let (start, end) = (span.last_s - 3600, span.last_s);
    format!("/api/v1/query_range?query={query}&start={start}&end={end}&step=60&nocache=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_counted() {
        let read = |status, body: &str| {
            count("/api/v1/query?query=x", &Response { status, body: body.into() })
        };
        let vector =
            |result: &str| format!(r#"{{"data":{{"resultType":"vector","result":[{result}]}}}}"#);
        assert_eq!(read(200, &vector(r#"{"metric":{},"value":[1,"4200"]}"#)), Ok(4200));
        assert_eq!(read(200, &vector("")), Ok(0));
        assert!(read(503, "busy").unwrap_err().contains("busy"));
    }

    #[test]
    fn queries_are_about_stored_hosts() {
        let span = Span { hosts: 8, hours: 1, last_s: 1_795_000_000 };
        let mut random = Seeded::new(1);
        for _ in 0..50 {
            let target = target(&span, &mut random);
            let host = target.split("host_").nth(1).unwrap().split("%22").next().unwrap();
            assert!(host.parse::<u64>().unwrap() < 8, "{target}");
        }
    }
}
