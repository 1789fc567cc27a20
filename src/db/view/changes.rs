//! What has changed since: the times at which an open store has other content than it had.
//!
//! Who keeps something that was computed from a [`Snapshot`](crate::Snapshot) keeps its [`Mark`] beside
//! it, and asks a later snapshot what has changed since. The answer is a few ranges of time; outside of
//! them both snapshots have the same series with the same samples, bit for bit.
//!
//! The *change log* behind it is bounded. Every change of what readers see has a *position*, 1, 2, ...,
//! and is applied while the log is locked ([`ChangeLog::record`]); a snapshot is taken while it is locked,
//! too ([`ChangeLog::still`]). So a position names a state exactly, and what lies between two positions is
//! what two snapshots differ in, whichever is the older one.
//!
//! 1. A *slot* holds up to [`RANGES_MAX`] disjoint ranges of the changes of a run of positions. Where there
//!    would be more, the two that are closest are joined: too much may be said to have changed, never too
//!    little.
//! 2. A change begins as a slot of its own, in class 0. When a class has more than [`CLASS_SLOTS`], its two
//!    oldest become one slot of the next class, which covers twice as many positions. So how coarse the
//!    log is grows with how long ago it was: a mark from `n` changes ago is mistaken by a sixteenth of `n`
//!    changes at most.
//! 3. What leaves the last class is forgotten: everything may have changed since.
//!
//! The horizon of retention moves without any change here: samples below it are not seen. It is a part
//! of the mark, and what lies between two horizons has changed. What lies below both is seen by neither,
//! whatever else happened there; this is why a merge that leaves out what has expired changes nothing.
//!
//! Called by the commit for rows, and by [`View::change`](super::View::change) for everything else; each
//! of its callers has to say what it changes.
//!
//! # Invariants
//!
//! - Nothing becomes visible outside of [`ChangeLog::record`].
//! - Under the lock the pointer of the view may be taken, and nothing else. Recording allocates nothing.

use std::collections::{HashSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::PoisonError;

use crate::sys::sync::unscheduled::{AtomicU64, Ordering};
use crate::sys::sync::{Mutex, MutexGuard};
use crate::types::{TimeRange, Timestamp};

/// Ranges of a slot, and of an answer.
const RANGES_MAX: usize = 8;
/// Slots of a class before its oldest two become one of the next.
const CLASS_SLOTS: usize = 32;
/// Classes: the log reaches back 32 * 2^20 changes, in about 100 KiB.
const CLASSES: usize = 20;
/// Damaged places that are remembered as known; beyond them all are forgotten, and noted anew.
const KNOWN_DAMAGE_MAX: usize = 1024;

/// One moment of one opening of a store, to be compared with a later one: see
/// [`Snapshot::changed_since`](crate::Snapshot::changed_since). Nothing can be read off it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Which opening of which store; `None` of a snapshot whose store is another process's.
    pub(in crate::db) opening: Option<u64>,
    pub(in crate::db) position: u64,
    /// Earlier samples are not seen.
    pub(in crate::db) horizon: Timestamp,
}

/// What has changed between two moments of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Changes {
    /// Nothing is known: everything may have changed.
    Everything,
    /// Outside of these times, in ticks, nothing has. They are disjoint and in order; at most nine.
    Within(Vec<RangeInclusive<Timestamp>>),
}

/// What something that is published changes of the content that readers see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) enum Change {
    /// Nothing: the same samples, elsewhere.
    Nothing,
    /// At most samples between these times, both included.
    Within(Timestamp, Timestamp),
}

impl Change {
    /// Whatever there is.
    pub(in crate::db) const EVERYTHING: Self = Self::Within(Timestamp::MIN, Timestamp::MAX);

    /// At most samples in `range`.
    pub(in crate::db) fn in_range(range: TimeRange) -> Self {
        match range.end {
            // That tick is in the range.
            Timestamp::MAX => Self::Within(range.start, Timestamp::MAX),
            end if end <= range.start => Self::Nothing,
            end => Self::Within(range.start, end - 1),
        }
    }

    /// At most samples between the ends of what `extents` cover together.
    pub(in crate::db) fn hull(extents: impl IntoIterator<Item = (Timestamp, Timestamp)>) -> Self {
        extents.into_iter().fold(Self::Nothing, |hull, (first, last)| match hull {
            Self::Nothing => Self::Within(first, last),
            Self::Within(from, to) => Self::Within(from.min(first), to.max(last)),
        })
    }
}

