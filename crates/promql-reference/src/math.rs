//! Functions of one number.

use std::f64::consts::PI;

use siltstone_promql::functions::Function;

use crate::calendar::date_part;

/// The function of one number; none if it is another kind of function. The value of a date function
/// is seconds since the epoch; those beyond 3,000 years are not known here.
pub(crate) fn of_number(function: Function, x: f64) -> Option<f64> {
    use Function as F;
    Some(match function {
        F::Abs => x.abs(),
        F::Ceil => x.ceil(),
        F::Floor => x.floor(),
        F::Exp => x.exp(),
        F::Ln => x.ln(),
        F::Log2 => x.log2(),
        F::Log10 => x.log10(),
        F::Sqrt => x.sqrt(),
        F::Sgn if x == 0.0 || x.is_nan() => x,
        F::Sgn => x.signum(),
        F::Sin => x.sin(),
        F::Cos => x.cos(),
        F::Tan => x.tan(),
        F::Asin => x.asin(),
        F::Acos => x.acos(),
        F::Atan => x.atan(),
        F::Sinh => x.sinh(),
        F::Cosh => x.cosh(),
        F::Tanh => x.tanh(),
        F::Asinh => x.asinh(),
        F::Acosh => x.acosh(),
        F::Atanh => x.atanh(),
        F::Deg => x * 180.0 / PI,
        F::Rad => x * PI / 180.0,
        _ => date_part(function, x as i64)? as f64,
    })
}

/// The nearest multiple of `to`, halves up.
pub(crate) fn round(x: f64, to: f64) -> f64 {
    let inverse = 1.0 / to;
    (x * inverse + 0.5).floor() / inverse
}

/// `x` held between two bounds; none if they are the wrong way round.
pub(crate) fn clamp(x: f64, low: f64, high: f64) -> Option<f64> {
    if high < low { None } else { Some(max(low, min(high, x))) }
}

/// Go's `math.Max`: NaN if one is, but +Inf if one is that.
pub(crate) fn max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.max(b)
    }
}

/// Go's `math.Min`: NaN if one is, but -Inf if one is that.
pub(crate) fn min(a: f64, b: f64) -> f64 {
    -max(-a, -b)
}
