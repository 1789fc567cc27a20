//! Sizes and speeds of the codecs, on recordings and on generated series.
//!
//! `cargo bench -p siltstone --bench codec` prints bytes per sample of each recording, then times encoding and
//! decoding. Rates are samples per second and core, constant series included; "active" leaves them
//! out.

#![expect(clippy::print_stdout, reason = "a report is what a benchmark is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

mod support;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use siltstone::codec::{Form, Mode, TimestampEncoder, ValueEncoder, decode_f64, decode_timestamps};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;
use support::{RECORDINGS, Series, recording, tsbs_like};

/// Encoded columns, one after the other.
struct EncodedColumns {
    bytes: Vec<u8>,
    /// (end in `bytes`, rows)
    chunks: Vec<(usize, usize)>,
    samples: usize,
}

impl EncodedColumns {
    fn decode(&self, out: &mut [f64]) {
        let mut start = 0;
        for &(end, rows) in &self.chunks {
            decode_f64(&self.bytes[start..end], &mut out[..rows]).unwrap();
            black_box(&mut out[..rows]);
            start = end;
        }
    }
}

fn chunks(series: &[Series], rows: usize) -> impl Iterator<Item = &[f64]> {
    series.iter().flat_map(move |s| s.values.chunks(rows))
}

fn encode<'a>(form: Form, chunks: impl Iterator<Item = &'a [f64]>) -> EncodedColumns {
    let mut encoder = ValueEncoder::with_form(form);
    let mut columns = EncodedColumns { bytes: Vec::new(), chunks: Vec::new(), samples: 0 };
    for chunk in chunks {
        encoder.encode_f64(chunk, &mut columns.bytes);
        columns.chunks.push((columns.bytes.len(), chunk.len()));
        columns.samples += chunk.len();
    }
    columns
}

fn is_active(chunk: &&[f64]) -> bool {
    chunk.iter().any(|v| v.to_bits() != chunk[0].to_bits())
}

/// Bytes per sample under zstd-1, in groups of 64 chunks.
fn grouped(columns: &EncodedColumns) -> f64 {
    let mut start = 0;
    let bytes: usize = columns
        .chunks
        .chunks(64)
        .map(|group| {
            let end = group.last().unwrap().0;
            let len = zstd::bulk::compress(&columns.bytes[start..end], 1).unwrap().len();
            let raw = end - start;
            start = end;
            len.min(raw)
        })
        .sum();
    bytes as f64 / columns.samples as f64
}

fn report_sizes(name: &str, series: &[Series]) {
    for rows in [120, 1024, 8192] {
        let packed = encode(Form::Packed, chunks(series, rows));
        let planes = encode(Form::Planes, chunks(series, rows));
        let samples = packed.samples as f64;
        println!(
            "{name:>14} {rows:>5} rows: packed {:.4} B/sample (zstd-1 of 64: {:.4}), planes {:.4} ({:.4})",
            packed.bytes.len() as f64 / samples,
            grouped(&packed),
            planes.bytes.len() as f64 / samples,
            grouped(&planes),
        );
    }
    let mut encoder = TimestampEncoder::new();
    let mut bytes = Vec::new();
    let columns: std::collections::BTreeSet<&[i64]> =
        series.iter().flat_map(|s| s.timestamps.chunks(1024)).collect();
    columns.iter().for_each(|column| encoder.encode(column, &mut bytes));
    let rows: usize = columns.iter().map(|column| column.len()).sum();
    println!(
        "{name:>14}  1024 rows: {} distinct timestamp columns, {:.4} B/timestamp",
        columns.len(),
        bytes.len() as f64 / rows as f64
    );
}

/// Where the bytes are, by mode.
fn report_modes(name: &str, series: &[Series]) {
    let mut encoder = ValueEncoder::new();
    let mut modes: BTreeMap<String, (usize, usize, u32, u32)> = BTreeMap::new();
    let mut bytes = Vec::new();
    for chunk in chunks(series, 1024) {
        bytes.clear();
        let e = encoder.encode_f64(chunk, &mut bytes);
        let label = match e.mode {
            Mode::Decimal => {
                format!("decimal order {}{}", e.order, if e.divisor > 1 { " divisor" } else { "" })
            }
            mode => format!("{mode:?}").to_lowercase(),
        };
        let entry = modes.entry(label).or_default();
        entry.0 += chunk.len();
        entry.1 += bytes.len();
        entry.2 += e.exceptions;
        entry.3 += e.patches;
    }
    for (mode, (rows, bytes, exceptions, patches)) in modes {
        println!(
            "{name:>14}  {mode:<24} {rows:>8} rows {bytes:>8} bytes {exceptions:>6} exceptions \
             {patches:>6} patches"
        );
    }
}

