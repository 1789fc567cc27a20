//! Retention: which whole segments expire, and what time it is for that.
//!
//! Pure. Called by `db`, which drops segments by manifest edit, persists the clock with its edits
//! and hides from readers what is older than the retention. A clock that is wrong must not wipe a
//! store: [`RetentionClock`] distrusts the wall clock when it jumps.
//!
//! # What is kept
//!
//! `Options::retention` (age) and `retention_bytes` (segments and log). Whole segments are dropped
//! by manifest edit, files later; what remains of an older segment is trimmed when it is merged (by
//! `compact` at once), and readers do not see it meanwhile. *Now* is min(wall clock, newest
//! accepted sample + 1 hour). A wall clock that moved by more than a day against the clock of the
//! last edit plus the time that has run pauses expiry by age for a day of running time; then it is
//! believed. The day may be run in parts: edits record how much of it is over. The limit in bytes
//! needs no clock and goes on.
//!
//! - *Nothing that was replaced shows again*, also if more is to be kept after the next opening: a
//!   segment is dropped only after the older ones that it overlaps, and a merge trims nothing that
//!   may have replaced a value of an older segment which it does not read. What is attached is
//!   trimmed later, for the same reason.
//! - Drops may use the reserve: they are what frees a full disk.
//! - Without a thread that merges, the flusher drops what has expired.
//! - The edit that drops or trims records the clock, and an opening hides at once what had expired
//!   by it, also if the clock is not believed then. Readers of the directory and checkpoints are
//!   not told of `retention` and show what is stored.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::types::{ClockRecord, SegmentMeta, SuspectClock, Timestamp};

/// How far the wall clock may move against the time that has run, and how long it is distrusted
/// after it moved further.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// How far the time of retention may be ahead of the newest sample, in seconds.
const AHEAD_SECONDS: i128 = 3600;

/// What a store may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetentionLimits {
    /// Samples older than this, in ticks, expire.
    pub age_ticks: Option<i64>,
    /// Most bytes of segments and log.
    pub bytes: Option<u64>,
}

/// The file numbers of the segments to drop, in the order in which to drop them: `horizon` is the
/// time before which samples have expired, where that is known.
///
/// By age: those whose latest sample has expired. By bytes: those with the oldest latest sample
/// until segments and log fit. A segment is never dropped before the older ones (by seq) that
/// overlap it, since values that it replaced would show again. By bytes, the segment with the newest
/// sample stays, however large the log: it is the one being filled, and a store is never emptied by
/// its log alone.
#[must_use]
pub fn expired(
    segments: &[Arc<SegmentMeta>],
    wal_bytes: u64,
    bytes_max: Option<u64>,
    horizon: Option<Timestamp>,
) -> Vec<u64> {
    let sum = |total: u64, meta: &Arc<SegmentMeta>| total.saturating_add(meta.file_bytes);
    let mut bytes = segments.iter().fold(wal_bytes, sum);
    let (bytes_max, horizon) = (bytes_max.unwrap_or(u64::MAX), horizon.unwrap_or(i64::MIN));
    let mut dropped = Vec::new();
    if bytes <= bytes_max && segments.iter().all(|meta| meta.max_timestamp >= horizon) {
        return dropped;
    }
    let ordered = by_age(segments);
    for (at, &(age, meta)) in ordered.iter().enumerate() {
        let too_much = bytes > bytes_max && at + 1 < ordered.len();
        if age >= horizon && !too_much {
            break;
        }
        bytes -= meta.file_bytes;
        dropped.push(meta.file_number);
    }
    dropped
}

/// The segments by their latest sample, oldest first, but none before those that it may replace
/// values of: with the time up to which each has to be kept for that.
fn by_age(segments: &[Arc<SegmentMeta>]) -> Vec<(Timestamp, &Arc<SegmentMeta>)> {
    let mut segments: Vec<&Arc<SegmentMeta>> = segments.iter().collect();
    segments.sort_unstable_by_key(|meta| (meta.min_seq, meta.file_number));
    let mut ages: Vec<(Timestamp, usize)> = Vec::with_capacity(segments.len());
    for (at, meta) in segments.iter().enumerate() {
        let older = segments[..at].iter().zip(&ages);
        let below = older.filter(|(other, _)| other.overlaps_in_time(meta)).map(|(_, age)| age.0);
        ages.push((below.fold(meta.max_timestamp, Timestamp::max), at));
    }
    // At one age older seqs come first, which `at` counts.
    ages.sort_unstable();
    ages.into_iter().map(|(age, at)| (age, segments[at])).collect()
}

