//! The writing of `prometheus.WriteRequest`: a request is its series one after the other.
//!
//! `remote_read` answers with series and labels in the same form; harnesses, tests and fuzz targets make
//! requests of them. Lengths are computed before anything is written, so that nothing is moved.

use siltstone::Sample;

use crate::protocol::protobuf::{self, WireType};

/// Appends one series to a request; a request is its series one after the other.
///
/// Labels are written in the order given, and every sample with both fields, so that -0.0 and every
/// NaN arrive as they are.
pub fn encode_series<'a, L>(labels: L, samples: &[Sample], out: &mut Vec<u8>)
where
    L: IntoIterator<Item = (&'a str, &'a str)>,
    L::IntoIter: Clone,
{
    let labels = labels.into_iter();
    let sample_len = |s: &Sample| 10 + protobuf::varint_len(s.timestamp.cast_unsigned());
    let len = labels.clone().map(|label| field_len(label_len(label))).sum::<usize>()
        + samples.iter().map(|sample| field_len(sample_len(sample))).sum::<usize>();
    out.reserve(field_len(len));
    protobuf::write_tag(1, WireType::Bytes, out);
    protobuf::write_varint(len as u64, out);
    let start = out.len();
    labels.for_each(|label| write_label(label, out));
    for sample in samples {
        protobuf::write_tag(2, WireType::Bytes, out);
        protobuf::write_varint(sample_len(sample) as u64, out);
        protobuf::write_tag(1, WireType::Fixed64, out);
        out.extend_from_slice(&sample.value.to_bits().to_le_bytes());
        protobuf::write_tag(2, WireType::Varint, out);
        protobuf::write_varint(sample.timestamp.cast_unsigned(), out);
    }
    assert_eq!(out.len() - start, len, "the length of a series was computed wrongly");
}

/// The bytes of a field with a one-byte tag and `inner` bytes.
fn field_len(inner: usize) -> usize {
    1 + protobuf::varint_len(inner as u64) + inner
}

fn label_len((name, value): (&str, &str)) -> usize {
    field_len(name.len()) + field_len(value.len())
}

/// Appends a label as field 1, which it is in series of remote write and of remote read.
pub(in crate::protocol) fn write_label((name, value): (&str, &str), out: &mut Vec<u8>) {
    protobuf::write_tag(1, WireType::Bytes, out);
    protobuf::write_varint(label_len((name, value)) as u64, out);
    protobuf::write_bytes(1, name.as_bytes(), out);
    protobuf::write_bytes(2, value.as_bytes(), out);
}

/// Encodes a whole request; see [`encode_series`].
pub fn encode<'a, 's, L>(series: impl IntoIterator<Item = (L, &'s [Sample])>) -> Vec<u8>
where
    L: IntoIterator<Item = (&'a str, &'a str)>,
    L::IntoIter: Clone,
{
    let mut out = Vec::new();
    for (labels, samples) in series {
        encode_series(labels, samples, &mut out);
    }
    out
}
