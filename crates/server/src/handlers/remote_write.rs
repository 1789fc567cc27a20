//! `/api/v1/write`: Prometheus remote write 1.0, snappy, or zstd as vmagent sends it.
//!
//! One pass from protobuf to a [`WriteBatch`]: a known series is found by the bytes of its labels as
//! they lie in the body, nothing is copied or allocated for it. A request is one batch: its good
//! series are stored together, and if some are bad the answer is 400 with the reasons, which makes
//! senders drop the request instead of sending it for ever. A request whose structure is damaged
//! stores nothing.

use std::cell::Cell;
use std::io::Read;
use std::sync::Arc;

use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, StatusCode};
use siltstone::{Db, EncodedLabels, Error, Labels, SeriesHandle};

use crate::app::{App, Scratch};
use crate::blocking::blocking;
use crate::http_stats;
use crate::protocol::remote_write::{Ignored, LabelIter, MetadataIter, TimeSeries, WriteRequest};
use crate::protocol::{WireError, snappy};
use crate::reasons::Reasons;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::request_body::{declared_len, read_whole};
use crate::router::Call;
use crate::time::TimeBounds;

/// Writes repeated because a series was put to rest in between, before it is an error.
const STALE_RETRIES: usize = 4;
/// zstd windows beyond this are refused: the window is memory that the sender chooses.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;

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
    let coding = coding(&call.request)?;
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
    let decoded_memory = app.reserve(decoded_len(coding, &scratch.body, limit)?).await?;
    blocking(move || {
        let result = decode(coding, limit, &mut scratch).and_then(|()| store(&app, &mut scratch));
        app.keep_scratch(scratch);
        drop((body_memory, decoded_memory));
        result.map(|outcome| answer(&app, &outcome))
    })
    .await?
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Snappy,
    Zstd,
}

fn coding<B>(request: &Request<B>) -> Result<Coding, Refusal> {
    let refuse = |message: &str| Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    if !is_write_request(request.headers()) {
        return refuse(
            "the body must be application/x-protobuf, proto=prometheus.WriteRequest (remote write 1.0)",
        );
    }
    match request.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None => Ok(Coding::Snappy),
        Some(name) if name.eq_ignore_ascii_case(b"snappy") => Ok(Coding::Snappy),
        Some(name) if name.eq_ignore_ascii_case(b"zstd") => Ok(Coding::Zstd),
        Some(_) => refuse("the body must be compressed with snappy (block format) or zstd"),
    }
}

/// Whether the media type, if there is one, is that of remote write 1.0.
fn is_write_request(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let Ok(value) = value.to_str() else { return false };
    let mut parts = value.split(';').map(str::trim);
    let is_protobuf =
        parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-protobuf"));
    is_protobuf
        && parts.filter(|part| !part.is_empty()).all(|part| match part.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("proto") => {
                value.trim().trim_matches('"') == "prometheus.WriteRequest"
            }
            Some(_) => true,
            None => false,
        })
}

/// What the decoded body will take, from what the body declares of itself.
fn decoded_len(coding: Coding, body: &[u8], limit: usize) -> Result<usize, Refusal> {
    let declared = match coding {
        Coding::Snappy => snap::raw::decompress_len(body).ok(),
        Coding::Zstd => zstd::zstd_safe::get_frame_content_size(body)
            .ok()
            .flatten()
            .map(|len| usize::try_from(len).unwrap_or(usize::MAX)),
    };
    match declared {
        Some(len) if len > limit => Err(decoded_too_large(limit)),
        Some(len) => Ok(len),
        // Damaged, or not said: the limit holds.
        None => Ok(limit),
    }
}

fn decoded_too_large(limit: usize) -> Refusal {
    Refusal::too_large(format!("the decoded body is larger than the limit of {limit} bytes"))
}

fn decode(coding: Coding, limit: usize, scratch: &mut Scratch) -> Result<(), Refusal> {
    let Scratch { body, decoded, .. } = scratch;
    match coding {
        Coding::Snappy => snappy::decompress(body, limit, decoded).map_err(|error| match error {
            snappy::SnappyError::TooLarge { .. } => decoded_too_large(limit),
            error => Refusal::bad_request(error.to_string()),
        }),
        Coding::Zstd => {
            let bad =
                |e: std::io::Error| Refusal::bad_request(format!("the body is not zstd: {e}"));
            let mut reader =
                zstd::stream::read::Decoder::with_buffer(body.as_slice()).map_err(bad)?;
            reader.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(bad)?;
            decoded.clear();
            reader.take(limit as u64 + 1).read_to_end(decoded).map_err(bad)?;
            if decoded.len() > limit { Err(decoded_too_large(limit)) } else { Ok(()) }
        }
    }
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
            Err(Error::StaleHandle) if attempts.next().is_some() => {}
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

    fn coding_of(headers: &[(&str, &str)]) -> Result<Coding, u16> {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        coding(&request.body(()).unwrap()).map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn the_headers_decide() {
        let kind = |value| coding_of(&[("Content-Type", value)]);
        for good in [
            "application/x-protobuf",
            "Application/X-Protobuf ; proto=prometheus.WriteRequest",
            "application/x-protobuf;proto=\"prometheus.WriteRequest\";charset=utf-8",
        ] {
            assert_eq!(kind(good), Ok(Coding::Snappy), "{good}");
        }
        for bad in [
            "application/json",
            "image/png",
            "",
            "application/x-protobuf;proto=io.prometheus.write.v2.Request",
            "application/x-protobuf;proto",
            "application/x-protobuf;proto=",
        ] {
            assert_eq!(kind(bad), Err(415), "{bad}");
        }
        let encoding = |value| coding_of(&[("Content-Encoding", value)]);
        assert_eq!(coding_of(&[]), Ok(Coding::Snappy));
        assert_eq!(encoding("ZSTD"), Ok(Coding::Zstd));
        assert_eq!(encoding("gzip"), Err(415));
        assert_eq!(encoding("deflate"), Err(415));
    }

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
