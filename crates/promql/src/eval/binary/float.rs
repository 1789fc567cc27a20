//! Operators between two floats, and between two columns of floats.
//!
//! Results are those of Go's `math` package, which Prometheus computes with: `%` is `math.Mod`, the
//! remainder with the sign of the dividend, which is Rust's `%`; `^` is `math.Pow` and `atan2` is
//! `math.Atan2`, whose special cases are C's and so those of `powf` and `atan2` (anything to the
//! power 0 is 1, 1 to any power is 1, NaN included). Go computes powers and arc tangents with
//! polynomials of its own, so the last bit may differ.

use crate::ast::BinaryOp;
use crate::value::{ABSENT, is_absent};

/// Calls `$body` with `$f` as the function of an arithmetic operator or the test of a comparison,
/// so that the loop around it is compiled once for each.
macro_rules! with_function {
    ($op:expr, arithmetic $f:ident => $arithmetic:expr, comparison $test:ident => $comparison:expr) => {
        match $op {
            BinaryOp::Add => with_function!(@ $f, |l: f64, r: f64| l + r, $arithmetic),
            BinaryOp::Sub => with_function!(@ $f, |l: f64, r: f64| l - r, $arithmetic),
            BinaryOp::Mul => with_function!(@ $f, |l: f64, r: f64| l * r, $arithmetic),
            BinaryOp::Div => with_function!(@ $f, |l: f64, r: f64| l / r, $arithmetic),
            BinaryOp::Mod => with_function!(@ $f, |l: f64, r: f64| l % r, $arithmetic),
            BinaryOp::Pow => with_function!(@ $f, f64::powf, $arithmetic),
            BinaryOp::Atan2 => with_function!(@ $f, f64::atan2, $arithmetic),
            BinaryOp::Equal => with_function!(@ $test, |l: f64, r: f64| l == r, $comparison),
            BinaryOp::NotEqual => with_function!(@ $test, |l: f64, r: f64| l != r, $comparison),
            BinaryOp::Greater => with_function!(@ $test, |l: f64, r: f64| l > r, $comparison),
            BinaryOp::Less => with_function!(@ $test, |l: f64, r: f64| l < r, $comparison),
            BinaryOp::GreaterOrEqual => with_function!(@ $test, |l: f64, r: f64| l >= r, $comparison),
            BinaryOp::LessOrEqual => with_function!(@ $test, |l: f64, r: f64| l <= r, $comparison),
            BinaryOp::And
            | BinaryOp::Or
            | BinaryOp::Unless
            | BinaryOp::TrimUpper
            | BinaryOp::TrimLower => unreachable!("{} is not between floats", $op),
        }
    };
    (@ $f:ident, $function:expr, $body:expr) => {{
        let $f = $function;
        $body
    }};
}

/// What a comparison makes of a pair of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// 0 or 1.
    Bool,
    /// The value of the column that is changed where the comparison holds, else none.
    KeepOwn,
    /// The value of the other column where the comparison holds, else none.
    KeepOther,
}

/// How a column of floats is combined with another.
#[derive(Debug, Clone, Copy)]
pub(super) struct FloatRule {
    /// An arithmetic operator or a comparison.
    pub(super) op: BinaryOp,
    /// Whether the column that is changed is the left operand.
    pub(super) own_is_left: bool,
    /// Of no matter to arithmetic.
    pub(super) comparison: Comparison,
}

impl FloatRule {
    /// Combines `own` with `other`, step by step; where one of them has no value the result has
    /// none.
    pub(super) fn combine(self, own: &mut [f64], other: &[f64]) {
        with_function!(
            self.op,
            arithmetic f => self.each(own, other, |_, _, l, r| f(l, r)),
            comparison test => match self.comparison {
                Comparison::Bool => self.each(own, other, |_, _, l, r| f64::from(test(l, r))),
                Comparison::KeepOwn => {
                    self.each(own, other, |own, _, l, r| if test(l, r) { own } else { ABSENT })
                }
                Comparison::KeepOther => {
                    self.each(own, other, |_, other, l, r| if test(l, r) { other } else { ABSENT })
                }
            }
        );
    }

    /// Calls `f` with own, other, left and right value wherever there are both.
    #[inline]
    fn each(self, own: &mut [f64], other: &[f64], f: impl Fn(f64, f64, f64, f64) -> f64) {
        // Two loops, so that the order of the operands is no question in either.
        if self.own_is_left {
            each_present(own, other, |own, other| f(own, other, own, other));
        } else {
            each_present(own, other, |own, other| f(own, other, other, own));
        }
    }
}

#[inline]
fn each_present(own: &mut [f64], other: &[f64], f: impl Fn(f64, f64) -> f64) {
    for (own, other) in own.iter_mut().zip(other) {
        let result = f(*own, *other);
        *own = if is_absent(*own) | is_absent(*other) { ABSENT } else { result };
    }
}

