//! What is served: a store that is open for writing, or the view of one that another process may own.
//!
//! # A view
//!
//! 1. A thread refreshes the view ([`following`]) at most once in
//!    [`ServerConfig::refresh_interval`](crate::ServerConfig::refresh_interval), and queries take what it has
//!    found: they wait for no refresh, and none runs on a thread of the runtime.
//! 2. A query whose files the owner has replaced before it had opened them ([`siltstone::Error::SnapshotGone`]) refreshes
//!    at once, unless another one has done so since, and runs again ([`Store::read`]).
//! 3. What cannot be had after that is 503 with `Retry-After`: never an answer from a part.
//!
//! # Invariants
//!
//! - Nothing here, and nothing that a `Store` hands out beside [`Store::writable`], changes a view's directory.
//! - A handler that writes asks for [`Store::writable`], so none of them can forget that there may be nothing
//!   to write to. The router refuses before it reads a body.
//! - The view is replaced whole, by a newer one. A refresh that fails leaves it as it is; it goes on being
//!   served, and its age is a metric. So `/-/ready` stays 200: an old answer serves its reader better than none.

mod following;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use siltstone::{Cardinality, Db, Losses, Options, ReadOnlyDb, Snapshot, Stats};

use crate::refusal::Refusal;
use following::View;
pub(crate) use following::{Following, ViewFigures};

/// How often a query is run whose files are replaced under it.
const TRIES_MAX: usize = 5;
/// What a sender is told. 403 because no other time and no other form of the request would do better: a sender
/// that was given the wrong address is to say so, not to queue for ever.
const READ_ONLY: &str = "this server is read-only (siltstone serve --read-only): write to the server that owns the store";

/// What a server serves. Made of a [`Db`], or of a [`ReadOnlyDb`] for a snapshot, a read-only disk or a
/// directory that another process has open. Clones share it.
#[derive(Debug, Clone)]
pub struct Store(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Writable(Db),
    View(Arc<View>),
}

impl From<Db> for Store {
    fn from(db: Db) -> Self {
        Self(Kind::Writable(db))
    }
}

impl From<ReadOnlyDb> for Store {
    fn from(db: ReadOnlyDb) -> Self {
        Self(Kind::View(Arc::new(View::new(db))))
    }
}

impl Store {
    /// The store, to write to it.
    ///
    /// # Errors
    /// 403 if it is served read-only.
    pub(crate) fn writable(&self) -> Result<&Db, Refusal> {
        match &self.0 {
            Kind::Writable(db) => Ok(db),
            Kind::View(_) => Err(Refusal::new(StatusCode::FORBIDDEN, READ_ONLY)),
        }
    }

    /// Begins to refresh a view, each `interval` at most, until what is answered is dropped; nothing for a store
    /// that is open for writing.
    ///
    /// # Errors
    /// If the system refuses the thread.
    pub(crate) fn follow(&self, interval: Duration) -> std::io::Result<Option<Following>> {
        match &self.0 {
            Kind::Writable(_) => Ok(None),
            Kind::View(view) => Following::start(Arc::clone(view), interval).map(Some),
        }
    }

    /// The present moment, for what reads no files.
    ///
    /// # Errors
    /// [`siltstone::Error::Closed`].
    pub(crate) fn snapshot(&self) -> siltstone::Result<Snapshot> {
        match &self.0 {
            Kind::Writable(db) => db.snapshot(),
            Kind::View(view) => Ok(view.now().snapshot),
        }
    }

    /// Calls `read` with the present moment; and again with a newer one, if the owner of a view has replaced what
    /// it needed and `read` says so before it has handed anything over.
    ///
    /// # Errors
    /// Those of `read`, which says by [`Refusal::files_gone`] whether another call may do better.
    pub(crate) fn read<T>(
        &self,
        mut read: impl FnMut(&Snapshot) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let view = match &self.0 {
            Kind::Writable(db) => return read(&db.snapshot().map_err(Refusal::of_read)?),
            Kind::View(view) => view,
        };
        let mut now = view.now();
        let mut tries = 1;
        loop {
            match read(&now.snapshot) {
                Err(refusal) if refusal.files_gone && tries < TRIES_MAX => {
                    // Without another view it would fail as it did.
                    let Some(newer) = view.newer_than(now.generation) else { return Err(refusal) };
                    (now, tries) = (newer, tries + 1);
                }
                answer => return answer,
            }
        }
    }

    pub(crate) fn options(&self) -> &Options {
        match &self.0 {
            Kind::Writable(db) => db.options(),
            Kind::View(view) => view.options(),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        match &self.0 {
            Kind::Writable(db) => db.dir(),
            Kind::View(view) => view.dir(),
        }
    }

    pub(crate) fn ticks_per_second(&self) -> u64 {
        match &self.0 {
            Kind::Writable(db) => db.ticks_per_second(),
            Kind::View(view) => view.ticks_per_second(),
        }
    }

    /// Why the store takes no writes any more. A view has taken none before, and does not fail.
    pub(crate) fn fault(&self) -> Option<String> {
        match &self.0 {
            Kind::Writable(db) => db.fault(),
            Kind::View(_) => None,
        }
    }

    /// Of a view only what [`ReadOnlyDb::stats`] fills in.
    pub(crate) fn stats(&self) -> Stats {
        match &self.0 {
            Kind::Writable(db) => db.stats(),
            Kind::View(view) => view.stats(),
        }
    }

    /// How a view is doing; `None` for a store that is open for writing.
    pub(crate) fn view_figures(&self) -> Option<ViewFigures> {
        match &self.0 {
            Kind::Writable(_) => None,
            Kind::View(view) => Some(view.figures()),
        }
    }

    /// Batches of the log that opening it, or the last refresh, has read.
    pub(crate) fn recovered_batches(&self) -> u64 {
        match &self.0 {
            Kind::Writable(db) => db.open_report().recovered_batches,
            Kind::View(view) => view.now().recovered_batches,
        }
    }

    /// Of a view the series that have samples in the log. Waits for a refresh that runs.
    pub(crate) fn cardinality(&self, top: usize) -> Cardinality {
        match &self.0 {
            Kind::Writable(db) => db.cardinality(top),
            Kind::View(view) => view.with(|db| db.cardinality(top)),
        }
    }

    /// What is known to be lost. Waits for a refresh that runs.
    ///
    /// # Errors
    /// Those of [`Db::losses`] and [`ReadOnlyDb::losses`].
    pub(crate) fn losses(&self) -> siltstone::Result<Losses> {
        match &self.0 {
            Kind::Writable(db) => db.losses(),
            Kind::View(view) => view.losses(),
        }
    }

    /// Closes a store that is open for writing.
    ///
    /// # Errors
    /// Those of [`Db::close`].
    pub(crate) fn close(&self) -> siltstone::Result<()> {
        match &self.0 {
            Kind::Writable(db) => db.close(),
            Kind::View(_) => Ok(()),
        }
    }
}
