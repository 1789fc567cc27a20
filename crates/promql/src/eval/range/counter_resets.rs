//! Where a counter began again from zero.
//!
//! A counter is reset where its value falls, and where a sample's start timestamp says so. The places
//! are found once for a series, so a window costs no more than the resets in it.

use siltstone::Timestamp;

use crate::source::KindColumn;

use super::window::Run;

/// Whether the start timestamp of a sample says that the counter was reset since the sample before
/// it. Times are in milliseconds; 0 is an unknown start.
///
/// Prometheus's definition (`isStartTimestampReset`). A start behind the sample before is a reset,
/// and one before it is not. Deltas begin where the sample before ended, so a start right at that
/// sample is a reset as well, unless that sample's own start is unknown: 0, or its own time (what
/// OpenTelemetry sends for counters of unknown age), or behind it, which makes no sense. A start at
/// or behind its own sample tells nothing.
#[inline]
pub(super) fn starts_anew(before: (Timestamp, Timestamp), sample: (Timestamp, Timestamp)) -> bool {
    let ((start_before, time_before), (start, time)) = (before, sample);
    if start == 0 || start >= time || start < time_before {
        return false;
    }
    start > time_before || (start_before != 0 && start_before < time_before)
}

/// Whether a sample began before the one before it ended without being of the same counter.
#[inline]
fn overlaps(before: (Timestamp, Timestamp), start: Timestamp) -> bool {
    let (start_before, time_before) = before;
    start != 0 && start < time_before && start != start_before
}

/// Finds the samples of `column` before which the counter was reset: those for which `falls` says so
/// when asked with the values before and at it, and those whose start timestamps say so, if `starts`
/// are to be looked at (else they are empty). `resets` is overwritten with their indices.
pub(super) fn find_resets<T>(
    column: &KindColumn<'_, T>,
    starts: &[Timestamp],
    mut falls: impl FnMut(&T, &T) -> bool,
    resets: &mut Vec<usize>,
) {
    resets.clear();
    let pairs = column.values.windows(2);
    if starts.is_empty() {
        // Without a branch: a gauge falls as often as it rises, and nothing foretells when.
        resets.resize(column.values.len(), 0);
        let mut found = 0;
        for (at, pair) in pairs.enumerate() {
            resets[found] = at + 1;
            found += usize::from(falls(&pair[0], &pair[1]));
        }
        resets.truncate(found);
        return;
    }
    let times = column.timestamps;
    let fallen = pairs.enumerate().filter(|(at, pair)| {
        let (before, sample) = ((starts[*at], times[*at]), (starts[at + 1], times[at + 1]));
        starts_anew(before, sample) || falls(&pair[0], &pair[1])
    });
    resets.extend(fallen.map(|(at, _)| at + 1));
}

/// Finds the samples whose start timestamps lie before the sample before them although the two are
/// not of the same counter. `found` is overwritten with their indices.
pub(super) fn find_overlaps(
    timestamps: &[Timestamp],
    starts: &[Timestamp],
    found: &mut Vec<usize>,
) {
    found.clear();
    let pairs = starts.windows(2).zip(timestamps).enumerate();
    let overlapping = pairs.filter(|(_, (pair, time))| overlaps((pair[0], **time), pair[1]));
    found.extend(overlapping.map(|(at, _)| at + 1));
}

/// Walks over the places that were found as windows move on.
#[derive(Debug)]
pub(super) struct Places<'a> {
    places: &'a [usize],
    run: Run,
}

impl<'a> Places<'a> {
    /// Over `places`, which are in order.
    pub(super) fn new(places: &'a [usize]) -> Self {
        Self { places, run: Run::default() }
    }

    /// The places between samples that both are in `run`. The ends of `run` are not before those of
    /// the call before.
    #[inline]
    pub(super) fn within(&mut self, run: Run) -> &'a [usize] {
        let ahead = &self.places[self.run.end..];
        self.run.end += ahead.iter().take_while(|at| **at < run.end).count();
        let held = self.run.of(self.places);
        self.run.first += held.iter().take_while(|at| **at <= run.first).count();
        self.run.of(self.places)
    }
}

/// The start timestamp of the first sample of `run`, if it is known and lies between the start of the
/// window and the sample, which `between` gives.
#[inline]
pub(super) fn start_within(
    starts: &[Timestamp],
    run: Run,
    between: (Timestamp, Timestamp),
) -> Option<Timestamp> {
    let start = *starts.get(run.first)?;
    (start != 0 && start > between.0 && start < between.1).then_some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_timestamps_tell_resets() {
        // Start and time of the sample before, of the sample, and whether that is a reset.
        for (before, sample, expected) in [
            ((0, 100), (0, 200), false),
            ((50, 100), (50, 200), false),
            ((50, 100), (150, 200), true),
            ((0, 100), (150, 200), true),
            ((50, 100), (100, 200), true),
            ((0, 100), (100, 200), false),
            ((100, 100), (100, 200), false),
            ((150, 100), (100, 200), false),
            ((50, 100), (200, 200), false),
            ((50, 100), (250, 200), false),
        ] {
            assert_eq!(starts_anew(before, sample), expected, "{before:?} {sample:?}");
        }
    }

    #[test]
    fn a_start_before_the_sample_before_is_an_overlap() {
        assert!(overlaps((40, 100), 60));
        assert!(!overlaps((40, 100), 40), "the same counter goes on");
        assert!(!overlaps((40, 100), 100), "a delta");
        assert!(!overlaps((40, 100), 0), "unknown");
    }

    #[test]
    fn places_are_those_between_samples_of_the_window() {
        let mut places = Places::new(&[1, 4, 5, 9]);
        assert_eq!(places.within(Run { first: 0, end: 1 }), &[] as &[usize]);
        assert_eq!(places.within(Run { first: 0, end: 5 }), &[1, 4]);
        assert_eq!(places.within(Run { first: 1, end: 6 }), &[4, 5]);
        assert_eq!(places.within(Run { first: 5, end: 9 }), &[] as &[usize]);
        assert_eq!(places.within(Run { first: 8, end: 12 }), &[9]);
    }
}
