//! `/api/v1/import` (JSON lines) and `/api/v1/import/prometheus` (text): read line by line as they arrive.
//!
//! The body may be of any length. It is read in steps, so that an import whose client is slow holds little memory
//! and neither a turn nor a thread:
//!
//! 1. What arrives is collected, some hundred KiB or up to the end of the body; the import holds it.
//! 2. It takes a turn of imports and one of writes. On a thread what was collected is expanded and split into
//!    lines, and the samples of these are written in batches, until all of it is used or the text that came out is
//!    [`STEP_WORK`]: a step is short, however well the body was compressed.
//! 3. The turns are given back. The import holds what is left: what is not expanded yet, a line without its end,
//!    samples of a batch that is not full, the window of a compressed body.
//! 4. If something is left to expand, it goes on at 2, behind those that wait already; otherwise at 1.
//!
//! A bad line costs itself: the others are stored, and the answer, 400, names it; 429 if lines were refused for
//! want of room, which may come again. Every answer counts in its headers what was stored (`written`), those from
//! before 2000 and those that have expired. 204 is for bodies whose samples are all stored. The answer to a text
//! body is 200 and says so if it has no sample, or some that have expired, or some from before 2000 whose unit
//! the request declared: seconds that are declared as milliseconds land in 1970, and nobody looks at the headers of
//! a 204. Of those that nobody declared such as look like seconds are refused.
//!
//! In which unit the times of a text body are is said by `time_unit=s` or `ms`, by its media type, or by itself
//! (`ingest`). `/metrics/job/...` takes text as a Pushgateway does, with labels in its path (`grouping`).

mod expand;
mod grouping;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::{Buf, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::query::{invalid, time};
use super::written;
use crate::app::App;
use crate::call::Call;
use crate::extra_labels::ExtraLabels;
use crate::http_stats;
use crate::ingest::{Format, Ingest, IngestError, IngestLimits, IngestReport};
use crate::protocol::exposition::Dialect;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::request_body::Arriving;
use expand::Expand;

/// The part of what the largest body may hold that a line may take.
const LINE_PART: usize = 2;
/// Bytes that are collected for a step.
const STEP_BYTES: usize = 256 << 10;
/// Bytes of text after which a step ends: some milliseconds.
const STEP_WORK: usize = 512 << 10;

/// The media types of text that declare a unit of time, and of a format that is not read.
const OPEN_METRICS: &str = "application/openmetrics-text";
const TEXT: &str = "text/plain";
const PROTOBUF: &str = "application/vnd.google.protobuf";

const BEFORE_2000: HeaderName = HeaderName::from_static("x-siltstone-samples-before-2000");
const EXPIRED: HeaderName = HeaderName::from_static("x-siltstone-samples-expired");

pub(crate) async fn json_lines(call: Call, body: Incoming) -> Result<Reply, Refusal> {
    let extra = ExtraLabels::of(call.params.all("extra_label"))?;
    let limit = line_bytes_max(&call.app, call.app.config.json_line_bytes_max);
    run(call, body, Plan { format: Format::JsonLines, limit, extra }).await
}

pub(crate) async fn text(call: Call, body: Incoming) -> Result<Reply, Refusal> {
    let extra = ExtraLabels::of(call.params.all("extra_label"))?;
    text_with(call, body, extra).await
}

/// As a Pushgateway, except that nothing is remembered of a group: pushes add samples, with the time of their
/// arrival unless they have one, and replace nothing.
pub(crate) async fn push(call: Call, body: Incoming) -> Result<Reply, Refusal> {
    let mut extra = ExtraLabels::of(call.params.all("extra_label"))?;
    grouping::add_labels(&call.segment, &mut extra)?;
    let mut reply = text_with(call, body, extra).await?;
    // Clients of a Pushgateway take 200 or 202 and nothing else.
    if reply.status() == StatusCode::NO_CONTENT {
        *reply.status_mut() = StatusCode::OK;
    }
    Ok(reply)
}

async fn text_with(call: Call, body: Incoming, extra: ExtraLabels) -> Result<Reply, Refusal> {
    let timestamp_ms = time(&call.params, "timestamp")?;
    if timestamp_ms.is_some_and(|ms| ms == i64::MIN || ms == i64::MAX) {
        return Err(invalid("timestamp", "samples have times within the calendar"));
    }
    let format = Format::Text { dialect: dialect(&call)?, timestamp_ms };
    let limit = line_bytes_max(&call.app, call.app.config.text_line_bytes_max);
    run(call, body, Plan { format, limit, extra }).await
}

/// The longest line, for which there must be room beside what else an import holds: one that cannot fit is refused
/// by itself, instead of an import that would be told to come again for ever.
fn line_bytes_max(app: &App, limit: usize) -> usize {
    limit.min(app.admission.bodies.largest() / LINE_PART)
}

/// The format that a request declares.
fn dialect(call: &Call) -> Result<Option<Dialect>, Refusal> {
    match call.params.get("time_unit") {
        None => {}
        Some("s") => return Ok(Some(Dialect::OpenMetrics)),
        Some("ms") => return Ok(Some(Dialect::Prometheus)),
        Some(other) => return Err(invalid("time_unit", format!("{other:?} is neither s nor ms"))),
    }
    let kind = call.head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut parts = kind.unwrap_or("").split(';').map(str::trim);
    // Media types are compared without case (RFC 9110, 8.3.1).
    let name = parts.next().unwrap_or("").to_ascii_lowercase();
    match &*name {
        OPEN_METRICS => Ok(Some(Dialect::OpenMetrics)),
        // Without a version it is what libraries call any text.
        TEXT if parts.any(|part| part.to_ascii_lowercase().starts_with("version")) => {
            Ok(Some(Dialect::Prometheus))
        }
        PROTOBUF => {
            let message = "the text formats are read, protobuf is not";
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
        }
        _ => Ok(None),
    }
}

/// What an import reads, and how.
struct Plan {
    format: Format,
    /// Longest line in bytes.
    limit: usize,
    extra: ExtraLabels,
}

/// An import that did not come to its end, with what it had stored.
struct Failed {
    refusal: Refusal,
    samples: u64,
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, samples: 0 }
    }
}

