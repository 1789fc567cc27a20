//! What the client of a connection is expected to do: shared by the socket (`timed_io`), the requests
//! on it, and whoever looks for a connection that can make room for another (`connections`).
//!
//! A connection can be given up while its client has no request under way: between requests, before the
//! first byte, or, with a worse conscience, while it sends headers. Between requests begins when the last
//! byte of the answer has been handed to the system, not when the answer is made. The choice and the
//! request are decided under one lock: a request that arrives first is served, one that arrives later
//! finds the connection ended.
//!
//! A connection that has just come is not known to be one without a request. Until its socket has been read for
//! the first time it cannot be given up: that takes the server's time and never the client's. Then it is fresh
//! for [`FRESH`], as is a request whose headers have just begun, and the last to be given up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a connection is fresh. A request follows its connection within moments, and within some hundred ms
/// when a packet of it is lost and sent again; a client that takes longer has opened the connection for later.
pub(crate) const FRESH: Duration = Duration::from_secs(1);

/// Where a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It was accepted; whether something has come is not known yet.
    Unread,
    /// Nothing had come when it was read first.
    Silent,
    /// Headers of a request are coming.
    Headers,
    /// The answer is made; the next request has not begun.
    Idle,
    /// A request is being handled.
    Busy,
    /// It was given up for another.
    Ending,
}

/// What the socket waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The headers of a request.
    Headers,
    /// What the client likes, between requests.
    Idle,
    /// Nothing in particular: the answer is being made, or the reader of the body keeps the time.
    Nothing,
    /// No more: the connection ends.
    End,
}

/// How little is lost with a connection; the first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Loss {
    /// It has no request.
    None,
    /// A request whose headers are not complete.
    Headers,
    /// It has just come, or its headers have just begun.
    Fresh,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Phase {
    state: Arc<Mutex<PhaseState>>,
    /// Told when the connection becomes one that can be given up.
    freed: Arc<Notify>,
}

#[derive(Debug)]
struct PhaseState {
    kind: Kind,
    /// Since when.
    since: Instant,
    /// Whether all of the last answer has been handed to the system.
    flushed: bool,
    /// Counts changes, so that a phase entered anew is told from the same one going on.
    changes: u64,
    /// The connection, which waits for bytes and will not look at its deadline again before they
    /// come: it is woken to start the time for idling, and to end.
    reader: Option<Waker>,
}

impl PhaseState {
    fn enter(&mut self, kind: Kind) {
        self.kind = kind;
        self.since = Instant::now();
        self.changes += 1;
    }

    fn loss(&self) -> Option<Loss> {
        match self.kind {
            Kind::Silent | Kind::Headers if self.since.elapsed() < FRESH => Some(Loss::Fresh),
            Kind::Silent => Some(Loss::None),
            Kind::Idle if self.flushed => Some(Loss::None),
            Kind::Headers => Some(Loss::Headers),
            Kind::Unread | Kind::Idle | Kind::Busy | Kind::Ending => None,
        }
    }
}

impl Phase {
    /// Of a connection that has just been accepted.
    pub(crate) fn new(freed: Arc<Notify>) -> Self {
        let state = PhaseState {
            kind: Kind::Unread,
            since: Instant::now(),
            flushed: true,
            changes: 0,
            reader: None,
        };
        Self { state: Arc::new(Mutex::new(state)), freed }
    }

    /// Whether nobody has looked yet whether something has come.
    pub(crate) fn is_unread(&self) -> bool {
        self.lock().kind == Kind::Unread
    }

    /// It was looked, and nothing has come.
    pub(crate) fn silent(&self) {
        let mut state = self.lock();
        if state.kind == Kind::Unread {
            state.enter(Kind::Silent);
            drop(state);
            self.freed.notify_waiters();
        }
    }

    /// A request has arrived and is being handled. False if the connection was given up before: then
    /// nothing may be done for it.
    pub(crate) fn busy(&self) -> bool {
        let mut state = self.lock();
        if state.kind == Kind::Ending {
            return false;
        }
        state.enter(Kind::Busy);
        state.flushed = false;
        true
    }

    /// The response has been handed over.
    pub(crate) fn idle(&self) {
        let mut state = self.lock();
        if state.kind == Kind::Ending {
            return;
        }
        state.enter(Kind::Idle);
        // Other phases begin inside the connection's own task.
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Bytes have come.
    pub(crate) fn heard(&self) {
        let mut state = self.lock();
        if matches!(state.kind, Kind::Unread | Kind::Silent | Kind::Idle) {
            let had_none = state.loss().is_none();
            state.enter(Kind::Headers);
            drop(state);
            if had_none {
                self.freed.notify_waiters();
            }
        }
    }

    /// All that was to be sent is with the system.
    pub(crate) fn flushed(&self) {
        let mut state = self.lock();
        if state.kind == Kind::Idle && !state.flushed {
            state.flushed = true;
            drop(state);
            self.freed.notify_waiters();
        }
    }

    /// Remembers who reads; what is expected, and the number of the phase.
    pub(crate) fn wait(&self, cx: &Context<'_>) -> (Expected, u64) {
        let mut state = self.lock();
        if !state.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
            state.reader = Some(cx.waker().clone());
        }
        let expected = match state.kind {
            Kind::Unread | Kind::Silent | Kind::Headers => Expected::Headers,
            Kind::Idle => Expected::Idle,
            Kind::Busy => Expected::Nothing,
            Kind::Ending => Expected::End,
        };
        (expected, state.changes)
    }

    /// Whether no request is known of, and all answers are with the system: what is sent then is an answer to
    /// what is no request.
    pub(crate) fn awaits_request(&self) -> bool {
        let state = self.lock();
        state.flushed && !matches!(state.kind, Kind::Busy | Kind::Ending)
    }

    /// Whether the connection was given up.
    pub(crate) fn is_ending(&self) -> bool {
        self.lock().kind == Kind::Ending
    }

    /// What would be lost with the connection, and since when that is so; `None` while a request is
    /// under way.
    pub(crate) fn loss(&self) -> Option<(Loss, Instant)> {
        let state = self.lock();
        state.loss().map(|loss| (loss, state.since))
    }

    /// Gives the connection up, unless a request has come in the meantime.
    pub(crate) fn give_up(&self) -> bool {
        let mut state = self.lock();
        if state.loss().is_none() {
            return false;
        }
        state.enter(Kind::Ending);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, PhaseState> {
        // Nothing can panic while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
