//! Aggregates of windows that slide over a column, for operations without an inverse.
//!
//! The window is cut in two. Of the older part the aggregates of all its ends are known (from each
//! sample up to the cut), of the newer part one aggregate, to which samples are appended. Once the
//! window has left the older part, all that it still holds becomes the older part. Every sample is so
//! combined at most twice, however long the window is, and nothing is ever subtracted. The scheme is
//! that of a queue made of two stacks, known from functional programming (Hood and Melville 1981);
//! for windows see Tangwongsan, Hirzel and Schneider, "General incremental sliding-window
//! aggregation", VLDB 2015.
//!
//! Where the window is cut decides the last bits of a sum. [`TwoStacks::slide`] cuts where the windows
//! before have led it; [`TwoStacks::slide_to`], with [`Cuts`], at fixed times, so that what a window yields depends on its
//! own samples alone, and an answer may be made in parts.

use siltstone::Timestamp;

use super::window::{Run, Window};
use crate::eval::grid::Windows;

/// How the samples of one column are combined. The operation is associative; it need not commute.
pub(super) trait Combine {
    /// The aggregate of neighbouring samples.
    type Partial: Clone;

    /// The aggregate of sample `at` alone.
    fn one(&self, at: usize) -> Self::Partial;

    /// Adds sample `at` behind `partial`.
    fn append(&self, partial: &mut Self::Partial, at: usize);

    /// `older` and, behind it, `newer`.
    fn join(&self, older: &Self::Partial, newer: &Self::Partial) -> Self::Partial;

    /// The aggregate of neighbouring samples, taken one after the other; `None` of none.
    #[inline]
    fn all(&self, run: Run) -> Option<Self::Partial> {
        (!run.is_empty()).then(|| {
            let mut partial = self.one(run.first);
            for at in run.first + 1..run.end {
                self.append(&mut partial, at);
            }
            partial
        })
    }
}

/// The aggregate of a window that slides over a column.
#[derive(Debug)]
pub(super) struct TwoStacks<'s, P> {
    /// At `i` the aggregate of the `i + 1` samples before `cut`.
    older: &'s mut Vec<P>,
    /// The first sample of the newer part.
    cut: usize,
    /// The aggregate of the samples from `cut` up to `end`, if there are any.
    newer: Option<P>,
    end: usize,
}

impl<'s, P: Clone> TwoStacks<'s, P> {
    /// A window that holds nothing yet; `memory` is used for the older part.
    pub(super) fn new(memory: &'s mut Vec<P>) -> Self {
        memory.clear();
        Self { older: memory, cut: 0, newer: None, end: 0 }
    }

    /// Moves the window to `run`, whose ends do not lie before those of the run before, and tells
    /// the aggregate of its samples, if it has any.
    ///
    /// The samples of a window that shares none with the one before are combined one after the
    /// other, so a single window gives what a plain loop would.
    #[inline]
    pub(super) fn slide(&mut self, run: Run, combine: &impl Combine<Partial = P>) -> Option<P> {
        if run.first >= self.end {
            self.older.clear();
            (self.cut, self.end, self.newer) = (run.first, run.first, None);
        } else if run.first > self.cut {
            self.turn(run.first, combine);
        }
        self.extend(run, combine)
    }

    /// As [`slide`](Self::slide), to the floats of `window`, which is cut at a fixed time if there are
    /// `cuts`.
    #[inline]
    pub(super) fn slide_to(
        &mut self,
        window: &Window,
        cuts: &mut Option<Cuts<'_>>,
        combine: &impl Combine<Partial = P>,
    ) -> Option<P> {
        match cuts {
            Some(cuts) => self.slide_over(window.floats, cuts.of_window(window.end), combine),
            None => self.slide(window.floats, combine),
        }
    }

    /// As [`slide`](Self::slide), for windows that are all cut before the sample that [`Cuts`] tells.
    #[inline]
    fn slide_over(
        &mut self,
        run: Run,
        cut: usize,
        combine: &impl Combine<Partial = P>,
    ) -> Option<P> {
        if cut != self.cut || self.end < cut {
            self.end = cut;
            self.turn(run.first, combine);
        }
        self.extend(run, combine)
    }

