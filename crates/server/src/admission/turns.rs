//! Turns: how many requests of a kind work at a time. Whoever comes first has the next one.
//!
//! A [`Turn`] is held for work, never for a client: work that has to wait for a slow reader leaves its turn and
//! comes back for it ([`Turn::leave`], [`Turn::enter`]), behind those that wait already.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::refusal::Refusal;

/// A number of turns.
#[derive(Debug, Clone)]
pub(crate) struct Turns {
    free: Arc<Semaphore>,
    /// What takes turns, for messages: `queries`.
    what: &'static str,
    /// How long somebody waits for a turn.
    patience: Duration,
}

/// The turn of a request. Clones share it; it is free again when the last one is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Turn(Arc<Held>);

#[derive(Debug)]
struct Held {
    turns: Turns,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Turns {
    pub(crate) fn new(count: usize, what: &'static str, patience: Duration) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), what, patience }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// 503 when none was free for too long.
    pub(crate) async fn take(&self) -> Result<Turn, Refusal> {
        let permit = self.take_many(1).await?;
        let held = Held { turns: self.clone(), permit: Mutex::new(Some(permit)) };
        Ok(Turn(Arc::new(held)))
    }

    /// Waits until `count` are free at the same time; who comes later waits behind.
    pub(super) async fn take_many(&self, count: u32) -> Result<OwnedSemaphorePermit, Refusal> {
        let permit = self.free.clone().acquire_many_owned(count);
        match timeout(self.patience, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed; both cases are "not now".
            Ok(Err(_)) | Err(_) => Err(self.too_many()),
        }
    }

    pub(super) fn too_many(&self) -> Refusal {
        Refusal::unavailable(format!("too many {} at a time", self.what))
    }

    /// Turns that are free.
    pub(super) fn free(&self) -> usize {
        self.free.available_permits()
    }
}

impl Turn {
    /// Gives the turn to whoever waits for one.
    pub(crate) fn leave(&self) {
        *self.0.permit.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Waits for a turn again, however long that takes: who holds one does not wait for clients.
    pub(crate) async fn enter(&self) {
        let permit = self.0.turns.free.clone().acquire_owned().await.ok();
        *self.0.permit.lock().unwrap_or_else(PoisonError::into_inner) = permit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_that_is_left_is_anothers_and_comes_back_in_order() {
        let turns = Turns::new(1, "tests", Duration::from_secs(60));
        let first = turns.take().await.unwrap();
        assert_eq!(turns.free(), 0);
        first.leave();
        let second = turns.take().await.unwrap();
        let back = tokio::spawn({
            let first = first.clone();
            async move { first.enter().await }
        });
        tokio::task::yield_now().await;
        assert!(!back.is_finished());
        drop(second);
        back.await.unwrap();
        assert_eq!(turns.free(), 0);
        drop(first);
        assert_eq!(turns.free(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let turns = Turns::new(1, "tests", Duration::from_secs(10));
        let _first = turns.take().await.unwrap();
        let refusal = turns.take().await.unwrap_err();
        assert_eq!((refusal.status.as_u16(), refusal.retry_after_s.is_some()), (503, true));
        assert_eq!(refusal.message, "too many tests at a time");
    }
}
