//! Predictors: what a column is subtracted from before its residuals are packed, and the inverse.
//!
//! With quotients q(0) = 0, q(1), .. the residuals of rows 1.. are, by order: the quotient itself;
//! the difference to the one before; the difference of differences (the one before the first being
//! the slope); the distance from the line k * slope. All arithmetic wraps, so that every column of
//! `i64` survives.

use crate::types::DecodeError;

/// How residuals are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// q(k)
    Plain = 0,
    /// q(k) - q(k-1)
    Delta = 1,
    /// (q(k) - q(k-1)) - (q(k-1) - q(k-2))
    DeltaOfDelta = 2,
    /// q(k) - k * slope
    Grid = 3,
}

impl Order {
    pub(super) fn from_code(code: u8) -> Result<Self, DecodeError> {
        match code {
            0 => Ok(Self::Plain),
            1 => Ok(Self::Delta),
            2 => Ok(Self::DeltaOfDelta),
            3 => Ok(Self::Grid),
            _ => Err(DecodeError::Invalid("order of residuals")),
        }
    }

    /// Whether a slope is kept with the residuals.
    pub(super) fn has_slope(self) -> bool {
        matches!(self, Self::DeltaOfDelta | Self::Grid)
    }
}

/// Replaces `out` by the residuals of `quotients` (of rows 1..) under `order` and `slope`.
pub(super) fn residuals(quotients: &[i64], order: Order, slope: i64, out: &mut Vec<i64>) {
    out.clear();
    let Some(&first) = quotients.first() else { return };
    match order {
        Order::Plain => out.extend_from_slice(quotients),
        Order::Delta => {
            out.push(first);
            out.extend(quotients.windows(2).map(|w| w[1].wrapping_sub(w[0])));
        }
        Order::DeltaOfDelta => {
            out.push(first.wrapping_sub(slope));
            if let Some(&second) = quotients.get(1) {
                out.push(second.wrapping_sub(first).wrapping_sub(first));
            }
            out.extend(
                quotients
                    .windows(3)
                    .map(|w| w[2].wrapping_sub(w[1]).wrapping_sub(w[1].wrapping_sub(w[0]))),
            );
        }
        Order::Grid => {
            let mut line = 0i64;
            out.extend(quotients.iter().map(|q| {
                line = line.wrapping_add(slope);
                q.wrapping_sub(line)
            }));
        }
    }
}

/// Turns residuals back into the column, a run at a time.
pub(super) struct Integrator {
    order: Order,
    divisor: i64,
    base: i64,
    /// The value that the next residual is added to.
    value: i64,
    /// What `value` moves by, times the divisor.
    slope: i64,
}

impl Integrator {
    /// Continues from `first`, the column's row 0; residuals arrive less `base`.
    pub(super) fn new(order: Order, first: i64, divisor: u64, slope: i64, base: i64) -> Self {
        let divisor = divisor as i64;
        Self { order, divisor, base, value: first, slope: slope.wrapping_mul(divisor) }
    }

    /// Replaces the residuals of the next rows by their values.
    #[inline]
    pub(super) fn run(&mut self, run: &mut [i64]) {
        match self.order {
            Order::Plain => self.plain(run),
            Order::Delta => self.delta(run),
            Order::DeltaOfDelta => self.delta_of_delta(run),
            Order::Grid => self.grid(run),
        }
    }

    fn plain(&self, run: &mut [i64]) {
        let start = self.value.wrapping_add(self.base.wrapping_mul(self.divisor));
        if self.divisor == 1 {
            for r in run {
                *r = r.wrapping_add(start);
            }
        } else {
            for r in run {
                *r = r.wrapping_mul(self.divisor).wrapping_add(start);
            }
        }
    }

    fn delta(&mut self, run: &mut [i64]) {
        let (base, divisor, mut value) = (self.base, self.divisor, self.value);
        if divisor == 1 {
            for r in run {
                value = value.wrapping_add(r.wrapping_add(base));
                *r = value;
            }
        } else {
            for r in run {
                value = value.wrapping_add(r.wrapping_add(base).wrapping_mul(divisor));
                *r = value;
            }
        }
        self.value = value;
    }

    fn delta_of_delta(&mut self, run: &mut [i64]) {
        let (base, divisor) = (self.base, self.divisor);
        let (mut value, mut slope) = (self.value, self.slope);
        for r in run {
            slope = slope.wrapping_add(r.wrapping_add(base).wrapping_mul(divisor));
            value = value.wrapping_add(slope);
            *r = value;
        }
        (self.value, self.slope) = (value, slope);
    }

    fn grid(&mut self, run: &mut [i64]) {
        let (base, divisor, slope) = (self.base, self.divisor, self.slope);
        let mut line = self.value;
        for r in run {
            line = line.wrapping_add(slope);
            *r = line.wrapping_add(r.wrapping_add(base).wrapping_mul(divisor));
        }
        self.value = line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn residuals_of_each_order() {
        let of = |order, slope| {
            let mut out = vec![99];
            residuals(&[10, 21, 30, 40], order, slope, &mut out);
            out
        };
        assert_eq!(of(Order::Plain, 0), [10, 21, 30, 40]);
        assert_eq!(of(Order::Delta, 0), [10, 11, 9, 10]);
        assert_eq!(of(Order::DeltaOfDelta, 8), [2, 1, -2, 1]);
        assert_eq!(of(Order::Grid, 10), [0, 1, 0, 0]);
    }

    proptest! {
        #[test]
        fn integration_undoes_every_order(
            quotients in prop::collection::vec(any::<i64>(), 0..80),
            first: i64,
            slope: i64,
            base: i64,
            divisor in prop_oneof![Just(1u64), 2u64..1 << 40],
        ) {
            let column = |q: &i64| first.wrapping_add(q.wrapping_mul(divisor as i64));
            for order in [Order::Plain, Order::Delta, Order::DeltaOfDelta, Order::Grid] {
                let mut run = Vec::new();
                residuals(&quotients, order, slope, &mut run);
                run.iter_mut().for_each(|r| *r = r.wrapping_sub(base));
                let mut integrator = Integrator::new(order, first, divisor, slope, base);
                let half = run.len() / 2;
                integrator.run(&mut run[..half]);
                integrator.run(&mut run[half..]);
                prop_assert_eq!(&run, &quotients.iter().map(column).collect::<Vec<_>>());
            }
        }
    }
}
