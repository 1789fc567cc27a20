//! `/api/v1/import` (JSON lines) and `/api/v1/import/prometheus` (text): read line by line as they arrive.
//!
//! The body may be of any length. It is read in steps, so that an import whose client is slow holds little memory
//! and neither a turn nor a thread:
//!
//! 1. What arrives is collected, some hundred KiB or up to the end of the body; the import holds it.
//! 2. It takes a turn of writes. On a thread what was collected is expanded and split into lines, and the samples
//!    of these are written in batches.
//! 3. The turn is given back. The import holds what is left: a line without its end, samples of a batch that is
//!    not full, the window of a compressed body.
//!
//! A bad line costs itself: the others are stored, and the answer, 400, names it. An import that is refused on its
//! way says how much is stored.

mod expand;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use siltstone::Error;

use crate::app::App;
use crate::call::Call;
use crate::http_stats;
use crate::ingest::{Format, Ingest, IngestError, IngestLimits, IngestReport};
use crate::protocol::exposition::Dialect;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::request_body::Arriving;
use expand::Expand;

/// Bytes that are collected for a step.
const STEP_BYTES: usize = 256 << 10;
/// What a step counts as when it takes memory to decode in: a batch with its labels, and buffers.
const STEP_MEMORY: usize = 1 << 20;

pub(crate) async fn json_lines(call: Call, body: Incoming) -> Result<Reply, Refusal> {
    let limit = call.app.config.json_line_bytes_max;
    run(call, body, Format::JsonLines, limit).await
}

pub(crate) async fn text(call: Call, body: Incoming) -> Result<Reply, Refusal> {
    let timestamp = call.params.get("timestamp").map(|text| {
        text.parse::<i64>().map_err(|_| {
            let message = format!("invalid parameter \"timestamp\": {text:?} is not milliseconds");
            Refusal::bad_request(message)
        })
    });
    let kind = call.head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let dialect = match kind {
        Some(kind) if kind.starts_with("application/openmetrics-text") => Dialect::OpenMetrics,
        _ => Dialect::Prometheus,
    };
    let format = Format::Text { dialect, timestamp_ms: timestamp.transpose()? };
    let limit = call.app.config.text_line_bytes_max;
    run(call, body, format, limit).await
}

async fn run(
    call: Call,
    body: Incoming,
    format: Format,
    line_bytes_max: usize,
) -> Result<Reply, Refusal> {
    let app = call.app;
    let limits = IngestLimits { line_bytes_max, batch_rows: app.config.import_batch_rows };
    let ingest = Ingest::new(&app.db, format, limits).sharing(&app.long_lines);
    let expand = Expand::of(&call.head.headers)?;
    let mut import = Box::new(Import { expand, ingest, counted: (0, 0) });
    let mut arriving = Arriving::streamed(&app, body);
    loop {
        let (pieces, at_end) = match collect(&mut arriving).await {
            Ok(collected) => collected,
            Err(refusal) => {
                let (back, stored) = step(&app, import, Input::BrokenOff).await?;
                let failed = stored.map_err(|error| refusal_of(&error)).err().unwrap_or(refusal);
                return Err(with_progress(failed, back.ingest.report()));
            }
        };
        let input = if at_end { Input::Last(pieces) } else { Input::Some(pieces) };
        let (back, result) = step(&app, import, input).await?;
        import = back;
        result.map_err(|error| with_progress(refusal_of(&error), import.ingest.report()))?;
        if at_end {
            return Ok(answer(import.ingest.report()));
        }
        let bytes = import.expand.bytes() + import.ingest.bytes();
        let kept = arriving.hold(bytes).await;
        kept.map_err(|refusal| with_progress(refusal, import.ingest.report()))?;
    }
}

