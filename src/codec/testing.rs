//! What the tests of both kinds of columns share: columns of every shape, and damaged bytes.

use super::SUB_BLOCK_ROWS;
use crate::types::DecodeError;
use proptest::prelude::*;

/// Numbers of rows around every edge of the format.
fn rows() -> impl Strategy<Value = usize> {
    prop_oneof![
        1usize..10,
        60usize..70,
        1usize..300,
        SUB_BLOCK_ROWS - 1..SUB_BLOCK_ROWS + 2,
        2 * SUB_BLOCK_ROWS..2 * SUB_BLOCK_ROWS + 40,
    ]
}

fn column<T: Clone + std::fmt::Debug>(
    value: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = Vec<T>> {
    rows().prop_flat_map(move |n| prop::collection::vec(value.clone(), n))
}

/// Columns of values: gauges, counters, doubles of single precision, any bits, and mixtures.
pub(super) fn f64_columns() -> impl Strategy<Value = Vec<f64>> {
    let digits = 0usize..=22;
    let gauge = (digits, 1i64..1 << 52).prop_flat_map(|(e, max)| {
        let power: f64 = format!("1e{e}").parse().unwrap();
        column((-max..max).prop_map(move |i| i as f64 / power))
    });
    let counter = (1i64..1 << 40, 0i32..4).prop_flat_map(|(start, e)| {
        column(0i64..1000).prop_map(move |steps| {
            let mut sum = start;
            let next = |step| {
                sum += step;
                sum as f64 / 10f64.powi(e)
            };
            steps.into_iter().map(next).collect::<Vec<_>>()
        })
    });
    let single = column((0u32..2000).prop_map(|i| f64::from(i as f32 * 0.01)));
    let any_bits = column(any::<u64>().prop_map(f64::from_bits));
    let mixed = column(prop_oneof![
        20 => (0i32..500).prop_map(|i| f64::from(i) / 8.0),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => Just(f64::from_bits(crate::types::STALE_MARKER_BITS)),
        1 => Just(-0.0),
    ]);
    prop_oneof![gauge, counter, single, any_bits, mixed]
}

/// Columns of timestamps: on a grid with jitter and gaps, and any at all.
pub(super) fn i64_columns() -> impl Strategy<Value = Vec<i64>> {
    let grid = (any::<i64>(), 1i64..100_000, 1i64..50).prop_flat_map(|(start, step, jitter)| {
        column((0..jitter, prop::bool::weighted(0.01))).prop_map(move |rows| {
            let mut line = start;
            let next = |(late, missed): (i64, bool)| {
                line = line.wrapping_add(if missed { 9 * step } else { step });
                line.wrapping_add(late)
            };
            rows.into_iter().map(next).collect::<Vec<_>>()
        })
    });
    let edges = column(prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX]));
    prop_oneof![grid, column(any::<i64>()), edges]
}

/// Hands every truncation, every flip of one bit, an extra byte and many random strings to
/// `decode`: what is cut or longer must be refused, the rest must not panic.
pub(super) fn hostile(bytes: &[u8], mut decode: impl FnMut(&[u8]) -> Result<(), DecodeError>) {
    assert_eq!(decode(bytes), Ok(()));
    for cut in 0..bytes.len() {
        assert!(decode(&bytes[..cut]).is_err(), "cut to {cut} of {} bytes", bytes.len());
    }
    assert!(decode(&[bytes, &[0]].concat()).is_err(), "a byte too many");
    let mut damaged = bytes.to_vec();
    let mut harmless = 0;
    for bit in 0..8 * bytes.len() {
        damaged[bit / 8] ^= 1 << (bit % 8);
        harmless += usize::from(decode(&damaged).is_ok());
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(harmless < 8 * bytes.len(), "no flip at all was noticed");
    let mut state = bytes.len() as u64;
    for len in (0..400).map(|i| i % 50) {
        let mut random = Vec::with_capacity(len);
        for i in 0..len {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let byte = (state >> 56) as u8;
            // Small heads get deeper into the decoder.
            random.push(if i < 3 { byte % 32 } else { byte });
        }
        // The result is not known; that there is one is the point.
        let _: Result<(), DecodeError> = decode(&random);
    }
}

/// The examples of FORMAT.md under `heading`: (title, bytes). An example is a line
/// `- title: \`hex hex ..\``.
pub(super) fn examples(heading: &str) -> Vec<(&'static str, Vec<u8>)> {
    let section = include_str!("FORMAT.md").split("\n## ").find(|s| s.starts_with(heading));
    let byte = |hex| u8::from_str_radix(hex, 16).unwrap();
    section
        .unwrap_or_else(|| panic!("FORMAT.md has no section {heading}"))
        .lines()
        .filter_map(|line| line.strip_prefix("- ")?.split_once(": `"))
        .map(|(title, hex)| (title, hex.trim_end_matches('`').split(' ').map(byte).collect()))
        .collect()
}
