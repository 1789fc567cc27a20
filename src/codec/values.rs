//! Columns of `f64`: which mode each sub-block takes, and the way back. FORMAT.md, "Values".

use super::decimal::{self, DecimalEncoder, EXPONENT_MAX};
use super::exceptions;
use super::ordered;
use super::predict::Order;
use super::residual::{self, Form, Head, ResidualEncoder};
use super::{ROWS_MAX, SUB_BLOCK_ROWS};
use crate::types::DecodeError;
use crate::types::varint::{get_i64, len_u64, put_i64, take, take_array, zigzag};

const TAG_CONSTANT_DECIMAL: u8 = 0;
const TAG_CONSTANT_BITS: u8 = 1;
const TAG_DECIMAL: u8 = 2;
const TAG_DECIMAL_EXCEPTIONS: u8 = 3;
const TAG_ORDERED: u8 = 4;
const TAG_RAW: u8 = 5;
const TAG_BITS: u32 = 3;
const TAG_MASK: u8 = (1 << TAG_BITS) - 1;

/// The orders that values are tried under.
const ORDERS: [Order; 3] = [Order::Delta, Order::Plain, Order::DeltaOfDelta];

/// What the values of a column are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// One value for all rows.
    Constant,
    /// Integers over a power of ten, with exceptions.
    Decimal,
    /// The bits of the doubles as integers in the same order.
    Ordered,
    /// Eight bytes a value.
    Raw,
}

/// How a column of values is encoded. Of several sub-blocks the one with the most bytes gives mode,
/// exponent, order, divisor, form and width; the counts are sums over all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// What the values are taken for.
    pub mode: Mode,
    /// Decimal digits after the point, 0 to 22; 0 in other modes than decimal and constant.
    pub exponent: u8,
    /// 0: values as they are; 1: differences; 2: differences of differences.
    pub order: u8,
    /// The common divisor of the distances from the first value; 1 if there is none.
    pub divisor: u64,
    /// The layout of the residuals.
    pub form: Form,
    /// Bits a residual in the payload, 0 to 64.
    pub width: u8,
    /// Rows kept as raw bits because they are no decimals at the exponent.
    pub exceptions: u32,
    /// Rows whose residual lies outside the width.
    pub patches: u32,
}

impl Encoding {
    fn plain(mode: Mode, exponent: usize, width: u8) -> Self {
        Self {
            mode,
            exponent: exponent as u8,
            order: 0,
            divisor: 1,
            form: Form::Packed,
            width,
            exceptions: 0,
            patches: 0,
        }
    }

    fn residuals(mode: Mode, exponent: usize, head: &Head, exceptions: usize) -> Self {
        Self {
            mode,
            exponent: exponent as u8,
            order: head.order as u8,
            divisor: head.divisor,
            form: head.form,
            width: head.width as u8,
            exceptions: exceptions as u32,
            patches: head.patches as u32,
        }
    }
}

/// Sums up the sub-blocks of a column.
#[derive(Default)]
struct Summary {
    largest: Option<(usize, Encoding)>,
    exceptions: u32,
    patches: u32,
}

impl Summary {
    fn add(&mut self, bytes: usize, encoding: Encoding) {
        self.exceptions += encoding.exceptions;
        self.patches += encoding.patches;
        if self.largest.is_none_or(|(most, _)| bytes > most) {
            self.largest = Some((bytes, encoding));
        }
    }

    fn finish(self) -> Option<Encoding> {
        let (_, encoding) = self.largest?;
        Some(Encoding { exceptions: self.exceptions, patches: self.patches, ..encoding })
    }
}

/// Encodes columns of values. Keep one and use it again: its scratch is allocated once. What it
/// writes depends on the values and the form alone, not on what it encoded before.
pub struct ValueEncoder {
    form: Form,
    decimal: DecimalEncoder,
    ordered: Vec<i64>,
    residual: ResidualEncoder,
}

impl Default for ValueEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl ValueEncoder {
    /// An encoder that bit-packs ([`Form::Packed`]).
    #[must_use]
    pub fn new() -> Self {
        Self::with_form(Form::Packed)
    }

    /// An encoder that lays residuals out in `form`.
    #[must_use]
    pub fn with_form(form: Form) -> Self {
        Self {
            form,
            decimal: DecimalEncoder::new(),
            ordered: Vec::with_capacity(SUB_BLOCK_ROWS),
            residual: ResidualEncoder::new(),
        }
    }

