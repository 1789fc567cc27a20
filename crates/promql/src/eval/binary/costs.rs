//! What an operator uses while it works: new columns and labels of results, and time.
//!
//! Made for each share of the work; the operands are held by the caller.

use crate::eval::meter::{Meter, Ticker};
use crate::query_error::QueryError;

/// The memory and time of one share, or of several that were merged.
pub(super) struct Costs<'m> {
    meter: &'m Meter,
    ticker: Ticker<'m>,
    /// Nothing was looked at yet. The first look is one at the clock, too: work may be cut into any
    /// number of shares, each too small for the ticker.
    is_new: bool,
    /// Bytes that the meter holds for this.
    held: usize,
}

impl<'m> Costs<'m> {
    pub(super) fn new(meter: &'m Meter) -> Self {
        Self { meter, ticker: Ticker::new(meter), is_new: true, held: 0 }
    }

    /// Says that so many values are about to be looked at.
    ///
    /// # Errors
    /// The evaluation was cancelled, or its time is up.
    #[inline]
    pub(super) fn tick(&mut self, values: usize) -> Result<(), QueryError> {
        if std::mem::take(&mut self.is_new) {
            self.meter.check()?;
        }
        self.ticker.tick(values)
    }

    /// Counts bytes that are about to be allocated.
    ///
    /// # Errors
    /// [`QueryError::Limit`] if they are too many.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), QueryError> {
        self.meter.hold(bytes)?;
        self.held += bytes;
        Ok(())
    }

    /// Gives back some of the bytes that are held.
    pub(super) fn give_back(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.held, "{bytes} of {} bytes", self.held);
        self.held -= bytes;
        self.meter.release(bytes);
    }

    /// Takes over what `other` holds.
    pub(super) fn merge(&mut self, other: Self) {
        self.held += other.held;
    }

    /// Gives back all that is held: the caller counts the results from here on.
    pub(super) fn end(self) {
        self.meter.release(self.held);
    }
}
