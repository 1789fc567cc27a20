//! Whether a store may still be read and written: whether it was closed, the fault that refuses writes,
//! and the claim, which says that its files are this process's to change. A claim that is found lost, because
//! the directory was moved or its lock file removed, is a fault.
//!
//! Asked by every owner before it changes a file.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::sys::Claim;
use crate::sys::sync::OnceLock;
use crate::sys::sync::atomic::{AtomicBool, Ordering};

/// The state of health of an open store.
#[derive(Debug)]
pub(in crate::db) struct Health {
    closed: AtomicBool,
    /// The fault after which writes are refused.
    fault: OnceLock<String>,
    /// Held until the store is let go.
    claim: Arc<Claim>,
}

impl Health {
    pub(in crate::db) fn new(claim: Arc<Claim>) -> Self {
        Self { closed: AtomicBool::new(false), fault: OnceLock::new(), claim }
    }

    /// Closes the store for its callers; whether it was open.
    pub(in crate::db) fn close(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// Lets another process open the store.
    pub(in crate::db) fn release_lock(&self) {
        self.claim.let_go();
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
        self.claim.lost().or(self.fault.get().map(String::as_str))
    }

    /// Whether the directory is still where it was, with its lock file: to be asked after something was written
    /// and before it is acknowledged, unless a sync lies between these, which asks as well. If not, the
    /// store has failed.
    ///
    /// # Errors
    /// [`Error::Failed`]; an I/O error if it cannot be told.
    pub(in crate::db) fn check_claim(&self, dir: &Path) -> Result<()> {
        self.claim.check().map_err(|e| self.lost_claim().unwrap_or(Error::io("look at", dir, e)))
    }

    /// The error of a store whose claim was found lost.
    pub(in crate::db) fn lost_claim(&self) -> Option<Error> {
        let why = self.claim.lost()?;
        // Logged once.
        self.fail(&Error::Failed(why.into()));
        Some(Error::Failed(why.into()))
    }

    /// Refuses to change the files of a store that another process may have opened since. The caller
    /// holds a lock that [`release_lock`](Self::release_lock) waits for (the runner of merges, the commit,
    /// the flush turn or the versions), so that the answer stays true.
    pub(in crate::db) fn check_owned(&self) -> Result<()> {
        if self.claim.is_held() { Ok(()) } else { Err(Error::Closed) }
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
