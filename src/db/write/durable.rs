//! The highest seq that survives a power cut, and waiting for it.
//!
//! Raised by syncs of the log, if no older batch is left of which nothing is known, and by flushes. Its
//! lock is held for a few instructions, and no other is taken under it.

use std::sync::PoisonError;
use std::time::Duration;

use super::Writer;
use crate::db::env::options::Durability;
use crate::error::{Error, Result};
use crate::sys::sync::{Condvar, Mutex};

/// A timer that has not synced for so long after its interval is taken for stuck: who waits for it syncs
/// himself.
const TIMER_OVERDUE: Duration = Duration::from_secs(5);

/// The highest durable seq, to be waited for.
#[derive(Debug)]
pub(super) struct DurableSeq {
    seq: Mutex<u64>,
    risen: Condvar,
}

impl DurableSeq {
    pub(super) fn new(seq: u64) -> Self {
        Self { seq: Mutex::new(seq), risen: Condvar::new() }
    }

    pub(super) fn get(&self) -> u64 {
        *self.seq.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that every seq up to `seq` is durable.
    pub(super) fn rise_to(&self, seq: u64) {
        let mut guard = self.seq.lock().unwrap_or_else(PoisonError::into_inner);
        if seq > *guard {
            *guard = seq;
            self.risen.notify_all();
        }
    }

    /// Waits until `seq` is durable or the timeout has passed; whether it is.
    fn wait(&self, seq: u64, timeout: Duration) -> bool {
        let guard = self.seq.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.risen.wait_timeout_while(guard, timeout, |durable| *durable < seq);
        let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *guard >= seq
    }
}

impl Writer {
    /// The highest seq that survives a power cut.
    pub(in crate::db) fn durable_seq(&self) -> u64 {
        self.durable.get()
    }

    /// Notes that every seq up to `seq` is durable, all that is older being in segments.
    pub(in crate::db) fn note_durable(&self, seq: u64) {
        self.durable.rise_to(seq);
    }

    /// Notes that the log is synced up to `seq`. Durable it is only if nothing older is unknown: then the
    /// flush of that will tell.
    pub(super) fn note_synced(&self, seq: u64) {
        let view = self.view.current();
        if !view.generations().any(|generation| generation.is_durability_unknown()) {
            self.durable.rise_to(seq);
        }
    }

    /// Waits until the batch `seq` survives a power cut; syncs now if no timer will.
    ///
    /// # Errors
    /// Those of [`Db::wait_durable`](crate::Db::wait_durable).
    pub(in crate::db) fn wait_durable(&self, seq: u64) -> Result<()> {
        if seq > self.lock_commit().last_seq {
            return Err(Error::InvalidArgument(format!("no batch has the seq {seq}")));
        }
        let by_timer = match self.env.options.durability {
            Durability::Interval(every) if !self.env.is_manual() => {
                self.durable.wait(seq, every + TIMER_OVERDUE)
            }
            _ => false,
        };
        if by_timer || self.durable.get() >= seq {
            return Ok(());
        }
        let mut commit = self.lock_commit();
        self.env.health.check_owned()?;
        self.sync_log(&mut commit)?;
        if self.durable.get() < seq {
            // Of an older log it is unknown; what is in segments is durable.
            let _ = self.flush_durability_unknown();
        }
        if self.durable.get() >= seq {
            return Ok(());
        }
        Err(Error::DurabilityUnknown { durable_seq: self.durable.get() })
    }
}
