//! Columns of timestamps: residuals in sub-blocks, usually on a grid. FORMAT.md, "Timestamps".

use super::predict::Order;
use super::residual::{self, Form, ResidualEncoder};
use super::{ROWS_MAX, SUB_BLOCK_ROWS};
use crate::types::{DecodeError, Timestamp};

/// The orders that timestamps are tried under; the first of equals is kept.
const ORDERS: [Order; 4] = [Order::Grid, Order::Delta, Order::DeltaOfDelta, Order::Plain];

/// Encodes columns of timestamps. Keep one and use it again: its scratch is allocated once.
pub struct TimestampEncoder {
    residual: ResidualEncoder,
}

impl Default for TimestampEncoder {
    fn default() -> Self {
        Self::new()
    }
}

impl TimestampEncoder {
    /// An encoder with fresh scratch.
    #[must_use]
    pub fn new() -> Self {
        Self { residual: ResidualEncoder::new() }
    }

    /// Appends `timestamps` to `out`, exactly and in their order, whatever it is.
    ///
    /// # Panics
    ///
    /// If there are no timestamps or more than [`ROWS_MAX`].
    pub fn encode(&mut self, timestamps: &[Timestamp], out: &mut Vec<u8>) {
        let rows = timestamps.len();
        assert!((1..=ROWS_MAX).contains(&rows), "a chunk has 1 to {ROWS_MAX} rows");
        for block in timestamps.chunks(SUB_BLOCK_ROWS) {
            self.residual.encode(block, &[], &ORDERS, Form::Packed, out);
        }
    }
}

/// Decodes a column of `out.len()` timestamps. On an error what `out` holds is unspecified.
///
/// # Errors
///
/// [`DecodeError`] if the bytes are not exactly such a column, or if `out` has no rows or more
/// than [`ROWS_MAX`].
pub fn decode_timestamps(bytes: &[u8], out: &mut [Timestamp]) -> Result<(), DecodeError> {
    if out.is_empty() || out.len() > ROWS_MAX {
        return Err(DecodeError::Invalid("number of rows"));
    }
    let mut input = bytes;
    for block in out.chunks_mut(SUB_BLOCK_ROWS) {
        let mut next = 0;
        residual::decode(&mut input, block.len(), |ints| {
            let end = next + ints.len();
            block[next..end].copy_from_slice(ints);
            next = end;
        })?;
    }
    if input.is_empty() {
        Ok(())
    } else {
        Err(DecodeError::Invalid("bytes after the last timestamp"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{examples, hostile, i64_columns};
    use super::*;
    use proptest::prelude::*;

    fn round_trip(timestamps: &[i64]) -> Vec<u8> {
        let mut bytes = vec![0xaa];
        TimestampEncoder::new().encode(timestamps, &mut bytes);
        assert_eq!(bytes.remove(0), 0xaa, "appends");
        let mut out = vec![0x5555; timestamps.len()];
        decode_timestamps(&bytes, &mut out).unwrap();
        assert!(timestamps == out, "{timestamps:?} became {out:?}");
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn every_column_round_trips(timestamps in i64_columns()) {
            round_trip(&timestamps);
        }
    }

    #[test]
    fn a_constant_step_costs_its_head_alone() {
        let on_grid: Vec<i64> = (0..1000).map(|i| 1_700_000_000_000 + i * 15_000).collect();
        assert!(round_trip(&on_grid).len() <= 13);
        assert!(round_trip(&[i64::MIN, i64::MAX]).len() <= 40);
    }

    #[test]
    fn late_scrapes_and_a_gap_stay_cheap() {
        let mut state = 7u64;
        let mut late: Vec<i64> = (0..1000)
            .map(|i| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                1_700_000_000_000 + i * 1000 + if state >> 60 == 0 { 2 } else { 0 }
            })
            .collect();
        assert!(round_trip(&late).len() < 280);
        late[500..].iter_mut().for_each(|t| *t += 60_000);
        assert!(round_trip(&late).len() < 450);
    }

    #[test]
    fn hostile_bytes_are_refused_or_decoded_without_harm() {
        let columns: [Vec<i64>; 3] = [
            (0..70).map(|i| i * 1000 + i * i % 7).collect(),
            (0..70).map(|i| if i < 40 { i } else { i + 5000 }).collect(),
            vec![i64::MIN, i64::MAX, 0, -1],
        ];
        for timestamps in columns {
            let mut bytes = Vec::new();
            TimestampEncoder::new().encode(&timestamps, &mut bytes);
            let mut out = vec![0; timestamps.len()];
            hostile(&bytes, |bytes| decode_timestamps(bytes, &mut out));
        }
    }

    #[test]
    fn numbers_of_rows_out_of_range_are_refused() {
        let rows = DecodeError::Invalid("number of rows");
        assert_eq!(decode_timestamps(&[], &mut []), Err(rows));
        assert_eq!(decode_timestamps(&[0; 4], &mut vec![0; ROWS_MAX + 1]), Err(rows));
    }

    #[test]
    fn the_examples_of_the_format_are_what_is_written() {
        let start = 1_700_000_000_000i64;
        let late = [0, 3, 0, 0, 1, 0, 0, 250, 0, 2];
        let actual: Vec<(&str, Vec<u8>)> = [
            ("every 15 s", (0..4).map(|i| start + 15_000 * i).collect::<Vec<_>>()),
            (
                "every second, some late",
                (0..10).map(|i| start + 1000 * i + late[i as usize]).collect(),
            ),
            ("one timestamp, -1", vec![-1]),
        ]
        .map(|(title, timestamps)| (title, round_trip(&timestamps)))
        .into();
        for (title, bytes) in &actual {
            let hex: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
            println!("- {title}: `{}`", hex.join(" "));
        }
        assert_eq!(examples("Timestamps"), actual);
    }
}
