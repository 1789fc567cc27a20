//! `/api/v1/read`: Prometheus remote read, with which a Prometheus queries over several stores.
//!
//! 1. The headers are judged, then the body is taken within its limits and decoded.
//! 2. Each query is answered with the raw samples of its series, in Prometheus's order of labels, bit for
//!    bit. Of samples that lie in one millisecond, where ticks are shorter, the last one counts.
//! 3. The answer is streamed as XOR chunks, in bounded memory and as fast as the client takes it; or, if
//!    the client asks so, it is one message, which is held in memory and so has a limit.
//!
//! An answer is whole or an error: damage, or whatever else goes wrong, is a status and a text before the
//! first bytes are sent, and behind them a connection that is cut.

use std::ops::ControlFlow;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, HeaderValue};
use siltstone::{Cancel, Error, QueryMemory, QueryOptions, Sample, Snapshot};
use siltstone_promql::LabelSet;

use crate::admission::{Kind, Place};
use crate::app::App;
use crate::call::Call;
use crate::message_body::Coding;
use crate::prometheus_order::Ordered;
use crate::protocol::remote_read::{
    FrameWriter, Query, ReadRequest, ResponseType, SamplesWriter, TooManySamples,
};
use crate::protocol::snappy;
use crate::refusal::Refusal;
use crate::reply::{self, CancelOnDrop, Reply, ReplySink};
use crate::request_body::read_whole;
use crate::selected_series::unlimited;
use crate::time::TimeScale;

/// The message that is understood here.
const MESSAGE: &str = "prometheus.ReadRequest";
/// Longest request, compressed and decoded: more than a hundred matchers with long alternations.
const REQUEST_BYTES_MAX: usize = 4 << 20;
/// The media type of the plain answer.
const SAMPLES: &str = "application/x-protobuf";
/// The media type of the streamed answer; Prometheus compares it literally.
const STREAMED: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";

pub(crate) async fn read(call: Call, body: Incoming) -> Result<Reply, Refusal> {
    let app = call.app;
    let coding = Coding::of(&call.head.headers, MESSAGE)?;
    let limit = REQUEST_BYTES_MAX.min(app.config.body_bytes_max);
    let body = read_whole(&app, body, limit).await?;
    let place = app.admission.take(Kind::Export).await?;
    let memory = app.queries.memory();
    let (shared, on_drop) = (Arc::clone(&app), CancelOnDrop(Cancel::default()));
    let stopped = on_drop.0.clone();
    let request = place.run(move || {
        let decoded_len = coding.decoded_len(&body.bytes, limit)?;
        memory.hold(decoded_len as u64).map_err(Refusal::of_remote_read)?;
        let mut decoded = Vec::new();
        coding.decode(&body.bytes, limit, &mut decoded)?;
        // Regular expressions are compiled.
        let mut patterns = shared.compiler(&stopped, shared.query_deadline());
        ReadRequest::decode_with(&decoded, &mut patterns).map_err(|error| {
            if patterns.is_stopped() {
                return Refusal::of_remote_read(Error::Cancelled);
            }
            Refusal::bad_request(error.to_string())
        })
    });
    let request = request.await??;
    drop(on_drop);
    match request.response_type().map_err(|error| Refusal::bad_request(error.to_string()))? {
        ResponseType::StreamedXorChunks => streamed(app, &place, request).await,
        ResponseType::Samples => in_one_piece(app, &place, request).await,
    }
}

async fn streamed(app: Arc<App>, place: &Place, request: ReadRequest) -> Result<Reply, Refusal> {
    reply::stream(place, STREAMED, move |sink, cancel| {
        app.read_into(sink, |snapshot, sink| {
            let mut frames = FrameSink { frames: FrameWriter::default(), query: 0, reply: sink };
            answer((&app, snapshot), &request, cancel, &mut frames)
        })
    })
    .await
}

async fn in_one_piece(
    app: Arc<App>,
    place: &Place,
    request: ReadRequest,
) -> Result<Reply, Refusal> {
    let mut reply = reply::stream(place, SAMPLES, move |sink, cancel| {
        let samples = app.store.read(|snapshot| {
            let writer = SamplesWriter::new(app.config.read_bytes_max);
            let (labels, memory) = (LabelSet::default(), app.queries.memory());
            let mut samples = SampleSink { writer, labels, samples: Vec::new(), memory, held: 0 };
            answer((&app, snapshot), &request, cancel, &mut samples)?;
            Ok(samples)
        })?;
        let memory = samples.memory.clone();
        let held = samples.held;
        let block = snappy::compress(&samples.writer.finish());
        // Nothing is handed over before it is whole: it goes out with its length.
        *sink.buffer() = block.map_err(|error| Refusal::bad_request(error.to_string()))?;
        memory.release(held);
        memory.hold(sink.buffer().capacity() as u64).map_err(Refusal::of_remote_read)?;
        sink.keep(memory);
        Ok(())
    })
    .await?;
    reply.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
    Ok(reply)
}

/// What takes the series of an answer.
trait AnswerSink {
    /// Whether an answer must be made within `query_timeout`, because it is held until then.
    const IS_HELD: bool;

    fn begin_series(&mut self, labels: &LabelSet);
    fn push(&mut self, sample: Sample) -> Result<ControlFlow<()>, Refusal>;
    fn end_series(&mut self) -> Result<ControlFlow<()>, Refusal>;
    fn end_query(&mut self);
}

