//! Where calls into the engine run: on the runtime's blocking threads, since they wait for disks.
//!
//! A request may have waited for a turn ([`App::admit`](crate::app::App::admit)). Its handler runs within
//! [`in_turn`], and whatever it starts here holds the turn until it has ended: a client that leaves ends the
//! handler at once, but its work only at the next look at its cancellation, and until then it takes
//! threads and memory like any other.

use std::future::Future;
use std::sync::Arc;

use hyper::StatusCode;
use tokio::sync::OwnedSemaphorePermit;

use crate::refusal::Refusal;

/// A turn, free again when the last one who holds it drops it.
pub(crate) type Turn = Option<Arc<OwnedSemaphorePermit>>;

tokio::task_local! {
    static TURN: Turn;
}

/// Runs a handler; the work that it starts holds `turn`, too.
pub(crate) fn in_turn<F: Future>(turn: Turn, handler: F) -> impl Future<Output = F::Output> {
    TURN.scope(turn, handler)
}

/// Starts `work` at once; the future waits for it. Dropping the future does not stop the work.
pub(crate) fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Result<T, Refusal>> {
    // Outside of a request there is no turn.
    let turn = TURN.try_with(Clone::clone).unwrap_or_default();
    let task = tokio::task::spawn_blocking(move || {
        let result = work();
        drop(turn);
        result
    });
    async move {
        // Only a panic ends a blocking task early. The command aborts on panics; an embedder of
        // this crate may not.
        task.await.map_err(|error| {
            tracing::error!(%error, "request handler panicked");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed inside the server")
        })
    }
}
