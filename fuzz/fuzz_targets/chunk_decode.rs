//! Encoded columns: two bytes of rows, then the column. What decodes must encode and decode to the
//! same bits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use siltstone::codec::{
    ROWS_MAX, TimestampEncoder, ValueEncoder, decode_f64, decode_timestamps, describe_f64,
};

fuzz_target!(|data: &[u8]| {
    let Some((rows, column)) = data.split_first_chunk() else { return };
    // One row more than there may be, at most.
    let rows = usize::from(u16::from_le_bytes(*rows)) % (ROWS_MAX + 2);
    values(column, rows);
    timestamps(column, rows);
});

fn values(column: &[u8], rows: usize) {
    let mut decoded = vec![0.0; rows];
    let outcome = decode_f64(column, &mut decoded);
    assert_eq!(describe_f64(column, rows).map(drop), outcome);
    if outcome.is_err() {
        return;
    }
    let mut encoded = Vec::new();
    ValueEncoder::new().encode_f64(&decoded, &mut encoded);
    let mut again = vec![0.0; rows];
    decode_f64(&encoded, &mut again).expect("just encoded");
    assert!(decoded.iter().map(|v| v.to_bits()).eq(again.iter().map(|v| v.to_bits())));
}

fn timestamps(column: &[u8], rows: usize) {
    let mut decoded = vec![0; rows];
    if decode_timestamps(column, &mut decoded).is_err() {
        return;
    }
    let mut encoded = Vec::new();
    TimestampEncoder::new().encode(&decoded, &mut encoded);
    let mut again = vec![0; rows];
    decode_timestamps(&encoded, &mut again).expect("just encoded");
    assert_eq!(again, decoded);
}
