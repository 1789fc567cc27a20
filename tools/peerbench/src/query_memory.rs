//! Workload: what Siltstone needs of memory to add up a million series.
//!
//! Few samples of many series are written and merged; then some sums over all of them are asked, each
//! after the memory of the one before was seen. RssAnon is read before, every few milliseconds during,
//! and after. The sums by region are known in advance: values follow from the series.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use siltstone_rig::error::RigError;
use siltstone_rig::http::{HttpClient, Response, query_value};
use siltstone_rig::interrupt::Interrupt;
use siltstone_rig::remote_write::{compress, post, put_time_series};
use siltstone_rig::seeded::mix;
use siltstone_rig::store::Store;
use siltstone_rig::tsbs::labels;
use snap::raw::Encoder;

use crate::queries::answer::{Answer, parse};
use crate::running::Running;
use siltstone_rig::gauge;

/// Series in a request.
const REQUEST_SERIES: u64 = 5_000;
/// Time between two samples of a series, in milliseconds.
const STEP_MS: i64 = 10_000;
/// How often RssAnon is read while a query runs.
const MEMORY_EVERY: Duration = Duration::from_millis(3);
/// How long to wait after an answer until memory is read again.
const AFTER: Duration = Duration::from_secs(1);
/// All series.
const ALL: &str = "{__name__=~\"cpu_usage_.+\"}";

/// What is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Series.
    pub series: u64,
    /// Samples of each, ten seconds apart.
    pub samples_per_series: u64,
}

/// What one query needed.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The query, with its range if it has one.
    pub query: String,
    /// The status of the answer.
    pub status: u16,
    /// Series of the answer.
    pub series: u64,
    /// Until the last byte of the answer.
    pub wall: Duration,
    /// RssAnon before.
    pub before_bytes: u64,
    /// The most RssAnon meanwhile.
    pub peak_bytes: u64,
    /// RssAnon a second after the answer.
    pub after_bytes: u64,
    /// Why the answer is wrong, if it is.
    pub wrong: Option<String>,
}

/// Sums by region of the last samples.
type Sums = BTreeMap<String, f64>;

/// Runs the workload on a fresh instance of the store below `work`; `say` is told what happens.
///
/// # Errors
/// If the store does not start, take the samples, answer at all or end.
pub fn run(
    store: &Store,
    load: Load,
    now_ms: i64,
    work: &Path,
    interrupt: &Interrupt,
    say: &dyn Fn(&str),
) -> Result<Vec<Measured>, RigError> {
    let last_ms = now_ms - now_ms.rem_euclid(STEP_MS);
    let mut running = Running::start(store, work, interrupt)?;
    let sums = fill(&mut running.client(), load, last_ms, interrupt)?;
    running.settle(interrupt)?;
    say(running.state());
    let mut measured = Vec::new();
    for (query, target, expected) in queries(load, last_ms, &sums) {
        interrupt.check()?;
        say(&query);
        measured.push(ask(&running, query, &target, expected, interrupt)?);
    }
    running.stop()?;
    Ok(measured)
}

/// Writes all samples; returns the sums of the last ones.
fn fill(
    client: &mut HttpClient,
    load: Load,
    last_ms: i64,
    interrupt: &Interrupt,
) -> Result<Sums, RigError> {
    let mut encoder = Encoder::new();
    let mut sums = Sums::new();
    for first in (0..load.series).step_by(REQUEST_SERIES as usize) {
        interrupt.check()?;
        let mut message = Vec::new();
        for series in first..load.series.min(first + REQUEST_SERIES) {
            let labels = labels(series);
            let samples: Vec<(i64, u64)> = (0..load.samples_per_series)
                .map(|back| (last_ms - STEP_MS * back.cast_signed(), value(series, back).to_bits()))
                .rev()
                .collect();
            put_time_series(&mut message, &labels, &samples);
            if let Some((_, region)) = labels.into_iter().find(|(name, _)| name == "region") {
                *sums.entry(region).or_insert(0.0) += value(series, 0);
            }
        }
        post(client, &compress(&mut encoder, &message)?)?;
    }
    Ok(sums)
}

/// The value of a series so many samples before its last one: whole, so that sums are exact.
fn value(series: u64, back: u64) -> f64 {
    (mix(series ^ mix(back)) % 101) as f64
}

