//! `/api/v1/write`: Prometheus remote write 1.0, snappy, or zstd as vmagent sends it.
//!
//! One pass from protobuf to a [`WriteBatch`]: a known series is found by the bytes of its labels as
//! they lie in the body, nothing is copied or allocated for it. A request is one batch: its good
//! series are stored together, and if some are bad the answer is 400 with the reasons, which makes
//! senders drop the request instead of sending it for ever. A request whose structure is damaged
//! stores nothing.

use std::cell::Cell;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use siltstone::{Db, EncodedLabels, Error, Labels, SeriesHandle};

use crate::app::{App, Scratch};
use crate::blocking::blocking;
use crate::call::Call;
use crate::http_stats;
use crate::message_body::Coding;
use crate::protocol::WireError;
use crate::protocol::remote_write::{Ignored, LabelIter, MetadataIter, TimeSeries, WriteRequest};
use crate::reasons::Reasons;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::request_body::{declared_len, read_whole};
use crate::time::TimeBounds;

/// How often a write is tried again if one of its series was evicted from the registry between the
/// look-up and the write; after that it is an error.
const STALE_RETRIES: usize = 4;
/// The message that is understood here.
const MESSAGE: &str = "prometheus.WriteRequest";

const SAMPLES_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

pub(crate) async fn write(call: Call) -> Result<Reply, Refusal> {
    let app = call.app;
    // Nothing of the body is looked at before the headers: a sender that offers a format that is
    // not spoken here learns so even if its body is damaged.
    let coding = Coding::of(call.request.headers(), MESSAGE)?;
    let limit = app.config.body_bytes_max;
    let declared = declared_len(call.request.body()).unwrap_or(limit);
    if declared > limit {
        let message = format!("the body of {declared} bytes is larger than the limit of {limit}");
        return Err(Refusal::too_large(message));
    }
    let body_memory = app.reserve(declared).await?;
    let mut scratch = app.take_scratch();
    read_whole(call.request.into_body(), limit, &app.config, &mut scratch.body).await?;
    http_stats::add(&app.stats.remote_write_bytes, scratch.body.len() as u64);
    let decoded_memory = app.reserve(coding.decoded_len(&scratch.body, limit)?).await?;
    blocking(move || {
        let Scratch { body, decoded, .. } = &mut scratch;
        let decoded = coding.decode(body, limit, decoded);
        let result = decoded.and_then(|()| store(&app, &mut scratch));
        app.keep_scratch(scratch);
        drop((body_memory, decoded_memory));
        result.map(|outcome| answer(&app, &outcome))
    })
    .await?
}

/// What became of a request.
#[derive(Debug, Default)]
struct Outcome {
    samples: u64,
    /// Series that will never be taken as they are.
    bad: Reasons,
    /// Series for which there is no room now.
    no_room: Reasons,
    ignored: Ignored,
}