/// The time before which a merge of `set` may leave samples out, when samples before `horizon` have
/// expired: not what may have replaced values of an older segment that is not merged with them, since
/// those would show again when more is to be kept.
#[must_use]
pub fn trimmed_before(
    live: &[Arc<SegmentMeta>],
    set: &[Arc<SegmentMeta>],
    horizon: Timestamp,
) -> Timestamp {
    let numbers: HashSet<u64> = set.iter().map(|meta| meta.file_number).collect();
    let outside = live.iter().filter(|meta| !numbers.contains(&meta.file_number));
    let is_below = |older: &&Arc<SegmentMeta>| {
        set.iter().any(|meta| older.max_seq < meta.min_seq && older.overlaps_in_time(meta))
    };
    outside.filter(is_below).map(|meta| meta.min_timestamp).fold(horizon, Timestamp::min)
}

/// Whether the wall clock may be used for retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockVerdict {
    /// It moved as time ran.
    Trusted,
    /// It jumped; it is believed again after this much running time without another jump.
    Paused {
        /// How long that is.
        remaining: Duration,
    },
}

/// The guarded clock of retention: compares the wall clock with what the last manifest edit
/// recorded plus the time that has run since.
///
/// A jump of more than a day, in either direction, pauses retention for a day of running time; then
/// the clock is believed. After a restart the time the store was closed counts as not run, so that
/// a long downtime pauses it as well: a day late is better than a store wiped by a clock set to
/// 2099. If the clock returns meanwhile, retention goes on at once. The day may be run in parts: how
/// much of it is over is recorded with edits, and goes on unless the clock jumps again.
#[derive(Debug, Clone, Copy)]
pub struct RetentionClock {
    anchor: Anchor,
    /// The wall clock as it was found after a jump.
    suspect: Option<Suspect>,
}

/// A clock that has jumped and must prove itself.
#[derive(Debug, Clone, Copy)]
struct Suspect {
    at: Anchor,
    /// How long it had run by then since the jump.
    run: Duration,
}

impl Suspect {
    /// How long the clock has run since it jumped.
    fn run(&self, now: Anchor) -> Duration {
        self.run.saturating_add(now.monotonic.saturating_sub(self.at.monotonic))
    }
}

/// One moment by both clocks.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    wall_ms: i64,
    monotonic: Duration,
}

impl Anchor {
    /// Whether the clocks have moved together since.
    fn agrees(&self, now: Self) -> bool {
        let run = now.monotonic.saturating_sub(self.monotonic).as_millis() as i128;
        let moved = i128::from(now.wall_ms) - i128::from(self.wall_ms);
        (moved - run).unsigned_abs() <= DAY.as_millis()
    }
}

impl RetentionClock {
    /// The clock of a store that is opened; `recorded` is what its edits recorded last.
    #[must_use]
    pub fn open(recorded: ClockRecord, wall_ms: i64, monotonic: Duration) -> Self {
        let now = Anchor { wall_ms, monotonic };
        let anchor = Anchor { wall_ms: recorded.trusted_ms.unwrap_or(wall_ms), monotonic };
        let suspect = recorded.suspect.map(|suspect| Suspect {
            at: Anchor { wall_ms: suspect.wall_ms, monotonic },
            run: Duration::from_millis(suspect.run_ms),
        });
        let mut clock = Self { anchor, suspect };
        clock.step(now);
        clock
    }

    /// Looks at the clocks.
    pub fn observe(&mut self, wall_ms: i64, monotonic: Duration) -> ClockVerdict {
        self.step(Anchor { wall_ms, monotonic })
    }

    /// Whether the wall clock is not trusted because it has jumped back.
    pub fn is_behind(&mut self, wall_ms: i64, monotonic: Duration) -> bool {
        let run = monotonic.saturating_sub(self.anchor.monotonic).as_millis() as i128;
        let earlier = i128::from(wall_ms) < i128::from(self.anchor.wall_ms) + run;
        self.observe(wall_ms, monotonic) != ClockVerdict::Trusted && earlier
    }