    /// Appends `values` to `out` and says how. [`decode_f64`] needs their number and restores them
    /// bit for bit.
    ///
    /// # Panics
    ///
    /// If there are no values or more than [`ROWS_MAX`].
    pub fn encode_f64(&mut self, values: &[f64], out: &mut Vec<u8>) -> Encoding {
        assert!((1..=ROWS_MAX).contains(&values.len()), "a chunk has 1 to {ROWS_MAX} rows");
        let mut summary = Summary::default();
        let mut rest = values;
        while !rest.is_empty() {
            let start = out.len();
            if is_constant(rest) {
                let encoding = put_constant(rest[0], out);
                summary.add(out.len() - start, encoding);
                break;
            }
            let (block, after) = rest.split_at(rest.len().min(SUB_BLOCK_ROWS));
            let encoding = self.put_sub_block(block, out);
            summary.add(out.len() - start, encoding);
            rest = after;
        }
        summary.finish().expect("a column that is not empty has a sub-block")
    }

    fn put_sub_block(&mut self, values: &[f64], out: &mut Vec<u8>) -> Encoding {
        let start = out.len();
        let decimal = self.put_decimal(values, out);
        let split = out.len();
        if let Some(encoding) = decimal
            && split - start <= DENSE_BYTES_PER_ROW * values.len()
            && encoding.exceptions as usize <= values.len() / 16
        {
            return encoding;
        }
        // Not dense: see whether the bits themselves do better, and keep the shortest.
        let mut best = decimal.map(|encoding| (split - start, encoding));
        let encoding = self.put_ordered(values, out);
        match best {
            Some((len, _)) if len <= out.len() - split => out.truncate(split),
            _ => {
                out.drain(start..split);
                best = Some((out.len() - start, encoding));
            }
        }
        match best {
            Some((len, encoding)) if len <= 1 + 8 * values.len() => encoding,
            _ => {
                out.truncate(start);
                put_raw(values, out)
            }
        }
    }

    fn put_decimal(&mut self, values: &[f64], out: &mut Vec<u8>) -> Option<Encoding> {
        let exponent = self.decimal.encode(values)?;
        let DecimalEncoder { ints, exceptions, holes, .. } = &self.decimal;
        let tag = if exceptions.is_empty() { TAG_DECIMAL } else { TAG_DECIMAL_EXCEPTIONS };
        out.push(tag | (exponent as u8) << TAG_BITS);
        let head = self.residual.encode(ints, holes, &ORDERS, self.form, out);
        if !exceptions.is_empty() {
            exceptions::put(exceptions, out);
        }
        Some(Encoding::residuals(Mode::Decimal, exponent, &head, exceptions.len()))
    }

    fn put_ordered(&mut self, values: &[f64], out: &mut Vec<u8>) -> Encoding {
        self.ordered.clear();
        self.ordered.extend(values.iter().map(|v| ordered::from_bits(v.to_bits())));
        out.push(TAG_ORDERED);
        let head = self.residual.encode(&self.ordered, &[], &ORDERS, self.form, out);
        Encoding::residuals(Mode::Ordered, 0, &head, 0)
    }
}

/// Decimals below this size are kept without trying anything else.
const DENSE_BYTES_PER_ROW: usize = 4;

fn is_constant(values: &[f64]) -> bool {
    let first = values[0].to_bits();
    values.chunks(64).all(|run| run.iter().fold(0, |all, v| all | (v.to_bits() ^ first)) == 0)
}

fn put_constant(value: f64, out: &mut Vec<u8>) -> Encoding {
    if let Some(exponent) = decimal::min_exponent(value, 0)
        && let Some(int) = decimal::encode_one(value, exponent)
        && len_u64(zigzag(int)) < 8
    {
        out.push(TAG_CONSTANT_DECIMAL | (exponent as u8) << TAG_BITS);
        put_i64(out, int);
        return Encoding::plain(Mode::Constant, exponent, 0);
    }
    out.push(TAG_CONSTANT_BITS);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
    Encoding::plain(Mode::Constant, 0, 0)
}

fn put_raw(values: &[f64], out: &mut Vec<u8>) -> Encoding {
    out.push(TAG_RAW);
    out.extend(values.iter().flat_map(|v| v.to_bits().to_le_bytes()));
    Encoding::plain(Mode::Raw, 0, 64)
}

