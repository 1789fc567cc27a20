//! Losses whose times are unknown, while the rows of a series pass by on their way to the outputs.
//!
//! Chunks of a series do not overlap in time. Such a loss is a range of ticks, and rows of newer inputs may
//! lie within: it is written in pieces, up to each row and from behind it on. Pure; called by the outputs.

use std::sync::Arc;

use crate::types::{LostPlace, Timestamp};

/// Ticks at some of which samples are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extent {
    /// The first.
    pub(super) first: Timestamp,
    /// The last, inclusive.
    pub(super) last: Timestamp,
    /// How many samples at most.
    pub(super) rows: u32,
    pub(super) is_accepted: bool,
    pub(super) place: Arc<LostPlace>,
}

/// Those of one series that lie ahead, in order, none touching another.
#[derive(Debug, Default)]
pub(super) struct Extents {
    ahead: Vec<Extent>,
}

impl Extents {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Adds one; those that overlap it become one with it, whose loss is accepted only if all are.
    pub(super) fn insert(&mut self, mut extent: Extent) {
        let apart = |other: &Extent| other.last < extent.first || extent.last < other.first;
        let (apart, joined): (Vec<_>, Vec<_>) = self.ahead.drain(..).partition(apart);
        for other in joined {
            extent.first = extent.first.min(other.first);
            extent.last = extent.last.max(other.last);
            extent.rows = extent.rows.saturating_add(other.rows);
            extent.is_accepted &= other.is_accepted;
        }
        self.ahead = apart;
        let at = self.ahead.partition_point(|other| other.first < extent.first);
        self.ahead.insert(at, extent);
    }

    /// The first tick that is ahead.
    pub(super) fn next_first(&self) -> Option<Timestamp> {
        self.ahead.first().map(|extent| extent.first)
    }

    /// Takes what lies before `time`, or the first whole one of it.
    pub(super) fn take_before(&mut self, time: Timestamp) -> Option<Extent> {
        let extent = self.ahead.first_mut().filter(|extent| extent.first < time)?;
        if extent.last < time {
            return Some(self.ahead.remove(0));
        }
        let piece = Extent { last: time - 1, ..extent.clone() };
        extent.first = time;
        Some(piece)
    }

    /// Leaves out `time`, at which there is a newer row; nothing lies before it any more.
    pub(super) fn pass(&mut self, time: Timestamp) {
        debug_assert!(self.next_first().is_none_or(|first| first >= time), "taken before");
        let Some(extent) = self.ahead.first_mut().filter(|extent| extent.first == time) else {
            return;
        };
        if extent.last == time {
            self.ahead.remove(0);
        } else {
            extent.first = time + 1;
        }
    }

    /// Takes the first one whole.
    pub(super) fn take_first(&mut self) -> Option<Extent> {
        (!self.ahead.is_empty()).then(|| self.ahead.remove(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn extent(first: i64, last: i64) -> Extent {
        Extent { first, last, rows: 1, is_accepted: false, place: LostPlace::anywhere() }
    }

    #[test]
    fn the_ends_of_time() {
        let mut extents = Extents::default();
        extents.insert(extent(i64::MIN, i64::MAX));
        extents.pass(i64::MIN);
        let piece = extents.take_before(i64::MAX).unwrap();
        assert_eq!((piece.first, piece.last), (i64::MIN + 1, i64::MAX - 1));
        extents.pass(i64::MAX);
        assert!(extents.is_empty());
    }

    #[test]
    fn a_loss_that_joins_others_is_accepted_only_if_all_are() {
        for accepted in [[true, true], [true, false], [false, true], [false, false]] {
            let mut extents = Extents::default();
            for (first, is_accepted) in [(0, accepted[0]), (5, accepted[1])] {
                extents.insert(Extent { is_accepted, ..extent(first, first + 9) });
            }
            let joined = extents.take_first().unwrap();
            assert_eq!((joined.first, joined.last, extents.is_empty()), (0, 14, true));
            assert_eq!(joined.is_accepted, accepted == [true, true], "{accepted:?}");
        }
    }

    proptest! {
        /// As a set of ticks, without those that have rows.
        #[test]
        fn pieces_cover_what_has_no_row(
            given in prop::collection::vec((0i64..60, 0i64..9), 0..6),
            rows in prop::collection::btree_set(0i64..70, 0..20),
        ) {
            let mut extents = Extents::default();
            given.iter().for_each(|&(first, len)| extents.insert(extent(first, first + len)));
            let mut pieces = Vec::new();
            for &row in &rows {
                pieces.extend(std::iter::from_fn(|| extents.take_before(row)));
                extents.pass(row);
            }
            pieces.extend(std::iter::from_fn(|| extents.take_first()));
            prop_assert!(pieces.windows(2).all(|pair| pair[0].last < pair[1].first));
            let lost = |t: i64| given.iter().any(|&(first, len)| (first..=first + len).contains(&t));
            for t in -1..75 {
                let covered = pieces.iter().any(|piece| (piece.first..=piece.last).contains(&t));
                prop_assert_eq!(covered, lost(t) && !rows.contains(&t), "at {}", t);
            }
        }
    }
}
