//! Our XOR chunks are Prometheus's, byte for byte: what it streams of samples that it was sent is read
//! and written again here.

use siltstone::{Clock, Matcher, Sample, SystemClock};
use siltstone_server::protocol::remote_read::{Frames, Query, ReadRequest, ResponseType};
use siltstone_server::protocol::snappy;
use siltstone_server::protocol::xor_chunk::XorWriter;
use siltstone_server_testing::harness::{REMOTE_WRITE, series};

use crate::prometheus::Prometheus;

const HEADERS: &[(&str, &str)] =
    &[("Content-Encoding", "snappy"), ("Content-Type", "application/x-protobuf")];

fn mixed(i: u64) -> u64 {
    i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (i << 21)
}

/// Series that take every branch of the encoding: distances of every class, values that repeat, that
/// keep their window, that need another, NaNs with payloads.
fn written(start_ms: i64) -> Vec<(String, Vec<(i64, f64)>)> {
    let steps: [fn(u64) -> i64; 4] = [
        |_| 15_000,
        |i| 15_000 + (mixed(i) % 21) as i64 - 10,
        |i| 1 + (mixed(i) % 60_000) as i64,
        |i| if i % 17 == 0 { 700_000 } else { 1_000 },
    ];
    let values: [fn(u64) -> u64; 5] = [
        |_| 3f64.to_bits(),
        |i| (i as f64).to_bits(),
        |i| (20.0 + (mixed(i) % 100) as f64 / 10.0).to_bits(),
        mixed,
        |i| {
            [0x7ff0_0000_0000_0002, 0x7ff8_0000_0000_0001, 1 << 63, 0, 0x7ff0 << 48][i as usize % 5]
        },
    ];
    let mut all = Vec::new();
    for (s, step) in steps.iter().enumerate() {
        for (v, value) in values.iter().enumerate() {
            let mut time = start_ms;
            let samples = (0..300).map(|i| {
                time += step(i);
                (time, f64::from_bits(value(i)))
            });
            all.push((format!("s{s}v{v}"), samples.collect()));
        }
    }
    all
}

#[test]
fn chunks_are_those_of_prometheus_byte_for_byte() {
    let Some(prometheus) = Prometheus::start("global:\n  scrape_interval: 1h\n") else { return };
    // Nothing in the future; and in one request, because Prometheus takes nothing much older than what
    // it has when the request comes.
    let written = written(SystemClock::default().wall_ms() - 6 * 3_600_000);
    let body =
        |(name, samples): &(String, Vec<_>)| series(&[("__name__", "x"), ("kind", name)], samples);
    let body = snappy::compress(&written.iter().flat_map(body).collect::<Vec<u8>>()).unwrap();
    let (status, text) = prometheus.post("/api/v1/write", REMOTE_WRITE, &body);
    assert_eq!(status, 204, "{}", String::from_utf8_lossy(&text));
    let query =
        Query { start_ms: 0, end_ms: i64::MAX, matchers: vec![Matcher::equal("__name__", "x")] };
    let request = ReadRequest::new(vec![query], vec![ResponseType::StreamedXorChunks]);
    let body = snappy::compress(&request.encode()).unwrap();
    let (status, answer) = prometheus.post("/api/v1/read", HEADERS, &body);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));

    let mut read: Vec<(String, Vec<(i64, u64)>)> = Vec::new();
    for frame in Frames::new(&answer) {
        let frame = frame.unwrap();
        let kind = String::from_utf8(frame.labels[1].1.to_vec()).unwrap();
        let mut samples: Vec<Sample> = Vec::new();
        for chunk in &frame.chunks {
            let of_chunk = chunk.samples().unwrap();
            let mut writer = XorWriter::default();
            of_chunk.iter().for_each(|sample| writer.push(*sample));
            assert_eq!(writer.bytes(), chunk.data, "{kind}");
            let times = (of_chunk[0].timestamp, of_chunk[of_chunk.len() - 1].timestamp);
            assert_eq!(times, (chunk.min_ms, chunk.max_ms), "{kind}");
            samples.extend(of_chunk);
        }
        read.push((kind, samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect()));
    }
    let bits = |samples: &[(i64, f64)]| samples.iter().map(|(t, v)| (*t, v.to_bits())).collect();
    let written: Vec<_> = written.iter().map(|(name, s)| (name.clone(), bits(s))).collect();
    assert_eq!(read, written);
}
