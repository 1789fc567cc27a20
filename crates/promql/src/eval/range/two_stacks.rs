//! Aggregates of windows that slide over a column, for operations without an inverse.
//!
//! The window is cut in two. Of the older part the aggregates of all its ends are known (from each
//! sample up to the cut), of the newer part one aggregate, to which samples are appended. Once the
//! window has left the older part, all that it still holds becomes the older part. Every sample is so
//! combined at most twice, however long the window is, and nothing is ever subtracted. The scheme is
//! that of a queue made of two stacks, known from functional programming (Hood and Melville 1981);
//! for windows see Tangwongsan, Hirzel and Schneider, "General incremental sliding-window
//! aggregation", VLDB 2015.

use super::window::Run;

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
        for at in self.end..run.end {
            match &mut self.newer {
                Some(partial) => combine.append(partial, at),
                none => *none = Some(combine.one(at)),
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
