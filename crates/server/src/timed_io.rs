//! A socket with a deadline on every phase: headers, idling between requests, writing, closing.
//!
//! hyper's own header timeout also closes idle connections, so the two cannot differ, and it has none
//! for writing. Here the socket knows its [`Phase`], which the connection's service and the bodies of
//! its responses move on. While a request is being handled reads have no deadline: the reader of
//! the body keeps its own.
//!
//! Closing lingers: what the client still sends is read and dropped for a moment, because a socket
//! closed over unread bytes resets the connection and the client may lose the answer (a 413, say).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// Longest time spent on reading what nobody wants, when closing.
const LINGER: Duration = Duration::from_secs(1);
/// Most bytes read that nobody wants, when closing.
const LINGER_BYTES_MAX: usize = 16 << 20;

/// What the client is expected to do. Shared by the socket and the requests on it.
#[derive(Debug, Clone)]
pub(crate) struct Phase(Arc<AtomicU32>);

/// The kinds of a phase, in the low bits; the rest counts changes, so that a phase entered anew is
/// told from the same one going on.
const HEADERS: u32 = 0;
const IDLE: u32 = 1;
const BUSY: u32 = 2;
const KIND_BITS: u32 = 2;

impl Phase {
    fn new() -> Self {
        Self(Arc::new(AtomicU32::new(HEADERS)))
    }

    /// A request has arrived and is being handled.
    pub(crate) fn busy(&self) {
        self.enter(BUSY);
    }

    /// The response has been handed over.
    pub(crate) fn idle(&self) {
        self.enter(IDLE);
    }

    fn enter(&self, kind: u32) {
        let next = |old: u32| Some(((old >> KIND_BITS).wrapping_add(1) << KIND_BITS) | kind);
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
    }

    fn load(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    fn kind(phase: u32) -> u32 {
        phase & ((1 << KIND_BITS) - 1)
    }
}

/// How long each phase may last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) headers: Duration,
    pub(crate) idle: Duration,
    pub(crate) write: Duration,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct TimedIo {
    stream: TcpStream,
    timeouts: Timeouts,
    phase: Phase,
    /// The phase that `read_deadline` belongs to.
    armed: Option<u32>,
    read_deadline: Pin<Box<Sleep>>,
    /// Set while a write waits for the client.
    write_waits: bool,
    write_deadline: Pin<Box<Sleep>>,
    /// Bytes that may still be dropped while closing, once closing has begun.
    linger: Option<usize>,
}

impl TimedIo {
    /// Wraps a socket that has just been accepted. To be called inside the runtime.
    pub(crate) fn new(stream: TcpStream, timeouts: Timeouts) -> Self {
        Self {
            stream,
            timeouts,
            phase: Phase::new(),
            armed: None,
            read_deadline: Box::pin(sleep(timeouts.headers)),
            write_waits: false,
            write_deadline: Box::pin(sleep(timeouts.write)),
            linger: None,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.clone()
    }

    /// Ready with an error when the phase has lasted too long.
    fn poll_read_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let phase = self.phase.load();
        let allowed = match Phase::kind(phase) {
            HEADERS => self.timeouts.headers,
            IDLE => self.timeouts.idle,
            _ => return Poll::Pending,
        };
        if self.armed != Some(phase) {
            self.armed = Some(phase);
            self.read_deadline.as_mut().reset(Instant::now() + allowed);
        }
        ready!(self.read_deadline.as_mut().poll(cx));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the client sent nothing in time"))
    }

    /// Passes on what a write found, or an error when the client has taken nothing for too long.
    fn after_write<T>(
        &mut self,
        result: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.write_waits = false;
            return result;
        }
        if !self.write_waits {
            self.write_waits = true;
            self.write_deadline.as_mut().reset(Instant::now() + self.timeouts.write);
        }
        ready!(self.write_deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client took nothing in time")))
    }

    /// Reads and drops until the client closes too, or it has been enough.
    fn poll_linger(&mut self, left: usize, cx: &mut Context<'_>) -> Poll<()> {
        let mut left = left;
        let mut scratch = [0u8; 4096];
        while self.read_deadline.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut scratch);
            let result = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
            self.linger = Some(left);
            let read = match ready!(result) {
                Ok(()) => buffer.filled().len(),
                Err(_) => 0,
            };
            left = left.saturating_sub(read);
            if read == 0 || left == 0 {
                break;
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for TimedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Pending => self.poll_read_deadline(cx).map(Err),
            Poll::Ready(result) => {
                if buffer.filled().len() > before && Phase::kind(self.phase.load()) == IDLE {
                    self.phase.enter(HEADERS);
                }
                Poll::Ready(result)
            }
        }
    }
}

impl AsyncWrite for TimedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.after_write(result, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.after_write(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let left = match self.linger {
            Some(left) => left,
            None => {
                ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
                self.read_deadline.as_mut().reset(Instant::now() + LINGER);
                self.linger = Some(LINGER_BYTES_MAX);
                LINGER_BYTES_MAX
            }
        };
        self.poll_linger(left, cx).map(Ok)
    }
}
