//! The read path against the oracle, over every kind of source.

// By path, over this crate's own types: those of a crate that depends on this one are others.
#[expect(dead_code, unreachable_pub, reason = "part of the crate of the tests, which delete")]
#[path = "../../../tests/support/src/oracle.rs"]
mod oracle;

mod aggregate;
mod in_segments;
mod limits;
mod model;
mod outline;
mod prepared;
mod series_set;

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{ContentDigest, MemtableView, Memtables, QueryOptions, Sources};
use crate::cursor::{Columns, SeriesSource};
use crate::error::Result;
use crate::memtable::Memtable;
use crate::series::Registry;
use crate::sys::{Executor, SimClock};
use crate::types::{Labels, LabelsLimits, Matcher, TimeRange};
use oracle::{Oracle, OracleSeries};

/// One write: (series, time, bits).
type Write = (Labels, i64, u64);

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

/// `s{n="0"}`, `s{n="1"}`, ...: in label order for one digit.
fn numbered(n: usize) -> Labels {
    labels(&[("__name__", "s"), ("n", &n.to_string())])
}

fn oracle(writes: &[Write]) -> Oracle {
    let mut oracle = Oracle::default();
    for (labels, time, bits) in writes {
        oracle.write(labels, *time, *bits);
    }
    oracle
}

fn pool(threads: usize) -> Executor {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    Executor::Threads(Arc::new(pool))
}

fn sources(sources: Vec<Arc<dyn SeriesSource>>, executor: &Executor) -> Arc<Sources> {
    Arc::new(Sources::new(sources, executor.clone(), Arc::new(SimClock::new(0))))
}

/// One memtable for each of `parts`, all of one registry. Rows that come after the view was taken,
/// and series that have only such rows, are there to be left out.
fn memtables(parts: &[&[Write]], first_seq: u64) -> Memtables {
    let registry = Arc::new(Registry::new([7; 32], LabelsLimits::default(), 1000));
    let late = labels(&[("__name__", "late"), ("only", "after")]);
    let mut views = Vec::new();
    for (seq, part) in (first_seq..).step_by(2).zip(parts) {
        let memtable = Arc::new(Memtable::new(1));
        let rows: Vec<(u32, i64, u64)> = part
            .iter()
            .map(|(labels, time, bits)| (registry.resolve(labels).unwrap().slot(), *time, *bits))
            .collect();
        memtable.append(rows.iter().copied(), seq);
        memtable.publish();
        views.extend(MemtableView::now(Arc::clone(&memtable)));
        let after = rows.iter().map(|&(slot, time, bits)| (slot, time.wrapping_add(1), !bits));
        let new = registry.resolve(&late).unwrap().slot();
        memtable.append(after.chain([(new, 5, 5)]).collect::<Vec<_>>(), seq + 1);
        memtable.publish();
    }
    Memtables::new(registry, views)
}

fn select(
    sources: &Arc<Sources>,
    matchers: &[Matcher],
    range: TimeRange,
    options: &QueryOptions,
) -> Result<Vec<OracleSeries>> {
    let series = sources.select(matchers, range, options)?.map(|series| {
        let series = series?;
        let samples = series.columns.iter().map(|(t, v)| (t, v.to_bits())).collect();
        Ok((series.labels, samples))
    });
    series.collect()
}

fn scan(
    sources: &Arc<Sources>,
    matchers: &[Matcher],
    range: TimeRange,
    options: &QueryOptions,
) -> Result<Vec<OracleSeries>> {
    let mut found: Vec<OracleSeries> = Vec::new();
    sources.scan(matchers, range, options, &mut |labels, columns| {
        assert!(!columns.is_empty(), "a visit has samples");
        let samples = columns.iter().map(|(t, v)| (t, v.to_bits()));
        match found.last_mut() {
            Some((last, all)) if last == labels => all.extend(samples),
            _ => found.push((labels.clone(), samples.collect())),
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// The digest of a selection, from one series a call.
fn digest(series: &[OracleSeries]) -> ContentDigest {
    let mut digest = ContentDigest::default();
    for (labels, samples) in series.iter().rev() {
        let mut columns = Columns::default();
        for &(time, bits) in samples {
            columns.timestamps.push(time);
            columns.values.f64_mut().push(f64::from_bits(bits));
        }
        digest.add(labels, &columns);
    }
    digest
}

/// Every kind of question gets the oracle's answer.
fn check(sources: &Arc<Sources>, oracle: &Oracle, matchers: &[Matcher], range: TimeRange) {
    let options = QueryOptions::default();
    let expected = oracle.select(matchers, range);
    assert_eq!(select(sources, matchers, range, &options).unwrap(), expected, "select");
    assert_eq!(scan(sources, matchers, range, &options).unwrap(), expected, "scan");
    series_set::check(sources, matchers, range, &expected);
    assert_eq!(sources.digest(matchers, range, &options).unwrap(), digest(&expected), "digest");
    let count = sources.count_series(matchers, range, &options).unwrap();
    assert_eq!(count, expected.len() as u64, "count");
    let names: Vec<Labels> = expected.into_iter().map(|(labels, _)| labels).collect();
    for limit in [usize::MAX, 2, 0] {
        let first = &names[..names.len().min(limit)];
        assert_eq!(sources.series(matchers, range, &options, limit).unwrap(), first);
        let mut expected = oracle.label_names(matchers, range);
        expected.truncate(limit);
        assert_eq!(sources.label_names(matchers, range, &options, limit).unwrap(), expected);
        for name in ["__name__", "n", "no such label"] {
            let mut expected = oracle.label_values(name, matchers, range);
            expected.truncate(limit);
            let values = sources.label_values(name, matchers, range, &options, limit);
            assert_eq!(values.unwrap(), expected);
        }
    }
}
