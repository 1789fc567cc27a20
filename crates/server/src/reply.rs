//! What goes back to the client: whole answers, and streams with back-pressure.
//!
//! A stream is written by a thread for work through a [`ReplySink`] into a short queue that the
//! socket empties, so that an answer of any length holds a bounded amount of memory. A client that
//! goes away closes the queue and sets the [`Cancel`] that the work was given. If somebody else sets it
//! the answer is cut off, as by any failure behind its beginning: it never looks whole. A body may be
//! compressed on its way to the socket; see `coder`.
//!
//! Work whose client takes nothing for [`TURN_PATIENCE`] leaves its turn to others until it does
//! ([`admission`](crate::admission), [`Waiting`](crate::admission::Waiting)).

use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use siltstone::Cancel;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{SendTimeoutError, TrySendError};
use tokio::time::Instant;

use crate::admission::{Place, Turn, Waiting, WaitingPlace};
use crate::coder::{Coder, SLICE_BYTES};
use crate::refusal::Refusal;

/// Bytes collected before they are queued.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that wait for the socket.
const QUEUE_CHUNKS: usize = 4;
/// How often a writer that waits for a slow client looks whether it was cancelled.
const CANCEL_LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long work waits for its client before it leaves its turn: shorter than what a person notices, longer
/// than a client that reads needs to be scheduled.
const TURN_PATIENCE: Duration = Duration::from_millis(20);
/// Slices that are compressed before another connection has its turn.
const SLICES_AT_ONCE: usize = 4;

/// An answer.
pub(crate) type Reply = Response<ReplyBody>;

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    content: Content,
    /// What compresses the content, if something does.
    coder: Option<Coder>,
    /// Dropped when the body has been sent or the client is gone.
    on_end: Option<Box<dyn OnEnd>>,
}

/// What is held until an answer has been handed over.
pub(crate) trait OnEnd: Send + Sync + std::fmt::Debug {}

#[derive(Debug)]
enum Content {
    Whole(Option<Bytes>),
    Stream { next: Option<Bytes>, queue: mpsc::Receiver<Item>, _cancel: CancelOnDrop },
}

#[derive(Debug)]
enum Item {
    Chunk(Bytes),
    /// The stream is complete; a queue closed without it was cut off.
    Last(Bytes),
    Refused(Refusal),
}

