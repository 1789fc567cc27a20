//! Compaction: merging segments, dropping what has expired, carrying out deletes, attaching.
//!
//! A [`Compactor`] owns the *runner*, whose lock is taken for one step at a time. One merge runs at a time:
//!
//! 1. Given that the runner is free, what a failed edit has left is cleared away, segments that have
//!    expired are dropped (`retention`), and deletes that hide nothing any more are retired (`tombstones`).
//! 2. The picker is shown the version and answers with a closed set of segments (`choose`), as many as the
//!    disk has headroom for (`disk_headroom`).
//! 3. The merge runs in steps of some thousand rows (`run`). It holds no lock of the writing side; between
//!    two steps the runner's lock is free.
//! 4. Its outputs are opened and put in the place of its inputs with one edit (`publish`).
//! 5. A merge that failed is tried again later; segments that would fail again are not picked any more.
//!
//! With [`Background::Threads`](crate::Background) a thread takes the steps, otherwise
//! [`Db::tick`](crate::Db::tick); [`Db::compact`](crate::Db::compact) takes them on its caller's thread
//! (`on_demand`), and [`Db::attach`](crate::Db::attach) uses the same lock for its own (`attach`).
//!
//! Lock order, the first of `db`: `attach_turn`, then `runner`; then those of the writer. The locks of
//! `tombstones` and of `trouble` are held for a few instructions, and nothing is taken under them.

pub(super) mod accept;
mod attach;
mod attaching;
mod choose;
mod disk_headroom;
mod give_up;
pub(super) mod on_demand;
mod publish;
mod retention;
pub(super) mod run;
mod runner;
mod tombstones;

use std::sync::{Arc, PoisonError};

use self::runner::Runner;
use self::tombstones::Tombstones;
use super::env::Env;
use super::versions::VersionSet;
use super::view::View;
use super::write::Writer;
use crate::compaction::PickerOptions;
use crate::sys::sync::{Mutex, MutexGuard};

pub(super) use self::attach::{Foreign, groups};
pub use self::attaching::AttachReport;

/// The compacting side of an open store.
#[derive(Debug)]
pub(super) struct Compactor {
    pub(super) env: Arc<Env>,
    pub(super) view: Arc<View>,
    pub(super) versions: Arc<VersionSet>,
    pub(super) writer: Arc<Writer>,
    /// Held by the one attach that is under way, and to give up a segment, for which none may be.
    attach_turn: Mutex<()>,
    /// What is being merged or attached: held for one step.
    runner: Mutex<Runner>,
    picker: PickerOptions,
    tombstones: Tombstones,
    /// Why merging does not get on, until it does.
    trouble: Mutex<Option<String>>,
}

impl Compactor {
    pub(super) fn new(writer: Arc<Writer>) -> Self {
        let env = Arc::clone(&writer.env);
        let window_ticks = env.options.window_ticks(env.ticks_per_second);
        Self {
            view: Arc::clone(&writer.view),
            versions: Arc::clone(&writer.versions),
            writer,
            attach_turn: Mutex::new(()),
            runner: Mutex::new(Runner::default()),
            picker: PickerOptions {
                level0_trigger: env.options.level0_merge,
                ..PickerOptions::new(window_ticks)
            },
            tombstones: Tombstones::default(),
            trouble: Mutex::new(None),
            env,
        }
    }

    pub(super) fn lock_runner(&self) -> MutexGuard<'_, Runner> {
        self.runner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why merging does not get on.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Lets another process open the store, when nobody here is at its files; once.
    pub(super) fn let_go(&self) {
        let mut runner = self.lock_runner();
        if self.env.health.check_owned().is_err() {
            return;
        }
        self.abandon_merge(&mut runner);
        self.end_attach(&mut runner);
        self.versions.remove_obsolete();
        self.versions.pin_what_is_read();
        self.writer.when_idle(|| {
            self.env.reserve.let_go();
            self.env.health.release_lock();
        });
    }
}