/// Decodes a column of `out.len()` values. On an error what `out` holds is unspecified.
///
/// # Errors
///
/// [`DecodeError`] if the bytes are not exactly such a column, or if `out` has no rows or more
/// than [`ROWS_MAX`].
pub fn decode_f64(bytes: &[u8], out: &mut [f64]) -> Result<(), DecodeError> {
    decode_described(bytes, out).map(|_| ())
}

/// Says how a column of `rows` values is encoded, and checks it as [`decode_f64`] does.
///
/// # Errors
///
/// As [`decode_f64`].
pub fn describe_f64(bytes: &[u8], rows: usize) -> Result<Encoding, DecodeError> {
    let mut scratch = [0.0; ROWS_MAX];
    let out = scratch.get_mut(..rows).ok_or(DecodeError::Invalid("number of rows"))?;
    decode_described(bytes, out)
}

fn decode_described(bytes: &[u8], out: &mut [f64]) -> Result<Encoding, DecodeError> {
    if out.len() > ROWS_MAX {
        return Err(DecodeError::Invalid("number of rows"));
    }
    let (mut input, mut rest) = (bytes, out);
    let mut summary = Summary::default();
    while !rest.is_empty() {
        let before = input.len();
        let (rows, encoding) = decode_sub_block(&mut input, rest)?;
        summary.add(before - input.len(), encoding);
        rest = &mut rest[rows..];
    }
    if !input.is_empty() {
        return Err(DecodeError::Invalid("bytes after the last value"));
    }
    summary.finish().ok_or(DecodeError::Invalid("number of rows"))
}

/// Decodes the next sub-block into the front of `out`; returns its number of rows.
fn decode_sub_block(input: &mut &[u8], out: &mut [f64]) -> Result<(usize, Encoding), DecodeError> {
    let [tag] = take_array(input, "tag of values")?;
    let exponent = usize::from(tag >> TAG_BITS);
    let tag = tag & TAG_MASK;
    let is_decimal = matches!(tag, TAG_CONSTANT_DECIMAL | TAG_DECIMAL | TAG_DECIMAL_EXCEPTIONS);
    if exponent > if is_decimal { EXPONENT_MAX } else { 0 } {
        return Err(DecodeError::Invalid("exponent of values"));
    }
    let rows = out.len().min(SUB_BLOCK_ROWS);
    let encoding = match tag {
        TAG_CONSTANT_DECIMAL => {
            out.fill(decimal::decode_one(get_i64(input)?, exponent));
            return Ok((out.len(), Encoding::plain(Mode::Constant, exponent, 0)));
        }
        TAG_CONSTANT_BITS => {
            out.fill(f64::from_bits(u64::from_le_bytes(take_array(input, "constant value")?)));
            return Ok((out.len(), Encoding::plain(Mode::Constant, exponent, 0)));
        }
        TAG_DECIMAL => {
            let head = decode_decimals(input, exponent, &mut out[..rows])?;
            Encoding::residuals(Mode::Decimal, exponent, &head, 0)
        }
        TAG_DECIMAL_EXCEPTIONS => {
            let out = &mut out[..rows];
            let head = decode_decimals(input, exponent, out)?;
            let exceptions = exceptions::take_and_apply(input, out)?;
            Encoding::residuals(Mode::Decimal, exponent, &head, exceptions)
        }
        TAG_ORDERED => {
            let head = decode_ordered(input, &mut out[..rows])?;
            Encoding::residuals(Mode::Ordered, 0, &head, 0)
        }
        TAG_RAW => {
            let (raw, _) = take(input, 8 * rows, "raw values")?.as_chunks::<8>();
            for (value, raw) in out.iter_mut().zip(raw) {
                *value = f64::from_bits(u64::from_le_bytes(*raw));
            }
            Encoding::plain(Mode::Raw, 0, 64)
        }
        _ => return Err(DecodeError::Invalid("tag of values")),
    };
    Ok((rows, encoding))
}

fn decode_decimals(
    input: &mut &[u8],
    exponent: usize,
    out: &mut [f64],
) -> Result<Head, DecodeError> {
    let mut next = 0;
    residual::decode(input, out.len(), |ints| {
        let end = next + ints.len();
        decimal::decode(ints, exponent, &mut out[next..end]);
        next = end;
    })
}

