//! Elementary and trigonometric functions of one float.
//!
//! [`SeriesFunction`](super::SeriesFunction) applies them to whole columns. Results are those of Go's
//! `math` package to about one unit in the last place; where the standard library of Rust is less
//! exact or overflows early ([`asinh`], [`acosh`], [`atanh`]), the formulas are those of FreeBSD's
//! msun, which Go uses too. NaN gives NaN everywhere.

use std::f64::consts::{LN_2, PI};

use crate::functions::Function;

/// From here on, `x*x + 1` and `x*x` are the same float, and so are the formulas that hold them.
const LARGE: f64 = (1u64 << 28) as f64;

/// A function of one float.
pub(super) type FloatFunction = fn(f64) -> f64;

/// The function of one float that `function` is; `None` for all other functions.
///
/// | name | value | edge cases |
/// |---|---|---|
/// | `abs` | the value without its sign | |
/// | `ceil`, `floor` | the nearest integer above, below | keep -0 and infinities |
/// | `exp` | e to the value | overflows to +Inf, underflows to 0 |
/// | `ln`, `log2`, `log10` | logarithms | 0 gives -Inf, negative values NaN |
/// | `sqrt` | the square root | negative values give NaN, -0 gives -0 |
/// | `sgn` | -1, 0 or 1 | -0 stays -0 |
/// | `sin`, `cos`, `tan` | of radians | infinities give NaN |
/// | `asin`, `acos` | inverse, in radians | NaN outside [-1, 1] |
/// | `atan` | inverse, in radians | infinities give ±π/2 |
/// | `sinh`, `cosh`, `tanh` | hyperbolic | overflow to infinities (`tanh`: ±1) |
/// | `asinh`, `acosh`, `atanh` | their inverses | see each |
/// | `deg`, `rad` | radians to degrees and back | `x * 180 / π`, `x * π / 180`, in this order |
pub(super) fn float_function(function: Function) -> Option<FloatFunction> {
    Some(match function {
        Function::Abs => f64::abs,
        Function::Ceil => f64::ceil,
        Function::Floor => f64::floor,
        Function::Exp => f64::exp,
        Function::Ln => f64::ln,
        Function::Log2 => f64::log2,
        Function::Log10 => f64::log10,
        Function::Sqrt => f64::sqrt,
        Function::Sgn => sgn,
        Function::Sin => f64::sin,
        Function::Cos => f64::cos,
        Function::Tan => f64::tan,
        Function::Asin => f64::asin,
        Function::Acos => f64::acos,
        Function::Atan => f64::atan,
        Function::Sinh => f64::sinh,
        Function::Cosh => f64::cosh,
        Function::Tanh => f64::tanh,
        Function::Asinh => asinh,
        Function::Acosh => acosh,
        Function::Atanh => atanh,
        Function::Deg => |value| value * 180.0 / PI,
        Function::Rad => |value| value * PI / 180.0,
        _ => return None,
    })
}

/// -1, 1, or the value itself where it is zero or NaN.
fn sgn(value: f64) -> f64 {
    if value < 0.0 {
        -1.0
    } else if value > 0.0 {
        1.0
    } else {
        value
    }
}

/// `ln(x + sqrt(x² + 1))`, an odd function. For small `x` by `ln_1p`, so that no digits are lost;
/// for large `x` as `ln(2x)`, because `x²` would overflow.
fn asinh(value: f64) -> f64 {
    let x = value.abs();
    let result = if x >= LARGE {
        x.ln() + LN_2
    } else {
        let square = x * x;
        (x + square / (1.0 + (square + 1.0).sqrt())).ln_1p()
    };
    result.copysign(value)
}

/// `ln(x + sqrt(x² - 1))`; NaN below 1, 0 at 1. With `t = x - 1` this is `ln_1p(t + sqrt(2t + t²))`,
/// which keeps its digits near 1.
fn acosh(value: f64) -> f64 {
    if value < 1.0 {
        f64::NAN
    } else if value >= LARGE {
        value.ln() + LN_2
    } else {
        let t = value - 1.0;
        (t + (2.0 * t + t * t).sqrt()).ln_1p()
    }
}

