//! The evaluator alone, over series in memory, beside one that computes each step by itself.
//!
//! The sum of `rate`, `max_over_time`, `avg_over_time` and `quantile_over_time` over windows of five
//! minutes and of an hour on one thread, and `sum by (job) (rate)` over five minutes on one thread and
//! on all: 10,000 series of 2,160 samples (nine hours at 15 s), a step a minute. Throughput is in samples
//! read. The naive evaluator runs over a hundredth of the series, and does not sum the four functions:
//! compare the rates.

mod support;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use siltstone_promql::{Engine, Features, MemorySource, Query};
use support::naive::{self, Steps, WindowFunction};
use support::{SCRAPE, source};

const SERIES: usize = 10_000;
const SAMPLES: usize = 2_160;

fn steps(range: i64) -> Steps {
    Steps { start: 3_600_000, end: SAMPLES as i64 * SCRAPE, step: 60_000, range }
}

fn evaluate(engine: &Engine, source: &MemorySource, text: &str) -> usize {
    let query = Query::parse(text, Features::default()).expect("a query");
    let Steps { start, end, step, .. } = steps(0);
    let answer = engine.range(source, &query, (start, end), step).expect("an answer");
    answer.samples_read as usize
}

fn functions(c: &mut Criterion) {
    let (all, few) = (source(SERIES, SAMPLES), source(SERIES / 100, SAMPLES));
    let engine = Engine { parallel: false, ..Engine::default() };
    let naive: [(&str, &str, WindowFunction); 4] = [
        ("rate", "sum(rate(requests_total[RANGE]))", naive::rate),
        ("max_over_time", "sum(max_over_time(requests_total[RANGE]))", naive::max),
        ("avg_over_time", "sum(avg_over_time(requests_total[RANGE]))", naive::avg),
        (
            "quantile_over_time",
            "sum(quantile_over_time(0.9, requests_total[RANGE]))",
            naive::quantile,
        ),
    ];
    for (range, milliseconds) in [("5m", 300_000), ("1h", 3_600_000)] {
        let mut group = c.benchmark_group(format!("window of {range}"));
        group.sample_size(10);
        for (name, text, function) in naive {
            let text = text.replace("RANGE", range);
            let id = BenchmarkId::new("siltstone", name);
            group.throughput(Throughput::Elements((SERIES * SAMPLES) as u64));
            group.bench_function(id, |b| b.iter(|| evaluate(&engine, &all, &text)));
            let id = BenchmarkId::new("naive", name);
            group.throughput(Throughput::Elements((SERIES / 100 * SAMPLES) as u64));
            group.bench_function(id, |b| {
                b.iter(|| black_box(naive::over_time(&few, steps(milliseconds), function)));
            });
        }
        group.finish();
    }
}

fn sums(c: &mut Criterion) {
    let (all, few) = (source(SERIES, SAMPLES), source(SERIES / 100, SAMPLES));
    let mut group = c.benchmark_group("sum by (job) (rate(..[5m]))");
    group.sample_size(10);
    let text = "sum by (job) (rate(requests_total[5m]))";
    for (name, parallel) in [("one thread", false), ("all threads", true)] {
        let engine = Engine { parallel, ..Engine::default() };
        group.throughput(Throughput::Elements((SERIES * SAMPLES) as u64));
        group.bench_function(name, |b| b.iter(|| evaluate(&engine, &all, text)));
    }
    group.throughput(Throughput::Elements((SERIES / 100 * SAMPLES) as u64));
    group.bench_function("naive", |b| {
        b.iter(|| black_box(naive::sum_of_rates(&few, steps(300_000))));
    });
    group.finish();
}

criterion_group!(benches, functions, sums);
criterion_main!(benches);
