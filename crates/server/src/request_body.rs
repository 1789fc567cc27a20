//! Request bodies: held whole within limits, or streamed to a blocking reader.
//!
//! Both give up on a client that is too slow. Only the time spent on waiting for the client counts,
//! not the time that the store needs. A body that breaks off is an error, never a shorter body.

use std::io::{self, Read};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body, Bytes, Incoming};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::config::ServerConfig;
use crate::refusal::Refusal;

/// Pieces of a streamed body that wait for their reader.
const QUEUE_PIECES: usize = 4;

/// How much longer the client may make us wait.
#[derive(Debug)]
struct Patience {
    left: Duration,
    /// Bytes per second that earn more patience; `None` for a fixed time.
    rate_min: Option<u64>,
}

impl Patience {
    async fn next_piece(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
        loop {
            let started = Instant::now();
            let frame = timeout(self.left, body.frame()).await.map_err(|_| {
                Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body arrived too slowly")
            })?;
            self.left = self.left.saturating_sub(started.elapsed());
            match frame {
                None => return Ok(None),
                Some(Err(error)) => {
                    return Err(Refusal::bad_request(format!("the body broke off: {error}")));
                }
                // Trailers carry nothing that is understood here.
                Some(Ok(frame)) => {
                    let Ok(bytes) = frame.into_data() else { continue };
                    if let Some(rate) = self.rate_min {
                        let earned = bytes.len() as u64 * 1000 / rate.max(1);
                        self.left = self.left.saturating_add(Duration::from_millis(earned));
                    }
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

/// The length that the client declares, if it does.
pub(crate) fn declared_len(body: &Incoming) -> Option<usize> {
    body.size_hint().exact().map(|len| usize::try_from(len).unwrap_or(usize::MAX))
}

/// Reads a whole body into `out`, at most `limit` bytes.
pub(crate) async fn read_whole(
    mut body: Incoming,
    limit: usize,
    config: &ServerConfig,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let too_large =
        || Refusal::too_large(format!("the body is larger than the limit of {limit} bytes"));
    let declared = declared_len(&body).unwrap_or(0);
    if declared > limit {
        return Err(too_large());
    }
    out.clear();
    let mut patience = Patience { left: config.body_timeout, rate_min: None };
    while let Some(piece) = patience.next_piece(&mut body).await? {
        if piece.len() > limit - out.len() {
            return Err(too_large());
        }
        if out.is_empty() {
            // The declared length is earned by the first piece and bounded by the limit.
            out.reserve(declared);
        }
        out.extend_from_slice(&piece);
    }
    Ok(())
}

/// A streamed body as its blocking reader sees it.
#[derive(Debug)]
pub(crate) struct BodyReader {
    queue: mpsc::Receiver<Piece>,
    piece: Bytes,
    ended: bool,
}

#[derive(Debug)]
enum Piece {
    Data(Bytes),
    End,
}

/// What feeds a [`BodyReader`].
#[derive(Debug)]
pub(crate) struct BodyPump {
    queue: mpsc::Sender<Piece>,
}

/// A reader for a blocking thread and the pump that feeds it.
pub(crate) fn streamed() -> (BodyPump, BodyReader) {
    let (sender, receiver) = mpsc::channel(QUEUE_PIECES);
    let reader = BodyReader { queue: receiver, piece: Bytes::new(), ended: false };
    (BodyPump { queue: sender }, reader)
}

impl BodyPump {
    /// Moves the body to the reader until its end, or until the reader is gone.
    pub(crate) async fn run(
        self,
        mut body: Incoming,
        config: &ServerConfig,
    ) -> Result<(), Refusal> {
        let mut patience =
            Patience { left: config.body_timeout, rate_min: Some(config.body_rate_min) };
        loop {
            let next = patience.next_piece(&mut body).await?;
            let at_end = next.is_none();
            let piece = next.map_or(Piece::End, Piece::Data);
            if self.queue.send(piece).await.is_err() || at_end {
                return Ok(());
            }
        }
    }
}

impl Read for BodyReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.ended {
            match self.queue.blocking_recv() {
                Some(Piece::Data(bytes)) => self.piece = bytes,
                Some(Piece::End) => self.ended = true,
                None => {
                    let message = "the body broke off";
                    return Err(io::Error::new(io::ErrorKind::ConnectionAborted, message));
                }
            }
        }
        let len = out.len().min(self.piece.len());
        out[..len].copy_from_slice(&self.piece.split_to(len));
        Ok(len)
    }
}
