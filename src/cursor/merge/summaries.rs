//! Passing over batches whose summaries are enough.
//!
//! A summary stands for the samples of its batch only if they are the answer: no other input may
//! have a sample between its first and its last one, and no delete may hide a tick between them. Whether
//! it does where the batch begins or ends beyond the range of the merge, the caller knows.

use super::{Merge, Replaced};
use crate::cursor::{Summary, Unread};

/// What is known of the next sample of a live input.
struct Next {
    rank: usize,
    /// No sample of the input is earlier.
    bound: i64,
    /// Of the batch that starts at `bound`, if it is not decoded yet.
    summary: Option<Summary>,
}

impl<R: Replaced> Merge<R> {
    /// Sets whether [`append`](Self::append) ends its batches where a summary may be next.
    pub(crate) fn stop_at_summaries(&mut self, stop: bool) {
        self.summaries = stop;
    }

    /// Passes over the next samples of the opened series if they are those of one batch with a
    /// summary, and `wanted` takes it; returns that. The batch may hold samples beyond the range. Otherwise [`append`](Self::append) yields the
    /// next samples.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub(crate) fn pass_over(
        &mut self,
        wanted: impl FnOnce(&Summary) -> bool,
    ) -> Result<Option<Summary>, Unread> {
        if !self.planned {
            self.plan();
        }
        let (next, others) = loop {
            if self.live.is_empty() {
                if self.waiting.is_empty() {
                    return Ok(None);
                }
                self.next_span();
            }
            if let Some(found) = self.next_of_live()? {
                break found;
            }
        };
        let Some(summary) = next.summary else { return Ok(None) };
        let alone = others.is_none_or(|bound| summary.last < bound);
        if !alone || !wanted(&summary) {
            return Ok(None);
        }
        self.input_mut(next.rank).cursor.skip();
        Ok(Some(summary))
    }

    /// The live input whose next sample is the earliest, and the bound of all others. Inputs that
    /// cannot tell are read; those at their end are no longer live.
    fn next_of_live(&mut self) -> Result<Option<(Next, Option<i64>)>, Unread> {
        let mut earliest: Option<Next> = None;
        let mut others: Option<i64> = None;
        let mut at = 0;
        while let Some(&rank) = self.live.get(at) {
            let Some(next) = self.next_of(rank)? else {
                self.live.remove(at);
                continue;
            };
            at += 1;
            let behind = match &mut earliest {
                Some(first) if first.bound <= next.bound => next.bound,
                Some(first) => std::mem::replace(first, next).bound,
                None => {
                    earliest = Some(next);
                    continue;
                }
            };
            others = Some(others.map_or(behind, |bound| bound.min(behind)));
        }
        Ok(earliest.map(|next| (next, others)))
    }

    fn next_of(&mut self, rank: usize) -> Result<Option<Next>, Unread> {
        let input = self.input(rank);
        if input.pending().is_empty()
            && let Some(summary) = input.cursor.summary()
            && !input.hidden.touches(summary.first, summary.last)
        {
            return Ok(Some(Next { rank, bound: summary.first, summary: Some(summary) }));
        }
        if !self.fill(rank)? {
            return Ok(None);
        }
        Ok(Some(Next { rank, bound: self.input(rank).pending()[0], summary: None }))
    }

    /// Whether a live input has nothing decoded left.
    pub(super) fn has_read_out(&self) -> bool {
        self.live.iter().any(|&rank| self.input(rank).pending().is_empty())
    }
}