/// An operator between two scalars at each step; comparisons give 0 or 1.
pub(crate) fn scalar_scalar(op: BinaryOp, left: &[f64], right: &[f64]) -> Vec<f64> {
    let mut result = left.to_vec();
    let rule = FloatRule { op, own_is_left: true, comparison: Comparison::Bool };
    rule.combine(&mut result, right);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(op: BinaryOp, left: f64, right: f64) -> f64 {
        scalar_scalar(op, &[left], &[right])[0]
    }

    #[test]
    fn remainders_are_those_of_go() {
        let cases = [
            (5.0, 3.0, 2.0),
            (-5.0, 3.0, -2.0),
            (5.0, -3.0, 2.0),
            (5.5, f64::INFINITY, 5.5),
            (-0.0, 3.0, -0.0),
            (-4.0, 2.0, -0.0),
        ];
        for (left, right, expected) in cases {
            let got = of(BinaryOp::Mod, left, right);
            assert_eq!(got.to_bits(), f64::to_bits(expected), "{left} % {right} = {got}");
        }
        for (left, right) in [(5.0, 0.0), (f64::INFINITY, 2.0), (f64::NAN, 2.0), (2.0, f64::NAN)] {
            assert!(of(BinaryOp::Mod, left, right).is_nan(), "{left} % {right}");
        }
    }

    #[test]
    fn powers_are_those_of_go() {
        // The special cases of the documentation of Go's `math.Pow`.
        let inf = f64::INFINITY;
        let cases = [
            (f64::NAN, 0.0, 1.0),
            (f64::NAN, -0.0, 1.0),
            (1.0, f64::NAN, 1.0),
            (0.0, -3.0, inf),
            (-0.0, -3.0, -inf),
            (0.0, -inf, inf),
            (-0.0, -inf, inf),
            (-0.0, inf, 0.0),
            (-0.0, -2.0, inf),
            (-0.0, 3.0, -0.0),
            (-0.0, 2.0, 0.0),
            (-1.0, inf, 1.0),
            (-1.0, -inf, 1.0),
            (-2.0, inf, inf),
            (-2.0, -inf, 0.0),
            (0.5, inf, 0.0),
            (-0.5, -inf, inf),
            (inf, 2.0, inf),
            (inf, -2.0, 0.0),
            (-inf, 3.0, -inf),
            (-inf, 2.0, inf),
            (-inf, -3.0, -0.0),
            (-inf, 0.5, inf),
            (-2.0, 3.0, -8.0),
            (-2.0, 1e300, inf),
        ];
        for (left, right, expected) in cases {
            let got = of(BinaryOp::Pow, left, right);
            assert_eq!(got.to_bits(), f64::to_bits(expected), "{left} ^ {right} = {got}");
        }
        for (left, right) in [(f64::NAN, 2.0), (2.0, f64::NAN), (-2.0, 0.5)] {
            assert!(of(BinaryOp::Pow, left, right).is_nan(), "{left} ^ {right}");
        }
    }

    #[test]
    fn arc_tangents_are_those_of_go() {
        use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};
        let inf = f64::INFINITY;
        let cases = [
            (0.0, 1.0, 0.0),
            (-0.0, 1.0, -0.0),
            (0.0, -0.0, PI),
            (-0.0, -0.0, -PI),
            (1.0, 0.0, FRAC_PI_2),
            (inf, inf, FRAC_PI_4),
            (inf, -inf, 3.0 * FRAC_PI_4),
            (2.0, inf, 0.0),
            (-2.0, -inf, -PI),
            (10.0, 20.0, 0.463_647_609_000_806_1),
        ];
        for (left, right, expected) in cases {
            assert_eq!(of(BinaryOp::Atan2, left, right).to_bits(), f64::to_bits(expected));
        }
        assert!(of(BinaryOp::Atan2, f64::NAN, 1.0).is_nan());
    }

    #[test]
    fn comparisons_of_scalars_give_0_or_1_and_nan_equals_nothing() {
        assert_eq!(of(BinaryOp::Equal, 1.0, 1.0), 1.0);
        assert_eq!(of(BinaryOp::Less, 2.0, 1.0), 0.0);
        for op in [BinaryOp::Equal, BinaryOp::GreaterOrEqual, BinaryOp::LessOrEqual] {
            assert_eq!(of(op, f64::NAN, f64::NAN), 0.0);
        }
        assert_eq!(of(BinaryOp::NotEqual, f64::NAN, f64::NAN), 1.0);
    }

    #[test]
    fn nothing_is_computed_where_a_value_is_missing() {
        for op in [BinaryOp::Add, BinaryOp::NotEqual, BinaryOp::Pow] {
            for comparison in [Comparison::Bool, Comparison::KeepOwn, Comparison::KeepOther] {
                for own_is_left in [false, true] {
                    let mut own = [ABSENT, 1.0, ABSENT, f64::NAN];
                    let rule = FloatRule { op, own_is_left, comparison };
                    rule.combine(&mut own, &[0.0, ABSENT, ABSENT, 0.0]);
                    let absent = own.map(is_absent);
                    assert_eq!(absent, [true, true, true, false], "{rule:?}");
                }
            }
        }
    }

    #[test]
    fn a_filter_keeps_the_value_that_was_asked_for() {
        for (own_is_left, comparison, expected) in [
            (true, Comparison::KeepOwn, [ABSENT, 5.0]),
            (true, Comparison::KeepOther, [ABSENT, 4.0]),
            (false, Comparison::KeepOwn, [1.0, ABSENT]),
            (false, Comparison::KeepOther, [2.0, ABSENT]),
        ] {
            let mut own = [1.0, 5.0];
            let rule = FloatRule { op: BinaryOp::Greater, own_is_left, comparison };
            rule.combine(&mut own, &[2.0, 4.0]);
            assert_eq!(own.map(f64::to_bits), expected.map(f64::to_bits), "{rule:?}");
        }
    }
}
