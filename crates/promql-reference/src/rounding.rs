//! Roundings, on purpose: how much they matter to an answer.
//!
//! Two evaluators that add in another order differ in the last bits, and a comparison or `floor` may
//! make a whole number of that. So results that are rounded anyway can be moved a little here, by
//! another amount each time. A query whose answer then changes visibly cannot be compared.

use std::cell::Cell;

/// Moves results that are not exact.
#[derive(Debug)]
pub(crate) struct Rounding {
    /// The largest relative change; 0 for none.
    size: f64,
    state: Cell<u64>,
}

impl Rounding {
    pub(crate) fn new(size: f64) -> Self {
        Self { size, state: Cell::new(0x9e37_79b9_7f4a_7c15) }
    }

    /// `value`, moved unless it is a small multiple of 2^-20: sums and products of such values have
    /// no roundings.
    pub(crate) fn moved(&self, value: f64) -> f64 {
        let units = value * f64::from(1 << 20);
        let is_exact = units.fract() == 0.0 && value.abs() < 1e9;
        if self.size == 0.0 || is_exact || !value.is_finite() {
            return value;
        }
        value * (1.0 + self.share())
    }

    /// `value` moved as if it were the difference of numbers of this size.
    pub(crate) fn moved_by(&self, value: f64, scale: f64) -> f64 {
        if self.size == 0.0 || !value.is_finite() || !scale.is_finite() {
            return value;
        }
        value + scale * self.share()
    }

    /// A relative change: up to `size`, up or down.
    fn share(&self) -> f64 {
        // A linear congruential generator (Knuth's MMIX): its top bits as a number in [-1, 1).
        let next = self.state.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.state.set(next);
        self.size * ((next >> 11) as f64 / (1_u64 << 52) as f64 - 1.0)
    }
}
