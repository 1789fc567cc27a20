//! Streams: what writes an answer, and waits for its client.
//!
//! 1. Work on a thread collects bytes and hands them over in chunks, through a queue of a few.
//! 2. A client that takes none for [`TURN_PATIENCE`] costs the work its turn, until it takes some
//!    ([`admission`](crate::admission), [`Waiting`]).
//! 3. The work ends when all but the last chunk has been taken. So no more than a chunk waits for a client
//!    without a thread, and those are counted.

use std::ops::ControlFlow;
use std::time::Duration;

use hyper::StatusCode;
use siltstone::{Cancel, QueryMemory};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{Instant, timeout};

use super::{CancelOnDrop, Content, Item, Reply, whole, with_content};
use crate::admission::{Place, Turn, Waiting, WaitingPlace};
use crate::refusal::Refusal;

/// Bytes collected before they are queued.
pub(super) const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that wait for the socket.
const QUEUE_CHUNKS: usize = 4;
/// How often a writer that waits for a slow client looks whether it was cancelled.
const CANCEL_LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long work waits for its client before it leaves its turn: shorter than what a person notices, longer
/// than a client that reads needs to be scheduled.
const TURN_PATIENCE: Duration = Duration::from_millis(20);

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
    memory: Option<QueryMemory>,
}

impl ReplySink {
    /// Where the next bytes are appended.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Forgets what is collected, for another attempt; whether there may be one, because nothing has been sent.
    pub(crate) fn start_over(&mut self) -> bool {
        self.buffer.clear();
        !self.sent
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
                let (flow, place) = self.wait_for_client(1);
                flow?;
                // This is the only sender: there is room now. A client that has gone needs nothing.
                let _ = self.queue.try_send(item);
                if let (Some(_), Some(turn)) = (&place, &self.turn) {
                    // With the place for waiting, which a thread belongs to.
                    Handle::current().block_on(turn.enter());
                }
                ControlFlow::Continue(())
            }
        }
    }

    /// Waits until the client has taken so much that `chunks` fit into the queue; breaks if it is gone or the
    /// work is to end. If that lasts the turn is left, and the place where it was waited instead is answered.
    #[cold]
    fn wait_for_client(&mut self, chunks: usize) -> (ControlFlow<()>, Option<WaitingPlace>) {
        let (runtime, since) = (Handle::current(), Instant::now());
        let mut place: Option<WaitingPlace> = None;
        let mut patience = TURN_PATIENCE;
        let flow = loop {
            // The queue does not know of the cancellation, so the wait is cut into short ones.
            let room = async { timeout(patience, self.queue.reserve_many(chunks)).await };
            match runtime.block_on(room) {
                Ok(Ok(_room)) => break ControlFlow::Continue(()),
                Ok(Err(_)) => break ControlFlow::Break(()),
                Err(_) => {}
            }
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

    /// What the answer holds from now on until it has been sent is counted in `memory`: for one that is handed
    /// over in one piece.
    pub(crate) fn keep(&mut self, memory: QueryMemory) {
        self.memory = Some(memory);
    }

    fn finish(mut self, result: Result<(), Refusal>) {
        if self.sent && !self.stopped {
            // A client that has gone, or a place that is lost, is noticed below.
            let _ = self.wait_for_client(QUEUE_CHUNKS);
        }
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
            Ok(()) => Item::Last(std::mem::take(&mut self.buffer).into(), self.memory.take()),
            Err(refusal) => {
                if self.sent && !self.queue.is_closed() {
                    tracing::warn!(error = refusal.message, "answer cut off");
                }
                Item::Refused(refusal)
            }
        };
        // There is room; a closed queue means that nobody waits.
        let _ = self.queue.try_send(last);
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
            memory: None,
        };
        let result = work(&mut sink, &cancel);
        sink.finish(result);
    });
    match queue.recv().await {
        Some(Item::Chunk(next)) => {
            let content = Content::Stream { next: Some(next), queue, _cancel: on_drop };
            Ok(with_content(StatusCode::OK, Some(content_type), content))
        }
        Some(Item::Last(bytes, memory)) => {
            let mut reply = whole(StatusCode::OK, content_type, bytes.into());
            reply.body_mut().memory = memory;
            Ok(reply)
        }
        Some(Item::Refused(refusal)) => Err(refusal),
        None => Err(running.await.err().unwrap_or_else(|| Refusal::unavailable("cut off"))),
    }
}