/// Cancels the work behind a stream when nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct CancelOnDrop(pub(crate) Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl ReplyBody {
    /// Holds `on_end` as well until the body is done.
    pub(crate) fn hold(&mut self, on_end: Box<dyn OnEnd>) {
        self.on_end = Some(on_end);
    }

    /// The length of an answer that is held in memory.
    pub(crate) fn whole_len(&self) -> Option<usize> {
        match &self.content {
            Content::Whole(bytes) => Some(bytes.as_ref().map_or(0, Bytes::len)),
            Content::Stream { .. } => None,
        }
    }

    /// Compresses the body: a short one now, so that its length is known, others as they are sent.
    pub(crate) fn compress(&mut self, coder: Coder) -> io::Result<()> {
        match &mut self.content {
            Content::Whole(Some(bytes)) if bytes.len() <= SLICE_BYTES => {
                *bytes = coder.whole(bytes)?;
            }
            _ => self.coder = Some(coder),
        }
        Ok(())
    }

    /// The next piece of the content, not compressed.
    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let piece = |bytes| Poll::Ready(Some(Ok(bytes)));
        match &mut self.content {
            Content::Whole(bytes) => bytes.take().map_or(Poll::Ready(None), piece),
            Content::Stream { next, queue, .. } => {
                if let Some(bytes) = next.take() {
                    return piece(bytes);
                }
                match queue.poll_recv(cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Some(Item::Chunk(bytes))) => piece(bytes),
                    Poll::Ready(Some(Item::Last(bytes))) => {
                        self.content = Content::Whole(None);
                        if bytes.is_empty() { Poll::Ready(None) } else { piece(bytes) }
                    }
                    // The head is sent: cutting the answer off is the only way to say so.
                    Poll::Ready(None | Some(Item::Refused(_))) => {
                        Poll::Ready(Some(Err(io::Error::other("the answer was cut off"))))
                    }
                }
            }
        }
    }

    /// The next piece of the content, compressed by `coder`.
    fn poll_coded(
        &mut self,
        coder: &mut Coder,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        for _ in 0..SLICES_AT_ONCE {
            if !coder.step()? {
                match self.poll_content(cx) {
                    Poll::Ready(Some(piece)) => coder.feed(piece?),
                    Poll::Ready(None) => return Poll::Ready(coder.end().transpose()),
                    Poll::Pending => {
                        return coder
                            .flush()?
                            .map_or(Poll::Pending, |out| Poll::Ready(Some(Ok(out))));
                    }
                }
            }
            if let Some(out) = coder.take_frame() {
                return Poll::Ready(Some(Ok(out)));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let polled = match self.coder.take() {
            None => self.poll_content(cx),
            Some(mut coder) => {
                let polled = self.poll_coded(&mut coder, cx);
                self.coder = Some(coder);
                polled
            }
        };
        polled.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.coder {
            None => matches!(self.content, Content::Whole(None)),
            Some(coder) => coder.is_done(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            _ if self.coder.is_some() => SizeHint::default(),
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Content::Stream { .. } => SizeHint::default(),
        }
    }
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Reply {
    with_content(status, None, Content::Whole(None))
}

/// An answer in text.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Reply {
    whole(status, "text/plain; charset=utf-8", text.into().into_bytes())
}

/// An answer held in memory.
pub(crate) fn whole(status: StatusCode, content_type: &'static str, bytes: Vec<u8>) -> Reply {
    let content = if bytes.is_empty() { None } else { Some(bytes.into()) };
    with_content(status, Some(content_type), Content::Whole(content))
}

fn with_content(status: StatusCode, content_type: Option<&'static str>, content: Content) -> Reply {
    let mut reply = Response::new(ReplyBody { content, coder: None, on_end: None });
    *reply.status_mut() = status;
    if let Some(content_type) = content_type {
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    reply
}

/// A refusal as text.
pub(crate) fn refused(refusal: &Refusal) -> Reply {
    with_retry_after(text(refusal.status, format!("{}\n", refusal.message)), refusal)
}

/// Adds the header by which senders know when to come again.
pub(crate) fn with_retry_after(mut reply: Reply, refusal: &Refusal) -> Reply {
    if let Some(seconds) = refusal.retry_after_s {
        reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    reply
}

/// Collects an answer and hands it to the socket piece by piece.
#[derive(Debug)]
pub(crate) struct ReplySink {
    buffer: Vec<u8>,
    queue: mpsc::Sender<Item>,
    sent: bool,
    cancel: Cancel,
    /// Whether the work was told to stop because of `cancel`: something is missing then.
    stopped: bool,
    turn: Option<Turn>,
    waiting: Waiting,
}

impl ReplySink {
    /// Where the next bytes are appended.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Hands over what is collected if it is enough, waiting for the client where it is slow;
    /// breaks when the client is gone or the work was cancelled.
    pub(crate) fn checkpoint(&mut self) -> ControlFlow<()> {
        if self.is_stopped() {
            return ControlFlow::Break(());
        }
        if self.buffer.len() < CHUNK_BYTES {
            return ControlFlow::Continue(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK_BYTES * 5 / 4));
        self.sent = true;
        match self.queue.try_send(Item::Chunk(chunk.into())) {
            Ok(()) => ControlFlow::Continue(()),
            Err(TrySendError::Closed(_)) => ControlFlow::Break(()),
            Err(TrySendError::Full(item)) => {
                let (flow, place) = self.wait_for_client(item);
                if let (Some(_), Some(turn), true) = (&place, &self.turn, flow.is_continue()) {
                    // With the place for waiting, which a thread belongs to.
                    Handle::current().block_on(turn.enter());
                }
                flow
            }
        }
    }

    /// Hands `item` over when the client takes it. If that lasts the turn is left, and the place where it was
    /// waited instead is answered.
    #[cold]
    fn wait_for_client(&mut self, mut item: Item) -> (ControlFlow<()>, Option<WaitingPlace>) {
        let (runtime, since) = (Handle::current(), Instant::now());
        let mut place: Option<WaitingPlace> = None;
        let mut patience = TURN_PATIENCE;
        let flow = loop {
            // The queue does not know of the cancellation, so the wait is cut into short ones.
            item = match runtime.block_on(self.queue.send_timeout(item, patience)) {
                Ok(()) => break ControlFlow::Continue(()),
                Err(SendTimeoutError::Closed(_)) => break ControlFlow::Break(()),
                Err(SendTimeoutError::Timeout(item)) => item,
            };
            patience = CANCEL_LOOK_EVERY;
            if place.as_ref().is_some_and(WaitingPlace::is_cut) {
                tracing::warn!("an answer is cut off: its reader stands still, and others wait");
                self.stopped = true;
            }
            if self.is_stopped() {
                break ControlFlow::Break(());
            }
            if place.is_none()
                && let Some(turn) = &self.turn
            {
                place = self.waiting.begin(since);
                if place.is_some() {
                    turn.leave();
                }
            }
        };
        (flow, place)
    }

    fn is_stopped(&mut self) -> bool {
        self.stopped |= self.cancel.is_cancelled();
        self.stopped
    }

    /// Appends `bytes`, however many, and hands over what is enough on the way; breaks as
    /// [`ReplySink::checkpoint`].
    pub(crate) fn write(&mut self, bytes: &[u8]) -> ControlFlow<()> {
        for piece in bytes.chunks(CHUNK_BYTES) {
            self.buffer.extend_from_slice(piece);
            self.checkpoint()?;
        }
        ControlFlow::Continue(())
    }

    /// Hands over what is collected if the client takes it at once; otherwise it is collected on.
    pub(crate) fn offer(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        // A queue that is full or closed leaves the permit, and with it the bytes, behind.
        if let Ok(permit) = self.queue.try_reserve() {
            permit.send(Item::Chunk(std::mem::take(&mut self.buffer).into()));
            self.sent = true;
        }
    }

    fn finish(mut self, result: Result<(), Refusal>) {
        if self.stopped && self.sent {
            // A queue that is closed without its last item is an answer that was cut off. Nothing is
            // sent: the client may never take it.
            return;
        }
        let result = match self.stopped {
            true => Err(Refusal::new(Refusal::CANCELED, "the query was canceled")),
            false => result,
        };
        let last = match result {
            Ok(()) => Item::Last(std::mem::take(&mut self.buffer).into()),
            Err(refusal) => {
                if self.sent && !self.queue.is_closed() {
                    tracing::warn!(error = refusal.message, "answer cut off");
                }
                Item::Refused(refusal)
            }
        };
        // A closed queue means that nobody waits.
        if let Err(TrySendError::Full(last)) = self.queue.try_send(last) {
            let _ = self.wait_for_client(last);
        }
    }
}

/// Runs `work` at `place` and answers with what it writes. If it fails before the first
/// chunk is sent the failure is the answer; later the answer is cut off, and logged.
pub(crate) async fn stream(
    place: &Place,
    content_type: &'static str,
    work: impl FnOnce(&mut ReplySink, &Cancel) -> Result<(), Refusal> + Send + 'static,
) -> Result<Reply, Refusal> {
    let cancel = Cancel::default();
    let on_drop = CancelOnDrop(cancel.clone());
    let (sender, mut queue) = mpsc::channel(QUEUE_CHUNKS);
    let (turn, waiting) = (place.turn().cloned(), place.waiting().clone());
    let running = place.run(move || {
        let mut sink = ReplySink {
            buffer: Vec::new(),
            queue: sender,
            sent: false,
            cancel: cancel.clone(),
            stopped: false,
            turn,
            waiting,
        };
        let result = work(&mut sink, &cancel);
        sink.finish(result);
    });
    match queue.recv().await {
        Some(Item::Chunk(next)) => {
            let content = Content::Stream { next: Some(next), queue, _cancel: on_drop };
            Ok(with_content(StatusCode::OK, Some(content_type), content))
        }
        Some(Item::Last(bytes)) => Ok(whole(StatusCode::OK, content_type, bytes.into())),
        Some(Item::Refused(refusal)) => Err(refusal),
        None => Err(running.await.err().unwrap_or_else(|| Refusal::unavailable("cut off"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Duration;

    use http_body_util::BodyExt;
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::admission::Admission;
    use crate::coder::Coding;
    use crate::config::ServerConfig;
    use crate::content_coding;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
    }

    fn place() -> Place {
        Admission::start(&ServerConfig::default(), 64 << 20).unwrap().place(None)
    }

    #[test]
    fn work_that_writes_nothing_learns_that_nobody_waits() {
        let (ended, end) = std::sync::mpsc::channel();
        runtime().block_on(async {
            let place = place();
            let answer = stream(&place, "text/plain", move |_, cancel| {
                let start = Instant::now();
                while !cancel.is_cancelled() && start.elapsed() < Duration::from_secs(5) {
                    std::thread::yield_now();
                }
                let _ = ended.send(cancel.is_cancelled());
                Ok(())
            });
            assert!(timeout(Duration::from_millis(50), answer).await.is_err());
        });
        assert_eq!(end.recv(), Ok(true));
    }

    #[test]
    fn a_compressed_answer_that_pauses_sends_what_it_has() {
        let (go_on, wait) = std::sync::mpsc::channel();
        runtime().block_on(async {
            let place = place();
            let answer = stream(&place, "text/plain", move |sink, _| {
                sink.buffer().resize(CHUNK_BYTES, b'x');
                let _ = sink.checkpoint();
                let signal = wait.recv_timeout(Duration::from_secs(40));
                signal.map_err(|_| Refusal::unavailable("nobody reads"))
            });
            let mut reply = answer.await.unwrap();
            content_coding::apply(Some(Coding::Gzip), &mut reply);
            let frame = timeout(Duration::from_secs(20), reply.body_mut().frame()).await;
            let first = frame.unwrap().unwrap().unwrap().into_data().unwrap();
            let mut text = Vec::new();
            let decoded = flate2::read::GzDecoder::new(&first[..]).read_to_end(&mut text);
            assert!(decoded.is_err() && text.len() == CHUNK_BYTES, "all, but not its end");
            go_on.send(()).unwrap();
            let rest = reply.body_mut().collect().await.unwrap().to_bytes();
            text.clear();
            let whole = [first, rest].concat();
            flate2::read::GzDecoder::new(&whole[..]).read_to_end(&mut text).unwrap();
            assert_eq!(text.len(), CHUNK_BYTES);
        });
    }

    #[test]
    fn a_failure_before_the_first_chunk_is_the_answer_and_later_a_cut() {
        let failing = |bytes: usize| async move {
            let work = move |sink: &mut ReplySink, _: &Cancel| {
                sink.buffer().resize(bytes, b'x');
                let _ = sink.checkpoint();
                Err(Refusal::bad_request("late"))
            };
            stream(&place(), "text/plain", work).await
        };
        runtime().block_on(async {
            assert_eq!(failing(10).await.unwrap_err(), Refusal::bad_request("late"));
            let mut reply = failing(CHUNK_BYTES).await.unwrap();
            let first = reply.body_mut().frame().await.unwrap().unwrap();
            assert_eq!(first.into_data().unwrap().len(), CHUNK_BYTES);
            let second = reply.body_mut().frame().await.unwrap();
            assert!(second.is_err(), "an end here would pass for the whole");
        });
    }
}
