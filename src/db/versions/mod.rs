//! The versions of a store: which segments and deletes there are, and the only way in which that changes.
//!
//! A [`VersionSet`] owns the manifest. Whoever has written files for readers hands them to
//! [`VersionSet::apply`]:
//!
//! 1. Given files that are durable and that nothing lists ([`PendingOutputs`]), the lock of the versions
//!    is taken, and it is checked that the store is still this process's own.
//! 2. A manifest that an earlier failure has poisoned is healed ([`EditLog`]).
//! 3. The caller builds the edit from the version as it is now, and says what readers see of it.
//! 4. The edit becomes durable. Before this step a failure leaves everything as it was.
//! 5. Segments that the edit removes become obsolete files, and the view is changed: segments in the place
//!    of others, or in the place of a memtable.
//! 6. Outside of the lock, tombstone files that nothing lists any more are removed.
//!
//! | file | what it holds |
//! |---|---|
//! | `edit_log` | the manifest: how an edit becomes durable |
//! | `pending_outputs` | files that an edit is to list |
//! | `obsolete_files` | files that nothing lists and somebody may read |
//! | `quarantine` | files that are set aside instead of removed |
//! | `retention_clock` | which samples have expired |
//!
//! Called by flushes (`write`), by merges, dropped segments, tombstones that are carried out, and attach
//! (`compact`).
//!
//! Invariants: a file is removed only after the edit that replaces it is durable, or while no manifest can
//! list it; what readers see follows the manifest, never the other way round.
//!
//! Lock order: `state` is taken after the turn to flush and before the view. No segment is written under
//! it; tombstone files, which are small and depend on the version, are.

pub(super) mod edit_log;
mod obsolete_files;
pub(super) mod pending_outputs;
pub(super) mod quarantine;
pub(super) mod retention_clock;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use self::edit_log::EditLog;
use self::obsolete_files::ObsoleteFiles;
use self::pending_outputs::PendingOutputs;
use self::retention_clock::Retention;
use super::env::Env;
use super::view::View;
use super::view::changes::Change;
use super::view::generation::Generation;
use crate::deletes;
use crate::error::Result;
use crate::manifest::{Version, VersionEdit};
use crate::segment::Segment;
use crate::sys::sync::atomic::{AtomicU64, Ordering};
use crate::sys::sync::{Mutex, MutexGuard, counted};
use crate::types::{FileName, Tombstone};

/// The versions of an open store.
#[derive(Debug)]
pub(super) struct VersionSet {
    env: Arc<Env>,
    view: Arc<View>,
    /// The lock of the versions: an edit is built, made durable and shown under it.
    state: Mutex<EditLog>,
    obsolete: ObsoleteFiles,
    pub(super) retention: Retention,
    /// The seq of the attach under way, 0 without one.
    attach_seq: AtomicU64,
    /// The number of the last edit that is durable.
    durable_edit: AtomicU64,
}

/// An edit, and what readers see of it.
pub(super) struct Transition {
    edit: VersionEdit,
    /// Which samples readers see otherwise.
    content: Change,
    /// The segments that the edit adds, open: once it is durable, nothing may keep readers from them.
    opened: Vec<Arc<Segment>>,
    /// Those that it removes and that are to be set aside.
    damaged: Vec<u64>,
    /// The generation that it makes part of the version.
    flushed: Option<Arc<Generation>>,
}

impl Transition {
    /// `content` says which samples readers see otherwise.
    pub(super) fn new(edit: VersionEdit, content: Change) -> Self {
        Self { edit, content, opened: Vec::new(), damaged: Vec::new(), flushed: None }
    }

    /// With the segments that the edit adds, open.
    pub(super) fn opened(self, opened: Vec<Arc<Segment>>) -> Self {
        Self { opened, ..self }
    }

    /// With those that it removes and that are damaged: they are set aside.
    pub(super) fn damaged(self, damaged: &[u64]) -> Self {
        Self { damaged: damaged.to_vec(), ..self }
    }

    /// With the generation that the edit makes part of the version.
    pub(super) fn flushed(self, generation: &Arc<Generation>) -> Self {
        Self { flushed: Some(Arc::clone(generation)), ..self }
    }
}

impl VersionSet {
    pub(super) fn new(env: Arc<Env>, view: Arc<View>, edits: EditLog) -> Self {
        env.back_pressure.set_level0(level0(edits.version()));
        Self {
            retention: Retention::new(&env, edits.version()),
            env,
            view,
            durable_edit: AtomicU64::new(edits.last_edit()),
            state: Mutex::new(edits),
            obsolete: ObsoleteFiles::default(),
            attach_seq: AtomicU64::new(0),
        }
    }

    /// The number of the last edit of the manifest that is durable, 0 without one: the log says so, so that a
    /// manifest which lacks it is known to be damaged.
    pub(super) fn durable_edit(&self) -> u64 {
        self.durable_edit.load(Ordering::Acquire)
    }

