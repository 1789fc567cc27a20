//! Measures a segment of a real recording: bytes by kind, speed of writing and of scanning.
//!
//! `SILTSTONE_RECORDING=node-1s.jsonl.zst cargo test --release -p siltstone --lib measure -- \
//! --ignored --nocapture`

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

use super::*;
use crate::sys::{Clock, DiskFs, ReadMode, SystemClock, Vfs};
use crate::types::Labels;

/// Rows of a chunk.
const ROWS: usize = 1000;

fn number(value: &serde_json::Value) -> f64 {
    match value.as_str() {
        Some("NaN") => f64::from_bits(0x7ff8_0000_0000_0000),
        Some(text) => text.replace("Inf", "inf").parse().unwrap(),
        None => value.as_f64().unwrap(),
    }
}

/// Series in label order: timestamps and values.
fn recording(path: &str) -> BTreeMap<Vec<u8>, (Labels, Vec<i64>, Vec<f64>)> {
    let file = DiskFs.open_read(path.as_ref()).unwrap();
    let bytes = file.read(0, file.len().unwrap() as usize, ReadMode::Pread).unwrap();
    let lines = BufReader::new(zstd::Decoder::new(&bytes[..]).unwrap()).lines();
    lines
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
            let metric = line["metric"].as_object().unwrap();
            let pairs = metric.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
            let labels = Labels::from_pairs(pairs).unwrap();
            let list = |name: &str| line[name].as_array().unwrap().iter();
            let timestamps = list("timestamps").map(|t| t.as_i64().unwrap()).collect();
            (labels.encoded().to_vec(), (labels, timestamps, list("values").map(number).collect()))
        })
        .collect()
}

#[test]
#[ignore = "needs a recording and takes seconds"]
fn measure_a_recording() {
    let series = recording(&std::env::var("SILTSTONE_RECORDING").unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let vfs: Arc<dyn Vfs> = Arc::new(DiskFs);
    let clock = SystemClock::new();
    let start = clock.monotonic();
    let info = SegmentInfo { min_seq: 1, max_seq: 1, ..SegmentInfo::default() };
    let mut writer = SegmentWriter::create(&vfs, dir, 1, info).unwrap();
    for (labels, timestamps, values) in series.values() {
        writer.begin_series(labels).unwrap();
        for (timestamps, values) in timestamps.chunks(ROWS).zip(values.chunks(ROWS)) {
            writer.chunk(timestamps, values).unwrap();
        }
    }
    let meta = writer.finish().unwrap();
    let seconds = (clock.monotonic() - start).as_secs_f64();
    let samples = meta.samples as f64;
    println!(
        "{} series, {samples} samples, {} bytes: {:.4} a sample; written at {:.1} M samples/s",
        meta.series,
        meta.file_bytes,
        meta.file_bytes as f64 / samples,
        samples / seconds / 1e6
    );
    for mode in [ReadMode::Map, ReadMode::Pread] {
        let cache = Arc::new(BlockCache::new(8 << 20));
        let segment = Segment::open(&vfs, dir, &[0; 16].into(), &meta, mode, cache).unwrap();
        let mut best = f64::MAX;
        for _ in 0..20 {
            let start = clock.monotonic();
            let ordinals = segment.select(&[]).unwrap();
            let mut reader = ChunkReader::new(Arc::clone(&segment));
            let mut columns = ChunkSamples::default();
            let mut rows = 0u64;
            for entry in segment.chunks(&ordinals, i64::MIN..=i64::MAX).unwrap() {
                reader.read(&entry.unwrap(), &mut columns).unwrap();
                rows += columns.values.len() as u64;
            }
            assert_eq!(rows, meta.samples);
            best = best.min((clock.monotonic() - start).as_secs_f64());
        }
        println!("{mode:?}: scanned at {:.0} M samples/s", samples / best / 1e6);
    }
    let cache = Arc::new(BlockCache::new(8 << 20));
    let segment = Segment::open(&vfs, dir, &[0; 16].into(), &meta, ReadMode::Map, cache).unwrap();
    println!("{:#?}", segment.describe().unwrap());
}
