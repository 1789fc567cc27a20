//! Where in a bucket an observation is taken to be, of which a histogram only knows that it is there:
//! the assumptions of quantiles, fractions and trimming.
//!
//! In exponential buckets observations are spread evenly on a logarithmic scale, where all buckets of
//! a schema are of the same width; in the zero bucket and in custom buckets, evenly on a linear one.

/// The share of a bucket from `lower` to `upper` that lies below `value`, which is within it.
///
/// Linear: `(value - lower) / (upper - lower)`. Logarithmic: the same of the logarithms of the
/// magnitudes, counted from the other end on the negative side. Neither bound may be infinite, nor,
/// on the logarithmic scale, zero.
pub(super) fn share_below(lower: f64, upper: f64, value: f64, linear: bool) -> f64 {
    if linear {
        return (value - lower) / (upper - lower);
    }
    let (log_lower, log_upper) = (lower.abs().log2(), upper.abs().log2());
    let log_value = value.abs().log2();
    if value > 0.0 {
        (log_value - log_lower) / (log_upper - log_lower)
    } else {
        1.0 - (log_value - log_upper) / (log_lower - log_upper)
    }
}

/// The value below which `share` of a bucket lies: the inverse of [`share_below`].
pub(super) fn value_at(lower: f64, upper: f64, share: f64, linear: bool) -> f64 {
    if linear {
        return lower + (upper - lower) * share;
    }
    let (log_lower, log_upper) = (lower.abs().log2(), upper.abs().log2());
    if lower > 0.0 {
        (log_lower + (log_upper - log_lower) * share).exp2()
    } else {
        -(log_upper + (log_lower - log_upper) * (1.0 - share)).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_middle_of_a_bucket() {
        assert_eq!(value_at(2.0, 8.0, 0.5, true), 5.0);
        assert_eq!(value_at(2.0, 8.0, 0.5, false), 4.0);
        assert_eq!(value_at(-8.0, -2.0, 0.5, false), -4.0);
        assert_eq!(value_at(1.0, 8.0, 1.0 / 3.0, false), 2.0);
        assert_eq!(value_at(-8.0, -1.0, 1.0 / 3.0, false), -4.0);
        assert_eq!(share_below(2.0, 8.0, 5.0, true), 0.5);
        assert_eq!(share_below(1.0, 8.0, 2.0, false), 1.0 / 3.0);
        assert!((share_below(-8.0, -1.0, -4.0, false) - 1.0 / 3.0).abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn both_directions_agree(
            lower in 0.01f64..100.0, width in 1.01f64..10.0, share in 0.0f64..1.0, linear: bool,
            negative: bool
        ) {
            let (mut lower, mut upper) = (lower, lower * width);
            if negative {
                (lower, upper) = (-upper, -lower);
            }
            let back = share_below(lower, upper, value_at(lower, upper, share, linear), linear);
            prop_assert!((back - share).abs() < 1e-9, "{back} {share}");
        }
    }
}