async fn run(call: Call, body: Incoming, plan: Plan) -> Result<Reply, Refusal> {
    let (is_text, is_declared) = match plan.format {
        Format::JsonLines => (false, false),
        Format::Text { dialect, .. } => (true, dialect.is_some()),
    };
    let (mut reply, samples) = match read(call, body, plan).await {
        Ok(import) => {
            let report = import.ingest.report();
            let is_told = report.samples == 0
                || report.old.expired > 0
                || (is_declared && report.old.before_2000 > 0);
            (answer(report, is_text && is_told), report.samples)
        }
        Err(failed) => (reply::refused(&failed.refusal), failed.samples),
    };
    written::tell(reply.headers_mut(), samples);
    Ok(reply)
}

async fn read(call: Call, body: Incoming, plan: Plan) -> Result<Box<Import>, Failed> {
    let app = call.app;
    let limits =
        IngestLimits { line_bytes_max: plan.limit, batch_rows: app.config.import_batch_rows };
    let ingest = Ingest::new(app.store.writable()?, plan.format, limits).sharing(&app.long_lines);
    let ingest = ingest.labelling(plan.extra);
    let expand = Expand::of(&call.head.headers)?;
    let import =
        Import { expand, ingest, collected: VecDeque::new(), at_end: false, counted: (0, 0) };
    let mut import = Box::new(import);
    let mut arriving = Arriving::streamed(&app, body);
    loop {
        if let Err(refusal) = import.collect(&mut arriving).await {
            let (back, stored) = step(&app, import, Import::break_off).await?;
            let failed = stored.map_err(|error| refusal_of(&error)).err().unwrap_or(refusal);
            return Err(with_progress(failed, back.ingest.report()));
        }
        while let Come::Far = {
            let (back, come) = step(&app, import, Import::work).await?;
            import = back;
            come.map_err(|error| with_progress(refusal_of(&error), import.ingest.report()))?
        } {
            hold(&mut arriving, &import).await?;
        }
        if import.at_end {
            return Ok(import);
        }
        hold(&mut arriving, &import).await?;
    }
}

/// Counts what the import holds between two steps.
async fn hold(arriving: &mut Arriving, import: &Import) -> Result<(), Failed> {
    let kept = arriving.hold(import.bytes()).await;
    kept.map_err(|refusal| with_progress(refusal, import.ingest.report()))
}

/// An import between two steps.
struct Import {
    expand: Expand,
    ingest: Ingest,
    /// What has arrived and is not expanded.
    collected: VecDeque<Bytes>,
    /// Whether nothing comes behind that.
    at_end: bool,
    /// Samples and refused lines that the counters of the server know of.
    counted: (u64, u64),
}

/// How far a step has come.
enum Come {
    /// Its work is done, and something is left to expand.
    Far,
    /// All that was collected is used; at the end of the body all of it is stored.
    Through,
}

/// Runs a step in its turn.
async fn step<T: Send + 'static>(
    app: &Arc<App>,
    mut import: Box<Import>,
    work: fn(&mut Import) -> Result<T, IngestError>,
) -> Result<(Box<Import>, Result<T, IngestError>), Failed> {
    let samples = import.ingest.report().samples;
    let decode = app.admission.decoding.take_step().await;
    let decode = decode.map_err(|refusal| with_progress(refusal, import.ingest.report()))?;
    let place = app.admission.place(Some(decode.turn.clone()));
    let shared = Arc::clone(app);
    let work = place.run(move || {
        let result = work(&mut import);
        import.count(&shared);
        drop(decode);
        (import, result)
    });
    work.await.map_err(|refusal| Failed { refusal, samples })
}