/// The best of many passes, in million samples per second: on a shared machine the one number that
/// repeats.
fn best_rate(samples: usize, mut pass: impl FnMut()) -> f64 {
    #[expect(clippy::disallowed_methods, reason = "a benchmark times")]
    let mut seconds = || {
        let start = std::time::Instant::now();
        pass();
        start.elapsed().as_secs_f64()
    };
    let best = (0..40).map(|_| seconds()).fold(f64::INFINITY, f64::min);
    samples as f64 / best / 1e6
}

fn report_rates(name: &str, part: &str, set: &[&[f64]]) {
    let samples: usize = set.iter().map(|chunk| chunk.len()).sum();
    let mut out = vec![0.0; 1024];
    let [packed, planes] = [Form::Packed, Form::Planes].map(|form| {
        let columns = encode(form, set.iter().copied());
        best_rate(samples, || columns.decode(&mut out))
    });
    let encoded = best_rate(samples, || {
        black_box(encode(Form::Packed, set.iter().copied()));
    });
    println!(
        "{name:>14}  1024 rows, {part}: decode {packed:.0} M/s, planes {planes:.0} M/s, encode \
         {encoded:.0} M/s"
    );
}

fn bench_set(c: &mut Criterion, name: &str, series: &[Series]) {
    report_sizes(name, series);
    report_modes(name, series);
    let mut group = c.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_millis(1500));
    let all: Vec<&[f64]> = chunks(series, 1024).collect();
    let active: Vec<&[f64]> = all.iter().copied().filter(is_active).collect();
    let mut out = vec![0.0; 1024];
    for (part, set) in [("all", &all), ("active", &active)] {
        report_rates(name, part, set);
        let samples: usize = set.iter().map(|chunk| chunk.len()).sum();
        group.throughput(Throughput::Elements(samples as u64));
        let columns = encode(Form::Packed, set.iter().copied());
        group.bench_function(format!("decode/{part}"), |b| b.iter(|| columns.decode(&mut out)));
        let planes = encode(Form::Planes, set.iter().copied());
        group.bench_function(format!("decode-planes/{part}"), |b| {
            b.iter(|| planes.decode(&mut out));
        });
        let mut encoder = ValueEncoder::new();
        let mut bytes = Vec::with_capacity(columns.bytes.len());
        group.bench_function(format!("encode/{part}"), |b| {
            b.iter(|| {
                bytes.clear();
                for chunk in set {
                    encoder.encode_f64(chunk, &mut bytes);
                }
                black_box(bytes.len())
            });
        });
    }
    group.finish();
}

fn bench_timestamps(c: &mut Criterion) {
    let mut group = c.benchmark_group("timestamps");
    group.throughput(Throughput::Elements(1024));
    let mut random = support::Random(7);
    let late: Vec<i64> =
        (0..1024).map(|i| 1_700_000_000_000 + 15_000 * i + (random.bits() % 8) as i64).collect();
    let mut encoder = TimestampEncoder::new();
    let mut bytes = Vec::new();
    encoder.encode(&late, &mut bytes);
    let mut out = vec![0; 1024];
    group.bench_function("decode", |b| {
        b.iter(|| decode_timestamps(black_box(&bytes), &mut out).unwrap());
    });
    group.bench_function("encode", |b| {
        b.iter_batched_ref(
            || Vec::with_capacity(4096),
            |bytes| encoder.encode(black_box(&late), bytes),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn benches(c: &mut Criterion) {
    bench_set(c, "tsbs-like", &tsbs_like(64, 2048));
    for name in RECORDINGS {
        if let Some(series) = recording(name) {
            bench_set(c, name, &series);
        }
    }
    bench_timestamps(c);
}

criterion_group!(codec, benches);
criterion_main!(codec);
