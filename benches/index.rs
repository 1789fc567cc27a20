//! The label index on labels like those of TSBS: ten labels of each host, shared by its ten metrics.
//!
//! `cargo bench -p siltstone --bench index`; prints the bytes per series first.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use siltstone::Matcher;
use siltstone::index::{BlockRef, BlockSource, Index};
use siltstone::types::DecodeError;

use support::index::{IndexParts, build_in_memory as build, tsbs_like};

mod support;

/// Hosts of the index that is queried.
const HOSTS: u32 = 10_000;

/// Verified blocks in memory, as a cache that never misses.
struct Cached(std::collections::HashMap<u64, Arc<[u8]>>);

impl Cached {
    /// Walks the whole index once, so that every block that a query needs is found.
    fn new(index: &Index, parts: &IndexParts) -> Self {
        let recorder = Recorder { blocks: &parts.blocks, seen: Default::default() };
        let all = index.select(&recorder, &[]).expect("a good index");
        let visit = |_, _| ControlFlow::Continue(());
        index.labels(&recorder, &all, visit).expect("a good index");
        for name in index.label_names(&recorder, None).expect("a good index") {
            let every = [Matcher::not_equal(name, "")];
            index.select(&recorder, &every).expect("a good index");
        }
        Self(recorder.seen.into_inner())
    }
}

impl BlockSource for Cached {
    type Error = DecodeError;

    fn block(&self, place: BlockRef) -> Result<Arc<[u8]>, DecodeError> {
        self.0.get(&place.offset).cloned().ok_or(DecodeError::Truncated("blocks"))
    }
}

struct Recorder<'a> {
    blocks: &'a [u8],
    seen: std::cell::RefCell<std::collections::HashMap<u64, Arc<[u8]>>>,
}

impl BlockSource for Recorder<'_> {
    type Error = DecodeError;

    fn block(&self, place: BlockRef) -> Result<Arc<[u8]>, DecodeError> {
        let start = place.offset as usize;
        let bytes: Arc<[u8]> = self.blocks[start..start + place.len as usize].into();
        self.seen.borrow_mut().insert(place.offset, Arc::clone(&bytes));
        Ok(bytes)
    }
}

#[expect(clippy::print_stderr, reason = "sizes are a result of this benchmark")]
fn sizes_and_build(c: &mut Criterion) {
    let mut group = c.benchmark_group("index/build");
    group.sample_size(10);
    for hosts in [1000, 10_000] {
        let series = tsbs_like(hosts, 10);
        let parts = build(&series);
        let (blocks, top) = (parts.blocks.len(), parts.top.len());
        let each = (blocks + top) as f64 / series.len() as f64;
        eprintln!("{} series: {each:.2} bytes each, {top} of the top in all", series.len());
        group.throughput(Throughput::Elements(series.len() as u64));
        let id = BenchmarkId::from_parameter(series.len());
        group.bench_function(id, |b| b.iter(|| build(black_box(&series))));
    }
}

fn select(c: &mut Criterion) {
    let parts = build(&tsbs_like(HOSTS, 10));
    let index = Index::from_top(&parts.top).expect("a good index");
    let source = Cached::new(&index, &parts);
    let regex = |name, pattern| Matcher::regex(name, pattern).expect("a good pattern");
    let metric = || Matcher::equal("__name__", "cpu_usage_3");
    let cases = [
        ("one host", vec![Matcher::equal("hostname", "host_77")]),
        ("metric, host", vec![metric(), Matcher::equal("hostname", "host_77")]),
        ("metric, 8 hosts", vec![metric(), regex("hostname", "host_(1|22|3|44|5|66|7|8)")]),
        ("metric", vec![metric()]),
        ("metric, team", vec![metric(), Matcher::equal("team", "SF")]),
        ("metric, not rack", vec![metric(), Matcher::not_equal("rack", "7")]),
        ("prefix", vec![regex("hostname", "host_12.*")]),
        ("regex over all hosts", vec![regex("hostname", ".*7[0-9]+")]),
    ];
    let mut group = c.benchmark_group("index/select");
    for (name, matchers) in &cases {
        let found = index.select(&source, matchers).expect("a good index").len();
        group.bench_function(format!("{name} ({found})"), |b| {
            b.iter(|| index.select(&source, black_box(matchers)));
        });
    }
}

fn labels_and_values(c: &mut Criterion) {
    let parts = build(&tsbs_like(HOSTS, 10));
    let index = Index::from_top(&parts.top).expect("a good index");
    let source = Cached::new(&index, &parts);
    let count = index.series_count();
    let mut group = c.benchmark_group("index/read");
    for (name, step) in [("all", 1), ("every hundredth", 100), ("ten", count / 10)] {
        let ordinals: Vec<u32> = (0..count).step_by(step as usize).collect();
        group.throughput(Throughput::Elements(ordinals.len() as u64));
        group.bench_function(format!("labels of {name}"), |b| {
            b.iter(|| {
                index.labels(&source, black_box(&ordinals), |_, labels| {
                    black_box(labels);
                    ControlFlow::Continue(())
                })
            });
        });
        group.bench_function(format!("host values of {name}"), |b| {
            b.iter(|| index.label_values(&source, "hostname", Some(&ordinals), usize::MAX));
        });
        group.bench_function(format!("label names of {name}"), |b| {
            b.iter(|| index.label_names(&source, Some(&ordinals)));
        });
    }
}

criterion_group!(benches, sizes_and_build, select, labels_and_values);
criterion_main!(benches);
