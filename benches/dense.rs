//! Segments in the fast and in the dense encoding: bytes per sample, all included, and the speed of
//! writing (cutting, encoding, checking) and of reading everything back, on one core.
//!
//! `cargo bench -p siltstone --bench dense`; `-- 1024` cuts dense chunks at so many rows instead.

#![expect(clippy::print_stdout, reason = "a report is what a benchmark is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

mod support;

use std::path::Path;
use std::sync::Arc;

use siltstone::segment::{
    BlockCache, ChunkReader, ChunkSamples, Encoding, Segment, SegmentInfo, SegmentWriter, cut,
};
use siltstone::sys::{DiskFs, ReadMode, Vfs};
use siltstone::{Labels, SegmentMeta};
use siltstone_testing::tsbs::{METRICS, tags};
use support::{Random, Series, processor_seconds, recording};

const DAY: i64 = 86_400_000;
/// Measurements of which the fastest counts.
const PASSES: usize = 3;
/// What one of them lasts at least.
const SECONDS_MIN: f64 = 0.1;

/// The TSBS cpu workload: integer gauges that walk by a standard normal step between 0 and 100.
fn tsbs(hosts: usize, rows: usize) -> Vec<Series> {
    let mut random = Random(42);
    let mut all = Vec::new();
    for host in 0..hosts {
        let tags = tags(host as u64, |n| random.bits() % n);
        let tags: Vec<(String, String)> =
            tags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        for metric in METRICS {
            let mut pairs = tags.clone();
            pairs.push(("__name__".to_string(), metric.to_string()));
            let mut level = 100.0 * random.unit();
            let mut walk = || {
                level = (level + random.normal()).clamp(0.0, 100.0);
                level.round()
            };
            let values = (0..rows).map(|_| walk()).collect();
            let timestamps = (0..rows as i64).map(|i| 20_400 * DAY + 10_000 * i).collect();
            all.push(Series { pairs, timestamps, values });
        }
    }
    all
}

fn write(series: &[(Labels, &Series)], dir: &Path, encoding: Encoding, rows: usize) -> SegmentMeta {
    let vfs: Arc<dyn Vfs> = Arc::new(DiskFs);
    let number = if encoding == Encoding::Dense { 2 } else { 1 };
    let info = SegmentInfo { min_seq: 1, max_seq: 1, encoding, ..SegmentInfo::default() };
    let mut writer = SegmentWriter::create(&vfs, dir, number, info).unwrap();
    let mut cutter = cut::ChunkCutter::new(DAY, rows);
    for (labels, series) in series {
        writer.begin_series(labels).unwrap();
        let mut emit = |timestamps: &[i64], values: &[f64]| writer.chunk(timestamps, values);
        cutter.push(&series.timestamps, &series.values, &mut emit).unwrap();
        cutter.finish(&mut emit).unwrap();
    }
    writer.finish().unwrap()
}

fn scan(segment: &Arc<Segment>, series: usize) -> u64 {
    let ordinals: Vec<u32> = (0..series as u32).collect();
    let mut reader = ChunkReader::new(Arc::clone(segment));
    let mut columns = ChunkSamples::default();
    let mut rows = 0;
    for entry in segment.chunks(&ordinals, i64::MIN..=i64::MAX).unwrap() {
        reader.read(&entry.unwrap(), &mut columns).unwrap();
        rows += std::hint::black_box(&columns).values.len() as u64;
    }
    rows
}

/// Some recordings tell a time twice; the later value counts, as in the store.
fn without_repeats(mut series: Vec<Series>) -> Vec<Series> {
    for series in &mut series {
        let (mut timestamps, mut values): (Vec<i64>, Vec<f64>) = Default::default();
        let mut rows: Vec<usize> = (0..series.timestamps.len()).collect();
        rows.sort_by_key(|&row| series.timestamps[row]);
        for row in rows {
            if timestamps.last() == Some(&series.timestamps[row]) {
                timestamps.pop();
                values.pop();
            }
            timestamps.push(series.timestamps[row]);
            values.push(series.values[row]);
        }
        (series.timestamps, series.values) = (timestamps, values);
    }
    series
}

/// Seconds on the processor that the fastest of some passes took, whatever else the machine does.
fn fastest(mut pass: impl FnMut()) -> f64 {
    let mut seconds = || {
        let start = processor_seconds();
        let (mut passes, mut took) = (0.0, 0.0);
        while took < SECONDS_MIN {
            pass();
            passes += 1.0;
            took = processor_seconds() - start;
        }
        took / passes
    };
    (0..PASSES).map(|_| seconds()).fold(f64::INFINITY, f64::min)
}

fn report(name: &str, series: &[Series], dense_rows: usize) {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let labels = |series: &Series| {
        let pairs = series.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Labels::from_pairs(pairs).unwrap()
    };
    let mut ordered: Vec<(Labels, &Series)> = series.iter().map(|s| (labels(s), s)).collect();
    ordered.sort_by(|a, b| a.0.encoded().cmp(b.0.encoded()));
    for (encoding, rows) in [(Encoding::Fast, cut::FAST_ROWS), (Encoding::Dense, dense_rows)] {
        let mut meta = None;
        let written = fastest(|| {
            let vfs = DiskFs;
            if let Some(meta) = meta.take() {
                let meta: SegmentMeta = meta;
                vfs.remove(&dir.join(format!("{:06}.seg", meta.file_number))).unwrap();
            }
            meta = Some(write(&ordered, dir, encoding, rows));
        });
        let meta = meta.unwrap();
        let vfs: Arc<dyn Vfs> = Arc::new(DiskFs);
        let cache = Arc::new(BlockCache::new(64 << 20));
        let segment =
            Segment::open(&vfs, dir, &[0; 16].into(), &meta, ReadMode::Map, cache).unwrap();
        let read = fastest(|| assert_eq!(scan(&segment, series.len()), meta.samples));
        let samples = meta.samples as f64;
        let described = segment.describe().unwrap();
        let bytes = described.bytes;
        println!(
            "{name:>14} {rows} rows {encoding:?}: {:.4} B/sample (values {:.4}, times {:.4}, chunk \
             index {:.4}, labels {:.4}); {:.1} B of chunk index a chunk; written {:.1} M/s, read \
             {:.0} M/s",
            meta.file_bytes as f64 / samples,
            bytes.values as f64 / samples,
            bytes.timestamps as f64 / samples,
            bytes.chunk_index as f64 / samples,
            bytes.labels as f64 / samples,
            bytes.chunk_index as f64 / described.chunks as f64,
            samples / written / 1e6,
            samples / read / 1e6,
        );
        println!("                {:?}", described.value_blocks);
        for (kind, share) in described.encodings {
            println!("                {kind}: {share:?}");
        }
    }
}

fn main() {
    let rows = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(cut::DENSE_ROWS);
    report("tsbs", &tsbs(1000, 2160), rows);
    for name in ["node-1s", "node-15s", "prometheus-5s", "nab"] {
        if let Some(series) = recording(name) {
            report(name, &without_repeats(series), rows);
        }
    }
}
