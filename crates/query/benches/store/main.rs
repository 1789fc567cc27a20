//! PromQL over a store, without a server: TSBS's cpu shape, 1,000 hosts, two of its metrics, six hours at
//! 10 s, compacted (4.3 M samples). Whole queries: parsing, listing, reading, evaluating; no JSON.
//!
//! Throughput is in samples selected, whether they have to be read or not.

mod tsbs;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use siltstone_query::{Engine, Features, Query, StoreSource};
use tsbs::{END, HOSTS, HOUR, MINUTE, START};

/// Name, query, first and last step, step, samples selected.
type Row = (&'static str, &'static str, (i64, i64), i64, u64);

const QUERIES: &[Row] = &[
    (
        "one series, 1 h at 1m",
        "max_over_time(cpu_usage_user{hostname=\"host_77\"}[1m])",
        (END - HOUR, END),
        MINUTE,
        360,
    ),
    (
        "8 hosts, 1 h at 1m",
        "max by (hostname) (max_over_time(cpu_usage_user{hostname=~\"host_1|host_200|host_310|host_433|\
         host_520|host_699|host_780|host_950\"}[1m]))",
        (END - HOUR, END),
        MINUTE,
        8 * 360,
    ),
    (
        "all hosts, max over 1m, 1 h at 1m",
        "max_over_time(cpu_usage_user[1m]) > 90",
        (END - HOUR, END),
        MINUTE,
        HOSTS * 360,
    ),
    (
        "all hosts, average of 1h, 6 h at 1h",
        "avg by (hostname) (avg_over_time(cpu_usage_user[1h]))",
        (START + HOUR, END),
        HOUR,
        HOSTS * 2160,
    ),
    (
        "all hosts, rate of 5m, 6 h at 1m",
        "sum by (region) (rate(cpu_usage_user[5m]))",
        (START + 5 * MINUTE, END),
        MINUTE,
        HOSTS * 2160,
    ),
    ("all hosts, last point", "{__name__=~\"cpu_usage_.+\"}", (END, END), 1, HOSTS * 2),
    ("all hosts, count of 6h", "count_over_time(cpu_usage_user[6h])", (END, END), 1, HOSTS * 2160),
];

fn queries(c: &mut Criterion) {
    let (db, _dir) = tsbs::store();
    let source = StoreSource::new(&db.snapshot().expect("a snapshot"));
    let engine = Engine::default();
    let mut group = c.benchmark_group("store");
    group.sample_size(20);
    for (name, text, times, step, samples) in QUERIES {
        group.throughput(Throughput::Elements(*samples));
        group.bench_function(*name, |b| {
            b.iter(|| {
                let query = Query::parse(text, Features::default()).expect("a query");
                let answer = source.range(&engine, &query, *times, *step).expect("an answer");
                black_box(answer)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, queries);
criterion_main!(benches);
