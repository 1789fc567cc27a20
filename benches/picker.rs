//! What the picker costs with 10,000 live segments: where nothing is to be done, and where it finds
//! something.
//!
//! `cargo bench -p siltstone --bench picker`

use std::collections::HashSet;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use siltstone::compaction::{PickerOptions, View, pick, pick_range, plan};
use siltstone::{SegmentMeta, TimeRange};

const DAY: i64 = 86_400_000;
const SEGMENTS: u64 = 10_000;

fn segment(file_number: u64, time: (i64, i64), seq: (u64, u64), bytes: u64) -> Arc<SegmentMeta> {
    Arc::new(SegmentMeta {
        file_number,
        file_bytes: bytes,
        footer_crc: 0,
        footer_bytes: 0,
        footer_twin_offset: 0,
        min_timestamp: time.0,
        max_timestamp: time.1,
        min_seq: seq.0,
        max_seq: seq.1,
        samples: 1,
        series: 1,
        features: 0,
        level: 1,
        tombstone_seq: 0,
    })
}

/// Days with a large segment and four ever smaller ones that came late, half of them of two days:
/// as a store settles to.
fn settled() -> Vec<Arc<SegmentMeta>> {
    let mut segments: Vec<Arc<SegmentMeta>> = (0..SEGMENTS)
        .map(|n| {
            let (day, late) = ((n / 5) as i64, n % 5);
            let first = if late > 2 { day & !1 } else { day } * DAY;
            let last = first + if late > 2 { 2 * DAY } else { DAY } - 1;
            let seq = late * SEGMENTS + n + 1;
            segment(n + 1, (first, last), (seq, seq), (64 << 20) >> (3 * late))
        })
        .collect();
    segments.sort_unstable_by_key(|meta| (meta.min_timestamp, meta.file_number));
    segments
}

fn bench(c: &mut Criterion) {
    let segments = settled();
    // A thousand days in which there is something to merge.
    let mut due = segments.clone();
    for day in 0..1000u64 {
        let number = SEGMENTS + 1 + day;
        let first = day as i64 * 2 * DAY;
        due.push(segment(number, (first, first + DAY - 1), (9 * number, 9 * number), 32 << 20));
    }
    due.sort_unstable_by_key(|meta| (meta.min_timestamp, meta.file_number));
    let (none, options) = (HashSet::new(), PickerOptions::new(DAY));
    let view = |segments| View {
        segments,
        excluded: &none,
        erase_due: &|_| false,
        now: 20_000 * DAY,
        quiet: false,
        input_bytes_max: u64::MAX,
        options: &options,
    };
    let mut group = c.benchmark_group("picker");
    group.bench_function("10,000 segments, nothing due", |b| {
        assert!(pick(&view(&segments)).is_none(), "the store is settled");
        b.iter(|| pick(&view(&segments)));
    });
    group.bench_function("11,000 segments, 1,000 days due", |b| {
        assert!(pick(&view(&due)).is_some());
        b.iter(|| pick(&view(&due)));
    });
    group.bench_function("10,000 segments, an explicit compaction of all", |b| {
        b.iter(|| pick_range(&view(&segments), TimeRange::ALL, u64::MAX));
    });
    group.sample_size(10);
    group.bench_function("a plan of 20 merges", |b| b.iter(|| plan(&view(&due), 20)));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
