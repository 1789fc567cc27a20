//! The activity clock: tells which series are idle, that is, no longer written while others are.
//!
//! Wall time alone cannot tell: how often a live series is written depends on the scrape interval,
//! and a bulk import has none. So the clock counts *rounds* of writing. A round ends when at least
//! half of the series written in it were written twice or more, and those are at least an eighth of
//! all active series (so a few frequently written series do not make all others look idle). A series
//! that was not written for a whole round is idle. While every write is the first one of its series
//! no round ends and no series is idle: a burst of new series is not mistaken for old series being
//! replaced. In addition a series is idle after a fixed time without samples; that covers stores
//! where most series have ended and rounds no longer complete.
//!
//! Written by the commit leader alone; read by whoever looks for series to evict. The atomics guard
//! no other memory: a stale reading evicts a series too early or too late, which is harmless, because
//! a handle carries the version of its slot.
//!
//! # Who is idle
//!
//! A clock of rounds: a round is over when half of the series written in it were written twice and
//! they are an eighth of all. A series that a whole round went by without is idle; so is one
//! without a sample for `series_idle`, or without any for a minute since it was registered. The clock needs no wall time, so that it fits every scrape
//! interval and every import; a few busy series do not move it; and while series are seen for the
//! first time only, it stands still: ten million series at once are told from ten million in turn.
//! Its limit: a series that comes less than every third time of the others counts as idle. It loses
//! its place to a new one only when there is no other room, those idle longest first.
//!

use crate::sys::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// Ages that are told apart, in rounds; the last one stands for all above and for idle by time.
pub(super) const AGES: usize = 16;
/// A series of this age is idle: a whole round went by without it.
pub(super) const IDLE_AGE: usize = 2;

/// Seconds after which a series is idle that was never written since it was registered: whoever resolves a
/// series writes it next.
const UNWRITTEN_IDLE_S: u32 = 60;

/// Rounds and seconds wrap around within this.
const MASK: u32 = u32::MAX >> 1;

/// When a series was seen last: `round << 33 | times written in it, at most 2, << 31 | second`.
#[derive(Debug, Default)]
pub(super) struct Seen(AtomicU64);

fn pack(round: u32, times: u32, second: u32) -> u64 {
    u64::from(round) << 33 | u64::from(times) << 31 | u64::from(second & MASK)
}

fn unpack(word: u64) -> (u32, u32, u32) {
    ((word >> 33) as u32, (word >> 31) as u32 & 3, word as u32 & MASK)
}

/// The clock; see the module.
#[derive(Debug, Default)]
pub(super) struct ActivityClock {
    round: AtomicU32,
    /// Monotonic seconds, as the store last said.
    second: AtomicU32,
    /// Series written in this round.
    written: AtomicU32,
    /// Those of them that were written twice.
    twice: AtomicU32,
}

impl ActivityClock {
    /// The present round.
    pub(super) fn now(&self) -> u32 {
        self.round.load(Relaxed)
    }

    pub(super) fn set_second(&self, second: u32) {
        self.second.store(second & MASK, Relaxed);
    }

    /// Records a new series as seen now, not written yet.
    pub(super) fn begin(&self, seen: &Seen) {
        seen.0.store(pack(self.now(), 0, self.second.load(Relaxed)), Relaxed);
    }

    /// Notes that a write brings `rows` samples of a series, one of `active`. Only one thread at a
    /// time calls it.
    #[inline]
    pub(super) fn note(&self, seen: &Seen, rows: u32, active: usize) {
        let now = self.now();
        let old = seen.0.load(Relaxed);
        let (round, times, _) = unpack(old);
        let before = if round == now { times } else { 0 };
        let times = before.saturating_add(rows).min(2);
        let next = pack(now, times, self.second.load(Relaxed));
        if next != old {
            seen.0.store(next, Relaxed);
        }
        if before == 0 {
            self.written.store(self.written.load(Relaxed).saturating_add(1), Relaxed);
        }
        if before < 2 && times == 2 {
            self.count_twice(active);
        }
    }

    fn count_twice(&self, active: usize) {
        let twice = self.twice.load(Relaxed).saturating_add(1);
        let written = self.written.load(Relaxed);
        if twice >= written.div_ceil(2) && written as usize >= active / 8 {
            self.written.store(0, Relaxed);
            self.twice.store(0, Relaxed);
            self.round.store(self.now().wrapping_add(1) & MASK, Relaxed);
        } else {
            self.twice.store(twice, Relaxed);
        }
    }

    /// How many rounds ago the series was seen, below [`AGES`]; the highest age if that was
    /// `idle_s` seconds ago, or [`UNWRITTEN_IDLE_S`] if it was only registered then.
    pub(super) fn age(&self, seen: &Seen, idle_s: u32) -> usize {
        let (round, times, second) = unpack(seen.0.load(Relaxed));
        let idle_s = if times == 0 { idle_s.min(UNWRITTEN_IDLE_S) } else { idle_s };
        if self.second.load(Relaxed).saturating_sub(second) >= idle_s {
            return AGES - 1;
        }
        let age = self.now().wrapping_sub(round) & MASK;
        (age as usize).min(AGES - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: u32 = u32::MAX;

    fn begun(clock: &ActivityClock, n: usize) -> Vec<Seen> {
        let seen: Vec<Seen> = (0..n).map(|_| Seen::default()).collect();
        seen.iter().for_each(|s| clock.begin(s));
        seen
    }

    #[test]
    fn first_sights_end_no_round() {
        let clock = ActivityClock::default();
        let seen = begun(&clock, 1000);
        seen.iter().for_each(|s| clock.note(s, 1, 1000));
        assert_eq!(clock.now(), 0);
        assert!(seen.iter().all(|s| clock.age(s, NEVER) == 0));
    }

    #[test]
    fn series_that_come_every_round_are_never_idle() {
        let clock = ActivityClock::default();
        let seen = begun(&clock, 1000);
        for _ in 0..20 {
            for s in &seen {
                clock.note(s, 1, 1000);
                assert!(seen.iter().all(|s| clock.age(s, NEVER) < IDLE_AGE));
            }
        }
        assert_eq!(clock.now(), 13, "a round ends after one and a half");
    }

    #[test]
    fn a_few_busy_series_end_no_round_and_an_eighth_of_them_does() {
        let clock = ActivityClock::default();
        let seen = begun(&clock, 800);
        for _ in 0..1000 {
            seen[..99].iter().for_each(|s| clock.note(s, 1, 800));
        }
        assert_eq!(clock.now(), 0);
        for _ in 0..6 {
            seen[..100].iter().for_each(|s| clock.note(s, 1, 800));
        }
        assert!(clock.age(&seen[500], NEVER) >= IDLE_AGE);
        assert!(clock.age(&seen[50], NEVER) < IDLE_AGE);
    }

    #[test]
    fn many_rows_at_once_are_more_than_one_write() {
        let clock = ActivityClock::default();
        let seen = begun(&clock, 100);
        seen[..13].iter().for_each(|s| clock.note(s, 12, 100));
        assert_eq!(clock.now(), 1);
    }

    #[test]
    fn time_makes_idle_too() {
        let clock = ActivityClock::default();
        let seen = begun(&clock, 2);
        clock.set_second(300);
        clock.note(&seen[0], 1, 2);
        assert_eq!(clock.age(&seen[0], 300), 0);
        assert_eq!(clock.age(&seen[1], 300), AGES - 1);
        clock.set_second(599);
        assert_eq!(clock.age(&seen[0], 300), 0);
    }
}
