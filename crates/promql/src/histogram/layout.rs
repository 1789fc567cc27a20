//! Where the buckets of a histogram end: the exponential schemas, and bounds that a series brings
//! itself.
//!
//! A bucket has an index. Of exponential schema `s`, bucket `i` of the positive side covers
//! `(b(i-1), b(i)]` with `b(i) = 2^(i · 2^-s)`, so that every schema has a bound at 1, and the bounds
//! of a schema are among those of the next finer one; the negative side mirrors it. Custom buckets
//! have `n` bounds and the indices 0 to `n`: bucket 0 reaches down to -Inf, bucket `n` up to +Inf.

use std::sync::Arc;

use super::error::HistogramError;

/// The schema of custom buckets.
pub const CUSTOM_SCHEMA: i32 = -53;
/// The coarsest exponential schema that is read.
pub const SCHEMA_MIN: i32 = -9;
/// The finest exponential schema that is computed with.
pub const SCHEMA_MAX: i32 = 8;
/// The finest exponential schema that is read; what is finer than [`SCHEMA_MAX`] is reduced to it.
pub const SCHEMA_READ_MAX: i32 = 52;

/// The bounds of the buckets of one histogram.
#[derive(Debug, Clone)]
pub(super) enum Layout {
    /// Exponential, of a schema between [`SCHEMA_MIN`] and [`SCHEMA_MAX`].
    Exponential(i32),
    /// Finite or -Inf bounds in strictly increasing order.
    Custom(Arc<[f64]>),
}

impl Layout {
    /// Custom bounds after a check: none is NaN or +Inf, each is above the one before.
    pub(super) fn custom(bounds: Arc<[f64]>) -> Result<Self, HistogramError> {
        if bounds.iter().any(|bound| bound.is_nan()) {
            return Err(HistogramError::BoundNan);
        }
        if let Some(pair) = bounds.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(HistogramError::BoundsNotIncreasing(pair[0], pair[1]));
        }
        match bounds.last() {
            Some(&f64::INFINITY) => Err(HistogramError::BoundInfinite),
            _ => Ok(Self::Custom(bounds)),
        }
    }

    /// The number that names the layout in texts and in storage.
    pub(super) fn schema(&self) -> i32 {
        match self {
            Self::Exponential(schema) => *schema,
            Self::Custom(_) => CUSTOM_SCHEMA,
        }
    }

    /// Whether both have the same buckets.
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exponential(own), Self::Exponential(theirs)) => own == theirs,
            (Self::Custom(own), Self::Custom(theirs)) => Arc::ptr_eq(own, theirs) || own == theirs,
            _ => false,
        }
    }

    /// The bound of bucket `index` that is farther from zero (for custom buckets: the upper one).
    pub(super) fn bound(&self, index: i64) -> f64 {
        match self {
            Self::Exponential(schema) => exponential_bound(*schema, index),
            Self::Custom(bounds) => match usize::try_from(index) {
                Err(_) => f64::NEG_INFINITY,
                Ok(at) => bounds.get(at).copied().unwrap_or(f64::INFINITY),
            },
        }
    }
}

/// The index, `finer` schemas coarser, of the bucket that contains bucket `index`: each step halves
/// the index, rounded towards the bound above.
///
/// `finer` is at most 61 ([`SCHEMA_READ_MAX`] - [`SCHEMA_MIN`]).
pub(super) fn coarser_index(index: i32, finer: u32) -> i32 {
    let index = ((i64::from(index) - 1) >> finer) + 1;
    i32::try_from(index).expect("a halved index of 32 bits fits in 32 bits")
}

/// `2^(index · 2^-schema)`.
///
/// The bound just below +Inf is `f64::MAX`: it would be 2^1024, and the bucket above it is to count
/// only infinite observations.
fn exponential_bound(schema: i32, index: i64) -> f64 {
    const LAST: i64 = 1024;
    if schema <= 0 {
        let exponent = index << -schema;
        return if exponent == LAST { f64::MAX } else { scaled(1.0, exponent) };
    }
    let part = index & ((1 << schema) - 1);
    let exponent = (index >> schema) + 1;
    if part == 0 && exponent == LAST + 1 {
        return f64::MAX;
    }
    let part = usize::try_from(part << (SCHEMA_MAX - schema)).expect("masked to eight bits");
    scaled(FRACTIONS[part], exponent)
}

/// `fraction · 2^exponent` for a fraction in [0.5, 1], rounded once also where the result is
/// subnormal.
fn scaled(fraction: f64, exponent: i64) -> f64 {
    match exponent {
        ..=-1080 => 0.0,
        -1079..=-1000 => fraction * power_of_two(exponent + 200) * power_of_two(-200),
        -999..=1000 => fraction * power_of_two(exponent),
        1001..=1030 => fraction * power_of_two(exponent - 200) * power_of_two(200),
        1031.. => f64::INFINITY,
    }
}

/// `2^exponent` for an exponent of a normal number, -1022 to 1023.
fn power_of_two(exponent: i64) -> f64 {
    let biased = u64::try_from(exponent + 1023).expect("callers keep to normal numbers");
    f64::from_bits(biased << 52)
}

/// The bounds of schema 8 in [0.5, 1).
///
/// Not the correctly rounded powers: clients and Prometheus share a table that was made by doubling
/// the resolution step by step, each new bound being the one below it times the step's factor, and
/// observations were sorted by that table. Only the same recurrence gives the same bits.
const FRACTIONS: [f64; 256] = fractions();

