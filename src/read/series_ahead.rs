//! The series of a query that are worked on ahead of their reader, in order.
//!
//! One place decides whose turn it is: [`DecodeAhead`](super::decode_ahead::DecodeAhead) and
//! [`Aggregation`](super::Aggregation) take the next series of the merged list here, work on some of
//! them in parallel, and put the outcomes back.
//!
//! # Invariants
//!
//! - Outcomes come out in the order of the list.
//! - A series whose outcome did not fit into memory is worked on again with nothing else ahead of the
//!   reader. Only if it does not fit then, that is an error: how much is ahead never decides whether a
//!   query fails.

use std::collections::VecDeque;

use super::lists::{FoundSeries, MergedList};
use crate::error::{Error, Result};
use crate::sys::Executor;

/// What became of a series.
pub(super) enum Outcome<D> {
    /// It was not worked on: enough is ahead.
    Waiting(FoundSeries),
    /// The bytes of the result are held.
    Done(D),
    Failed(Error),
    /// There was not enough memory for the result.
    TooLarge(FoundSeries, Error),
}

/// Whose turn it is.
pub(super) enum Turn<D> {
    /// The next series has this result.
    Done(D),
    /// Series have to be worked on: those that [`SeriesAhead::take_runs`] gives. `alone` if a single
    /// one, with nothing else in memory.
    Work { alone: bool },
}

/// The series of a query: some ahead of the reader, the others in the list.
pub(super) struct SeriesAhead<D> {
    list: MergedList,
    queue: VecDeque<Outcome<D>>,
    /// The next series did not fit beside others.
    alone: bool,
}

/// Most runs of series that are worked on at a time.
pub(super) fn runs_max(executor: &Executor) -> usize {
    match executor.width() {
        1 => 1,
        // More runs than threads: they take unequal time.
        width => width * 2,
    }
}

impl<D> SeriesAhead<D> {
    pub(super) fn new(list: MergedList) -> Self {
        Self { list, queue: VecDeque::new(), alone: false }
    }

    /// The turn of the next series. Where memory is short, `give_up` gets the results that are ahead: it
    /// gives back their memory and returns the series, to be worked on when it is its turn.
    ///
    /// # Errors
    /// That of the series whose turn it is; the next turn is that of the one behind it.
    pub(super) fn turn(&mut self, give_up: impl FnMut(D) -> FoundSeries) -> Result<Turn<D>> {
        match self.queue.pop_front() {
            Some(Outcome::Done(done)) => {
                self.alone = false;
                return Ok(Turn::Done(done));
            }
            Some(Outcome::Failed(error)) => return Err(error),
            Some(Outcome::TooLarge(_, error)) if self.alone => return Err(error),
            Some(Outcome::TooLarge(series, _)) => {
                self.give_up(give_up);
                self.queue.push_front(Outcome::Waiting(series));
                self.alone = true;
            }
            Some(waiting) => self.queue.push_front(waiting),
            None => {}
        }
        Ok(Turn::Work { alone: self.alone })
    }

    /// Forgets the results that are ahead.
    pub(super) fn give_up(&mut self, mut give_up: impl FnMut(D) -> FoundSeries) {
        for outcome in &mut self.queue {
            *outcome = match std::mem::replace(outcome, Outcome::Failed(Error::Cancelled)) {
                Outcome::Done(done) => Outcome::Waiting(give_up(done)),
                Outcome::TooLarge(series, _) => Outcome::Waiting(series),
                other => other,
            };
        }
    }

    /// Up to `count` series to work on, the next in order: those that wait at the front of the queue,
    /// or new ones of the list if it is empty. None if there is none left.
    fn take_series(&mut self, count: usize) -> Result<Vec<FoundSeries>> {
        let mut series = Vec::new();
        while series.len() < count
            && let Some(Outcome::Waiting(_)) = self.queue.front()
            && let Some(Outcome::Waiting(waiting)) = self.queue.pop_front()
        {
            series.push(waiting);
        }
        while series.len() < count
            && self.queue.is_empty()
            && let Some(found) = self.list.next()?
        {
            series.push(found);
        }
        Ok(series)
    }

    /// As [`take_series`](Self::take_series), in at most `runs_max` runs of neighbours, of which the first
    /// is the longest.
    pub(super) fn take_runs(
        &mut self,
        count: usize,
        runs_max: usize,
    ) -> Result<Vec<Vec<FoundSeries>>> {
        let series = self.take_series(count)?;
        let run_series = series.len().div_ceil(runs_max);
        let mut series = series.into_iter();
        let mut runs = Vec::with_capacity(runs_max);
        while series.len() > 0 {
            runs.push(series.by_ref().take(run_series).collect());
        }
        Ok(runs)
    }

    /// Puts back what became of the series that were taken, in their order.
    pub(super) fn put_back(&mut self, outcomes: impl DoubleEndedIterator<Item = Outcome<D>>) {
        for outcome in outcomes.rev() {
            self.queue.push_front(outcome);
        }
    }
}
