//! Parsing: a dashboard's query of 2 KB, and flat chains, whose time grows with their length.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use siltstone_promql::{Features, parse};

/// A query of about 2 KB: what the panels of one dashboard row ask for, joined.
fn dashboard_query() -> String {
    let panel = "sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{cluster=\"eu-1\", \
                 namespace=\"payments\", container!=\"POD\", image!=\"\"}[5m])) / on (namespace, pod) \
                 group_left (node) max by (namespace, pod, node) \
                 (kube_pod_container_resource_limits{resource=\"cpu\", unit=\"core\"} > 0)";
    [panel; 7].join("\n  or ignoring (node)\n")
}

fn parsing(c: &mut Criterion) {
    let query = dashboard_query();
    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Bytes(query.len() as u64));
    group.bench_function(format!("dashboard query of {} bytes", query.len()), |b| {
        b.iter(|| black_box(parse(&query, &Features::default()).expect("a query")));
    });
    for terms in [2_000, 20_000] {
        let chain = vec!["foo"; terms].join(" + ");
        group.throughput(Throughput::Elements(terms as u64));
        group.bench_function(BenchmarkId::new("flat chain of terms", terms), |b| {
            b.iter(|| black_box(parse(&chain, &Features::default()).expect("a query")));
        });
    }
    group.finish();
}

criterion_group!(benches, parsing);
criterion_main!(benches);
