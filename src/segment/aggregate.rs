//! Pre-aggregates of a chunk: what a query may use instead of decoding it. Computes them from
//! values, and encodes and decodes them.

use crate::types::varint::{get_i64, get_u64, put_i64, put_u64, unzigzag, zigzag};
use crate::types::{DecodeError, STALE_MARKER_BITS};

/// Magnitudes below this are exact as `f64` and may be summed as integers.
pub(super) const INTEGER_MAX: i64 = 1 << 53;
/// A value times a power of ten is off by less than a half below this: two roundings of 2^-53 each.
const ROUNDS_EXACTLY_BELOW: f64 = (1i64 << 50) as f64;
/// The largest decimal exponent that is tried.
pub(super) const EXPONENT_MAX: u8 = 18;
pub(super) const POWERS: [f64; EXPONENT_MAX as usize + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18,
];

const CLASS_NONE: u8 = 0;
const CLASS_DECIMAL: u8 = 1;
const CLASS_OTHER: u8 = 2;
const CLASS_MASK: u8 = 3;
const HAS_STALE: u8 = 4;
const HAS_SUM: u8 = 8;
const RESETS_SHIFT: u8 = 4;
const RESERVED: u8 = 0xC0;

/// What is known of a chunk's values without decoding them. Stale markers are counted apart and
/// count for nothing else.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Aggregates {
    /// The number of stale markers among the rows.
    pub stale_markers: u32,
    /// `None` if there are no other values, or a NaN among them.
    pub extent: Option<Extent>,
    /// Exact sums, if all values are integers at a common decimal exponent.
    pub sums: Option<Sums>,
}

/// The values at the ends of a chunk. Zero and negative zero differ here: smallest and largest are
/// by [`f64::total_cmp`].
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// The first value that is no stale marker.
    pub first: f64,
    /// The last value that is no stale marker.
    pub last: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl PartialEq for Extent {
    /// Bit for bit, as everything here.
    fn eq(&self, other: &Self) -> bool {
        let bits = |e: &Self| [e.first, e.last, e.min, e.max].map(f64::to_bits);
        bits(self) == bits(other)
    }
}

/// Sums as integers: divide by ten to the power of `exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums {
    /// The decimal exponent, 0 to 18.
    pub exponent: u8,
    /// The sum of the values, if below 2^53 by magnitude.
    pub sum: Option<i64>,
    /// The sum, over all values lower than the one before, of the one before: what a counter's
    /// increase must add for its resets. `None` if the values fall too often for a counter.
    pub resets: Option<i64>,
}

impl Aggregates {
    /// Of no values.
    pub(super) fn none() -> Self {
        Self { stale_markers: 0, extent: None, sums: None }
    }

    /// The aggregates of `values`.
    pub(super) fn of(values: &[f64]) -> Self {
        let is_stale = |v: &f64| v.to_bits() == STALE_MARKER_BITS;
        let stale_markers = values.iter().filter(|v| is_stale(v)).count() as u32;
        if stale_markers == 0 {
            return Self::of_live(values);
        }
        let live: Vec<f64> = values.iter().copied().filter(|v| !is_stale(v)).collect();
        Self { stale_markers, ..Self::of_live(&live) }
    }

    /// The aggregates of values of which none is a stale marker.
    fn of_live(values: &[f64]) -> Self {
        let mut found = Self::none();
        let (Some(&first), Some(&last)) = (values.first(), values.last()) else { return found };
        if values.iter().fold(false, |any, v| any | v.is_nan()) {
            return found;
        }
        let (mut min, mut max) = (i64::MAX, i64::MIN);
        for value in values {
            let key = order_key(*value);
            min = min.min(key);
            max = max.max(key);
        }
        let [min, max] = [min, max].map(from_order_key);
        found.extent = Some(Extent { first, last, min, max });
        found.sums = common_exponent(values).map(|exponent| sum_up(values, exponent));
        found
    }