    /// What to record with an edit made now: the wall clock if it is trusted, or how long it has run
    /// since it jumped. What was recorded of a trusted clock before stays then.
    pub fn for_edit(&mut self, wall_ms: i64, monotonic: Duration) -> ClockRecord {
        let now = Anchor { wall_ms, monotonic };
        if self.step(now) == ClockVerdict::Trusted {
            self.anchor = now;
            return ClockRecord { trusted_ms: Some(wall_ms), suspect: None };
        }
        let run = self.suspect.map_or(Duration::ZERO, |suspect| suspect.run(now));
        let run_ms = u64::try_from(run.as_millis()).unwrap_or(u64::MAX);
        ClockRecord { trusted_ms: None, suspect: Some(SuspectClock { wall_ms, run_ms }) }
    }

    fn step(&mut self, now: Anchor) -> ClockVerdict {
        if self.anchor.agrees(now) {
            self.suspect = None;
            return ClockVerdict::Trusted;
        }
        let suspect = match self.suspect {
            Some(suspect) if suspect.at.agrees(now) => suspect,
            _ => Suspect { at: now, run: Duration::ZERO },
        };
        let run = suspect.run(now);
        if run >= DAY {
            *self = Self { anchor: now, suspect: None };
            return ClockVerdict::Trusted;
        }
        self.suspect = Some(suspect);
        ClockVerdict::Paused { remaining: DAY - run }
    }

