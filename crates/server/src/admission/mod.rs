//! Admission: what a request may hold, and when it works. It can neither deadlock nor starve.
//!
//! A request goes through these steps; at each it holds what stands there, and nothing else:
//!
//! | step | holds | waits for |
//! |---|---|---|
//! | its body arrives | the bytes that have arrived (`bodies`) | its client, 30 s at most beyond what the rate earns |
//! | it waits for its turn | its whole body | others that work, first in first out (`turns`, `decoding`) |
//! | it works; an import for one step, then it waits again | its turn, memory to decode in, a thread (`threads`) | disks, locks of the engine |
//! | its answer leaves | a bounded buffer; a long answer a thread and what it reads from (`waiting`) | its client |
//!
//! # Invariants
//!
//! 1. Nobody who holds a turn or memory to decode in waits for a client. So turns come back, whoever is at the
//!    other end.
//! 2. Each step waits only for steps below it in the table and for clients; so there is no circle.
//! 3. Turns of writes, queries, exports, the admin API and the rest are apart: none of them can take another's.
//!    Imports work in turns of writes, and have turns of their own before them, as many as there are processors and
//!    no more than half of the writes': each is held for one step of bounded work, not for an import, and given to
//!    who waits longest (`decoding`).
//! 4. There are as many threads as turns and places to wait, all started at open.
//! 5. What is held in bodies and in decoding has a bound each, a part of the store's memory budget.
//!
//! Where memory for bodies is short, `bodies` says who goes. Work is not interrupted: it ends by its own deadline
//! or when it is cancelled.
//!
//! The router takes turns; `request_body` fills bodies; `reply` leaves and takes turns while an answer is written.

mod bodies;
mod decoding;
mod threads;
mod turns;
mod waiting;

use std::future::Future;
use std::io;
use std::num::NonZero;

use tokio::runtime::Handle;

pub(crate) use bodies::{Bodies, Body};
pub(crate) use decoding::Decoding;
pub(crate) use threads::Threads;
pub(crate) use turns::{Turn, Turns};
pub(crate) use waiting::{Waiting, WaitingPlace};

use crate::config::ServerConfig;
use crate::refusal::Refusal;

/// The part of the store's memory budget that bodies may hold, unless the configuration says.
const BODIES_PART: u64 = 8;
/// The part of it in which bodies are decoded.
const DECODING_PART: u64 = 8;
/// Turns of the admin API: what it does is long, and one at a time inside the engine.
const ADMIN_TURNS: usize = 4;
/// Turns of what is short and needs no other: metrics, status, readiness.
const CONTROL_TURNS: usize = 4;

/// Which turn a route's requests have while they work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// None: nothing is done but to format an answer.
    Free,
    /// Short looks at the state of the server.
    Control,
    Query,
    /// Answers that may be as long as the store.
    Export,
    Admin,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) bodies: Bodies,
    pub(crate) decoding: Decoding,
    pub(crate) waiting: Waiting,
    control: Turns,
    queries: Turns,
    exports: Turns,
    admin: Turns,
    threads: Threads,
}

/// Where a request works: its turn, the threads, and where its answer waits.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    threads: Threads,
    turn: Option<Turn>,
    waiting: Waiting,
}

impl Admission {
    /// Within the parts of a memory budget of `budget` bytes; starts the threads. To be called inside the runtime.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub(crate) fn start(config: &ServerConfig, budget: u64) -> io::Result<Self> {
        let part = |part| usize::try_from(budget / part).unwrap_or(usize::MAX);
        let patience = config.queue_timeout;
        // A semaphore counts no further; there are not as many threads either.
        let turns = |count: usize| count.clamp(1, 4096);
        let (writes, queries) = (turns(config.writes_max), turns(config.reads_max));
        let (exports, waiting) = (turns(config.exports_max), turns(config.slow_answers_max));
        let bodies_max = config.bodies_bytes_max.unwrap_or(part(BODIES_PART));
        let decoding_max = config.decoding_bytes_max.unwrap_or(part(DECODING_PART));
        let threads = writes + queries + exports + waiting + ADMIN_TURNS + CONTROL_TURNS;
        Ok(Self {
            bodies: Bodies::new(bodies_max, config.body_rate_min, patience),
            decoding: Decoding::new(
                (writes, processors()),
                decoding_max,
                config.request_samples_max,
                patience,
            ),
            waiting: Waiting::new(waiting),
            control: Turns::new(CONTROL_TURNS, "requests for the state of the server", patience),
            queries: Turns::new(queries, "queries", patience),
            exports: Turns::new(exports, "exports", patience),
            admin: Turns::new(ADMIN_TURNS, "requests of the admin API", patience),
            threads: Threads::start(threads, &Handle::current())?,
        })
    }

    /// Waits for the turn of a request.
    ///
    /// # Errors
    /// 503 when none was free for `queue_timeout`.
    pub(crate) async fn take(&self, kind: Kind) -> Result<Place, Refusal> {
        let turns = match kind {
            Kind::Free => return Ok(self.place(None)),
            Kind::Control => &self.control,
            Kind::Query => &self.queries,
            Kind::Export => &self.exports,
            Kind::Admin => &self.admin,
        };
        Ok(self.place(Some(turns.take().await?)))
    }

    /// Where the holder of `turn` works.
    pub(crate) fn place(&self, turn: Option<Turn>) -> Place {
        Place { threads: self.threads.clone(), turn, waiting: self.waiting.clone() }
    }

    /// The largest body, as it arrives and decoded, of at most `limit` bytes.
    pub(crate) fn body_bytes_max(&self, limit: usize) -> usize {
        limit.min(self.bodies.largest()).min(self.decoding.largest())
    }
}

/// Processors that the process may use.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

impl Place {
    /// Starts `work` on a thread; the future waits for it. The work holds the turn until it has ended: a client
    /// that leaves ends its request at once, but the work only at its next look at its cancellation.
    pub(crate) fn run<T, W>(&self, work: W) -> impl Future<Output = Result<T, Refusal>> + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let turn = self.turn.clone();
        self.threads.run(move || {
            let result = work();
            drop(turn);
            result
        })
    }

    /// The turn, if it is one of a kind that has turns.
    pub(crate) fn turn(&self) -> Option<&Turn> {
        self.turn.as_ref()
    }

    /// Where answers wait for slow readers.
    pub(crate) fn waiting(&self) -> &Waiting {
        &self.waiting
    }
}