/// Each query with its target and, where they are known, the sums that it must answer.
fn queries(load: Load, last_ms: i64, sums: &Sums) -> Vec<(String, String, Option<Sums>)> {
    let last_s = last_ms / 1000;
    let range_s = (load.samples_per_series * 10).cast_signed();
    let instant = |query: String, expected| {
        let value = query_value(&query);
        (query, format!("/api/v1/query?query={value}&time={last_s}&nocache=1"), expected)
    };
    let sum = format!("sum by (region) ({ALL})");
    let target = format!(
        "/api/v1/query_range?query={}&start={}&end={last_s}&step=10&nocache=1",
        query_value(&sum),
        last_s - range_s
    );
    let range = format!("{sum}, the last {range_s} s at 10 s");
    vec![
        instant(sum, Some(sums.clone())),
        instant(format!("sum by (hostname) ({ALL})"), None),
        (range, target, None),
    ]
}

/// Asks once and watches.
fn ask(
    running: &Running<'_>,
    query: String,
    target: &str,
    expected: Option<Sums>,
    interrupt: &Interrupt,
) -> Result<Measured, RigError> {
    let rss_anon = || Ok::<_, RigError>(running.server().usage()?.rss_anon_bytes);
    let mut client = running.client();
    let before_bytes = rss_anon()?;
    let ((response, wall), peak) = gauge::watch(running.server(), MEMORY_EVERY, None, || {
        let started = Instant::now();
        (client.get(target), started.elapsed())
    })?;
    let response = response.map_err(RigError::io(format!("asking {query}")))?;
    interrupt.sleep(AFTER)?;
    let (series, wrong) = judge(target, &response, expected);
    Ok(Measured {
        query,
        status: response.status,
        series,
        wall,
        before_bytes,
        peak_bytes: peak.rss_anon_bytes,
        after_bytes: rss_anon()?,
        wrong,
    })
}

/// The series of an answer, and why it is wrong if it is.
fn judge(target: &str, response: &Response, expected: Option<Sums>) -> (u64, Option<String>) {
    let answer = match parse(target, response) {
        Ok(answer) => answer,
        Err(error) => return (0, Some(error)),
    };
    let count = answer.series();
    let Answer::Samples { series, .. } = answer else {
        return (count, Some("not an answer with samples".into()));
    };
    if count == 0 {
        return (0, Some("the answer is empty".into()));
    }
    let Some(expected) = expected else { return (count, None) };
    let actual: Sums = series
        .iter()
        .filter_map(|series| Some((series.labels.get("region")?.clone(), series.points.first()?.1)))
        .collect();
    let wrong = actual != expected;
    (count, wrong.then(|| format!("expected {expected:?}, answered {actual:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "/api/v1/query?query=x";

    fn answer(body: &str) -> Response {
        Response { status: 200, body: body.into() }
    }

    #[test]
    fn sums_are_compared_exactly() {
        let body = |value: &str| {
            answer(&format!(
                r#"{{"data":{{"resultType":"vector","result":[
                    {{"metric":{{"region":"eu"}},"value":[1,"{value}"]}}]}}}}"#
            ))
        };
        let expected = Sums::from([("eu".to_owned(), 3.0)]);
        assert_eq!(judge(TARGET, &body("3"), Some(expected.clone())), (1, None));
        assert_eq!(judge(TARGET, &body("4"), None), (1, None));
        let (_, wrong) = judge(TARGET, &body("4"), Some(expected.clone()));
        assert!(wrong.unwrap().contains("4.0"));
        let empty = answer(r#"{"data":{"resultType":"vector","result":[]}}"#);
        assert!(judge(TARGET, &empty, Some(expected)).1.is_some());
        assert!(judge(TARGET, &empty, None).1.is_some());
        let refused = Response { status: 422, body: b"no".to_vec() };
        assert!(judge(TARGET, &refused, None).1.unwrap().contains("422"));
    }

    #[test]
    fn queries_are_about_the_last_samples() {
        let load = Load { series: 10, samples_per_series: 3 };
        let all = queries(load, 1_795_000_000_000, &Sums::new());
        assert!(all[0].1.contains("&time=1795000000&") && all[0].2.is_some());
        assert!(all[2].1.contains("&start=1794999970&end=1795000000&"), "{}", all[2].1);
        assert!(value(1, 0).fract() == 0.0 && (0..50).any(|s| value(s, 0) != value(s, 1)));
    }
}
