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
use hyper::body::Incoming;
use siltstone::{
    Db, EncodedLabels, Error, LabelCollector, LabelError, Labels, SeriesHandle, WriteBatch,
};

use super::written;
use crate::app::{App, Scratch};
use crate::call::Call;
use crate::extra_labels::ExtraLabels;
use crate::http_stats;
use crate::message_body::Coding;
use crate::protocol::WireError;
use crate::protocol::remote_write::{Ignored, LabelIter, MetadataIter, TimeSeries, WriteRequest};
use crate::reasons::Reasons;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::request_body::read_whole;
use crate::time::TimeBounds;

/// How often a write is tried again if one of its series was evicted from the registry between the
/// look-up and the write; after that it is an error.
const STALE_RETRIES: usize = 4;
/// The message that is understood here.
const MESSAGE: &str = "prometheus.WriteRequest";

pub(crate) async fn write(call: Call, body: Incoming) -> Result<Reply, Refusal> {
    let app = call.app;
    // Nothing of the body is looked at before the headers: a sender that offers a format that is
    // not spoken here learns so even if its body is damaged.
    let coding = Coding::of(&call.head.headers, MESSAGE)?;
    let extra = Arc::new(ExtraLabels::of(call.params.all("extra_label"))?);
    let limit = app.admission.body_bytes_max(app.config.body_bytes_max);
    let mut body = read_whole(&app, body, limit).await?;
    http_stats::add(&app.stats.remote_write_bytes, body.bytes.len() as u64);
    let mut decoded_len = coding.decoded_len(&body.bytes, limit)?;
    let mut most = false;
    loop {
        let decode = app.admission.decoding.take(decoded_len, most).await?;
        let (samples_max, shared, extra) =
            (decode.samples_max, Arc::clone(&app), Arc::clone(&extra));
        let place = app.admission.place(Some(decode.turn.clone()));
        let work = place.run(move || {
            let mut scratch = shared.take_scratch();
            let decoded = coding.decode(&body.bytes, limit, &mut scratch.decoded);
            let result = decoded.and_then(|()| store(&shared, &mut scratch, samples_max, &extra));
            let decoded_len = scratch.decoded.len();
            shared.keep_scratch(scratch);
            // The memory is held until the work has ended, whether or not somebody waits for it.
            drop(decode);
            (body, decoded_len, result)
        });
        let (whole, len, result) = work.await?;
        match result? {
            Stored::Done(outcome) => {
                app.keep_buffer(whole.bytes);
                return Ok(answer(&app, &outcome));
            }
            // It comes again for as much as a request may need.
            Stored::MoreSamples => (body, decoded_len, most) = (whole, len, true),
        }
    }
}

/// Whether a request was stored.
enum Stored {
    Done(Outcome),
    /// It has more samples than its batch has memory for.
    MoreSamples,
}

/// What became of a request.
#[derive(Debug, Default)]
struct Outcome {
    samples: u64,
    /// Series that will never be taken as they are.
    bad: Reasons,
    /// Series for which there is no room now.
    no_room: Reasons,
    /// Samples that a clock refuses that is wrong.
    clock: Reasons,
    ignored: Ignored,
}

