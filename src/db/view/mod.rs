//! What readers see of an open store, and what has changed of it.
//!
//! A [`View`] owns one pointer to the present [`ReadView`], an immutable value. Who reads clones the
//! pointer and then holds no lock. Who changes what is seen builds the next value beside the present one
//! and swaps the pointer:
//!
//! 1. Given a change of the writer (a new active generation, deletes) or of the version set (segments in
//!    the place of others), [`View::change`] takes the turn to change.
//! 2. The present value is cloned, a few lists of pointers, and changed.
//! 3. Under the lock of the change log the pointer is swapped, so that a position of the log names a
//!    state exactly.
//! 4. What was replaced is given to the caller, who lets go of it outside of the locks of the versions and
//!    of the view: it may be the last reference to a memtable of hundreds of megabytes.
//!
//! | file | what it holds |
//! |---|---|
//! | `read_view` | the value that readers see |
//! | `generation` | a memtable with its log files |
//! | `changes` | at which times two moments differ |
//! | `sources` | a read view as the sources of a read |
//!
//! Who may change the view: `write` (sealing, deletes) and `versions` (edits), nobody else.
//!
//! Lock order, the last of `db`: the turn to change, the change log, the pointer. The pointer's lock is held
//! to clone or to swap it. No other lock is taken under these, and under the last two nothing is done but
//! that; a commit publishes its rows under the change log with one atomic store.

pub(super) mod changes;
pub(super) mod generation;
pub(super) mod read_view;
pub(super) mod sources;

use std::sync::{Arc, PoisonError, Weak};

use self::changes::{Change, ChangeLog, Mark};
use self::generation::Generation;
use self::read_view::ReadView;
use super::env::Env;
use crate::error::Error;
use crate::memtable::Memtable;
use crate::segment::{Segment, SegmentPin};
use crate::sys::sync::{Mutex, RwLock, counted};
use crate::types::{FileName, Timestamp};

/// What readers see.
#[derive(Debug)]
pub(super) struct View {
    pub(super) env: Arc<Env>,
    /// The turn to change: held while the next value is built.
    turn: Mutex<()>,
    current: RwLock<Arc<ReadView>>,
    /// What has changed of the content that readers see.
    pub(super) changes: ChangeLog,
    /// Files that snapshots read on after the store was let go. They are here since every snapshot holds
    /// the view, and no other owner.
    kept_open: Mutex<Vec<SegmentPin>>,
    /// Memtables of this process that may still be read, by snapshots if by nobody else.
    memtables: Mutex<Vec<Weak<Memtable>>>,
}

impl View {
    pub(super) fn new(env: Arc<Env>, first: ReadView) -> Self {
        let memtables = vec![Arc::downgrade(&first.active.memtable)];
        Self {
            env,
            turn: Mutex::new(()),
            current: RwLock::new(Arc::new(first)),
            changes: ChangeLog::new(),
            kept_open: Mutex::new(Vec::new()),
            memtables: Mutex::new(memtables),
        }
    }

    /// What readers see now.
    pub(super) fn current(&self) -> Arc<ReadView> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows readers a changed copy of what they see; `content` says which samples they see otherwise.
    /// What they saw before, to be let go.
    pub(super) fn change(
        &self,
        content: impl IntoIterator<Item = Change>,
        change: impl FnOnce(&mut ReadView),
    ) -> Arc<ReadView> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = ReadView::clone(&self.current());
        change(&mut next);
        let next = Arc::new(next);
        self.changes.record(content, || {
            let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, next)
        })
    }

    /// What readers see now, as `take` finds it while nothing changes, and the mark of that moment;
    /// `horizon` is the time before which samples have expired.
    pub(super) fn moment<T>(
        &self,
        horizon: impl FnOnce() -> Timestamp,
        take: impl FnOnce(&ReadView) -> T,
    ) -> ((Arc<ReadView>, T), Mark) {
        self.changes.still(|| {
            let view = self.current();
            let taken = take(&view);
            ((view, taken), horizon())
        })
    }

    /// Counts damage that reading met, if that is what the error tells; what was computed of the segment
    /// before is not to be used any more.
    pub(super) fn note_damage(&self, error: &Error) {
        let Some((path, _, offset)) = error.damaged_place() else { return };
        self.env.counters.corruption.add(1);
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (file_number, change) = match FileName::parse(name) {
            Some(FileName::Segment(number)) => (number, self.current().extent_of(&[number])),
            _ => (0, Change::Nothing),
        };
        // Of what is not listed any more nothing is known.
        let change = if change == Change::Nothing { Change::EVERYTHING } else { change };
        self.changes.note_damage((file_number, offset), change);
    }

    /// Opens the files of `segments`, and keeps them open as long as the view lives.
    pub(super) fn keep_open(&self, segments: impl Iterator<Item = Arc<Segment>>) {
        let mut kept = self.kept_open.lock().unwrap_or_else(PoisonError::into_inner);
        for segment in segments {
            match segment.pin() {
                Ok(pin) => kept.push(pin),
                Err(error) => tracing::warn!(%error, "a snapshot may lose a segment"),
            }
        }
    }

    /// Notes a generation whose memtable snapshots may keep.
    pub(super) fn watch(&self, generation: &Generation) {
        let mut memtables = self.memtables.lock().unwrap_or_else(PoisonError::into_inner);
        memtables.push(Arc::downgrade(&generation.memtable));
    }

    /// The oldest generation whose memtable anybody holds; 0 without one.
    pub(super) fn oldest_held(&self) -> u32 {
        let mut memtables = self.memtables.lock().unwrap_or_else(PoisonError::into_inner);
        counted();
        memtables.retain(|memtable| memtable.strong_count() > 0);
        let alive = memtables.iter().filter_map(Weak::upgrade);
        alive.map(|memtable| memtable.generation()).min().unwrap_or(0)
    }

    /// Memtables that are in segments and still read by a snapshot.
    pub(super) fn held_by_snapshots(&self) -> Vec<Arc<Memtable>> {
        let view = self.current();
        let oldest = view.sealed.first().unwrap_or(&view.active).number();
        let memtables = self.memtables.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = memtables.iter().filter_map(Weak::upgrade);
        alive.filter(|memtable| memtable.generation() < oldest).collect()
    }
}