    /// Appends the samples up to the end of `run` to the newer part, and joins what both parts have of
    /// the run.
    #[inline]
    fn extend(&mut self, run: Run, combine: &impl Combine<Partial = P>) -> Option<P> {
        match &mut self.newer {
            Some(partial) => (self.end..run.end).for_each(|at| combine.append(partial, at)),
            none => *none = combine.all(Run { first: self.end, end: run.end }),
        }
        self.end = run.end;
        if run.first >= self.cut {
            return self.newer.clone();
        }
        let older = &self.older[self.cut - 1 - run.first];
        Some(match &self.newer {
            Some(newer) => combine.join(older, newer),
            None => older.clone(),
        })
    }

    /// Makes all samples from `first` the older part.
    fn turn(&mut self, first: usize, combine: &impl Combine<Partial = P>) {
        self.older.clear();
        let mut held = (first..self.end).rev();
        if let Some(at) = held.next() {
            let mut partial = combine.one(at);
            for at in held {
                let longer = combine.join(&combine.one(at), &partial);
                self.older.push(std::mem::replace(&mut partial, longer));
            }
            self.older.push(partial);
        }
        (self.cut, self.newer) = (self.end, None);
    }
}

/// Where windows of one length are cut: behind the multiple of that length which each of them holds.
#[derive(Debug)]
pub(super) struct Cuts<'a> {
    timestamps: &'a [Timestamp],
    range: i64,
    cut: usize,
}

impl<'a> Cuts<'a> {
    /// For windows over samples at `timestamps`; `None` where no two of them overlap, or there is one
    /// only, so that its samples are best taken one after the other.
    pub(super) fn of(windows: &Windows, timestamps: &'a [Timestamp]) -> Option<Self> {
        windows.overlap().then_some(Self { timestamps, range: windows.range, cut: 0 })
    }

    /// The first sample of the newer part of the window that ends at `end`, which is not before that of
    /// the call before.
    #[inline]
    pub(super) fn of_window(&mut self, end: Timestamp) -> usize {
        let at = end.div_euclid(self.range).saturating_mul(self.range);
        let ahead = &self.timestamps[self.cut..];
        self.cut += ahead.iter().take_while(|time| **time <= at).count();
        self.cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    use crate::ast::RangeMode;
    use crate::eval::grid::{Grid, Shift};

    /// The first and the last sample of a run, and how many there are: breaks if samples are left
    /// out, taken twice or out of order.
    struct Ends;

    impl Combine for Ends {
        type Partial = (usize, usize, usize);

        fn one(&self, at: usize) -> Self::Partial {
            (at, at, 1)
        }

        fn append(&self, partial: &mut Self::Partial, at: usize) {
            *partial = self.join(partial, &self.one(at));
        }

        fn join(&self, older: &Self::Partial, newer: &Self::Partial) -> Self::Partial {
            assert_eq!(older.1 + 1, newer.0, "neighbours in order");
            (older.0, newer.1, older.2 + newer.2)
        }
    }

    proptest! {
        #[test]
        fn windows_cut_at_fixed_times_hold_the_same(
            gaps in prop::collection::vec(1i64..40, 1..80),
            (start, step, range) in (-200i64..200, 1i64..60, 1i64..300),
        ) {
            let mut time = -100;
            let times: Vec<i64> = gaps.iter().map(|gap| { time += gap; time }).collect();
            let grid = Grid { start, step, count: 20 };
            let (shift, mode) = (Shift::default(), RangeMode::Inside);
            let windows = Windows { grid, shift, range, mode, lookback: 0 };
            let Some(mut cuts) = Cuts::of(&windows, &times) else {
                prop_assert!(range <= step);
                return Ok(());
            };
            let mut memory = Vec::new();
            let mut stacks = TwoStacks::new(&mut memory);
            for number in 0..grid.count {
                let (start, end) = (windows.start(number), windows.end(number));
                let first = times.partition_point(|time| *time <= start);
                let run = Run { first, end: times.partition_point(|time| *time <= end) };
                let expected =
                    (!run.is_empty()).then(|| (run.first, run.end - 1, run.len()));
                let cut = cuts.of_window(end);
                prop_assert_eq!(stacks.slide_over(run, cut, &Ends), expected);
            }
        }

        #[test]
        fn every_sample_of_the_window_is_combined_once(
            moves in prop::collection::vec((0usize..6, 0usize..6), 1..60)
        ) {
            let mut memory = Vec::new();
            let mut stacks = TwoStacks::new(&mut memory);
            let mut run = Run::default();
            for (first, end) in moves {
                run.end += end;
                run.first = (run.first + first).min(run.end);
                let expected =
                    (!run.is_empty()).then(|| (run.first, run.end - 1, run.len()));
                prop_assert_eq!(stacks.slide(run, &Ends), expected);
            }
        }
    }
}