fn store(
    app: &App,
    scratch: &mut Scratch,
    samples_max: usize,
    extra: &ExtraLabels,
) -> Result<Stored, Refusal> {
    let db = app.store.writable()?;
    let mut attempts = 0..STALE_RETRIES;
    loop {
        let Some(outcome) = fill((app, db), scratch, samples_max, extra)? else {
            return Ok(Stored::MoreSamples);
        };
        match db.write(&scratch.batch) {
            Ok(_) => return Ok(Stored::Done(outcome)),
            Err(Error::StaleHandle(_)) if attempts.next().is_some() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Turns the decoded body into a batch of its good series; `None` if there is memory for only `samples_max`
/// samples and it has more.
fn fill(
    (app, db): (&App, &Db),
    scratch: &mut Scratch,
    samples_max: usize,
    extra: &ExtraLabels,
) -> Result<Option<Outcome>, Refusal> {
    let Scratch { decoded, batch, .. } = scratch;
    batch.clear();
    let mut outcome = Outcome::default();
    let bounds = TimeBounds::now(db);
    let request_samples_max = app.admission.decoding.samples_max();
    let (mut series_count, mut samples_left) = (0, request_samples_max);
    let mut request = WriteRequest::new(decoded);
    for series in request.by_ref() {
        let series = series.map_err(damaged)?;
        series_count += 1;
        if series_count > app.config.request_series_max {
            let max = app.config.request_series_max;
            return Err(Refusal::too_large(format!("more than {max} series in one request")));
        }
        samples_left = samples_left.checked_sub(series.sample_count()).ok_or_else(|| {
            let max = request_samples_max;
            Refusal::too_large(format!("more than {max} samples in one request"))
        })?;
        if request_samples_max - samples_left > samples_max {
            return Ok(None);
        }
        fill_series((db, extra), &bounds, batch, (&series, series_count), &mut outcome)?;
    }
    outcome.ignored = request.ignored();
    if outcome.ignored.metadata > 0 {
        // Senders repeat it in requests of its own, so that series are not walked twice for it.
        for metadata in MetadataIter::new(decoded) {
            app.metadata.note(&metadata.map_err(damaged)?);
        }
    }
    Ok(Some(outcome))
}

/// Adds the samples of a series that the store takes. The series is looked up with the first of them: one that
/// has none is not registered.
fn fill_series(
    (db, extra): (&Db, &ExtraLabels),
    bounds: &TimeBounds,
    batch: &mut WriteBatch,
    (series, number): (&TimeSeries<'_>, usize),
    outcome: &mut Outcome,
) -> Result<(), Refusal> {
    let mut handle = None;
    for sample in series.samples() {
        let sample = sample.map_err(damaged)?;
        let timestamp = match bounds.of_ms(sample.timestamp) {
            Ok(timestamp) => timestamp,
            Err(refusal) => {
                let reasons =
                    if refusal.clock_is_wrong { &mut outcome.clock } else { &mut outcome.bad };
                reasons.add(|| format!("{}: {}", shown(series, number), refusal.reason));
                continue;
            }
        };
        let handle = match handle {
            Some(handle) => handle,
            None => match resolve(db, series, extra).map_err(damaged)? {
                Ok(found) => *handle.insert(found),
                Err(error) => return outcome.refuse(error, series, number),
            },
        };
        batch.push_bits(handle, timestamp, sample.value.to_bits())?;
        outcome.samples += 1;
    }
    match handle {
        Some(_) => Ok(()),
        None => match collected(db, series, extra).map_err(damaged)? {
            Ok(_) => Ok(()),
            Err(error) => outcome.refuse(error.into(), series, number),
        },
    }
}

fn damaged(error: WireError) -> Refusal {
    Refusal::bad_request(error.to_string())
}

impl Outcome {
    /// Series and samples that were not stored.
    fn refused(&self) -> u64 {
        self.bad.count() + self.no_room.count() + self.clock.count()
    }

    /// Notes that a series is not taken; what is no fault of the series is returned.
    fn refuse(
        &mut self,
        error: Error,
        series: &TimeSeries<'_>,
        number: usize,
    ) -> Result<(), Refusal> {
        let reasons = match error {
            Error::Labels(_) => &mut self.bad,
            Error::LimitExceeded(_) => &mut self.no_room,
            error => return Err(error.into()),
        };
        reasons.add(|| format!("{}: {error}", shown(series, number)));
        Ok(())
    }
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
fn resolve(
    db: &Db,
    series: &TimeSeries<'_>,
    extra: &ExtraLabels,
) -> Result<Result<SeriesHandle, Error>, WireError> {
    let Some(raw) = series.labels_raw().filter(|_| extra.is_empty()) else {
        return resolve_scattered(db, series, extra);
    };
    let labels = WireLabels { raw, damage: Cell::new(None) };
    let handle = db.series_encoded(&labels);
    match labels.damage.take() {
        None => Ok(handle),
        Some(error) => Err(error),
    }
}

/// As [`resolve`], where something stands between the labels, or some are added.
#[cold]
fn resolve_scattered(
    db: &Db,
    series: &TimeSeries<'_>,
    extra: &ExtraLabels,
) -> Result<Result<SeriesHandle, Error>, WireError> {
    let labels = collected(db, series, extra)?;
    Ok(labels.map_err(Error::from).and_then(|labels| db.series(&labels)))
}

/// The labels of a series, read one by one; the outer error is damage inside them.
fn collected(
    db: &Db,
    series: &TimeSeries<'_>,
    extra: &ExtraLabels,
) -> Result<Result<Labels, LabelError>, WireError> {
    let mut labels = LabelCollector::new(&db.options().labels);
    for label in series.labels() {
        let (name, value) = label?;
        if !extra.replaces(name) {
            labels.push(name, value);
        }
    }
    extra.pairs().for_each(|(name, value)| labels.push(name, value));
    Ok(labels.finish())
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
    http_stats::add(&app.stats.refused, outcome.refused());
    let mut reply = match refusal(outcome) {
        None => reply::empty(StatusCode::NO_CONTENT),
        Some(refusal) => reply::refused(&refusal),
    };
    written::tell(reply.headers_mut(), outcome.samples);
    reply
}

/// What the sender must be told. Exemplars are left out silently, as by Prometheus; histograms are samples, and nobody may believe that they were stored.
fn refusal(outcome: &Outcome) -> Option<Refusal> {
    let histograms = outcome.ignored.histograms;
    if outcome.refused() + histograms == 0 {
        return None;
    }
    let mut message = format!("{} samples were stored", outcome.samples);
    if outcome.no_room.count() > 0 {
        let (count, reasons) = (outcome.no_room.count(), &outcome.no_room);
        message += &format!("; no room for {count} new series:\n{reasons}");
    }
    if outcome.clock.count() > 0 {
        let (count, reasons) = (outcome.clock.count(), &outcome.clock);
        message += &format!("; {count} samples cannot be judged now:\n{reasons}");
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
    Some(if outcome.clock.count() > 0 {
        Refusal::unavailable(message)
    } else if outcome.no_room.count() > 0 {
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
        let full = refusal(&outcome).unwrap();
        assert_eq!(full.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(full.retry_after_s.is_some() && full.message.contains("series 1 {}: full"));
        outcome.clock.add(|| "series 2 {}: the clock".to_owned());
        let clock = refusal(&outcome).unwrap();
        assert_eq!(clock.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(clock.retry_after_s.is_some() && clock.message.contains("series 2 {}: the clock"));
    }
}
