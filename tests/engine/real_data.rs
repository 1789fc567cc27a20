//! Recordings of real systems through the whole engine, and chunk by chunk through the codec.
//!
//! The data lie beside the project and are not part of it; without them these tests say so and pass.

#![allow(clippy::print_stdout, reason = "what was skipped or measured is worth reading")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use siltstone::codec::{Form, TimestampEncoder, ValueEncoder, decode_f64, decode_timestamps};
use siltstone::{Background, Db, Durability, Labels, Options, WriteBatch};
use siltstone_testing::answers;

/// Bytes per sample that a level-0 segment of node-1s may take, everything included.
const NODE_1S_BYTES_MAX: f64 = 0.55;
/// Samples in one batch.
const BATCH_ROWS: usize = 50_000;

type Samples = Vec<(i64, u64)>;

/// The recordings, or nothing, loudly.
fn recordings() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    #[expect(clippy::disallowed_methods, reason = "lists the recordings, not a store")]
    let entries = std::fs::read_dir(&dir);
    let paths = entries.into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        paths.filter(|path| path.to_string_lossy().ends_with(".jsonl.zst")).collect();
    found.sort();
    if found.is_empty() {
        println!("SKIPPED: there are no recordings in {}", dir.display());
    }
    found
}

/// Every series of a file; a series may take several lines, and at equal times the last one counts.
fn parse(path: &Path) -> Vec<(Labels, Samples)> {
    #[expect(clippy::disallowed_methods, reason = "reads a recording, not a store")]
    let packed = std::fs::read(path).unwrap();
    let text = String::from_utf8(zstd::decode_all(&packed[..]).unwrap()).unwrap();
    let mut series: BTreeMap<Labels, BTreeMap<i64, u64>> = BTreeMap::new();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let metric = line["metric"].as_object().unwrap();
        let labels = metric.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
        let samples = series.entry(Labels::from_pairs(labels).unwrap()).or_default();
        let (values, times) = (line["values"].as_array().unwrap(), &line["timestamps"]);
        let times = times.as_array().unwrap();
        assert_eq!(values.len(), times.len());
        for (value, time) in values.iter().zip(times) {
            samples.insert(time.as_i64().unwrap(), value_bits(value.as_str().unwrap()));
        }
    }
    series.into_iter().map(|(labels, samples)| (labels, samples.into_iter().collect())).collect()
}

fn value_bits(text: &str) -> u64 {
    match text {
        "NaN" => 0x7ff8_0000_0000_0000,
        text => text.parse::<f64>().unwrap().to_bits(),
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().replace(".jsonl.zst", "")
}

/// Room for every recording in one memtable, so that each becomes one segment.
fn options() -> Options {
    Options {
        background: Background::Manual,
        durability: Durability::Never,
        memory_budget_bytes: 2 << 30,
        wal_bytes_max: 4 << 30,
        ..Options::default()
    }
}

fn write_all(db: &Db, series: &[(Labels, Samples)]) {
    let mut batch = WriteBatch::new();
    for (labels, samples) in series {
        let handle = db.series(labels).unwrap();
        for &(timestamp, bits) in samples {
            batch.push_bits(handle, timestamp, bits).unwrap();
        }
        if batch.rows() >= BATCH_ROWS {
            db.write(&batch).unwrap();
            batch.clear();
        }
    }
    db.write(&batch).unwrap();
}

/// The bytes of all segment files in a directory.
#[expect(clippy::disallowed_methods, reason = "measures the files behind the store's back")]
fn segment_bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    let segments = entries.filter(|e| e.path().extension().is_some_and(|e| e == "seg"));
    segments.map(|entry| entry.metadata().unwrap().len()).sum()
}

/// One line of a difference instead of a million samples.
fn assert_same(found: &[(Labels, Samples)], expected: &[(Labels, Samples)], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: series");
    for ((labels, samples), (expected_labels, expected)) in found.iter().zip(expected) {
        assert_eq!(labels, expected_labels, "{what}");
        assert_eq!(samples.len(), expected.len(), "{what}: samples of {labels}");
        let differs = samples.iter().zip(expected).find(|(found, expected)| found != expected);
        assert_eq!(differs, None, "{what}: {labels}");
    }
}

#[test]
fn recordings_come_back_bit_for_bit_and_small() {
    for path in recordings() {
        let (name, series) = (name(&path), parse(&path));
        let samples: usize = series.iter().map(|(_, samples)| samples.len()).sum();
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), options()).unwrap();
        write_all(&db, &series);
        assert_same(&answers::everything(&db.snapshot().unwrap()), &series, &name);
        db.flush().unwrap();
        assert_same(&answers::everything(&db.snapshot().unwrap()), &series, &name);
        let stats = db.stats();
        assert_eq!((stats.segments, stats.samples), (1, samples as u64), "{name}");
        db.close().unwrap();
        drop(db);
        let db = Db::open(dir.path(), options()).unwrap();
        assert_same(&answers::everything(&db.snapshot().unwrap()), &series, &name);

        let bytes = segment_bytes(dir.path());
        let each = bytes as f64 / samples as f64;
        println!(
            "{name:14} {:4} series {samples:8} samples {bytes:9} bytes {each:.4} bytes per sample",
            series.len()
        );
        if name == "node-1s" {
            assert!(each <= NODE_1S_BYTES_MAX, "{each:.4} bytes per sample");
        }
    }
}

#[test]
fn every_chunk_of_the_recordings_survives_the_codec() {
    let mut bytes = Vec::new();
    for path in recordings() {
        let (mut chunks, mut value_bytes, mut time_bytes) = (0u64, [0usize; 2], 0);
        let mut times = TimestampEncoder::new();
        let mut encoders =
            [Form::Packed, Form::Planes].map(|form| (form, ValueEncoder::with_form(form)));
        for (labels, samples) in parse(&path) {
            for chunk in samples.chunks(1024) {
                let values: Vec<f64> =
                    chunk.iter().map(|(_, bits)| f64::from_bits(*bits)).collect();
                for ((form, encoder), total) in encoders.iter_mut().zip(&mut value_bytes) {
                    bytes.clear();
                    encoder.encode_f64(&values, &mut bytes);
                    *total += bytes.len();
                    let mut decoded = vec![f64::NAN; values.len()];
                    decode_f64(&bytes, &mut decoded).unwrap();
                    let same = decoded.iter().zip(&values).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{form:?} {labels} at {}", chunk[0].0);
                }
                bytes.clear();
                let stamps: Vec<i64> = chunk.iter().map(|(time, _)| *time).collect();
                times.encode(&stamps, &mut bytes);
                time_bytes += bytes.len();
                let mut decoded = vec![0; stamps.len()];
                decode_timestamps(&bytes, &mut decoded).unwrap();
                assert_eq!(decoded, stamps, "{labels}");
                chunks += 1;
            }
        }
        println!(
            "{:14} {chunks} chunks, values {value_bytes:?} bytes, times {time_bytes} bytes",
            name(&path)
        );
    }
}