/// What has arrived, enough for a step or up to the end of the body; and whether it is that.
async fn collect(arriving: &mut Arriving) -> Result<(Vec<Bytes>, bool), Refusal> {
    let (mut pieces, mut bytes) = (Vec::new(), 0);
    while bytes < STEP_BYTES {
        let Some(piece) = arriving.next_piece().await? else { return Ok((pieces, true)) };
        bytes += piece.len();
        pieces.push(piece);
    }
    Ok((pieces, false))
}

/// An import between two steps.
struct Import {
    expand: Expand,
    ingest: Ingest,
    /// Samples and refused lines that the counters of the server know of.
    counted: (u64, u64),
}

/// What a step reads.
enum Input {
    Some(Vec<Bytes>),
    Last(Vec<Bytes>),
    /// Nothing more comes, and the body did not end.
    BrokenOff,
}

/// Runs a step in its turn.
async fn step(
    app: &Arc<App>,
    mut import: Box<Import>,
    input: Input,
) -> Result<(Box<Import>, Result<(), IngestError>), Refusal> {
    let decode = app.admission.decoding.take(STEP_MEMORY, false).await;
    let decode = decode.map_err(|refusal| with_progress(refusal, import.ingest.report()))?;
    let place = app.admission.place(Some(decode.turn.clone()));
    let shared = Arc::clone(app);
    place
        .run(move || {
            let result = import.read(input);
            import.count(&shared);
            drop(decode);
            (import, result)
        })
        .await
}

impl Import {
    fn read(&mut self, input: Input) -> Result<(), IngestError> {
        let (pieces, at_end) = match input {
            Input::Some(pieces) => (pieces, false),
            Input::Last(pieces) => (pieces, true),
            Input::BrokenOff => return Ok(self.ingest.break_off()?),
        };
        let Self { expand, ingest, .. } = self;
        let mut refused: Option<Error> = None;
        let mut feed = |bytes: &[u8]| match ingest.feed(bytes) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                refused = Some(error);
                ControlFlow::Break(())
            }
        };
        let expanded = expand_all(expand, pieces, at_end, &mut feed);
        if let Some(error) = refused {
            return Err(IngestError::Store(error));
        }
        match expanded {
            Ok(()) if at_end => Ok(ingest.end()?),
            Ok(()) => Ok(()),
            Err(error) => {
                ingest.break_off()?;
                Err(IngestError::Input(error))
            }
        }
    }

    /// Tells the server's counters what is new.
    fn count(&mut self, app: &App) {
        let report = self.ingest.report();
        let now = (report.samples, report.refused.count());
        http_stats::add(&app.stats.samples_written, now.0 - self.counted.0);
        http_stats::add(&app.stats.refused, now.1 - self.counted.1);
        self.counted = now;
    }
}

fn expand_all(
    expand: &mut Expand,
    pieces: Vec<Bytes>,
    at_end: bool,
    feed: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<()> {
    for piece in pieces {
        if expand.feed(&piece, feed)?.is_break() {
            return Ok(());
        }
    }
    if at_end { expand.end(feed) } else { Ok(()) }
}

fn refusal_of(error: &IngestError) -> Refusal {
    match error {
        IngestError::Store(error) => Refusal::of_write(error),
        IngestError::Input(error) => {
            Refusal::bad_request(format!("the body cannot be decoded: {error}"))
        }
    }
}

fn answer(report: &IngestReport) -> Reply {
    let refused = report.refused.count();
    if refused == 0 {
        return reply::empty(StatusCode::NO_CONTENT);
    }
    let text = format!(
        "{refused} of {} lines were refused; {} samples were stored\n{}",
        report.lines, report.samples, report.refused
    );
    if report.clock_refused > 0 {
        return reply::refused(&Refusal::unavailable(text));
    }
    reply::text(StatusCode::BAD_REQUEST, text)
}

/// A failure on the way, with how far the import had come.
fn with_progress(mut refusal: Refusal, report: &IngestReport) -> Refusal {
    refusal.message +=
        &format!("; {} samples of {} lines were stored before", report.samples, report.lines);
    refusal
}
