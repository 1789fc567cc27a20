//! The threads on which requests call the engine, which waits for disks: a fixed number, all of them started
//! when the server opens.
//!
//! # Invariants
//!
//! - No thread is started while requests are served: a system that refuses another thread refuses the server at
//!   its start, and ends nothing later.
//! - Whoever hands over work holds a place among those that all turns together have (`admission`), and there are
//!   as many threads: work never waits for a thread for longer than one needs to come back.
//! - The thread that became idle last works first: its stack, allocator and caches are the warm ones.
//! - Work that panics costs its request, not the thread.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use hyper::StatusCode;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::refusal::Refusal;

type Work = Box<dyn FnOnce() + Send>;

/// See the module. Clones share the threads, which end with the last clone, when their work is done.
#[derive(Debug, Clone)]
pub(crate) struct Threads {
    owner: Arc<Owner>,
}

/// Ends the threads when it is dropped; they themselves hold what is shared.
#[derive(Debug)]
struct Owner(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Work for which no thread was idle.
    waiting: VecDeque<Work>,
    /// Idle threads; the last one is woken first.
    idle: Vec<Arc<Desk>>,
    closed: bool,
}

/// Where an idle thread finds its next work.
#[derive(Default)]
struct Desk {
    work: Mutex<Option<Next>>,
    arrived: Condvar,
}

enum Next {
    Work(Work),
    End,
}

impl Threads {
    /// Starts `count` threads that may use `runtime`.
    ///
    /// # Errors
    /// If the system refuses one of them.
    pub(crate) fn start(count: usize, runtime: &Handle) -> io::Result<Self> {
        let owner = Arc::new(Owner(Arc::default()));
        for _ in 0..count.max(1) {
            let (shared, runtime) = (Arc::clone(&owner.0), runtime.clone());
            let named = std::thread::Builder::new().name("siltstone-http".to_owned());
            named.spawn(move || {
                let _within = runtime.enter();
                serve(&shared);
            })?;
        }
        Ok(Self { owner })
    }

    /// Hands over `work`, which begins at once if a thread is idle; the future waits for its result.
    /// Dropping the future does not stop the work.
    pub(crate) fn run<T, W>(&self, work: W) -> impl Future<Output = Result<T, Refusal>> + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let (result, done) = oneshot::channel();
        self.hand_over(Box::new(move || {
            // The work is gone after a panic, and what it shared with others keeps its own locks.
            let outcome = catch_unwind(AssertUnwindSafe(work));
            // Nobody may wait any more.
            let _ = result.send(outcome.ok());
        }));
        async move {
            // The command aborts on panics; an embedder of this crate may not.
            done.await.ok().flatten().ok_or_else(|| {
                tracing::error!("a request panicked");
                let message = "the request failed inside the server";
                Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message)
            })
        }
    }

    fn hand_over(&self, work: Work) {
        let mut state = self.owner.0.lock();
        match state.idle.pop() {
            Some(desk) => {
                drop(state);
                desk.put(Next::Work(work));
            }
            None => state.waiting.push_back(work),
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        let idle = std::mem::take(&mut state.idle);
        drop(state);
        idle.iter().for_each(|desk| desk.put(Next::End));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    fn put(&self, next: Next) {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
        self.arrived.notify_one();
    }

    fn take(&self) -> Next {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match work.take() {
                Some(next) => return next,
                None => work = self.arrived.wait(work).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// The life of a thread.
fn serve(shared: &Shared) {
    let desk = Arc::new(Desk::default());
    loop {
        let mut state = shared.lock();
        let work = match state.waiting.pop_front() {
            Some(work) => work,
            None if state.closed => return,
            None => {
                state.idle.push(Arc::clone(&desk));
                drop(state);
                match desk.take() {
                    Next::Work(work) => {
                        work();
                        continue;
                    }
                    Next::End => return,
                }
            }
        };
        drop(state);
        work();
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (waiting, idle) = (self.waiting.len(), self.idle.len());
        f.debug_struct("State").field("waiting", &waiting).field("idle", &idle).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn work_waits_for_a_thread_first_in_first_out() {
        let runtime = runtime();
        let threads = Threads::start(1, runtime.handle()).unwrap();
        let (go, gate) = mpsc::channel::<()>();
        let (done, order) = mpsc::channel();
        let first = threads.run(move || gate.recv().is_ok());
        for number in 0..5 {
            let done = done.clone();
            // Nobody waits for the result, and it is done all the same.
            drop(threads.run(move || done.send(number)));
        }
        go.send(()).unwrap();
        assert_eq!(runtime.block_on(first), Ok(true));
        assert_eq!(order.iter().take(5).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_panic_costs_its_request_alone() {
        let runtime = runtime();
        let threads = Threads::start(1, runtime.handle()).unwrap();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let failed = runtime.block_on(threads.run(|| panic!("on purpose")));
        std::panic::set_hook(hook);
        let failed: Result<(), Refusal> = failed;
        assert_eq!(failed.unwrap_err().status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(runtime.block_on(threads.run(|| 7)), Ok(7));
    }

    #[test]
    fn threads_end_with_the_last_who_may_use_them() {
        let runtime = runtime();
        let threads = Threads::start(3, runtime.handle()).unwrap();
        let shared = Arc::downgrade(&threads.owner.0);
        drop(threads.clone());
        assert_eq!(runtime.block_on(threads.run(|| 1)), Ok(1));
        let (go, gate) = mpsc::channel::<()>();
        drop(threads.run(move || gate.recv().is_ok()));
        drop(threads);
        // One of them was at work.
        go.send(()).unwrap();
        let gone = (0..1000).any(|_| {
            runtime
                .block_on(async { tokio::time::sleep(std::time::Duration::from_millis(5)).await });
            shared.strong_count() == 0
        });
        assert!(gone);
    }
}
