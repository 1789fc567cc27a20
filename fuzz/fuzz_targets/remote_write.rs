//! Remote write bodies: snappy and protobuf. What is read must encode and read back the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use siltstone::Sample;
use siltstone_server::protocol::remote_write::{LabelIter, WriteRequest, encode_series};
use siltstone_server::protocol::snappy;

fuzz_target!(|data: &[u8]| {
    let mut decoded = Vec::new();
    if snappy::decompress(data, 1 << 20, &mut decoded).is_ok() {
        read(&decoded);
    }
    read(data);
});

fn read(body: &[u8]) {
    for series in WriteRequest::new(body) {
        let Ok(series) = series else { return };
        let Ok(labels) = series.labels().collect::<Result<Vec<_>, _>>() else { continue };
        let Ok(samples) = series.samples().collect::<Result<Vec<_>, _>>() else { continue };
        if let Some(raw) = series.labels_raw() {
            assert!(LabelIter::of_raw(raw).eq(labels.iter().copied().map(Ok)));
        }
        let text = |(n, v)| Some((std::str::from_utf8(n).ok()?, std::str::from_utf8(v).ok()?));
        let Some(labels) = labels.into_iter().map(text).collect::<Option<Vec<_>>>() else {
            continue;
        };
        let mut again = Vec::new();
        encode_series(labels.iter().copied(), &samples, &mut again);
        let series = WriteRequest::new(&again).next().expect("one series").expect("well-formed");
        let raw = labels.iter().map(|(n, v)| Ok((n.as_bytes(), v.as_bytes())));
        assert!(series.labels().eq(raw));
        let bits = |s: &Sample| (s.timestamp, s.value.to_bits());
        let read_back: Vec<_> = series.samples().map(|s| bits(&s.expect("well-formed"))).collect();
        assert_eq!(read_back, samples.iter().map(bits).collect::<Vec<_>>());
    }
}