    /// Appends the aggregates of a chunk of `rows` rows.
    pub(super) fn encode(&self, rows: u32, out: &mut Vec<u8>) {
        let resets = self.sums.and_then(|sums| sums.resets);
        let mut flags = match (&self.extent, &self.sums) {
            (None, _) => CLASS_NONE,
            (Some(_), Some(_)) => CLASS_DECIMAL,
            (Some(_), None) => CLASS_OTHER,
        };
        if self.stale_markers > 0 {
            flags |= HAS_STALE;
        }
        if self.sums.is_some_and(|sums| sums.sum.is_some()) {
            flags |= HAS_SUM;
        }
        flags |= resets.map_or(0, |resets| if resets == 0 { 1 } else { 2 }) << RESETS_SHIFT;
        out.push(flags);
        if self.stale_markers > 0 {
            put_u64(out, u64::from(self.stale_markers));
        }
        match (&self.extent, &self.sums) {
            (Some(extent), Some(sums)) => {
                encode_decimal(extent, sums, rows - self.stale_markers, out);
            }
            (Some(extent), None) => {
                for value in [extent.first, extent.last, extent.min, extent.max] {
                    out.extend_from_slice(&value.to_bits().to_le_bytes());
                }
            }
            (None, _) => {}
        }
    }

    /// Takes the aggregates of a chunk of `rows` rows from the front of `input`.
    pub(super) fn decode(rows: u32, input: &mut &[u8]) -> Result<Self, DecodeError> {
        let [flags] = take_array(input)?;
        if flags & RESERVED != 0 {
            return Err(DecodeError::Invalid("flags of aggregates"));
        }
        let mut stale_markers = 0;
        if flags & HAS_STALE != 0 {
            stale_markers = u32::try_from(get_u64(input)?)
                .ok()
                .filter(|count| (1..=rows).contains(count))
                .ok_or(DecodeError::Invalid("number of stale markers"))?;
        }
        let mut found = Self { stale_markers, extent: None, sums: None };
        let class = flags & CLASS_MASK;
        if class != CLASS_DECIMAL && flags & !(CLASS_MASK | HAS_STALE) != 0 {
            return Err(DecodeError::Invalid("flags of aggregates"));
        }
        if class != CLASS_NONE && stale_markers == rows {
            return Err(DecodeError::Invalid("number of stale markers"));
        }
        match class {
            CLASS_NONE => {}
            CLASS_DECIMAL => {
                let (extent, sums) = decode_decimal(flags, rows - stale_markers, input)?;
                found.extent = Some(extent);
                found.sums = Some(sums);
            }
            CLASS_OTHER => {
                let mut value = || Ok(f64::from_bits(u64::from_le_bytes(take_array(input)?)));
                let (first, last, min, max) = (value()?, value()?, value()?, value()?);
                found.extent = Some(Extent { first, last, min, max });
            }
            _ => return Err(DecodeError::Invalid("class of aggregates")),
        }
        Ok(found)
    }
}

fn take_array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], DecodeError> {
    let (taken, rest) = input.split_first_chunk().ok_or(DecodeError::Truncated("aggregates"))?;
    *input = rest;
    Ok(*taken)
}

/// `value` as an integer at `exponent`, if that gives the same bits back.
pub(super) fn integer_at(value: f64, exponent: u8) -> Option<i64> {
    if exponent == 0 {
        let integer = value as i64; // saturates
        let is_exact = (integer as f64).to_bits() == value.to_bits();
        return (is_exact && integer.unsigned_abs() < INTEGER_MAX as u64).then_some(integer);
    }
    let power = POWERS[usize::from(exponent)];
    let scaled = value * power;
    let integer = (scaled + 0.5f64.copysign(scaled)) as i64; // saturates; rounding may be off by one
    let exact = |i: i64| {
        i.unsigned_abs() < INTEGER_MAX as u64 && (i as f64 / power).to_bits() == value.to_bits()
    };
    [integer, integer.saturating_sub(1), integer.saturating_add(1)].into_iter().find(|&i| exact(i))
}

/// The same for a value that is known to be such an integer.
fn known_integer_at(value: f64, exponent: u8) -> i64 {
    let scaled = value * POWERS[usize::from(exponent)];
    if scaled.abs() < ROUNDS_EXACTLY_BELOW {
        (scaled + 0.5f64.copysign(scaled)) as i64
    } else {
        integer_at(value, exponent).expect("callers know that the value is an integer")
    }
}