fn store(app: &App, scratch: &mut Scratch) -> Result<Outcome, Refusal> {
    let mut attempts = 0..STALE_RETRIES;
    loop {
        let outcome = fill(app, scratch)?;
        match app.db.write(&scratch.batch) {
            Ok(_) => return Ok(outcome),
            Err(Error::StaleHandle(_)) if attempts.next().is_some() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Turns the decoded body into a batch of its good series.
fn fill(app: &App, scratch: &mut Scratch) -> Result<Outcome, Refusal> {
    let Scratch { decoded, batch, .. } = scratch;
    batch.clear();
    let mut outcome = Outcome::default();
    let bounds = TimeBounds::now(app.db.options(), app.db.ticks_per_second());
    let damaged = |error: WireError| Refusal::bad_request(error.to_string());
    let (mut series_count, mut samples_left) = (0, app.config.request_samples_max);
    let mut request = WriteRequest::new(decoded);
    for series in request.by_ref() {
        let series = series.map_err(damaged)?;
        series_count += 1;
        if series_count > app.config.request_series_max {
            let max = app.config.request_series_max;
            return Err(Refusal::too_large(format!("more than {max} series in one request")));
        }
        samples_left = samples_left.checked_sub(series.sample_count()).ok_or_else(|| {
            let max = app.config.request_samples_max;
            Refusal::too_large(format!("more than {max} samples in one request"))
        })?;
        let handle = match resolve(&app.db, &series).map_err(damaged)? {
            Ok(handle) => handle,
            Err(error @ Error::Labels(_)) => {
                outcome.bad.add(|| format!("{}: {error}", shown(&series, series_count)));
                continue;
            }
            Err(error @ Error::LimitExceeded(_)) => {
                outcome.no_room.add(|| format!("{}: {error}", shown(&series, series_count)));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for sample in series.samples() {
            let sample = sample.map_err(damaged)?;
            let timestamp = bounds.scale.from_ms(sample.timestamp);
            let checked = timestamp
                .ok_or_else(|| format!("the timestamp {} is out of range", sample.timestamp))
                .and_then(|timestamp| bounds.check(timestamp).map(|()| timestamp));
            match checked {
                Ok(timestamp) => {
                    batch.push_bits(handle, timestamp, sample.value.to_bits())?;
                    outcome.samples += 1;
                }
                Err(reason) => {
                    outcome.bad.add(|| format!("{}: {reason}", shown(&series, series_count)));
                }
            }
        }
    }
    outcome.ignored = request.ignored();
    if outcome.ignored.metadata > 0 {
        // Senders repeat it in requests of its own, so that series are not walked twice for it.
        for metadata in MetadataIter::new(decoded) {
            app.metadata.note(&metadata.map_err(damaged)?);
        }
    }
    Ok(outcome)
}

/// The labels of a series as they lie in the body.
struct WireLabels<'a> {
    raw: &'a [u8],
    /// What was wrong inside a label, if anything.
    damage: Cell<Option<WireError>>,
}

impl EncodedLabels for WireLabels<'_> {
    fn bytes(&self) -> &[u8] {
        self.raw
    }

    fn pairs<'a>(&'a self, mut visit: impl FnMut(&'a [u8], &'a [u8]) -> bool) {
        for label in LabelIter::of_raw(self.raw) {
            let (name, value) = label.unwrap_or_else(|error| {
                // A label without a name is equal to none and refused by the store, so that
                // damaged labels never pass for those before the damage.
                self.damage.set(Some(error));
                (b"", b"?")
            });
            if !visit(name, value) {
                return;
            }
        }
    }
}

/// The handle of a series; the outer error is damage inside its labels.
#[inline]
fn resolve(db: &Db, series: &TimeSeries<'_>) -> Result<Result<SeriesHandle, Error>, WireError> {
    let Some(raw) = series.labels_raw() else { return resolve_scattered(db, series) };
    let labels = WireLabels { raw, damage: Cell::new(None) };
    let handle = db.series_encoded(&labels);
    match labels.damage.take() {
        None => Ok(handle),
        Some(error) => Err(error),
    }
}

/// As [`resolve`], where something stands between the labels.
#[cold]
fn resolve_scattered(
    db: &Db,
    series: &TimeSeries<'_>,
) -> Result<Result<SeriesHandle, Error>, WireError> {
    let mut pairs = series.labels().collect::<Result<Vec<_>, _>>()?;
    let labels = Labels::from_raw(&mut pairs, &db.options().labels);
    Ok(labels.map_err(Error::from).and_then(|labels| db.series(&labels)))
}

/// A series for a message: its place in the request, and what can be read of its labels.
fn shown(series: &TimeSeries<'_>, number: usize) -> String {
    const LABELS_SHOWN: usize = 8;
    const CHARS_SHOWN: usize = 40;
    let text = |bytes| String::from_utf8_lossy(bytes).chars().take(CHARS_SHOWN).collect::<String>();
    let mut labels: Vec<String> = series
        .labels()
        .map_while(Result::ok)
        .take(LABELS_SHOWN)
        .map(|(name, value)| format!("{:?}={:?}", text(name), text(value)))
        .collect();
    if series.label_count() > LABELS_SHOWN {
        labels.push("...".to_owned());
    }
    format!("series {number} {{{}}}", labels.join(", "))
}

fn answer(app: &Arc<App>, outcome: &Outcome) -> Reply {
    http_stats::add(&app.stats.samples_written, outcome.samples);
    http_stats::add(&app.stats.refused, outcome.bad.count() + outcome.no_room.count());
    let mut reply = match refusal(outcome) {
        None => reply::empty(StatusCode::NO_CONTENT),
        Some(refusal) => reply::refused(&refusal),
    };
    let headers = reply.headers_mut();
    headers.insert(SAMPLES_WRITTEN, HeaderValue::from(outcome.samples));
    headers.insert(HISTOGRAMS_WRITTEN, HeaderValue::from(0));
    headers.insert(EXEMPLARS_WRITTEN, HeaderValue::from(0));
    reply
}

/// What the sender must be told. Exemplars are left out silently, as by Prometheus; histograms are samples, and nobody may believe that they were stored.
fn refusal(outcome: &Outcome) -> Option<Refusal> {
    let histograms = outcome.ignored.histograms;
    if outcome.no_room.count() + outcome.bad.count() + histograms == 0 {
        return None;
    }
    let mut message = format!("{} samples were stored", outcome.samples);
    if outcome.no_room.count() > 0 {
        let (count, reasons) = (outcome.no_room.count(), &outcome.no_room);
        message += &format!("; no room for {count} new series:\n{reasons}");
    }
    if outcome.bad.count() > 0 {
        let (count, reasons) = (outcome.bad.count(), &outcome.bad);
        message += &format!("; {count} series or samples were refused:\n{reasons}");
    }
    if histograms > 0 {
        message += &format!(
            "; {histograms} native histograms were refused: only float samples are stored"
        );
    }
    let message = message.trim_end().to_owned();
    Some(if outcome.no_room.count() > 0 {
        Refusal::throttled(message)
    } else {
        Refusal::bad_request(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_labels_never_pass_for_those_before_the_damage() {
        // a="b", then a label whose name is cut off.
        let raw = [10, 6, 10, 1, b'a', 18, 1, b'b', 10, 3, 10, 5, b'x'];
        let labels = WireLabels { raw: &raw, damage: Cell::new(None) };
        let mut seen = Vec::new();
        labels.pairs(|name, value| {
            seen.push((name, value));
            true
        });
        assert_eq!(seen, [(&b"a"[..], &b"b"[..]), (b"", b"?")]);
        assert!(labels.damage.take().is_some());
    }

    #[test]
    fn the_worst_part_decides_the_status() {
        let mut outcome = Outcome { samples: 3, ..Outcome::default() };
        assert_eq!(refusal(&outcome), None);
        outcome.ignored.metadata = 5;
        outcome.ignored.exemplars = 5;
        assert_eq!(refusal(&outcome), None);
        outcome.ignored.histograms = 1;
        assert_eq!(refusal(&outcome).unwrap().status, StatusCode::BAD_REQUEST);
        outcome.no_room.add(|| "series 1 {}: full".to_owned());
        let refusal = refusal(&outcome).unwrap();
        assert_eq!(refusal.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(refusal.retry_after_s.is_some() && refusal.message.contains("series 1 {}: full"));
    }
}
