//! The memtable's hot paths: appending batches, and collecting every series of a full table.
//!
//! `cargo bench -p siltstone --bench memtable`

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use siltstone::memtable::Memtable;

const BATCH_ROWS: usize = 5000;

/// A stream of whole rounds over `slots` slots, as scrapes produce it.
struct Shape {
    name: &'static str,
    slots: u32,
    rounds: u32,
}

const SHAPES: [Shape; 2] = [
    Shape { name: "10k series x 100", slots: 10_000, rounds: 100 },
    Shape { name: "1M series x 4", slots: 1_000_000, rounds: 4 },
];

impl Shape {
    fn rows(&self) -> u64 {
        u64::from(self.slots) * u64::from(self.rounds)
    }

    /// The slots in an order that has nothing to do with their numbers, as label order has not.
    fn label_order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.slots).collect();
        order.sort_by_key(|slot| slot.wrapping_mul(0x9E37_79B1));
        order
    }

    fn fill(&self, table: &Memtable) {
        let slots: Vec<u32> = (0..self.slots).collect();
        let mut seq = 0;
        for round in 0..self.rounds {
            let timestamp = i64::from(round) * 10_000;
            for batch in slots.chunks(BATCH_ROWS) {
                seq += 1;
                table.append(batch.iter().map(|&slot| (slot, timestamp, u64::from(slot))), seq);
                table.publish();
            }
        }
    }
}

fn append(c: &mut Criterion) {
    let mut group = c.benchmark_group("memtable append");
    group.sample_size(10);
    for shape in &SHAPES {
        group.throughput(Throughput::Elements(shape.rows()));
        group.bench_function(shape.name, |b| {
            b.iter_batched_ref(|| Memtable::new(1), |t| shape.fill(t), BatchSize::PerIteration);
        });
    }
}

fn collect(c: &mut Criterion) {
    let mut group = c.benchmark_group("memtable collect");
    group.sample_size(10);
    for shape in &SHAPES {
        let table = Memtable::new(1);
        shape.fill(&table);
        let order = shape.label_order();
        group.throughput(Throughput::Elements(shape.rows()));
        group.bench_function(shape.name, |b| {
            let (mut timestamps, mut values) = (Vec::new(), Vec::new());
            b.iter(|| {
                for &slot in &order {
                    timestamps.clear();
                    values.clear();
                    let all = (i64::MIN, i64::MAX);
                    let visible = table.published();
                    black_box(table.collect(slot, visible, all, &mut timestamps, &mut values));
                }
            });
        });
    }
}

criterion_group!(benches, append, collect);
criterion_main!(benches);