fn decode_ordered(input: &mut &[u8], out: &mut [f64]) -> Result<Head, DecodeError> {
    let mut next = 0;
    residual::decode(input, out.len(), |ints| {
        let end = next + ints.len();
        for (value, &int) in out[next..end].iter_mut().zip(ints) {
            *value = f64::from_bits(ordered::to_bits(int));
        }
        next = end;
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{examples, f64_columns, hostile};
    use super::*;
    use proptest::prelude::*;

    /// Encodes in both forms, decodes, compares bits, and returns the packed form.
    fn round_trip(values: &[f64]) -> (Vec<u8>, Encoding) {
        let [packed, planes] = [Form::Packed, Form::Planes].map(|form| {
            let mut bytes = vec![0xaa];
            let encoding = ValueEncoder::with_form(form).encode_f64(values, &mut bytes);
            assert_eq!(bytes.remove(0), 0xaa, "appends");
            let mut out = vec![f64::from_bits(0x5555); values.len()];
            decode_f64(&bytes, &mut out).unwrap();
            for (row, (a, b)) in values.iter().zip(&out).enumerate() {
                assert_eq!(
                    a.to_bits(),
                    b.to_bits(),
                    "row {row} of {} as {encoding:?}",
                    values.len()
                );
            }
            assert_eq!(describe_f64(&bytes, values.len()), Ok(encoding));
            (bytes, encoding)
        });
        assert!(planes.0.len() <= 9 * values.len() + 8);
        packed
    }

    #[test]
    fn every_named_pattern_round_trips_alone_and_among_decimals() {
        let patterns = [
            0x7ff0_0000_0000_0002, // stale marker
            0x7ff8_0000_0000_0000, // NaN
            0x7ff8_0000_dead_beef, // NaN with a payload
            0xfff8_0000_0000_0001,
            0x8000_0000_0000_0000, // -0.0
            0x7ff0_0000_0000_0000, // infinities
            0xfff0_0000_0000_0000,
            0x0000_0000_0000_0001, // subnormals
            0x800f_ffff_ffff_ffff,
            0x7fef_ffff_ffff_ffff, // the largest
            0x4340_0000_0000_0000, // 2^53
            0x4330_0000_0000_0001, // 2^52 + 1
            0x0000_0000_0000_0000,
        ];
        for bits in patterns {
            let value = f64::from_bits(bits);
            for rows in [1, 2, 3, 65, 1024, 1025] {
                round_trip(&vec![value; rows]);
                for place in [0, rows / 2, rows - 1] {
                    let mut values: Vec<f64> = (0..rows).map(|i| i as f64 / 100.0).collect();
                    values[place] = value;
                    round_trip(&values);
                }
            }
        }
        round_trip(&patterns.map(f64::from_bits));
        let mixed: Vec<f64> = (0..3000).map(|i| f64::from_bits(patterns[i * i % 13])).collect();
        round_trip(&mixed);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn every_column_round_trips(values in f64_columns()) {
            round_trip(&values);
        }

        #[test]
        fn what_is_written_depends_on_the_values_alone(a in f64_columns(), b in f64_columns()) {
            let mut encoder = ValueEncoder::new();
            let (mut first, mut second) = (Vec::new(), Vec::new());
            encoder.encode_f64(&a, &mut first);
            encoder.encode_f64(&b, &mut Vec::new());
            encoder.encode_f64(&a, &mut second);
            prop_assert_eq!(first, second);
        }
    }

    #[test]
    fn a_few_markers_among_decimals_cost_only_exceptions() {
        let mut values: Vec<f64> = (0..1000).map(|i| f64::from(i * 7 % 50) / 4.0).collect();
        let (clean, _) = round_trip(&values);
        values[17] = f64::from_bits(0x7ff0_0000_0000_0002);
        values[400] = f64::from_bits(0x7ff0_0000_0000_0002);
        let (marked, encoding) = round_trip(&values);
        assert_eq!((encoding.mode, encoding.exceptions), (Mode::Decimal, 2));
        assert!(marked.len() <= clean.len() + 16, "{} and {}", clean.len(), marked.len());
    }

    #[test]
    fn modes_fit_their_data() {
        let of = |f: &dyn Fn(u32) -> f64| round_trip(&(0..500).map(f).collect::<Vec<_>>()).1;
        assert_eq!(of(&|_| f64::NAN).mode, Mode::Constant);
        assert_eq!(of(&|i| 1e6 + f64::from(i * 3)).width, 0);
        let pages = of(&|i| f64::from(i * i % 11) * 4096.0);
        assert_eq!((pages.mode, pages.exponent, pages.divisor), (Mode::Decimal, 0, 4096));
        let float32 = of(&|i| f64::from((f64::from(i % 17) * 0.1) as f32));
        assert_eq!((float32.mode, float32.divisor >= 1 << 29), (Mode::Ordered, true));
        let quadratic = of(&|i| f64::from(i) * f64::from(i));
        assert_eq!((quadratic.order, quadratic.width), (2, 0));
        let mut state = 1u64;
        let random: Vec<f64> = (0..500)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
                f64::from_bits(state.rotate_left(32) ^ state)
            })
            .collect();
        assert_eq!(round_trip(&random).1.mode, Mode::Raw);
    }

    #[test]
    fn hostile_bytes_are_refused_or_decoded_without_harm() {
        let columns: [Vec<f64>; 5] = [
            vec![1.25; 9],
            (0..70).map(|i| f64::from(i * i % 13) / 10.0).collect(),
            (0..70).map(|i| if i == 9 { f64::NAN } else { f64::from(i) * 1e5 }).collect(),
            (0..9).map(|i| (f64::from(i) * 0.7).sqrt()).collect(),
            (0..70).map(|i| if i == 33 { 1e9 } else { f64::from(i % 3) }).collect(),
        ];
        for values in columns {
            for form in [Form::Packed, Form::Planes] {
                let mut bytes = Vec::new();
                ValueEncoder::with_form(form).encode_f64(&values, &mut bytes);
                let mut out = vec![0.0; values.len()];
                hostile(&bytes, |bytes| decode_f64(bytes, &mut out));
            }
        }
    }

    #[test]
    fn numbers_of_rows_out_of_range_are_refused() {
        let rows = DecodeError::Invalid("number of rows");
        assert_eq!(decode_f64(&[], &mut []), Err(rows));
        assert_eq!(decode_f64(&[0, 0], &mut vec![0.0; ROWS_MAX + 1]), Err(rows));
        assert_eq!(describe_f64(&[0, 0], usize::MAX), Err(rows));
    }

    /// The columns of FORMAT.md's examples, in its order, and the form that they are in.
    fn example_columns() -> Vec<(&'static str, Form, Vec<f64>)> {
        let stale = f64::from_bits(crate::types::STALE_MARKER_BITS);
        let row = |f: fn(i32) -> f64| (0..10).map(f).collect::<Vec<f64>>();
        let mut late = row(|i| f64::from(100 + 5 * i + i % 2));
        late[5] = 9000.0;
        let packed = Form::Packed;
        vec![
            ("constant 1.5", packed, vec![1.5; 3]),
            ("constant stale marker", packed, vec![stale; 3]),
            ("0.1, 0.2, 0.4, 0.3", packed, vec![0.1, 0.2, 0.4, 0.3]),
            ("0, 4096, 12288, 8192", packed, vec![0.0, 4096.0, 12288.0, 8192.0]),
            ("squares of 0 to 9", packed, row(|i| f64::from(i * i))),
            ("counter with a jump", packed, late),
            ("1, 2, stale, stale, 5", packed, vec![1.0, 2.0, stale, stale, 5.0]),
            ("0.1, 0.2, 0.1 + 0.2, 0.4", packed, vec![0.1, 0.2, 0.1 + 0.2, 0.4]),
            (
                "0.1f32, 0.2f32, 0.3f32, 0.4f32",
                packed,
                [0.1f32, 0.2, 0.3, 0.4].map(f64::from).into(),
            ),
            ("infinity, -0.0", packed, vec![f64::INFINITY, -0.0]),
            (
                "nibble planes of 10, 12, 11, 14, 9, 12",
                Form::Planes,
                vec![10.0, 12.0, 11.0, 14.0, 9.0, 12.0],
            ),
        ]
    }

    #[test]
    fn the_examples_of_the_format_are_what_is_written() {
        let examples = examples("Values");
        let columns = example_columns();
        let actual: Vec<(&str, Vec<u8>)> = columns
            .iter()
            .map(|(title, form, values)| {
                let mut bytes = Vec::new();
                ValueEncoder::with_form(*form).encode_f64(values, &mut bytes);
                (*title, bytes)
            })
            .collect();
        for (title, bytes) in &actual {
            let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
            println!("- {title}: `{}`", hex.join(" "));
        }
        assert_eq!(examples, actual);
        for ((_, bytes), (title, _, values)) in examples.iter().zip(&columns) {
            let mut out = vec![0.0; values.len()];
            decode_f64(bytes, &mut out).unwrap();
            let same = out.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{title} decodes to {out:?}");
        }
    }
}