/// The changes of one opening of a store.
#[derive(Debug)]
pub(in crate::db) struct ChangeLog {
    opening: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// That of the last change.
    position: u64,
    /// The positions up to this one are forgotten.
    forgotten: u64,
    /// The newest slots first by class, within a class the oldest first.
    classes: Vec<VecDeque<Slot>>,
    /// Damaged places that were noted: file number and offset.
    known_damage: HashSet<(u64, u64)>,
    /// That of the last one of these. Who reads an older snapshot meets the damage, too.
    damaged: u64,
}

/// The changes of a run of positions.
#[derive(Debug, Clone, Copy)]
struct Slot {
    first: u64,
    last: u64,
    ranges: Ranges,
}

/// Up to [`RANGES_MAX`] disjoint ranges in order, both ends included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ranges {
    len: usize,
    all: [(Timestamp, Timestamp); RANGES_MAX],
}

impl ChangeLog {
    /// The log of a store that has just been opened.
    pub(in crate::db) fn new() -> Self {
        static OPENINGS: AtomicU64 = AtomicU64::new(1);
        let class = || VecDeque::with_capacity(CLASS_SLOTS + 1);
        Self {
            opening: OPENINGS.fetch_add(1, Ordering::Relaxed),
            state: Mutex::new(State {
                position: 0,
                forgotten: 0,
                classes: std::iter::repeat_with(class).take(CLASSES).collect(),
                known_damage: HashSet::new(),
                damaged: 0,
            }),
        }
    }

    /// Notes changes that `apply` makes visible together, and applies them.
    pub(in crate::db) fn record<T>(
        &self,
        changes: impl IntoIterator<Item = Change>,
        apply: impl FnOnce() -> T,
    ) -> T {
        let mut state = self.lock();
        state.note(changes);
        apply()
    }

    /// Notes that reading the file `file_number` met damage at `offset`, whether it was an error or was
    /// left out, unless that is known: what was computed before, from what was read there, is not to be
    /// used any more.
    pub(in crate::db) fn note_damage(&self, (file_number, offset): (u64, u64), change: Change) {
        let mut state = self.lock();
        if state.known_damage.len() >= KNOWN_DAMAGE_MAX {
            state.known_damage.clear();
        }
        if state.known_damage.insert((file_number, offset)) {
            state.note([change]);
            state.damaged = state.position;
        }
    }

    /// Runs `take` while nothing changes; its result, and the mark of that moment. `take` also tells the
    /// horizon.
    pub(in crate::db) fn still<T>(&self, take: impl FnOnce() -> (T, Timestamp)) -> (T, Mark) {
        let state = self.lock();
        let (taken, horizon) = take();
        let mark = Mark { opening: Some(self.opening), position: state.position, horizon };
        (taken, mark)
    }

    /// What is different between two moments.
    pub(in crate::db) fn between(&self, one: &Mark, other: &Mark) -> Changes {
        if one.opening != Some(self.opening) || other.opening != one.opening {
            return Changes::Everything;
        }
        let from = one.position.min(other.position);
        let to = one.position.max(other.position);
        let Some(mut ranges) = self.lock().between(from, to) else { return Changes::Everything };
        let horizons = (one.horizon.min(other.horizon), one.horizon.max(other.horizon));
        if horizons.0 < horizons.1 {
            ranges.insert(horizons.0, horizons.1 - 1);
        }
        let seen = ranges.iter().filter(|&(_, last)| last >= horizons.0);
        Changes::Within(seen.map(|(first, last)| first.max(horizons.0)..=last).collect())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives the changes, if there are any, the next position.
    fn note(&mut self, changes: impl IntoIterator<Item = Change>) {
        let mut ranges = Ranges::default();
        for change in changes {
            if let Change::Within(first, last) = change {
                ranges.insert(first, last);
            }
        }
        if ranges.len == 0 {
            return;
        }
        self.position += 1;
        let mut slot = Slot { first: self.position, last: self.position, ranges };
        for class in &mut self.classes {
            class.push_back(slot);
            if class.len() <= CLASS_SLOTS {
                return;
            }
            let (Some(older), Some(newer)) = (class.pop_front(), class.pop_front()) else { return };
            slot = older.with(&newer);
        }
        self.forgotten = slot.last;
    }

    /// The ranges of the positions above `from` up to `to`; `None` if they are forgotten.
    fn between(&self, from: u64, to: u64) -> Option<Ranges> {
        if from < self.forgotten {
            return None;
        }
        let to = to.max(self.damaged);
        let mut ranges = Ranges::default();
        // A slot may lie on both sides of a moment; between it and itself is nothing of that slot.
        if from >= to {
            return Some(ranges);
        }
        let newest_first = self.classes.iter().flat_map(|class| class.iter().rev());
        for slot in newest_first.take_while(|slot| slot.last > from) {
            if slot.first <= to {
                slot.ranges.iter().for_each(|(first, last)| ranges.insert(first, last));
            }
        }
        Some(ranges)
    }
}

impl Slot {
    /// This one and the next as one.
    fn with(mut self, newer: &Self) -> Self {
        self.last = newer.last;
        newer.ranges.iter().for_each(|(first, last)| self.ranges.insert(first, last));
        self
    }
}

impl Ranges {
    fn iter(&self) -> impl Iterator<Item = (Timestamp, Timestamp)> + '_ {
        self.all[..self.len].iter().copied()
    }

