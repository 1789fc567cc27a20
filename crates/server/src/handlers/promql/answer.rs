//! Writes an answer as JSON: in parallel, a bounded part of it at a time.
//!
//! Series are cut into *pieces* of some thousand points. So many pieces as there are threads, and some
//! more, are written at a time; then they are handed to the socket in order. Nothing but these pieces
//! is held beside the answer itself.

use std::ops::ControlFlow;
use std::time::Duration;

use siltstone::Snapshot;
use siltstone_query::{Answer, QueryValue, ResultSeries};

use super::ask::{Ask, Times};
use crate::protocol::json_lines::write_string;
use crate::protocol::result_json::{
    write_matrix_parts, write_matrix_series, write_scalar, write_text, write_vector_series,
};
use crate::reply::ReplySink;

/// Points of a piece, about; a series is not cut.
const PIECE_POINTS: usize = 8 << 10;
/// A series with more points is no part of a piece: it is handed over while it is written.
const LONG_POINTS: usize = 64 << 10;
/// A series counts as so many points beside its own: it has labels.
const SERIES_POINTS: usize = 8;
/// Most annotations of one kind in an answer, as in Prometheus.
const ANNOTATIONS_MAX: usize = 10;

/// How long the parts of the work have taken, and what it was spared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timings {
    /// From the request to the start of the evaluation.
    pub(super) prepared: Duration,
    /// From the request to the end of the evaluation.
    pub(super) evaluated: Duration,
    /// Steps that were taken of a kept answer.
    pub(super) cached_steps: u64,
}

/// Writes the whole envelope; breaks when the client is gone or the query was cancelled.
pub(super) fn write(
    sink: &mut ReplySink,
    snapshot: &Snapshot,
    ask: &Ask,
    mut answer: Answer,
    (damage, timings): (Vec<String>, Timings),
) -> ControlFlow<()> {
    let mut warnings = damage;
    warnings.extend(capped(answer.warnings(), "warning"));
    if let QueryValue::Vector(series) | QueryValue::Matrix(series) = &mut answer.value
        && series.len() > ask.limit
    {
        series.truncate(ask.limit);
        warnings.push("results truncated due to limit".to_owned());
    }
    let kind = match &answer.value {
        QueryValue::Scalar(_) => "scalar",
        QueryValue::String(_) => "string",
        QueryValue::Vector(_) => "vector",
        QueryValue::Matrix(_) => "matrix",
    };
    let start = "{\"status\":\"success\",\"data\":{\"resultType\":\"";
    sink.buffer().extend_from_slice(format!("{start}{kind}\",\"result\":").as_bytes());
    let time = match ask.times {
        Times::Instant(time) => time,
        Times::Range { start, .. } => start,
    };
    match &answer.value {
        QueryValue::Scalar(value) => write_scalar(time, *value, sink.buffer()),
        QueryValue::String(text) => write_text(time, text, sink.buffer()),
        QueryValue::Vector(series) => write_series(sink, snapshot, series, write_vector_series)?,
        QueryValue::Matrix(series) if series.iter().any(is_long) => write_long(sink, series)?,
        QueryValue::Matrix(series) => write_series(sink, snapshot, series, write_matrix_series)?,
    }
    if ask.stats {
        write_stats(&answer, timings, sink.buffer());
    }
    sink.buffer().push(b'}');
    write_texts("warnings", &warnings, sink.buffer());
    write_texts("infos", &capped(answer.infos(), "info"), sink.buffer());
    sink.buffer().push(b'}');
    ControlFlow::Continue(())
}

fn is_long(series: &ResultSeries) -> bool {
    series.points.len() > LONG_POINTS
}

/// Writes series of which some are long, one after the other.
fn write_long(sink: &mut ReplySink, series: &[ResultSeries]) -> ControlFlow<()> {
    sink.buffer().push(b'[');
    let mut out = Vec::new();
    for (at, one) in series.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let mut hand_over = |out: &mut Vec<u8>| {
            sink.buffer().append(out);
            sink.checkpoint()
        };
        write_matrix_parts(one, &mut out, &mut hand_over)?;
        hand_over(&mut out)?;
    }
    sink.buffer().push(b']');
    ControlFlow::Continue(())
}

fn write_series(
    sink: &mut ReplySink,
    snapshot: &Snapshot,
    series: &[ResultSeries],
    write: fn(&ResultSeries, &mut Vec<u8>),
) -> ControlFlow<()> {
    sink.buffer().push(b'[');
    let mut is_first = true;
    let threads = snapshot.executor().width();
    let mut pieces = Pieces(series);
    loop {
        let wave: Vec<&[ResultSeries]> = pieces.by_ref().take(threads * 2).collect();
        if wave.is_empty() {
            break;
        }
        let write_piece = |piece: &[ResultSeries]| {
            let mut out = Vec::new();
            for one in piece {
                write(one, &mut out);
                out.push(b',');
            }
            out
        };
        for piece in snapshot.executor().map(wave, write_piece) {
            if !std::mem::take(&mut is_first) {
                sink.buffer().push(b',');
            }
            // Without the comma behind the last series.
            sink.buffer().extend_from_slice(&piece[..piece.len() - 1]);
            sink.checkpoint()?;
        }
    }
    sink.buffer().push(b']');
    ControlFlow::Continue(())
}

/// Neighbouring series of about [`PIECE_POINTS`] points together, at least one.
struct Pieces<'a>(&'a [ResultSeries]);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [ResultSeries];

    fn next(&mut self) -> Option<&'a [ResultSeries]> {
        let mut points = 0;
        let fits = |one: &&ResultSeries| {
            let before = points;
            points += one.points.len() + SERIES_POINTS;
            before < PIECE_POINTS
        };
        let count = self.0.iter().take_while(fits).count();
        let (piece, rest) = self.0.split_at(count);
        self.0 = rest;
        (!piece.is_empty()).then_some(piece)
    }
}

/// The first texts, and how many more there are.
fn capped(mut texts: Vec<String>, kind: &str) -> Vec<String> {
    let more = texts.len().saturating_sub(ANNOTATIONS_MAX);
    texts.truncate(ANNOTATIONS_MAX);
    if more > 0 {
        texts.push(format!("{more} more {kind} annotations omitted"));
    }
    texts
}

fn write_texts(name: &str, texts: &[String], out: &mut Vec<u8>) {
    if texts.is_empty() {
        return;
    }
    out.extend_from_slice(format!(",\"{name}\":[").as_bytes());
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(text, out);
    }
    out.push(b']');
}

fn write_stats(answer: &Answer, timings: Timings, out: &mut Vec<u8>) {
    let Timings { prepared, evaluated, cached_steps } = timings;
    let inner = evaluated.saturating_sub(prepared).as_secs_f64();
    let (prepared, all) = (prepared.as_secs_f64(), evaluated.as_secs_f64());
    // Beside what Prometheus says: the most bytes of values that were held, and the steps that were not
    // evaluated.
    let text = format!(
        ",\"stats\":{{\"timings\":{{\"evalTotalTime\":{inner},\"resultSortTime\":0,\
         \"queryPreparationTime\":0,\"innerEvalTime\":{inner},\"execQueueTime\":{prepared},\
         \"execTotalTime\":{all}}},\"samples\":{{\"totalQueryableSamples\":{samples},\
         \"peakSamples\":{peak},\"peakBytes\":{bytes},\"cachedSteps\":{cached_steps}}}}}",
        samples = answer.samples_read,
        peak = answer.bytes_peak / 16,
        bytes = answer.bytes_peak,
    );
    out.extend_from_slice(text.as_bytes());
}