    /// The lock of the versions: while it is held, no edit is made.
    pub(super) fn lock(&self) -> MutexGuard<'_, EditLog> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes an edit that lists `outputs`, and shows it to readers. `build` is given the version as it is
    /// now, and may write small files for the edit; `None` says that there is nothing to change. Whether
    /// anything was changed.
    ///
    /// # Errors
    /// Those of `build` and of the manifest, and [`Error::Closed`](crate::Error::Closed) when the store is
    /// not this process's own any more: the version is as before, and the outputs are removed as soon as no
    /// manifest can list them.
    pub(super) fn apply(
        &self,
        mut outputs: PendingOutputs,
        build: impl FnOnce(&Version, &mut PendingOutputs) -> Result<Option<Transition>>,
    ) -> Result<bool> {
        let mut edits = self.lock();
        self.env.health.check_owned()?;
        edits.heal()?;
        let before = Arc::clone(edits.version());
        let Some(transition) = build(&before, &mut outputs)? else { return Ok(false) };
        let Transition { mut edit, content, opened, damaged, flushed } = transition;
        // By which what has expired was left out: the next opening hides at least that.
        edit.clock = self.retention.clock_for_edit(&self.env);
        let removed = edit.removed.clone();
        let newest = edit.added.iter().map(|meta| meta.max_timestamp).max();
        let version = edits.append(edit, outputs)?;
        self.durable_edit.store(edits.last_edit(), Ordering::Release);
        newest.into_iter().for_each(|timestamp| self.retention.note(timestamp));
        let is_removed = |number: u64| removed.contains(&number);
        let open = self.view.current();
        for meta in before.segments().iter().filter(|meta| is_removed(meta.file_number)) {
            self.obsolete.add(&open.segments, meta, damaged.contains(&meta.file_number));
        }
        drop(open);
        let replaced = self.view.change([content], |view| {
            if let Some(flushed) = flushed {
                view.sealed.retain(|sealed| !Arc::ptr_eq(sealed, &flushed));
                view.deletes.retain(|delete| delete.generation != flushed.number());
            }
            view.segments.retain(|segment| !is_removed(segment.meta().file_number));
            view.segments.extend(opened);
            view.sort_segments();
            view.broken.retain(|broken| !is_removed(broken.meta.file_number));
            view.version = Arc::clone(&version);
        });
        self.env.back_pressure.set_level0(level0(&version));
        drop(edits);
        drop(replaced);
        self.remove_tombstone_files(&before, &version);
        Ok(true)
    }

    /// Writes a manifest without the edits that failed, if there were any, and removes what they were to
    /// list: what attempts leave behind while no manifest can be written must not add up.
    ///
    /// # Errors
    /// Those of the manifest; [`Error::Closed`](crate::Error::Closed).
    pub(super) fn heal(&self) -> Result<()> {
        let mut edits = self.lock();
        self.env.health.check_owned()?;
        edits.heal()
    }

    /// Removes the files of segments that nobody needs. The caller holds the runner of merges, so that the
    /// store stays this process's own meanwhile.
    pub(super) fn remove_obsolete(&self) {
        if self.env.health.check_owned().is_ok() {
            self.obsolete.remove(&self.env);
        }
    }

    /// The number of obsolete files that wait for their readers, and their bytes.
    pub(super) fn obsolete_waiting(&self) -> (u64, u64) {
        self.obsolete.waiting()
    }

    /// Opens the files of segments that snapshots hold, and keeps them open as long as any snapshot lives:
    /// the next owner may merge them away.
    pub(super) fn pin_what_is_read(&self) {
        let view = self.view.current();
        counted();
        let held = view.segments.iter().filter(|segment| Arc::strong_count(segment) > 1).cloned();
        self.view.keep_open(held.chain(self.obsolete.held()));
    }

    /// From here on deletes newer than `seq` stay, also while they apply to nothing: what is being
    /// attached with that seq is not listed yet. The caller holds the commit lock, so that no delete can be
    /// newer before.
    pub(super) fn begin_attach(&self, seq: u64) {
        self.attach_seq.store(seq, Ordering::Release);
    }

    /// What was attached is listed, or never will be.
    pub(super) fn end_attach(&self) {
        self.attach_seq.store(0, Ordering::Release);
    }

    /// Whether an attach under way may bring samples that the delete with this seq hides.
    pub(super) fn is_held_by_attach(&self, seq: u64) -> bool {
        let attaching = self.attach_seq.load(Ordering::Acquire);
        attaching != 0 && seq > attaching
    }

    /// Those of `tombstones` that may hide something in `version`, or in what an attach under way brings.
    /// Called while the edit is built that makes them part of the version.
    pub(super) fn needed_tombstones(
        &self,
        version: &Version,
        tombstones: &[Arc<Tombstone>],
    ) -> Vec<Arc<Tombstone>> {
        let is_held = |tombstone: &Arc<Tombstone>| self.is_held_by_attach(tombstone.seq);
        let (held, others): (Vec<_>, Vec<_>) = tombstones.iter().cloned().partition(is_held);
        let mut needed = deletes::needed(version, &others);
        needed.extend(held);
        needed
    }

    /// Removes the files of which `after` lists nothing any more. A failure is harmless: the next
    /// opening removes them.
    fn remove_tombstone_files(&self, before: &Version, after: &Version) {
        let numbers = |version: &Version| -> BTreeSet<u64> {
            version.tombstone_files().iter().map(|&(number, _)| number).collect()
        };
        for number in numbers(before).difference(&numbers(after)) {
            let path = self.env.path(FileName::Tombstones(*number));
            if let Err(error) = self.env.vfs().remove(&path) {
                tracing::warn!(path = %path.display(), %error, "a tombstone file stays");
            }
        }
    }
}

/// The number of level-0 segments.
pub(super) fn level0(version: &Version) -> usize {
    version.segments().iter().filter(|meta| meta.level == 0).count()
}