    /// The time by which samples expire, in ticks: the wall clock, but at most an hour ahead of the
    /// newest sample. `None` while the clock is not trusted, or nothing was ever accepted.
    pub fn now(
        &mut self,
        (wall_ms, monotonic): (i64, Duration),
        newest: Option<Timestamp>,
        ticks_per_second: u64,
    ) -> Option<Timestamp> {
        if self.observe(wall_ms, monotonic) != ClockVerdict::Trusted {
            return None;
        }
        let ticks = i128::from(ticks_per_second);
        let wall = (i128::from(wall_ms) * ticks).div_euclid(1000);
        let limit = i128::from(newest?) + AHEAD_SECONDS * ticks;
        let now = wall.min(limit).clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        Some(now as Timestamp)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::simulator::meta;
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const DAY_MS: i64 = 24 * HOUR_MS;

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3600)
    }

    #[test]
    fn a_clock_that_was_set_back_is_behind_until_it_is_believed() {
        let mut clock = RetentionClock::open(recorded(Some(30 * DAY_MS)), 30 * DAY_MS, hours(0));
        assert!(!clock.is_behind(30 * DAY_MS, hours(0)));
        assert!(!clock.is_behind(29 * DAY_MS + HOUR_MS, hours(0)), "less than a day");
        assert!(clock.is_behind(0, hours(1)) && clock.is_behind(HOUR_MS, hours(2)));
        assert!(!clock.is_behind(30 * DAY_MS + 2 * HOUR_MS, hours(2)), "set right again");
        assert!(!clock.is_behind(60 * DAY_MS, hours(3)), "ahead");
        assert!(clock.is_behind(0, hours(4)) && !clock.is_behind(24 * HOUR_MS, hours(28)));
        let mut late = RetentionClock::open(recorded(Some(30 * DAY_MS)), 0, hours(0));
        assert!(late.is_behind(0, hours(0)), "after a restart");
    }

    fn recorded(trusted_ms: Option<i64>) -> ClockRecord {
        ClockRecord { trusted_ms, suspect: None }
    }

    fn trusted(clock: &mut RetentionClock, wall_ms: i64, monotonic: Duration) -> bool {
        clock.observe(wall_ms, monotonic) == ClockVerdict::Trusted
    }

    fn paused(clock: &mut RetentionClock, wall_ms: i64, monotonic: Duration) -> Duration {
        match clock.observe(wall_ms, monotonic) {
            ClockVerdict::Paused { remaining } => remaining,
            ClockVerdict::Trusted => panic!("trusted at {wall_ms}"),
        }
    }

    #[test]
    fn a_clock_that_runs_is_trusted_for_ever() {
        let mut clock = RetentionClock::open(recorded(None), 0, hours(5));
        for hour in 0..10_000u64 {
            assert!(trusted(&mut clock, hour as i64 * HOUR_MS, hours(5 + hour)));
        }
        assert!(trusted(&mut clock, 10_000 * HOUR_MS + DAY_MS, hours(10_005)), "a day is allowed");
    }

    #[test]
    fn a_jump_in_either_direction_pauses_for_a_day_of_running_time() {
        for jump in [DAY_MS + 1, -DAY_MS - 1, 70 * 365 * DAY_MS] {
            let mut clock = RetentionClock::open(recorded(Some(0)), 0, hours(0));
            assert_eq!(paused(&mut clock, jump, hours(0)), hours(24), "{jump}");
            assert_eq!(clock.for_edit(jump, hours(0)).trusted_ms, None, "what is recorded stays");
            assert_eq!(paused(&mut clock, jump + 23 * HOUR_MS, hours(23)), hours(1));
            assert!(trusted(&mut clock, jump + 24 * HOUR_MS, hours(24)));
            let wall = jump + 25 * HOUR_MS;
            assert_eq!(clock.for_edit(wall, hours(25)), recorded(Some(wall)));
            assert_eq!(paused(&mut clock, 26 * HOUR_MS, hours(26)), hours(24), "back again");
        }
    }

    #[test]
    fn a_clock_that_returns_is_trusted_at_once_and_a_second_jump_starts_over() {
        let mut clock = RetentionClock::open(recorded(Some(0)), 0, hours(0));
        paused(&mut clock, 90 * DAY_MS, hours(1));
        assert!(trusted(&mut clock, 2 * HOUR_MS, hours(2)));
        paused(&mut clock, 90 * DAY_MS, hours(3));
        assert_eq!(paused(&mut clock, 900 * DAY_MS, hours(20)), hours(24));
        assert_eq!(paused(&mut clock, 900 * DAY_MS + 5 * HOUR_MS, hours(25)), hours(19));
    }

    #[test]
    fn a_long_downtime_pauses_for_a_day_and_a_short_one_does_not() {
        let mut clock = RetentionClock::open(recorded(Some(0)), 23 * HOUR_MS, hours(9));
        assert!(trusted(&mut clock, 23 * HOUR_MS, hours(9)));
        let mut clock = RetentionClock::open(recorded(Some(0)), 30 * DAY_MS, hours(9));
        assert_eq!(paused(&mut clock, 30 * DAY_MS, hours(9)), hours(24));
        assert_eq!(clock.for_edit(30 * DAY_MS, hours(9)).trusted_ms, None);
        assert!(trusted(&mut clock, 31 * DAY_MS, hours(33)));
    }

    #[test]
    fn the_day_may_be_run_in_parts() {
        // After three days closed: ten hours open, fourteen closed, each day.
        let mut record = recorded(Some(0));
        let mut wall = 3 * DAY_MS;
        for already in [0, 10, 20] {
            let mut clock = RetentionClock::open(record, wall, hours(7));
            assert_eq!(paused(&mut clock, wall, hours(7)), hours(24 - already));
            wall += 10 * HOUR_MS;
            let next = clock.for_edit(wall, hours(17));
            if already == 20 {
                assert_eq!(next, recorded(Some(wall)), "the day is over");
            }
            record = ClockRecord { trusted_ms: next.trusted_ms.or(record.trusted_ms), ..next };
            wall += 14 * HOUR_MS;
        }
        assert!(trusted(&mut RetentionClock::open(record, wall, hours(0)), wall, hours(0)));
    }

    #[test]
    fn another_jump_while_closed_starts_the_day_over() {
        let mut clock = RetentionClock::open(recorded(Some(0)), 3 * DAY_MS, hours(0));
        let later = 3 * DAY_MS + 20 * HOUR_MS;
        let suspect = clock.for_edit(later, hours(20));
        assert_eq!(suspect.suspect, Some(SuspectClock { wall_ms: later, run_ms: 20 * 3_600_000 }));
        let record = ClockRecord { trusted_ms: Some(0), ..suspect };
        let mut clock = RetentionClock::open(record, later + 2 * DAY_MS, hours(0));
        assert_eq!(paused(&mut clock, later + 2 * DAY_MS, hours(0)), hours(24));
        assert!(trusted(&mut RetentionClock::open(record, HOUR_MS, hours(0)), HOUR_MS, hours(0)));
    }

    #[test]
    fn now_is_at_most_an_hour_ahead_of_the_newest_sample() {
        let mut clock = RetentionClock::open(recorded(None), 5 * HOUR_MS, hours(0));
        let at = (5 * HOUR_MS, hours(0));
        assert_eq!(clock.now(at, None, 1000), None, "an empty store has no now");
        assert_eq!(clock.now(at, Some(0), 1000), Some(HOUR_MS));
        assert_eq!(clock.now(at, Some(9 * HOUR_MS), 1000), Some(5 * HOUR_MS));
        assert_eq!(clock.now(at, Some(i64::MAX), 1), Some(5 * 3600));
        assert_eq!(clock.now((i64::MAX, hours(0)), Some(0), 1_000_000_000), None, "jumped");
        let mut late = RetentionClock::open(recorded(None), i64::MAX, hours(0));
        assert_eq!(late.now((i64::MAX, hours(0)), Some(i64::MAX), 1_000_000_000), Some(i64::MAX));
    }

    #[test]
    fn by_age_only_whole_segments_expire() {
        let segments = [meta(1, (0, 9), (1, 1), 0, 5), meta(2, (11, 20), (2, 2), 0, 5)];
        for (horizon, gone) in [(9, &[][..]), (10, &[1]), (20, &[1]), (21, &[1, 2])] {
            assert_eq!(expired(&segments, 0, None, Some(horizon)), gone, "before {horizon}");
        }
        assert_eq!(expired(&segments, 0, None, None), [] as [u64; 0]);
    }

    #[test]
    fn by_bytes_the_oldest_go_first_and_the_newest_stays() {
        let segments = [
            meta(1, (0, 9), (1, 1), 0, 100),
            meta(2, (10, 19), (2, 2), 0, 100),
            meta(3, (20, 29), (3, 3), 0, 100),
        ];
        assert_eq!(expired(&segments, 0, Some(300), None), [] as [u64; 0]);
        assert_eq!(expired(&segments, 1, Some(300), None), [1]);
        assert_eq!(expired(&segments, 1, Some(300), Some(10)), [1], "age counts first");
        assert_eq!(expired(&segments, 9999, Some(300), None), [1, 2]);
        assert_eq!(expired(&segments, 9999, Some(300), Some(30)), [1, 2, 3]);
    }

    #[test]
    fn nothing_goes_before_what_it_replaced() {
        // 2 may have overwritten values of 1, which reaches further.
        let segments = [
            meta(1, (0, 99), (1, 1), 1, 100),
            meta(2, (0, 50), (2, 2), 1, 10),
            meta(3, (100, 199), (3, 3), 1, 100),
        ];
        assert_eq!(expired(&segments, 0, Some(205), None), [1]);
        assert_eq!(expired(&segments, 0, Some(105), None), [1, 2]);
        assert_eq!(expired(&segments, 0, None, Some(99)), [] as [u64; 0]);
        assert_eq!(expired(&segments, 0, None, Some(100)), [1, 2]);
    }

    #[test]
    fn a_merge_trims_nothing_that_replaced_what_it_does_not_read() {
        let live = [
            meta(1, (10, 99), (1, 1), 1, 100),
            meta(2, (0, 50), (2, 2), 1, 10),
            meta(3, (40, 199), (3, 3), 1, 100),
        ];
        let before = |set: std::ops::Range<usize>| trimmed_before(&live, &live[set], 30);
        assert_eq!(before(0..1), 30, "nothing is older");
        assert_eq!(before(0..3), 30, "all of it is read");
        assert_eq!(before(1..2), 10, "1 has values from 10 on");
        assert_eq!(before(2..3), 0, "2 overlaps it");
    }

    proptest! {
        #[test]
        fn what_stays_never_shows_a_value_that_what_went_had_replaced(
            raw in prop::collection::vec((0i64..30, 0i64..9, 1u64..20), 1..12),
            most in 0u64..200,
            horizon in prop::option::of(0i64..40),
        ) {
            let segments: Vec<_> = raw.iter().enumerate().map(|(i, &(t, dt, bytes))| {
                let seq = i as u64 + 1;
                meta(seq, (t, t + dt), (seq, seq), 0, bytes)
            }).collect();
            let gone = expired(&segments, 0, Some(most), horizon);
            let stays = |m: &&Arc<SegmentMeta>| !gone.contains(&m.file_number);
            for kept in segments.iter().filter(stays) {
                for went in segments.iter().filter(|m| !stays(m)) {
                    prop_assert!(!kept.overlaps_in_time(went) || went.max_seq < kept.max_seq);
                }
            }
            let left: u64 = segments.iter().filter(stays).map(|m| m.file_bytes).sum();
            prop_assert!(left <= most || segments.iter().filter(stays).count() == 1);
            let before = horizon.unwrap_or(i64::MIN);
            let is_young = |m: &&Arc<SegmentMeta>| m.max_timestamp >= before;
            prop_assert!(left > 0 || segments.iter().filter(is_young).count() == 0);
        }
    }
}
