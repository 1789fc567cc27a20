//! Chunks that are read back, chunks that Prometheus wrote, and bytes that are no chunks.

use proptest::prelude::*;

use super::*;

fn encoded(samples: &[Sample]) -> Vec<u8> {
    let mut writer = XorWriter::default();
    samples.iter().for_each(|sample| writer.push(*sample));
    writer.bytes().to_vec()
}

fn decoded(bytes: &[u8]) -> Result<Vec<(i64, u64)>, XorError> {
    XorReader::new(bytes)?.map(|sample| sample.map(bits)).collect()
}

fn bits(sample: Sample) -> (i64, u64) {
    (sample.timestamp, sample.value.to_bits())
}

fn sample(timestamp: i64, bits: u64) -> Sample {
    Sample { timestamp, value: f64::from_bits(bits) }
}

#[test]
fn the_layout_is_that_of_the_specification() {
    // Two samples: the number of them, 1 as zigzag, 1.0, then 15 and, for a value that is the same, one
    // bit.
    let one = 1f64.to_bits();
    let two = encoded(&[sample(1, one), sample(16, one)]);
    assert_eq!(two, [0, 2, 2, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 15, 0]);
    // Behind them, a third one 16 later: delta of delta 1 in 14 bits, and a value that differs in the
    // highest bit: 11, no leading zeros, a window of one bit.
    let three = encoded(&[sample(1, one), sample(16, one), sample(32, one | 1 << 63)]);
    assert_eq!(three[..12], [0, 3, 2, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 15]);
    // 0 | 10 00000000000001 | 11 00000 000001 1, and four bits of filling.
    assert_eq!(three[12..], [0b0100_0000, 0b0000_0000, 0b1110_0000, 0b0000_0110]);
}

#[test]
fn every_class_of_distances_at_its_limits() {
    for bits in [14, 17, 20] {
        for dod in
            [-(1i64 << (bits - 1)), 1 - (1 << (bits - 1)), 1 << (bits - 1), (1 << (bits - 1)) + 1]
        {
            let samples = [sample(0, 0), sample(1_000_000, 0), sample(2_000_000 + dod, 0)];
            assert_eq!(decoded(&encoded(&samples)), Ok(samples.map(self::bits).to_vec()), "{dod}");
        }
    }
    let extremes = [i64::MAX, i64::MIN, -1, i64::MAX, 0, i64::MIN].map(|t| sample(t, 7));
    assert_eq!(decoded(&encoded(&extremes)), Ok(extremes.map(bits).to_vec()));
}

#[test]
fn a_writer_is_used_again() {
    let mut writer = XorWriter::default();
    for value in [f64::NAN, 1.0, -0.0] {
        writer.clear();
        assert!(writer.bytes().is_empty());
        let samples = [sample(5, value.to_bits()), sample(7, 1), sample(8, 2)];
        samples.iter().for_each(|sample| writer.push(*sample));
        assert_eq!(writer.bytes(), encoded(&samples));
    }
}

#[test]
fn what_is_no_chunk_is_told() {
    assert_eq!(decoded(&[]), Err(XorError::Truncated));
    assert_eq!(decoded(&[0]), Err(XorError::Truncated));
    assert_eq!(decoded(&[0, 0]), Ok(Vec::new()));
    let two = [0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let with = |rest: &[u8]| decoded(&[&two[..], rest].concat());
    assert_eq!(with(&[0b1000_0000]), Err(XorError::NoWindow));
    // 31 zeros, then a window of 63 bits.
    assert_eq!(with(&[0b1111_1111, 0b1111_1000, 0]), Err(XorError::Window));
    let long = [&[0, 1][..], &[0xff; 9], &[2], &[0; 8]].concat();
    assert_eq!(decoded(&long), Err(XorError::Timestamp));
    let samples: Vec<Sample> = (0..50).map(|i| sample(i * i, (i * 977) as u64)).collect();
    let whole = encoded(&samples);
    for end in 0..whole.len() {
        assert_eq!(decoded(&whole[..end]), Err(XorError::Truncated), "{end} bytes");
    }
}

/// Times as they come: steady, with jitter, with gaps, and anything.
fn times() -> impl Strategy<Value = Vec<i64>> {
    let steps = prop_oneof![
        4 => Just(15_000i64),
        4 => 14_990i64..15_010,
        1 => 0i64..3_000_000,
        1 => any::<i64>(),
    ];
    (any::<i64>(), prop::collection::vec(steps, 0..200)).prop_map(|(start, steps)| {
        let next = |t: &mut i64, step: i64| {
            *t = t.wrapping_add(step);
            Some(*t)
        };
        steps.into_iter().scan(start, next).collect()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        times in times(),
        values in prop::collection::vec(
            prop_oneof![any::<u64>(), (0u32..100).prop_map(|i| f64::from(i).to_bits())],
            200,
        ),
    ) {
        let samples: Vec<Sample> = times.iter().zip(&values).map(|(t, v)| sample(*t, *v)).collect();
        let expected: Vec<_> = samples.iter().copied().map(bits).collect();
        let chunk = encoded(&samples);
        if !samples.is_empty() {
            prop_assert_eq!(decoded(&chunk), Ok(expected));
        }
    }

    #[test]
    fn any_bytes_end(bytes: Vec<u8>) {
        let _ = decoded(&bytes);
    }
}
