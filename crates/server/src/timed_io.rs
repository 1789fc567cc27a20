//! A socket with a deadline on every phase: headers, idling between requests, writing, closing.
//!
//! hyper's own header timeout also closes idle connections, so the two cannot differ, and it has none
//! for writing. Here the socket knows its [`Phase`], which the connection's service and the bodies of
//! its responses move on (`phase`). While a request is being handled reads have no deadline: the reader of
//! the body keeps its own.
//!
//! On its way to hyper what clients write into the targets of requests is escaped (`target_filter`), and hyper's
//! empty answers to what is no request get a body that says so (`unparsed`): hyper lets nobody else make them.
//!
//! Closing lingers: what the client still sends is read and dropped for a moment, because a socket
//! closed over unread bytes resets the connection and the client may lose the answer (a 413, say).
//!
//! The first read that finds nothing asks the system once more whether there is nothing: the runtime says so of
//! every new socket until its poll has told it otherwise, and a connection whose request has arrived must not
//! count as silent (`phase`).
//!
//! A connection that was chosen to make room (`connections`) ends at its next look for bytes, at once
//! and without lingering.

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::connection_stats::{Closed, ConnectionStats};
use crate::phase::{Expected, Phase};
use crate::target_filter::TargetFilter;
use crate::unparsed;

/// Longest time spent on reading what nobody wants, when closing.
const LINGER: Duration = Duration::from_secs(1);
/// Most bytes read that nobody wants, when closing.
const LINGER_BYTES_MAX: usize = 16 << 20;

/// How long each phase may last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) headers: Duration,
    pub(crate) idle: Duration,
    pub(crate) write: Duration,
    /// Bytes per second that a client has to take.
    pub(crate) write_rate_min: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct TimedIo {
    stream: TcpStream,
    timeouts: Timeouts,
    phase: Phase,
    stats: Arc<ConnectionStats>,
    /// The phase that `read_deadline` belongs to.
    armed: Option<u64>,
    read_deadline: Pin<Box<Sleep>>,
    /// Since when a write waits for the client, if one does.
    write_waits: Option<Instant>,
    /// How much longer writes may wait. What the client takes earns more, up to what there was at first: a byte
    /// now and then is not enough, and much at once is no credit for long.
    write_left: Duration,
    write_deadline: Pin<Box<Sleep>>,
    filter: TargetFilter,
    /// What the filter made of bytes that were read and had no room where they were read to.
    filtered: Vec<u8>,
    /// What is sent in the place of an answer of hyper, and how much of it is.
    instead: Option<(Vec<u8>, usize)>,
    /// Bytes that may still be dropped while closing, once closing has begun.
    linger: Option<usize>,
}

impl TimedIo {
    /// Wraps a socket that has just been accepted. To be called inside the runtime.
    pub(crate) fn new(
        stream: TcpStream,
        phase: Phase,
        timeouts: Timeouts,
        stats: Arc<ConnectionStats>,
    ) -> Self {
        Self {
            stream,
            timeouts,
            phase,
            stats,
            armed: None,
            read_deadline: Box::pin(sleep(timeouts.headers)),
            write_waits: None,
            write_left: timeouts.write,
            write_deadline: Box::pin(sleep(timeouts.write)),
            filter: TargetFilter::new(),
            filtered: Vec::new(),
            instead: None,
            linger: None,
        }
    }

    /// Passes what `buffer` holds beyond `before` through the filter.
    fn filter(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        if self.filter.is_off() {
            return;
        }
        if let Some(changed) = self.filter.pass(&buffer.filled()[before..]) {
            buffer.set_filled(before);
            self.filtered = changed;
            self.take_filtered(buffer);
        }
    }

    fn take_filtered(&mut self, buffer: &mut ReadBuf<'_>) {
        let len = self.filtered.len().min(buffer.remaining());
        buffer.put_slice(&self.filtered[..len]);
        self.filtered.drain(..len);
    }