    /// Adds a range; `first` is not above `last`.
    #[inline]
    fn insert(&mut self, first: Timestamp, last: Timestamp) {
        if self.iter().any(|(from, to)| from <= first && last <= to) {
            return;
        }
        // Those that overlap or touch it become one with it.
        let (mut merged, mut next, mut len) = ((first, last), [(0, 0); RANGES_MAX + 1], 0);
        let mut placed = false;
        for (from, to) in self.iter() {
            if to < merged.0.saturating_sub(1) {
                next[len] = (from, to);
                len += 1;
            } else if from > merged.1.saturating_add(1) {
                if !placed {
                    next[len] = merged;
                    (len, placed) = (len + 1, true);
                }
                next[len] = (from, to);
                len += 1;
            } else {
                merged = (merged.0.min(from), merged.1.max(to));
            }
        }
        if !placed {
            next[len] = merged;
            len += 1;
        }
        if len > RANGES_MAX {
            join_closest(&mut next);
            len = RANGES_MAX;
        }
        self.all.copy_from_slice(&next[..RANGES_MAX]);
        self.len = len;
    }
}

/// Makes one of the two neighbours with the shortest time between them.
fn join_closest(ranges: &mut [(Timestamp, Timestamp); RANGES_MAX + 1]) {
    let gap = |at: usize| ranges[at + 1].0.abs_diff(ranges[at].1);
    let closest = (0..RANGES_MAX).min_by_key(|at| gap(*at)).unwrap_or(0);
    ranges[closest].1 = ranges[closest + 1].1;
    ranges.copy_within(closest + 2.., closest + 1);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(ranges: &[(i64, i64)]) -> Ranges {
        let mut all = Ranges::default();
        ranges.iter().for_each(|&(first, last)| all.insert(first, last));
        all
    }

    fn listed(ranges: &Ranges) -> Vec<(i64, i64)> {
        ranges.iter().collect()
    }

    fn mark(log: &ChangeLog, horizon: i64) -> Mark {
        log.still(|| ((), horizon)).1
    }

    fn note(log: &ChangeLog, first: i64, last: i64) {
        log.record([Change::Within(first, last)], || ());
    }

    #[test]
    fn ranges_that_touch_are_one_and_the_closest_are_joined() {
        assert_eq!(listed(&of(&[(5, 9), (1, 2), (3, 4), (20, 20)])), [(1, 9), (20, 20)]);
        assert_eq!(listed(&of(&[(i64::MIN, 0), (i64::MAX, i64::MAX)])).len(), 2);
        assert_eq!(listed(&of(&[(i64::MIN, i64::MAX), (3, 4)])), [(i64::MIN, i64::MAX)]);
        let mut all = of(&[]);
        (0..8).for_each(|i| all.insert(i * 100, i * 100 + 10));
        all.insert(315, 320);
        assert_eq!(all.len, RANGES_MAX);
        assert!(listed(&all).contains(&(300, 320)), "{all:?}");
        all.insert(-1000, -900);
        all.insert(5000, 5001);
        assert_eq!((listed(&all)[0], listed(&all)[7]), ((-1000, -900), (5000, 5001)));
    }

    #[test]
    fn half_open_ranges_become_closed_ones() {
        assert_eq!(Change::in_range(TimeRange::new(3, 5)), Change::Within(3, 4));
        assert_eq!(Change::in_range(TimeRange::ALL), Change::Within(i64::MIN, i64::MAX));
        assert_eq!(Change::in_range(TimeRange::new(5, 5)), Change::Nothing);
    }

    #[test]
    fn what_is_below_both_horizons_is_seen_by_nobody() {
        let log = ChangeLog::new();
        let before = mark(&log, 100);
        note(&log, 10, 20);
        note(&log, 50, 120);
        assert_eq!(log.between(&before, &mark(&log, 100)), Changes::Within(vec![100..=120]));
        let risen = log.between(&before, &mark(&log, 150));
        assert_eq!(risen, Changes::Within(vec![100..=149]));
        let first = log.between(&mark(&log, i64::MIN), &mark(&log, 7));
        assert_eq!(first, Changes::Within(vec![i64::MIN..=6]));
    }

    #[test]
    fn another_opening_and_what_is_forgotten_is_everything() {
        let (log, other) = (ChangeLog::new(), ChangeLog::new());
        let begin = mark(&log, 0);
        assert_eq!(log.between(&mark(&other, 0), &begin), Changes::Everything);
        let foreign = Mark { opening: None, position: 0, horizon: 0 };
        assert_eq!(log.between(&foreign, &foreign), Changes::Everything);
        note(&log, 1, 1);
        log.lock().forgotten = 1;
        assert_eq!(log.between(&begin, &mark(&log, 0)), Changes::Everything);
    }

    #[test]
    fn nothing_lies_between_a_moment_and_itself() {
        let log = ChangeLog::new();
        // More than a class holds, so that the first two changes are one slot.
        note(&log, 1, 1);
        let seen = mark(&log, 0);
        (0..100).for_each(|t| note(&log, 10 * t, 10 * t));
        assert_eq!(log.between(&seen, &seen), Changes::Within(vec![]));
    }

    #[test]
    fn damage_is_news_once() {
        let log = ChangeLog::new();
        log.note_damage((7, 4096), Change::Within(0, 9));
        let seen = mark(&log, i64::MIN);
        log.note_damage((7, 4096), Change::Within(0, 9));
        assert_eq!(log.between(&seen, &mark(&log, i64::MIN)), Changes::Within(vec![]));
        log.note_damage((7, 8192), Change::Within(0, 9));
        assert_eq!(
            log.between(&seen, &seen),
            Changes::Within(vec![0..=9]),
            "also by old snapshots"
        );
        assert_eq!(log.between(&seen, &mark(&log, i64::MIN)), Changes::Within(vec![0..=9]));
    }

    proptest! {
        #[test]
        fn nothing_that_changed_is_left_out(
            changes in prop::collection::vec((0i64..10_000, 0i64..50), 1..3000),
            at in any::<prop::sample::Index>(),
            to in any::<prop::sample::Index>(),
        ) {
            let log = ChangeLog::new();
            let mut marks = vec![mark(&log, i64::MIN)];
            for &(first, length) in &changes {
                note(&log, first, first + length);
                marks.push(mark(&log, i64::MIN));
            }
            let (at, to) = (at.index(marks.len()), to.index(marks.len()));
            let Changes::Within(ranges) = log.between(&marks[at], &marks[to]) else {
                panic!("nothing is forgotten");
            };
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end() < pair[1].start()));
            for &(first, length) in &changes[at.min(to)..at.max(to)] {
                let covers = |range: &RangeInclusive<i64>| {
                    range.contains(&first) && range.contains(&(first + length))
                };
                prop_assert!(ranges.iter().any(covers), "{first} {length} {ranges:?}");
            }
            prop_assert_eq!(ranges.is_empty(), at == to);
        }

        #[test]
        fn a_mark_is_mistaken_by_few_changes(count in 1usize..5000, back in 1usize..5000) {
            // Changes that move on in time, as samples do.
            let log = ChangeLog::new();
            let mut marks = vec![mark(&log, 0)];
            for t in 0..count as i64 {
                note(&log, t, t);
                marks.push(mark(&log, 0));
            }
            let back = back.min(count);
            let Changes::Within(ranges) = log.between(&marks[count - back], &marks[count]) else {
                panic!("nothing is forgotten");
            };
            let first = *ranges[0].start();
            let mistaken = (count - back) as i64 - first;
            prop_assert!(mistaken as usize <= back / 16 + 1, "{mistaken} of {back}");
        }
    }
}
