//! `/api/v1/import` (JSON lines) and `/api/v1/import/prometheus` (text): streamed line by line.
//!
//! The body is decompressed and parsed on a blocking thread while it arrives, in bounded memory and
//! whatever its length. A bad line costs itself: the others are stored, and the answer, 400, names it.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use hyper::http::request::Parts;

use crate::app::App;
use crate::blocking::blocking;
use crate::call::Call;
use crate::http_stats;
use crate::ingest::{Format, Ingest, IngestError, IngestLimits, IngestReport};
use crate::params::Params;
use crate::protocol::exposition::Dialect;
use crate::refusal::Refusal;
use crate::reply::{self, Reply};
use crate::request_body::{BodyReader, streamed};

/// Bytes read from the body, or from its decompressor, at a time.
const READ_BYTES: usize = 64 << 10;
/// zstd windows beyond this are refused: the window is memory that the sender chooses.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;

pub(crate) async fn json_lines(call: Call) -> Result<Reply, Refusal> {
    let (head, body) = call.request.into_parts();
    let limit = call.app.config.json_line_bytes_max;
    run(call.app, &head, body, Format::JsonLines, limit).await
}

pub(crate) async fn text(call: Call) -> Result<Reply, Refusal> {
    let (head, body) = call.request.into_parts();
    let mut params = Params::default();
    params.add(head.uri.query().unwrap_or(""))?;
    let timestamp = params.get("timestamp").map(|text| {
        text.parse::<i64>().map_err(|_| {
            let message = format!("invalid parameter \"timestamp\": {text:?} is not milliseconds");
            Refusal::bad_request(message)
        })
    });
    let kind = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let dialect = match kind {
        Some(kind) if kind.starts_with("application/openmetrics-text") => Dialect::OpenMetrics,
        _ => Dialect::Prometheus,
    };
    let format = Format::Text { dialect, timestamp_ms: timestamp.transpose()? };
    let limit = call.app.config.text_line_bytes_max;
    run(call.app, &head, body, format, limit).await
}

async fn run(
    app: Arc<App>,
    head: &Parts,
    body: Incoming,
    format: Format,
    line_bytes_max: usize,
) -> Result<Reply, Refusal> {
    let coding = coding(&head.headers)?;
    // The longest line, twice: as text and as numbers.
    let memory = app.reserve(line_bytes_max * 2).await?;
    let (pump, reader) = streamed();
    let limits = IngestLimits { line_bytes_max, batch_rows: app.config.import_batch_rows };
    let shared = app.clone();
    let work = blocking(move || {
        let _memory = memory;
        let mut ingest = Ingest::new(&shared.db, format, limits);
        let result = read_all(&mut ingest, coding, reader);
        let report = ingest.report().clone();
        http_stats::add(&shared.stats.samples_written, report.samples);
        http_stats::add(&shared.stats.refused, report.refused.count());
        (report, result)
    });
    let pumped = pump.run(body, &app.config).await;
    let (report, result) = work.await?;
    // The client's failure explains the reader's.
    pumped.map_err(|refusal| with_progress(refusal, &report))?;
    match result {
        Ok(()) => Ok(answer(&report)),
        Err(IngestError::Store(error)) => Err(with_progress(error.into(), &report)),
        Err(IngestError::Input(error)) => {
            let refusal = Refusal::bad_request(format!("the body cannot be decoded: {error}"));
            Err(with_progress(refusal, &report))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Zstd,
}

fn coding(headers: &HeaderMap) -> Result<Coding, Refusal> {
    let name = headers.get(CONTENT_ENCODING).map_or(&b""[..], |value| value.as_bytes());
    match name.to_ascii_lowercase().as_slice() {
        b"" | b"identity" => Ok(Coding::Identity),
        b"gzip" | b"x-gzip" => Ok(Coding::Gzip),
        b"zstd" => Ok(Coding::Zstd),
        _ => {
            let message = "the body may be plain, or compressed with gzip or zstd";
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
        }
    }
}

fn read_all(ingest: &mut Ingest<'_>, coding: Coding, body: BodyReader) -> Result<(), IngestError> {
    match coding {
        Coding::Identity => ingest.read(&mut buffered(body)),
        Coding::Gzip => ingest.read(&mut buffered(MultiGzDecoder::new(body))),
        Coding::Zstd => ingest.read(&mut zstd_reader(body).map_err(IngestError::Input)?),
    }
}

fn buffered<R: Read>(reader: R) -> BufReader<R> {
    BufReader::with_capacity(READ_BYTES, reader)
}

fn zstd_reader(body: BodyReader) -> io::Result<impl BufRead> {
    let mut decoder = zstd::stream::read::Decoder::new(body)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(buffered(decoder))
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
    reply::text(StatusCode::BAD_REQUEST, text)
}

/// A failure on the way, with how far the import had come.
fn with_progress(mut refusal: Refusal, report: &IngestReport) -> Refusal {
    refusal.message +=
        &format!("; {} samples of {} lines were stored before", report.samples, report.lines);
    refusal
}