/// Answers every query, in order.
fn answer<S: AnswerSink>(
    (app, snapshot): (&App, &Snapshot),
    request: &ReadRequest,
    cancel: &Cancel,
    sink: &mut S,
) -> Result<(), Refusal> {
    let deadline = S::IS_HELD.then(|| app.query_deadline());
    let (cancelled, memory) = (Some(cancel.clone()), Some(app.queries.memory()));
    let options = QueryOptions { deadline, cancel: cancelled, memory, ..unlimited() };
    let scale = TimeScale::new(app.store.ticks_per_second());
    // For all queries, before the answer to the first.
    let ranges = request.queries.iter().map(|q| scale.range(Some(q.start_ms), Some(q.end_ms)));
    let kept: siltstone::Result<Vec<_>> = ranges.map(|range| snapshot.keep_open(range)).collect();
    let _kept = kept.map_err(Refusal::of_remote_read)?;
    for Query { start_ms, end_ms, matchers } in &request.queries {
        let range = scale.range(Some(*start_ms), Some(*end_ms));
        let series_max = app.config.results_max;
        let options = &options;
        let ordered = Ordered { snapshot, matchers, range, series_max, options };
        let result = answer_query(&ordered, scale, sink);
        if cancel.is_cancelled() {
            // The client is gone; nobody reads the answer.
            return Ok(());
        }
        if result?.is_break() {
            return Ok(());
        }
        sink.end_query();
    }
    Ok(())
}

fn answer_query<S: AnswerSink>(
    ordered: &Ordered<'_>,
    scale: TimeScale,
    sink: &mut S,
) -> Result<ControlFlow<()>, Refusal> {
    let mut series = SeriesInMs { sink, scale, labels: None, last: None };
    let mut outcome = Ok(ControlFlow::Continue(()));
    ordered.scan(&mut |labels, columns| {
        outcome = series.push(labels, &columns.timestamps, columns.values.f64());
        match &outcome {
            Ok(flow) => *flow,
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    if outcome?.is_break() {
        return Ok(ControlFlow::Break(()));
    }
    series.end()
}

/// Cuts batches into series, and turns ticks to milliseconds.
struct SeriesInMs<'a, S> {
    sink: &'a mut S,
    scale: TimeScale,
    /// The present series.
    labels: Option<LabelSet>,
    /// Its last sample, held back: another one in the same millisecond may follow.
    last: Option<Sample>,
}

impl<S: AnswerSink> SeriesInMs<'_, S> {
    fn push(
        &mut self,
        labels: &LabelSet,
        timestamps: &[i64],
        values: &[f64],
    ) -> Result<ControlFlow<()>, Refusal> {
        if self.labels.as_ref() != Some(labels) {
            if self.end()?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            self.labels = Some(labels.clone());
            self.sink.begin_series(labels);
        }
        for (ticks, value) in timestamps.iter().zip(values) {
            let sample = Sample { timestamp: self.scale.to_ms(*ticks), value: *value };
            let before = self.last.replace(sample);
            let Some(before) = before.filter(|b| b.timestamp != sample.timestamp) else { continue };
            if self.sink.push(before)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Ends the present series, if there is one.
    fn end(&mut self) -> Result<ControlFlow<()>, Refusal> {
        let Some(last) = self.last.take() else { return Ok(ControlFlow::Continue(())) };
        if self.sink.push(last)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        self.sink.end_series()
    }
}

/// The streamed answer.
struct FrameSink<'a> {
    frames: FrameWriter,
    query: usize,
    reply: &'a mut ReplySink,
}

impl FrameSink<'_> {
    fn send(&mut self) -> ControlFlow<()> {
        let reply = &mut *self.reply;
        self.frames.take_frame(self.query, |frame| {
            reply.write(&frame.head)?;
            reply.write(frame.chunks)?;
            reply.write(&frame.tail)
        })
    }
}

impl AnswerSink for FrameSink<'_> {
    const IS_HELD: bool = false;

    fn begin_series(&mut self, labels: &LabelSet) {
        self.frames.begin(labels.iter());
    }

    fn push(&mut self, sample: Sample) -> Result<ControlFlow<()>, Refusal> {
        // Before the sample, so that no frame is empty.
        let flow = if self.frames.is_full() { self.send() } else { ControlFlow::Continue(()) };
        self.frames.push(sample);
        Ok(flow)
    }

    fn end_series(&mut self) -> Result<ControlFlow<()>, Refusal> {
        Ok(self.send())
    }

    fn end_query(&mut self) {
        self.query += 1;
    }
}

/// The plain answer.
struct SampleSink {
    writer: SamplesWriter,
    /// The present series.
    labels: LabelSet,
    samples: Vec<Sample>,
    memory: QueryMemory,
    /// What is counted there.
    held: u64,
}

impl From<TooManySamples> for Refusal {
    fn from(error: TooManySamples) -> Self {
        Self::bad_request(error.to_string())
    }
}

impl AnswerSink for SampleSink {
    const IS_HELD: bool = true;

    fn begin_series(&mut self, labels: &LabelSet) {
        self.labels = labels.clone();
        self.samples.clear();
    }

    fn push(&mut self, sample: Sample) -> Result<ControlFlow<()>, Refusal> {
        self.writer.check_room(self.samples.len() + 1)?;
        self.samples.push(sample);
        Ok(ControlFlow::Continue(()))
    }

    fn end_series(&mut self) -> Result<ControlFlow<()>, Refusal> {
        let labels: Vec<(&str, &str)> = self.labels.iter().collect();
        self.writer.series(labels.iter().copied(), &self.samples)?;
        // The message, its parts while they are put together, and the block that it is compressed to.
        let needed = self.writer.bytes() as u64 * 3;
        if needed > self.held {
            self.memory.hold(needed - self.held).map_err(Refusal::of_remote_read)?;
            self.held = needed;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn end_query(&mut self) {
        self.writer.end_query();
    }
}