impl Import {
    /// Collects what arrives, enough for a step or up to the end of the body.
    async fn collect(&mut self, arriving: &mut Arriving) -> Result<(), Refusal> {
        let mut bytes = 0;
        while bytes < STEP_BYTES {
            let Some(piece) = arriving.next_piece().await? else {
                self.at_end = true;
                break;
            };
            bytes += piece.len();
            self.collected.push_back(piece);
        }
        Ok(())
    }

    /// Expands what was collected and reads its lines, until a step's work is done.
    fn work(&mut self) -> Result<Come, IngestError> {
        let mut done = 0;
        while let Some(piece) = self.collected.front_mut() {
            if done >= STEP_WORK {
                return Ok(Come::Far);
            }
            let mut rest = &piece[..];
            match self.expand.next(&mut rest) {
                Ok(Some(text)) => {
                    done += text.len();
                    self.ingest.feed(text)?;
                    let taken = piece.len() - rest.len();
                    piece.advance(taken);
                }
                Ok(None) => drop(self.collected.pop_front()),
                Err(error) => return self.damaged(error),
            }
        }
        if self.at_end {
            match self.expand.end() {
                Ok(text) => self.ingest.feed(text)?,
                Err(error) => return self.damaged(error),
            }
            self.ingest.end()?;
        }
        Ok(Come::Through)
    }

    /// The body cannot be expanded any further.
    fn damaged(&mut self, error: io::Error) -> Result<Come, IngestError> {
        self.ingest.break_off()?;
        Err(IngestError::Input(error))
    }

    /// Nothing more comes, and the body did not end.
    fn break_off(&mut self) -> Result<(), IngestError> {
        Ok(self.ingest.break_off()?)
    }

    /// Bytes that it holds.
    fn bytes(&self) -> usize {
        let collected: usize = self.collected.iter().map(Bytes::len).sum();
        self.expand.bytes() + self.ingest.bytes() + collected
    }

    /// Tells the server's counters what is new.
    fn count(&mut self, app: &App) {
        let report = self.ingest.report();
        let now = (report.samples, report.refused.count() + report.no_room.count());
        http_stats::add(&app.stats.samples_written, now.0 - self.counted.0);
        http_stats::add(&app.stats.refused, now.1 - self.counted.1);
        self.counted = now;
    }
}

fn refusal_of(error: &IngestError) -> Refusal {
    match error {
        IngestError::Store(error) => Refusal::of_write(error),
        IngestError::Input(error) => {
            Refusal::bad_request(format!("the body cannot be decoded: {error}"))
        }
    }
}

/// What a client is answered, with a text about what was stored if it `is_told`, or if something was refused.
fn answer(report: &IngestReport, is_told: bool) -> Reply {
    let (refused, no_room) = (report.refused.count(), report.no_room.count());
    let notes = notes(report);
    let mut reply = if refused + no_room > 0 {
        let mut text = match (refused, report.lines) {
            (0, _) => format!("{} samples were stored\n", report.samples),
            (_, lines) => format!(
                "{refused} of {lines} lines were refused; {} samples were stored\n{}",
                report.samples, report.refused
            ),
        };
        if no_room > 0 {
            text += &format!("no room for {no_room} new series:\n{}", report.no_room);
        }
        reply::refused(&match no_room {
            0 if report.clock_refused > 0 => Refusal::unavailable((text + &notes).trim_end()),
            0 => Refusal::bad_request((text + &notes).trim_end()),
            _ => Refusal::throttled((text + &notes).trim_end()),
        })
    } else if is_told {
        reply::text(StatusCode::OK, format!("{} samples were stored\n{notes}", report.samples))
    } else {
        reply::empty(StatusCode::NO_CONTENT)
    };
    for (name, count) in [(BEFORE_2000, report.old.before_2000), (EXPIRED, report.old.expired)] {
        if count > 0 {
            reply.headers_mut().insert(name, HeaderValue::from(count));
        }
    }
    reply
}

/// What is worth telling of samples that were taken.
fn notes(report: &IngestReport) -> String {
    let mut text = String::new();
    if report.samples == 0 && report.refused.count() + report.no_room.count() == 0 {
        text += "there are no samples in the body";
        // Which is one comment then, however many lines it had.
        text += if report.lines == 1 {
            "; curl -d joins lines, --data-binary keeps them\n"
        } else {
            "\n"
        };
    }
    text + &report.old.to_string()
}

/// A failure on the way, with how far the import had come.
fn with_progress(mut refusal: Refusal, report: &IngestReport) -> Failed {
    refusal.message +=
        &format!("; {} samples of {} lines were stored before", report.samples, report.lines);
    Failed { refusal, samples: report.samples }
}

#[cfg(test)]
mod tests;
