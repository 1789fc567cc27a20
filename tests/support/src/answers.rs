//! Options for a simulated disk, and answers as plain data.

use std::path::Path;
use std::sync::Arc;

use siltstone::sys::{SimClock, SimFs};
use siltstone::{
    Background, Db, Error, Labels, Matcher, Options, QueryOptions, Snapshot, TimeRange, WriteBatch,
};

/// Where every simulated store lives.
pub const STORE: &str = "/store";

/// One series with its samples: (timestamp, bits of the value).
pub type Series = (Labels, Vec<(i64, u64)>);

/// Options that touch nothing but the simulated disk and clock.
pub fn sim_options(fs: &SimFs, clock: &Arc<SimClock>) -> Options {
    Options {
        background: Background::Manual,
        query_threads: 0,
        vfs: Arc::new(fs.clone()),
        clock: Arc::clone(clock) as _,
        ..Options::default()
    }
}

/// A clock that shows a day in November 2023.
pub fn sim_clock() -> Arc<SimClock> {
    Arc::new(SimClock::new(1_700_000_000_000))
}

/// Opens the simulated store.
pub fn open_sim(fs: &SimFs) -> siltstone::Result<Db> {
    Db::open(Path::new(STORE), sim_options(fs, &sim_clock()))
}

/// A label set.
pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

/// Writes samples of one series as one batch.
pub fn write(db: &Db, labels: &Labels, samples: &[(i64, u64)]) {
    let handle = db.series(labels).unwrap();
    let mut batch = WriteBatch::new();
    samples.iter().for_each(|&(t, bits)| batch.push_bits(handle, t, bits).unwrap());
    db.write(&batch).unwrap();
}

/// Everything that a snapshot holds.
pub fn everything(snapshot: &Snapshot) -> Vec<Series> {
    select(snapshot, &[], TimeRange::ALL)
}

/// What a query answers; it may not fail.
pub fn select(snapshot: &Snapshot, matchers: &[Matcher], range: TimeRange) -> Vec<Series> {
    let (found, errors) = salvage(snapshot, matchers, range);
    assert!(errors.is_empty(), "{errors:?}");
    found
}

/// What a query answers, and the errors that stand in the place of series.
pub fn salvage(
    snapshot: &Snapshot,
    matchers: &[Matcher],
    range: TimeRange,
) -> (Vec<Series>, Vec<Error>) {
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    let options = QueryOptions { samples_max: u64::MAX, ..QueryOptions::default() };
    match snapshot.select(matchers, range, &options) {
        Err(error) => errors.push(error),
        Ok(selection) => {
            for series in selection {
                match series {
                    Err(error) => errors.push(error),
                    Ok(series) => {
                        let samples = series.columns.iter().map(|(t, v)| (t, v.to_bits()));
                        found.push((series.labels, samples.collect()));
                    }
                }
            }
        }
    }
    (found, errors)
}