/// `ln((1 + x) / (1 - x)) / 2`, an odd function; ±Inf at ±1, NaN outside [-1, 1]. Computed for the
/// magnitude: with a negative `x` close to -1 the argument of `ln_1p` would cancel.
fn atanh(value: f64) -> f64 {
    let x = value.abs();
    if x > 1.0 {
        return f64::NAN;
    }
    (0.5 * (2.0 * x / (1.0 - x)).ln_1p()).copysign(value)
}

/// Go's `math.Max`: +Inf if either is, else NaN if either is, and 0 above -0. (`f64::max` prefers
/// the other number to a NaN.)
pub(crate) fn go_max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

/// Go's `math.Min`: -Inf if either is, else NaN if either is, and -0 below 0.
pub(crate) fn go_min(a: f64, b: f64) -> f64 {
    -go_max(-a, -b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        a == b || ((a - b) / b).abs() < 1e-13
    }

    #[test]
    fn inverse_hyperbolic_functions_keep_their_digits() {
        // References computed with 60 digits.
        for (function, at, expected) in [
            (Function::Acosh, 1.0 + f64::EPSILON * 4_503_600.0, 4.472_136_139_639_991_6e-5),
            (Function::Acosh, 1.5, 0.962_423_650_119_206_9),
            (Function::Acosh, 1e308, 709.889_355_822_726),
            (Function::Asinh, 1e-10, 1e-10),
            (Function::Asinh, -1.5, -1.194_763_217_287_109_4),
            (Function::Asinh, 1e308, 709.889_355_822_726),
            (Function::Atanh, 1e-12, 1e-12),
            (Function::Atanh, -0.5, -0.549_306_144_334_054_8),
            (Function::Atanh, -0.999_999_9, -8.405_621_391_022_31),
        ] {
            let value = float_function(function).expect("a function of a float")(at);
            assert!(close(value, expected), "{function:?}({at}) = {value}, not {expected}");
        }
        assert_eq!(atanh(1.0), f64::INFINITY);
        assert_eq!(atanh(-1.0), f64::NEG_INFINITY);
        assert_eq!(atanh(-0.999_999_9), -atanh(0.999_999_9));
        assert!(atanh(1.5).is_nan() && acosh(0.5).is_nan() && acosh(f64::NAN).is_nan());
        assert_eq!(asinh(f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert_eq!(acosh(f64::INFINITY), f64::INFINITY);
        assert_eq!(acosh(1.0), 0.0);
    }

    #[test]
    fn inverses_undo() {
        for at in [1.0 + 1e-9, 1.1, 2.0, 7.5, 100.0, 700.0] {
            assert!((acosh(at).cosh() / at - 1.0).abs() < 1e-12, "{at}");
            assert!((asinh(at).sinh() / at - 1.0).abs() < 1e-12, "{at}");
            assert!((atanh(1.0 / at).tanh() * at - 1.0).abs() < 1e-12, "{at}");
        }
    }

    #[test]
    fn the_sign_of_zero_and_nan_stay() {
        assert_eq!(sgn(-0.0).to_bits(), (-0.0f64).to_bits());
        assert!(sgn(f64::NAN).is_nan());
        assert_eq!((sgn(-1e-300), sgn(f64::INFINITY)), (-1.0, 1.0));
        assert_eq!(asinh(-0.0).to_bits(), (-0.0f64).to_bits());
    }

    #[test]
    fn minimum_and_maximum_are_go_s() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert_eq!(go_max(nan, inf), inf);
        assert_eq!(go_min(-inf, nan), -inf);
        assert!(
            go_max(nan, -inf).is_nan() && go_min(nan, 1.0).is_nan() && go_max(1.0, nan).is_nan()
        );
        assert_eq!(go_max(-0.0, 0.0).to_bits(), 0);
        assert_eq!(go_max(0.0, -0.0).to_bits(), 0);
        assert_eq!(go_min(0.0, -0.0).to_bits(), (-0.0f64).to_bits());
        assert_eq!(go_min(-0.0, -0.0).to_bits(), (-0.0f64).to_bits());
        assert_eq!((go_max(1.0, 2.0), go_min(1.0, 2.0)), (2.0, 1.0));
    }
}
