//! Remote write bodies: encoded and read back, cut, flipped and random.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::protobuf::{WireFault, write_bytes, write_tag, write_varint};
use super::*;

type OwnedSeries = (Vec<(String, String)>, Vec<(i64, u64)>);

fn encoded(series: &[OwnedSeries]) -> Vec<u8> {
    let mut out = Vec::new();
    for (labels, samples) in series {
        let samples: Vec<Sample> = samples
            .iter()
            .map(|&(timestamp, bits)| Sample { timestamp, value: f64::from_bits(bits) })
            .collect();
        let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        encode_series(labels, &samples, &mut out);
    }
    out
}

/// Everything that a body holds, or the first error.
fn read(body: &[u8]) -> Result<(Vec<OwnedSeries>, Ignored), WireError> {
    let mut request = WriteRequest::new(body);
    let mut all = Vec::new();
    for series in &mut request {
        let series = series?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let labels: Vec<_> = series
            .labels()
            .map(|l| l.map(|(n, v)| (text(n), text(v))))
            .collect::<Result<_, _>>()?;
        let samples: Vec<_> = series
            .samples()
            .map(|s| s.map(|s| (s.timestamp, s.value.to_bits())))
            .collect::<Result<_, _>>()?;
        assert_eq!((labels.len(), samples.len()), (series.label_count(), series.sample_count()));
        if let Some(raw) = series.labels_raw() {
            let again: Vec<_> = LabelIter::of_raw(raw).collect::<Result<_, _>>()?;
            assert_eq!(again.len(), labels.len());
            assert!(again.iter().zip(&labels).all(|(a, b)| text(a.0) == b.0 && text(a.1) == b.1));
        }
        all.push((labels, samples));
    }
    assert!(request.next().is_none());
    Ok((all, request.ignored()))
}

fn owned(labels: &[(&str, &str)], samples: &[(i64, u64)]) -> OwnedSeries {
    (labels.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(), samples.to_vec())
}

/// Values whose bits are easily lost, timestamps at the ends, labels in three scripts.
fn rich_request() -> Vec<OwnedSeries> {
    vec![
        owned(
            &[("__name__", "دما"), ("شهر", "می\u{200c}خواهم"), ("سعر", "قِيمَة")],
            &[(i64::MIN, 0x7ff0_0000_0000_0002), (i64::MAX, 1 << 63), (0, 0), (-1, !0)],
        ),
        owned(&[("город", "Йошкар-Ола"), ("empty", "")], &[(1_700_000_000_000, 1.5f64.to_bits())]),
        owned(&[], &[]),
        owned(&[("only", "labels")], &[]),
    ]
}

fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_bytes(number, content, &mut out);
    out
}

fn fault(body: &[u8]) -> WireFault {
    read(body).unwrap_err().fault
}

#[test]
fn the_bytes_are_those_of_the_published_schema() {
    let sample = Sample { timestamp: 300, value: 1.0 };
    let body = encode([([("a", "bc")], &[sample][..])]);
    let expected = [
        &[0x0a, 0x17, 0x0a, 0x07, 0x0a, 1, b'a', 0x12, 2, b'b', b'c'][..],
        &[0x12, 0x0c, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0xac, 0x02],
    ];
    assert_eq!(body, expected.concat());
}

#[test]
fn every_bit_and_every_script_comes_back() {
    let series = rich_request();
    let (read_back, ignored) = read(&encoded(&series)).unwrap();
    assert_eq!(read_back, series);
    assert_eq!(ignored, Ignored::default());
}

#[test]
fn raw_labels_are_the_bytes_from_first_to_last_label() {
    let label_a = field(1, &[field(1, b"a"), field(2, b"1")].concat());
    let label_b = field(1, &[field(1, b"b"), field(2, b"2")].concat());
    let sample = field(2, &[]);
    let unknown = field(9, b"xyz");
    let raw = |parts: &[&[u8]]| {
        let body = field(1, &parts.concat());
        let series = WriteRequest::new(&body).next().unwrap().unwrap();
        assert_eq!(series.labels().count(), series.label_count());
        series.labels_raw().map(<[u8]>::to_vec)
    };
    let both = [label_a.clone(), label_b.clone()].concat();
    assert_eq!(raw(&[&label_a, &label_b, &sample]), Some(both.clone()));
    assert_eq!(raw(&[&sample, &label_a, &label_b]), Some(both.clone()));
    assert_eq!(raw(&[&unknown, &label_a, &label_b, &unknown, &sample]), Some(both));
    assert_eq!(raw(&[&label_a, &sample, &label_b]), None);
    assert_eq!(raw(&[&label_a, &unknown, &label_b]), None);
    assert_eq!(raw(&[&sample]), Some(vec![]));
}

#[test]
fn what_is_not_stored_is_counted() {
    let mut series = field(1, &[field(1, b"a"), field(2, b"1")].concat());
    series.extend(field(3, b"exemplar"));
    series.extend(field(4, b"histogram"));
    series.extend(field(4, b""));
    write_tag(7, WireType::Fixed32, &mut series);
    series.extend([1, 2, 3, 4]);
    let mut body = field(3, b"metadata");
    write_tag(2, WireType::Varint, &mut body);
    write_varint(1, &mut body);
    body.extend(field(1, &series));
    let (series, ignored) = read(&body).unwrap();
    assert_eq!(series, [owned(&[("a", "1")], &[])]);
    assert_eq!(ignored, Ignored { metadata: 1, exemplars: 1, histograms: 2 });
}

