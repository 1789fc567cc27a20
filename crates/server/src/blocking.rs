//! Where calls into the engine run: on the runtime's blocking threads, since they wait for disks.

use std::future::Future;

use hyper::StatusCode;

use crate::refusal::Refusal;

/// Starts `work` at once; the future waits for it. Dropping the future does not stop the work.
pub(crate) fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Result<T, Refusal>> {
    let task = tokio::task::spawn_blocking(work);
    async move {
        // Only a panic ends a blocking task early. The command aborts on panics; an embedder of
        // this crate may not.
        task.await.map_err(|error| {
            tracing::error!(%error, "request handler panicked");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed inside the server")
        })
    }
}
