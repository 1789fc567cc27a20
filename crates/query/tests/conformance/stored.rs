//! What a script loads, in memory and in stores.
//!
//! The stores differ in where the samples lie: all in the memtable; every other sample in a segment and
//! the rest, which came later, in the memtable; all in one merged segment of a store that was closed and
//! opened again.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use siltstone::{Db, Options, Snapshot, WriteBatch};
use siltstone_promql::{Engine, MemorySource, Query, QueryValue};
use siltstone_promql_conformance::language::{Language, Setting};
use siltstone_promql_conformance::model::{Answer, Labels, Sample, Times};
use siltstone_promql_conformance::store::StoredSample;
use siltstone_promql_conformance::under_test::{self, Siltstone};
use siltstone_query::StoreSource;

/// The language over stores.
#[derive(Default)]
pub(crate) struct Stored {
    in_stores: AtomicU64,
    in_memory: AtomicU64,
}

impl Stored {
    /// How many evaluations were made over stores, and how many could only be made in memory.
    pub(crate) fn evaluations(&self) -> (u64, u64) {
        (self.in_stores.load(Ordering::Relaxed), self.in_memory.load(Ordering::Relaxed))
    }
}

/// A sample of a series: (time, value).
type Float = (i64, f64);

/// What was loaded.
#[derive(Default)]
pub(crate) struct Loaded {
    memory: MemorySource,
    floats: Vec<(Labels, Vec<Float>)>,
    /// Something was loaded that is no float.
    more: bool,
    stores: RefCell<Option<Vec<(&'static str, Store)>>>,
}

struct Store {
    snapshot: Snapshot,
    _db: Db,
    _dir: tempfile::TempDir,
}

impl Language for Stored {
    type Query = Query;
    type Store = Loaded;

    fn parse(&self, text: &str) -> Result<Query, String> {
        Siltstone.parse(text)
    }

    fn pinned(&self, query: &Query, time: i64) -> Option<Query> {
        Siltstone.pinned(query, time)
    }

    fn insert(&self, store: &mut Loaded, labels: &Labels, samples: &[StoredSample]) {
        Siltstone.insert(&mut store.memory, labels, samples);
        let mut floats = Vec::new();
        for sample in samples {
            match sample.value {
                Sample::Float(value) if sample.start == 0 => floats.push((sample.time, value)),
                _ => store.more = true,
            }
        }
        // A store has no series without labels.
        store.more |= labels.is_empty();
        store.floats.push((labels.clone(), floats));
        store.stores.replace(None);
    }

    fn evaluate(
        &self,
        store: &Loaded,
        query: &Query,
        times: Times,
        setting: Setting,
    ) -> Result<Answer, String> {
        let engine = under_test::engine(setting);
        let expected = match times {
            Times::Instant(time) => engine.instant(&store.memory, query, time),
            Times::Range { start, end, step } => {
                engine.range(&store.memory, query, (start, end), step)
            }
        };
        if store.more {
            self.in_memory.fetch_add(1, Ordering::Relaxed);
        } else {
            let mut stores = store.stores.borrow_mut();
            let stores = stores.get_or_insert_with(|| layouts(&store.floats));
            let expected = comparable(&expected);
            for (layout, store) in stores {
                let found = comparable(&over_store(&engine, &store.snapshot, query, times));
                if found != expected {
                    return Err(format!("in the store {layout}: {found:?}\n  not {expected:?}"));
                }
            }
            self.in_stores.fetch_add(1, Ordering::Relaxed);
        }
        Siltstone.evaluate(&store.memory, query, times, setting)
    }
}

fn over_store(
    engine: &Engine,
    snapshot: &Snapshot,
    query: &Query,
    times: Times,
) -> Result<siltstone_promql::Answer, siltstone_promql::QueryError> {
    let source = StoreSource::new(snapshot);
    match times {
        Times::Instant(time) => source.instant(engine, query, time),
        Times::Range { start, end, step } => source.range(engine, query, (start, end), step),
    }
}

/// All that users see of an answer, bits of values included.
fn comparable(
    answer: &Result<siltstone_promql::Answer, siltstone_promql::QueryError>,
) -> Result<(QueryValue, Vec<String>, Vec<String>), String> {
    match answer {
        // Scalars as the points of a series, which are equal if their bits are.
        Ok(answer) => {
            let value = match &answer.value {
                QueryValue::Scalar(value) => QueryValue::String(value.to_le_bytes().into()),
                other => other.clone(),
            };
            Ok((value, answer.warnings(), answer.infos()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Stores with these samples.
fn layouts(floats: &[(Labels, Vec<Float>)]) -> Vec<(&'static str, Store)> {
    let is_even = |at: usize| at.is_multiple_of(2);
    let memtable = open();
    write(&memtable.0, floats, |_| true);
    let both = open();
    write(&both.0, floats, is_even);
    both.0.flush().expect("a flush of a fresh store");
    write(&both.0, floats, |at| !is_even(at));
    let merged = open();
    for part in [is_even as fn(usize) -> bool, |at| !at.is_multiple_of(2)] {
        write(&merged.0, floats, part);
        merged.0.flush().expect("a flush of a fresh store");
    }
    let go_on = &mut |_: &siltstone::CompactProgress| ControlFlow::Continue(());
    merged.0.compact(siltstone::TimeRange::ALL, go_on).expect("a merge of a fresh store");
    merged.0.close().expect("the store closes");
    let reopened = Db::open(merged.1.path(), options()).expect("the store opens again");
    vec![
        ("in memory", store(memtable)),
        ("in a segment and in memory", store(both)),
        ("merged and reopened", store((reopened, merged.1))),
    ]
}

fn store((db, dir): (Db, tempfile::TempDir)) -> Store {
    Store { snapshot: db.snapshot().expect("an open store"), _db: db, _dir: dir }
}

fn options() -> Options {
    Options { query_threads: 2, durability: siltstone::Durability::Never, ..Options::default() }
}

fn open() -> (Db, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    (Db::open(dir.path(), options()).expect("a fresh store"), dir)
}

/// Writes of each series the samples at these places.
fn write(db: &Db, floats: &[(Labels, Vec<Float>)], is_wanted: impl Fn(usize) -> bool) {
    let mut batch = WriteBatch::new();
    for (labels, samples) in floats {
        let labels =
            siltstone::Labels::from_pairs(labels).expect("a series of a script has labels");
        let series = db.series(&labels).expect("room for the series of a script");
        for (at, (time, value)) in samples.iter().enumerate() {
            if is_wanted(at) {
                batch.push(series, *time, *value).expect("room for the samples of a script");
            }
        }
    }
    db.write(&batch).expect("a fresh store takes samples");
}