#[test]
fn absent_fields_are_zero_and_the_last_of_repeated_ones_counts() {
    let label = field(1, &[field(1, b"x"), field(1, b"n"), field(2, b"v")].concat());
    let nameless = field(1, &field(2, b"v"));
    let empty_sample = field(2, &[]);
    let twice = field(2, &[0x10, 1, 0x10, 2]);
    let body = field(1, &[label, nameless, empty_sample, twice].concat());
    assert_eq!(read(&body).unwrap().0, [owned(&[("n", "v"), ("", "v")], &[(0, 0), (2, 0)])]);
}

#[test]
fn wrong_wire_types_are_refused_with_their_place() {
    let in_series = |content: &[u8]| field(1, content);
    for (body, name) in [
        (vec![0x08, 1], "WriteRequest.timeseries"),
        (vec![0x18, 1], "WriteRequest.metadata"),
        (in_series(&[0x08, 1]), "TimeSeries.labels"),
        (in_series(&[0x10, 1]), "TimeSeries.samples"),
        (in_series(&[0x18, 1]), "TimeSeries.exemplars"),
        (in_series(&[0x20, 1]), "TimeSeries.histograms"),
        (in_series(&field(1, &[0x08, 1])), "Label.name"),
        (in_series(&field(1, &[0x10, 1])), "Label.value"),
        (in_series(&field(2, &[0x08, 1])), "Sample.value"),
        (in_series(&field(2, &[0x11, 0, 0, 0, 0, 0, 0, 0, 0])), "Sample.timestamp"),
    ] {
        let found = if name == "Sample.timestamp" { 1 } else { 0 };
        assert_eq!(fault(&body), WireFault::WireType { field: name, found });
    }
    assert_eq!(fault(&[0x0b]), WireFault::UnsupportedWireType(3));
    let error = read(&in_series(&field(2, &[0x09, 1, 2]))).unwrap_err();
    assert_eq!(error, WireError { offset: 5, fault: WireFault::TruncatedFixed });
    assert_eq!(error.to_string(), "protobuf, byte 5: the message ends inside a fixed-size field");
}

#[test]
fn a_truncated_request_is_an_error_or_ends_between_fields() {
    let series = rich_request();
    let body = encoded(&series);
    let ends: Vec<usize> = (0..=series.len()).map(|n| encoded(&series[..n]).len()).collect();
    for end in 0..=body.len() {
        match (read(&body[..end]), ends.iter().position(|&e| e == end)) {
            (Ok((read_back, _)), Some(n)) => assert_eq!(read_back, series[..n]),
            (Err(error), None) => assert!(error.offset <= end),
            (result, _) => panic!("cut at {end}: {result:?}"),
        }
    }
}

#[test]
fn flipped_bits_never_panic() {
    let body = encoded(&rich_request());
    for bit in 0..body.len() * 8 {
        let mut flipped = body.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Err(error) = read(&flipped) {
            assert!(error.offset <= body.len());
        }
    }
}

#[test]
fn after_an_error_the_iterator_ends() {
    let mut body = encoded(&rich_request());
    body.push(0xff);
    let mut request = WriteRequest::new(&body);
    assert_eq!(request.by_ref().filter(Result::is_err).count(), 1);
    assert!(request.next().is_none());
    let series_body = field(1, &[field(2, &[0x08, 1]), field(2, &[])].concat());
    let series = WriteRequest::new(&series_body).next().unwrap().unwrap();
    let samples: Vec<_> = series.samples().collect();
    assert_eq!(samples.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_encoded_is_read_back(
        series in vec((vec(any::<(String, String)>(), 0..5), vec(any::<(i64, u64)>(), 0..9)), 0..5)
    ) {
        prop_assert_eq!(read(&encoded(&series)).unwrap().0, series);
    }

    #[test]
    fn the_common_case_is_read_as_the_general_one(
        mut content in vec(prop_oneof![Just(0u8), Just(1), Just(2), Just(0x0a), Just(0x12), Just(0x80), any::<u8>()], 0..16),
        sample: bool,
    ) {
        if sample {
            content.splice(0..0, [0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x10]);
        }
        let labels = field(1, &content);
        let general = LabelIter::of_raw(&labels).next_label().transpose();
        prop_assert_eq!(LabelIter::of_raw(&labels).next(), general);
        let samples = field(2, &content);
        let iter = SampleIter { reader: Reader::new(&samples), left: 1 };
        let bits = |s: Sample| (s.timestamp, s.value.to_bits());
        let general = iter.clone().next_sample().transpose().map(|s| s.map(bits));
        prop_assert_eq!(iter.clone().next().map(|s| s.map(bits)), general);
    }

    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>) {
        let _ = read(&bytes);
        let _ = read(&field(1, &bytes));
        let _ = read(&field(1, &field(1, &bytes)));
        let _ = read(&field(1, &field(2, &bytes)));
    }
}