const fn fractions() -> [f64; 256] {
    /// `2^(2^-s)` for s from 1 to 8, as computed by Go's `math.Exp2` when the table was made (the
    /// first is one unit in the last place below the correctly rounded root of 2).
    #[expect(clippy::approx_constant, reason = "the constant of std differs in the last bit")]
    const FACTORS: [f64; 8] = [
        1.414213562373095,
        1.189207115002721,
        1.0905077326652577,
        1.0442737824274138,
        1.0218971486541166,
        1.0108892860517005,
        1.0054299011128027,
        1.0027112750502025,
    ];
    let mut table = [0.5; 256];
    let mut step = 0;
    let mut stride = 256;
    while step < FACTORS.len() {
        stride /= 2;
        let mut at = stride;
        while at < 256 {
            table[at] = table[at - stride] * FACTORS[step];
            at += 2 * stride;
        }
        step += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_of_coarse_schemas_are_powers_of_two() {
        for (schema, index, bound) in [
            (0, 0, 1.0),
            (0, 3, 8.0),
            (0, -2, 0.25),
            (-1, 2, 16.0),
            (-4, 1, 65_536.0),
            (-4, -1, 1.0 / 65_536.0),
            (-9, 1, 2f64.powi(512)),
        ] {
            assert_eq!(exponential_bound(schema, index), bound, "schema {schema}, {index}");
        }
    }

    #[test]
    fn bounds_of_fine_schemas_are_those_of_the_shared_table() {
        // From the public table of the clients.
        for (schema, index, bound) in [
            (1, -1, 0.7071067811865475),
            (2, 1, 2.0 * 0.5946035575013605),
            (3, 7, 2.0 * 0.9170040432046711),
            (5, -1, 0.9785720620876999),
            (7, -127, 0.5027149505564014),
            (8, -255, 0.5013556375251013),
            (8, -101, 0.7607365094544071),
            (8, -1, 0.9972960560854698),
        ] {
            assert_eq!(exponential_bound(schema, index), bound, "schema {schema}, {index}");
        }
    }

    #[test]
    fn the_last_finite_bound_is_the_largest_float_and_the_next_is_infinite() {
        for schema in SCHEMA_MIN..=SCHEMA_MAX {
            let last = if schema < 0 { 1024 >> -schema } else { 1024 << schema };
            assert_eq!(exponential_bound(schema, last), f64::MAX, "schema {schema}");
            assert_eq!(exponential_bound(schema, last + 1), f64::INFINITY);
            assert!(exponential_bound(schema, last - 1) < f64::MAX);
            for index in [i64::from(i32::MAX), i64::from(i32::MIN) - 1] {
                let bound = exponential_bound(schema, index);
                assert!(bound == 0.0 || bound == f64::INFINITY);
            }
        }
    }

    #[test]
    fn subnormal_bounds_are_exact() {
        assert_eq!(exponential_bound(0, -1074), 5e-324);
        assert_eq!(exponential_bound(0, -1075), 0.0);
        assert_eq!(exponential_bound(0, -1022), f64::MIN_POSITIVE);
        assert_eq!(exponential_bound(1, -2 * 1074), 5e-324);
    }

    #[test]
    fn custom_bounds_are_checked() {
        let refused = |bounds: &[f64]| Layout::custom(bounds.into()).unwrap_err();
        assert_eq!(refused(&[1.0, f64::NAN, 2.0]), HistogramError::BoundNan);
        assert_eq!(refused(&[1.0, 1.0]), HistogramError::BoundsNotIncreasing(1.0, 1.0));
        assert_eq!(refused(&[2.0, 1.0]), HistogramError::BoundsNotIncreasing(2.0, 1.0));
        assert_eq!(refused(&[1.0, f64::INFINITY]), HistogramError::BoundInfinite);
        let layout = Layout::custom([-1.0, 5.0].as_slice().into()).unwrap();
        let bounds: Vec<f64> = (-1..=2).map(|index| layout.bound(index)).collect();
        assert_eq!(bounds, [f64::NEG_INFINITY, -1.0, 5.0, f64::INFINITY]);
    }

    proptest! {
        #[test]
        fn bounds_increase_with_the_index(schema in SCHEMA_MIN..=SCHEMA_MAX, index in -2000i64..2000) {
            let (lower, upper) =
                (exponential_bound(schema, index - 1), exponential_bound(schema, index));
            prop_assert!(lower < upper || lower == upper && (upper == 0.0 || upper.is_infinite()));
        }

        #[test]
        fn a_bucket_lies_within_the_one_of_a_coarser_schema(
            schema in SCHEMA_MIN..=SCHEMA_MAX, finer in 0u32..17, index in -100_000i32..100_000
        ) {
            let target = schema - i32::try_from(finer).unwrap();
            prop_assume!(target >= SCHEMA_MIN);
            let (fine, coarse) = (i64::from(index), i64::from(coarser_index(index, finer)));
            prop_assert!(exponential_bound(target, coarse - 1) <= exponential_bound(schema, fine - 1));
            prop_assert!(exponential_bound(schema, fine) <= exponential_bound(target, coarse));
        }

        #[test]
        fn reducing_twice_is_reducing_once(index in any::<i32>(), first in 0u32..30, second in 0u32..31) {
            prop_assert_eq!(
                coarser_index(coarser_index(index, first), second),
                coarser_index(index, first + second)
            );
        }
    }
}
