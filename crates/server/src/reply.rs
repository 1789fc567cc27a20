//! What goes back to the client: whole answers, and streams with back-pressure.
//!
//! A stream is written by a thread for work through a [`ReplySink`] into a short queue that the
//! socket empties, so that an answer of any length holds a bounded amount of memory. A client that
//! goes away closes the queue and sets the [`Cancel`] that the work was given. If somebody else sets it
//! the answer is cut off, as by any failure behind its beginning: it never looks whole. A body may be
//! compressed on its way to the socket; see `coder`.

mod sink;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use siltstone::{Cancel, QueryMemory};
use tokio::sync::mpsc;

use crate::coder::{Coder, SLICE_BYTES};
use crate::refusal::Refusal;
pub(crate) use sink::{ReplySink, stream};

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
    /// What counts a body that is held whole.
    memory: Option<QueryMemory>,
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
    /// The stream is complete; a queue closed without it was cut off. What counts it, if something does.
    Last(Bytes, Option<QueryMemory>),
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

    /// An answer that is held in memory and not empty.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Whole(bytes) => bytes.as_deref(),
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
                    Poll::Ready(Some(Item::Last(bytes, memory))) => {
                        self.memory = memory;
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
    let mut reply = Response::new(ReplyBody { content, coder: None, on_end: None, memory: None });
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

#[cfg(test)]
mod tests;
