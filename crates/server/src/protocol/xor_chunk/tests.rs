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

/// Chunks that Prometheus 3.5.3 streamed of samples that it was sent: times with jitter and random values;
/// times of every class and counting values; values that are -0.0, 0, Inf, a stale marker and NaN in turn.
/// `tests/peers` compares many more with the Prometheus at hand.
#[test]
fn chunks_that_prometheus_wrote() {
    let chunks = [
        (
            "0006c483fbe1c36851ed44c18a14fc339c75c0050e4fd5d4075c23ddffd4fcf10c9f052d182b0007\
             5167c4ed40fec217c0015ccb134930e5539eb7ff951e4c763404bc20d8",
            &[
                (1795801702626, 0x51ed44c18a14fc33),
                (1795801717630, 0xf024be7b0aff7848),
                (1795801732628, 0x8e5c38348869f45d),
                (1795801747629, 0x2c93b1ee09947072),
                (1795801762632, 0xcacb2ba78ebeec87),
                (1795801777631, 0x6902a5610e29689c),
            ][..],
        ),
        (
            "000cf0a08de6c3684072000000000000cbc902e60f62a57905c22ace349af10fc15ac6b85670b6b1\
             d8935e027c81ac38c06b1ee0cac2",
            &[
                (1795806046264, 0x4072000000000000),
                (1795806088451, 0x4072100000000000),
                (1795806100579, 0x4072200000000000),
                (1795806113816, 0x4072300000000000),
                (1795806153986, 0x4072400000000000),
                (1795806194849, 0x4072500000000000),
                (1795806231125, 0x4072600000000000),
                (1795806268862, 0x4072700000000000),
                (1795806276188, 0x4072800000000000),
                (1795806287663, 0x4072900000000000),
                (1795806323767, 0x4072a00000000000),
                (1795806343892, 0x4072b00000000000),
            ][..],
        ),
        (
            "000cf4aac1e2c3688000000000000000e807c00d84bffeff000000000b6690000000000006c007ff\
             c000000000000a80000000000000004ffe0000000000000800000000000000090004000000000001\
             afff800000000000150000000000000000",
            &[
                (1795802278586, 0x8000000000000000),
                (1795802279586, 0x0),
                (1795802280586, 0x7ff0000000000000),
                (1795802281586, 0x7ff0000000000002),
                (1795802282586, 0x7ff8000000000001),
                (1795802283586, 0x8000000000000000),
                (1795802284586, 0x0),
                (1795802285586, 0x7ff0000000000000),
                (1795802286586, 0x7ff0000000000002),
                (1795802287586, 0x7ff8000000000001),
                (1795802288586, 0x8000000000000000),
                (1795802289586, 0x0),
            ][..],
        ),
    ];
    for (hex, samples) in chunks {
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let chunk: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        assert_eq!(decoded(&chunk).unwrap(), samples);
        let samples: Vec<Sample> = samples.iter().map(|(t, v)| sample(*t, *v)).collect();
        assert_eq!(encoded(&samples), chunk);
    }
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
