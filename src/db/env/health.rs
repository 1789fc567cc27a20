//! Whether a store may still be read and written: whether it was closed, the fault that refuses writes,
//! and the lock file, which says that its files are this process's to change.
//!
//! Asked by every owner before it changes a file.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::error::{Error, Result};
use crate::sys::LockGuard;

/// The state of health of an open store.
#[derive(Debug)]
pub(in crate::db) struct Health {
    closed: AtomicBool,
    /// The fault after which writes are refused.
    fault: OnceLock<String>,
    /// Held until the store is let go.
    lock: Mutex<Option<Box<dyn LockGuard>>>,
}

impl Health {
    pub(in crate::db) fn new(lock: Box<dyn LockGuard>) -> Self {
        Self {
            closed: AtomicBool::new(false),
            fault: OnceLock::new(),
            lock: Mutex::new(Some(lock)),
        }
    }

    /// Closes the store for its callers; whether it was open.
    pub(in crate::db) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// Lets another process open the store.
    pub(in crate::db) fn release_lock(&self) {
        drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Refuses writes from here on; the first fault is kept.
    pub(in crate::db) fn fail(&self, fault: &Error) {
        let text = match fault {
            Error::Failed(text) => text.clone(),
            other => other.to_string(),
        };
        if self.fault.set(text.clone()).is_ok() {
            tracing::error!(fault = %text, "the store stops accepting writes");
        }
    }

    /// The fault after which writes are refused.
    pub(in crate::db) fn fault(&self) -> Option<&str> {
        self.fault.get().map(String::as_str)
    }

    /// Refuses to change the files of a store that another process may have opened since. The caller
    /// holds a lock that [`release_lock`](Self::release_lock) waits for (the runner of merges, the commit,
    /// the flush turn or the versions), so that the answer stays true.
    pub(in crate::db) fn check_owned(&self) -> Result<()> {
        match &*self.lock.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(_) => Ok(()),
            None => Err(Error::Closed),
        }
    }

    /// Whether [`Db::close`](crate::Db::close) was not called yet.
    pub(in crate::db) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Whether writes are accepted.
    pub(in crate::db) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        match self.fault() {
            Some(fault) => Err(Error::Failed(fault.into())),
            None => Ok(()),
        }
    }
}