    /// Sends what is sent instead of `bytes`, if something is: `None` if not.
    fn poll_instead(
        &mut self,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Option<Poll<io::Result<usize>>> {
        if self.instead.is_none() && self.phase.awaits_request() {
            self.instead = unparsed::explained(bytes).map(|answer| (answer, 0));
        }
        let (answer, sent) = self.instead.as_mut()?;
        while *sent < answer.len() {
            match Pin::new(&mut self.stream).poll_write(cx, &answer[*sent..]) {
                Poll::Ready(Ok(len)) if len > 0 => *sent += len,
                other => return Some(other),
            }
        }
        self.instead = None;
        Some(Poll::Ready(Ok(bytes.len())))
    }

    /// Ready with an error when the phase has lasted too long, or the connection has to make room.
    fn poll_read_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let (expected, changes) = self.phase.wait(cx);
        let (allowed, reason) = match expected {
            Expected::Headers => (self.timeouts.headers, Closed::HeaderTimeout),
            Expected::Idle => (self.timeouts.idle, Closed::IdleTimeout),
            Expected::Nothing => return Poll::Pending,
            Expected::End => return Poll::Ready(makes_room()),
        };
        if self.armed != Some(changes) {
            self.armed = Some(changes);
            self.read_deadline.as_mut().reset(Instant::now() + allowed);
        }
        ready!(self.read_deadline.as_mut().poll(cx));
        self.stats.count_closed(reason);
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the client sent nothing in time"))
    }

    /// Passes on what a write found, or an error when the client has taken too little for too long.
    fn after_write(
        &mut self,
        result: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = &result {
            if let Some(since) = self.write_waits.take() {
                self.write_left = self.write_left.saturating_sub(since.elapsed());
            }
            let bytes = *written.as_ref().unwrap_or(&0) as u64;
            let earned = bytes.saturating_mul(1000) / self.timeouts.write_rate_min.max(1);
            let left = self.write_left.saturating_add(Duration::from_millis(earned));
            self.write_left = left.min(self.timeouts.write);
            return result;
        }
        if self.write_waits.is_none() {
            let now = Instant::now();
            self.write_waits = Some(now);
            self.write_deadline.as_mut().reset(now + self.write_left);
        }
        ready!(self.write_deadline.as_mut().poll(cx));
        self.stats.count_closed(Closed::WriteTimeout);
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client took too little in time",
        )))
    }

    /// Reads and drops until the client closes too, or it has been enough.
    fn poll_linger(&mut self, left: usize, cx: &mut Context<'_>) -> Poll<()> {
        // Whoever makes room for another does not linger.
        if self.phase.wait(cx).0 == Expected::End {
            return Poll::Ready(());
        }
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

/// Whether a socket has neither bytes nor an end to be read.
fn has_nothing(stream: &TcpStream) -> bool {
    let peeked = SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]);
    peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn makes_room() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "closed to make room for another connection")
}

impl AsyncRead for TimedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.phase.is_ending() {
            return Poll::Ready(Err(makes_room()));
        }
        if !self.filtered.is_empty() {
            self.take_filtered(buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Pending => {
                if self.phase.is_unread() && has_nothing(&self.stream) {
                    self.phase.silent();
                }
                self.poll_read_deadline(cx).map(Err)
            }
            Poll::Ready(result) => {
                if buffer.filled().len() > before {
                    self.phase.heard();
                    self.filter(buffer, before);
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
        let result = match self.poll_instead(bytes, cx) {
            Some(result) => result,
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
        };
        self.after_write(result, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let alone = match slices {
            [slice] => self.poll_instead(slice, cx),
            _ => None,
        };
        let result = match alone {
            Some(result) => result,
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, slices),
        };
        self.after_write(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper asks for this when it has handed over all that it had.
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.phase.flushed();
        Poll::Ready(Ok(()))
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;

    /// What the first read of a connection finds that was sent `sent`, and whether it counts as read then.
    async fn first_read(sent: &[u8]) -> (Poll<usize>, bool) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(sent).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let stream = TcpStream::from_std(stream).unwrap();
        let phase = Phase::new(Arc::default());
        let long = Duration::from_secs(60);
        let timeouts = Timeouts { headers: long, idle: long, write: long, write_rate_min: 1 };
        let mut io = TimedIo::new(stream, phase.clone(), timeouts, Arc::default());
        assert!(phase.is_unread());
        let first = poll_fn(|cx| {
            let mut bytes = [0; 8];
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = Pin::new(&mut io).poll_read(cx, &mut buffer);
            Poll::Ready(read.map(|read| read.map(|()| buffer.filled().len()).unwrap()))
        });
        (first.await, !phase.is_unread())
    }

    #[tokio::test]
    async fn what_has_arrived_unread_is_not_silence() {
        assert_eq!(first_read(b"").await, (Poll::Pending, true));
        // The runtime has not heard of the bytes.
        assert_eq!(first_read(b"GET").await, (Poll::Pending, false));
    }
}