/// The place of a value in the total order of values; its own inverse on the bits.
fn order_key(value: f64) -> i64 {
    let bits = value.to_bits() as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

fn from_order_key(key: i64) -> f64 {
    f64::from_bits((key ^ ((key >> 63) as u64 >> 1) as i64) as u64)
}

/// The smallest exponent at which every value is an integer.
fn common_exponent(values: &[f64]) -> Option<u8> {
    let mut exponent = 0;
    let mut largest = 0i64;
    let mut previous = None;
    for &value in values {
        if previous.replace(value.to_bits()) == Some(value.to_bits()) {
            continue;
        }
        let integer = loop {
            if let Some(integer) = integer_at(value, exponent) {
                break integer;
            }
            exponent += 1;
            // What was an integer below 2^53 must stay one at ten times the scale.
            largest = largest.checked_mul(10).filter(|&largest| largest < INTEGER_MAX)?;
            if exponent > EXPONENT_MAX {
                return None;
            }
        };
        largest = largest.max(integer.abs());
    }
    Some(exponent)
}

fn sum_up(values: &[f64], exponent: u8) -> Sums {
    let (mut sum, mut resets) = (0i128, 0i128);
    let (mut count, mut falls) = (0usize, 0usize);
    let mut previous = i64::MIN;
    for &value in values {
        let integer = known_integer_at(value, exponent);
        sum += i128::from(integer);
        if integer < previous {
            falls += 1;
            resets += i128::from(previous);
        }
        previous = integer;
        count += 1;
    }
    let exact = |sum: i128| i64::try_from(sum).ok().filter(|sum| sum.abs() < INTEGER_MAX);
    let resets = exact(resets).filter(|resets| falls * 16 <= count && *resets >= 0);
    Sums { exponent, sum: exact(sum), resets }
}

/// What a sum is expected to be near: it is stored as the difference.
fn expected_sum(values: u32, min: i64, max: i64) -> i128 {
    (i128::from(values) * (i128::from(min) + i128::from(max))).div_euclid(2)
}

fn encode_decimal(extent: &Extent, sums: &Sums, values: u32, out: &mut Vec<u8>) {
    let [first, last, min, max] = [extent.first, extent.last, extent.min, extent.max]
        .map(|v| integer_at(v, sums.exponent).expect("the exponent fits every value"));
    out.push(sums.exponent);
    put_i64(out, first);
    put_i64(out, last - first);
    put_u64(out, (first.min(last) - min) as u64);
    put_u64(out, (max - first.max(last)) as u64);
    if let Some(sum) = sums.sum {
        // Modulo 2^64: the difference may be larger than the sum.
        put_u64(out, zigzag(sum.wrapping_sub(expected_sum(values, min, max) as i64)));
    }
    if let Some(resets) = sums.resets.filter(|&resets| resets != 0) {
        put_u64(out, resets as u64);
    }
}

fn decode_decimal(
    flags: u8,
    values: u32,
    input: &mut &[u8],
) -> Result<(Extent, Sums), DecodeError> {
    let [exponent] = take_array(input)?;
    if exponent > EXPONENT_MAX {
        return Err(DecodeError::Invalid("exponent of aggregates"));
    }
    let first = in_range(Some(get_i64(input)?))?;
    let last = in_range(first.checked_add(get_i64(input)?))?;
    let min = in_range(first.min(last).checked_sub_unsigned(get_u64(input)?))?;
    let max = in_range(first.max(last).checked_add_unsigned(get_u64(input)?))?;
    let mut sum = None;
    if flags & HAS_SUM != 0 {
        let difference = unzigzag(get_u64(input)?);
        let expected = expected_sum(values, min, max) as i64;
        sum = Some(in_range(Some(difference.wrapping_add(expected)))?);
    }
    let resets = match (flags & !RESERVED) >> RESETS_SHIFT {
        0 => None,
        1 => Some(0),
        2 => match in_range(i64::try_from(get_u64(input)?).ok())? {
            0 => return Err(DecodeError::Invalid("reset sum")),
            resets => Some(resets),
        },
        _ => return Err(DecodeError::Invalid("flags of aggregates")),
    };
    let power = POWERS[usize::from(exponent)];
    let [first, last, min, max] = [first, last, min, max].map(|i| i as f64 / power);
    Ok((Extent { first, last, min, max }, Sums { exponent, sum, resets }))
}

fn in_range(integer: Option<i64>) -> Result<i64, DecodeError> {
    integer
        .filter(|i| i.unsigned_abs() < INTEGER_MAX as u64)
        .ok_or(DecodeError::Invalid("integer of aggregates"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STALE: f64 = f64::from_bits(STALE_MARKER_BITS);

    fn encoded(aggregates: &Aggregates, rows: usize) -> Vec<u8> {
        let mut out = Vec::new();
        aggregates.encode(rows as u32, &mut out);
        out
    }

    fn check(values: &[f64]) -> Aggregates {
        let aggregates = Aggregates::of(values);
        let bytes = encoded(&aggregates, values.len());
        let mut input = &bytes[..];
        assert_eq!(Aggregates::decode(values.len() as u32, &mut input), Ok(aggregates));
        assert!(input.is_empty());
        for cut in 0..bytes.len() {
            assert!(Aggregates::decode(values.len() as u32, &mut &bytes[..cut]).is_err());
        }
        aggregates
    }

    #[test]
    fn a_counter_with_a_reset_and_a_stale_marker() {
        let found = check(&[10.0, 12.0, 17.0, 2.0, 3.0, 3.0, STALE]);
        let extent = Extent { first: 10.0, last: 3.0, min: 2.0, max: 17.0 };
        assert_eq!(found.extent, Some(extent));
        assert_eq!(found.stale_markers, 1);
        let mut values = vec![10.0, 12.0, 17.0, 2.0];
        values.extend((3..40).map(f64::from));
        let sums = Aggregates::of(&values).sums.unwrap();
        assert_eq!((sums.exponent, sums.resets), (0, Some(17)));
        assert_eq!(sums.sum, Some(41 + (3..40).sum::<i64>()));
    }

    #[test]
    fn decimals_are_summed_exactly_and_gauges_have_no_reset_sum() {
        let sums = check(&[0.1, 0.2, 0.3, 7.25, 0.0]).sums.unwrap();
        assert_eq!(sums, Sums { exponent: 2, sum: Some(785), resets: None });
        assert_eq!(
            check(&[5.5; 3]).sums,
            Some(Sums { exponent: 1, sum: Some(165), resets: Some(0) })
        );
    }

    #[test]
    fn what_is_not_exact_is_left_out() {
        assert_eq!(check(&[1.0 / 3.0, 1000.5]).sums, None);
        assert_eq!(check(&[-0.0, 1.0]).sums, None, "negative zero is no integer");
        assert_eq!(check(&[f64::INFINITY, 1.0]).extent.unwrap().max, f64::INFINITY);
        assert_eq!(check(&[1.0, f64::NAN]).extent, None);
        assert_eq!(check(&[STALE; 3]), Aggregates { stale_markers: 3, extent: None, sums: None });
        let large = (INTEGER_MAX - 1) as f64;
        let sums = check(&[large, large]).sums.unwrap();
        assert_eq!(sums, Sums { exponent: 0, sum: None, resets: Some(0) });
        assert_eq!(check(&[large, 0.5]).sums, None, "no common exponent below 2^53");
        assert_eq!(check(&[large + 1.0]).sums, None);
        assert_eq!(check(&[-large, large]).sums.unwrap().sum, Some(0));
        check(&[f64::MAX, f64::MIN, f64::MIN_POSITIVE]);
        check(&[1e-18, 123e-18]);
    }

    #[test]
    fn a_steady_gauge_is_short() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(40 + i * 7 % 13)).collect();
        assert!(encoded(&Aggregates::of(&values), 1000).len() <= 8);
        assert!(encoded(&Aggregates::of(&[3.0; 1000]), 1000).len() <= 7);
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..60), rows in 1u32..100) {
            let _ = Aggregates::decode(rows, &mut &bytes[..]);
        }

        #[test]
        fn round_trip(values in prop::collection::vec(prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-1000i32..1000).prop_map(|i| f64::from(i) / 100.0),
            Just(STALE),
        ], 1..20)) {
            check(&values);
        }

        #[test]
        fn decimals_agree_with_integers(raw in prop::collection::vec(-100_000i64..100_000, 1..50)) {
            let values: Vec<f64> = raw.iter().map(|&i| i as f64 / 1000.0).collect();
            let sums = Aggregates::of(&values).sums.unwrap();
            let scale = 10i64.pow(3 - u32::from(sums.exponent));
            prop_assert_eq!(sums.sum.unwrap() * scale, raw.iter().sum::<i64>());
        }
    }
}
