//! Stores whose labels begin each other, read in Prometheus's order.

use hyper::StatusCode;
use proptest::prelude::*;
use siltstone::{Db, Labels, Options, WriteBatch};
use tempfile::TempDir;

use super::*;

/// One series as it was visited.
type Read = (LabelSet, Vec<(i64, u64)>);

struct Store {
    db: Db,
    _dir: TempDir,
}

fn store() -> Store {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("store"), Options::default()).unwrap();
    Store { db, _dir: dir }
}

impl Store {
    fn write(&self, labels: &[(&str, &str)], rows: i64) -> Read {
        let series = self.db.series(&Labels::from_pairs(labels.iter().copied()).unwrap()).unwrap();
        let mut batch = WriteBatch::new();
        let value = |row: i64| (row as u64).wrapping_mul(0x9e37_79b9) ^ labels.len() as u64;
        for row in 0..rows {
            batch.push_bits(series, row, value(row)).unwrap();
        }
        self.db.write(&batch).unwrap();
        let set = LabelSet::from_pairs(labels.iter().copied());
        (set, (0..rows).map(|row| (row, value(row))).collect())
    }

    fn read(&self, matchers: &[Matcher], series_max: usize) -> Result<Vec<Read>, Refusal> {
        let snapshot = self.db.snapshot().unwrap();
        let options = QueryOptions::default();
        let range = TimeRange::ALL;
        let ordered =
            Ordered { snapshot: &snapshot, matchers, range, series_max, options: &options };
        let mut series: Vec<Read> = Vec::new();
        ordered.scan(&mut |labels, columns| {
            let values = columns.values.f64().iter().map(|value| value.to_bits());
            let samples = columns.timestamps.iter().copied().zip(values);
            match series.last_mut() {
                Some((present, read)) if present == labels => read.extend(samples),
                _ => series.push((labels.clone(), samples.collect())),
            }
            ControlFlow::Continue(())
        })?;
        Ok(series)
    }
}

#[test]
fn hosts_with_numbers_come_in_prometheus_s_order() {
    let store = store();
    let mut expected: Vec<Read> = (0..120)
        .map(|i| store.write(&[("__name__", "up"), ("host", &format!("h{i}"))], 3))
        .collect();
    expected.push(store.write(&[("__name__", "up"), ("host", "h1"), ("job", "x")], 2));
    expected.push(store.write(&[("__name__", "up")], 2));
    expected.push(store.write(&[("__name__", "u"), ("host", "h1")], 2));
    expected.sort();
    let engine = store.db.snapshot().unwrap();
    let engine = engine.series(&[], TimeRange::ALL, &QueryOptions::default(), usize::MAX).unwrap();
    let engine: Vec<LabelSet> = engine.iter().map(LabelSet::from).collect();
    assert!(!engine.is_sorted(), "the two orders differ here");
    assert_eq!(store.read(&[], 1000).unwrap(), expected);
    store.db.flush().unwrap();
    assert_eq!(store.read(&[], 1000).unwrap(), expected);
    expected.retain(|(labels, _)| labels.get("host") == "h1");
    assert_eq!(store.read(&[Matcher::equal("host", "h1")], 1000).unwrap(), expected);
}

#[test]
fn long_series_come_whole() {
    let store = store();
    let rows = 70_000;
    let mut expected: Vec<Read> = ["1", "10", "100", "101", "2"]
        .iter()
        .map(|host| store.write(&[("host", host)], rows))
        .collect();
    expected.sort();
    assert_eq!(store.read(&[], 5).unwrap(), expected);
    let refusal = store.read(&[], 4).unwrap_err();
    assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
    assert!(refusal.message.contains("more than 4 series"), "{}", refusal.message);
}

#[test]
fn a_visitor_that_breaks_is_not_called_again() {
    let store = store();
    ["1", "10", "100", "2", "3"].iter().for_each(|host| drop(store.write(&[("host", host)], 1)));
    let snapshot = store.db.snapshot().unwrap();
    let options = QueryOptions::default();
    let ordered = Ordered {
        snapshot: &snapshot,
        matchers: &[],
        range: TimeRange::ALL,
        series_max: 10,
        options: &options,
    };
    for calls_max in 1..=5 {
        let mut calls = 0;
        let scanned = ordered.scan(&mut |_, _| {
            calls += 1;
            if calls == calls_max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        scanned.unwrap();
        assert_eq!(calls, calls_max);
    }
}

/// A label set of texts that begin each other.
fn labels() -> impl Strategy<Value = Vec<(String, String)>> {
    let text = "[a-b]{1,3}|ب{1,2}";
    prop::collection::btree_map(text, text, 1..4).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_labels_come_in_prometheus_s_order(sets in prop::collection::btree_set(labels(), 0..40)) {
        let store = store();
        let write = |(at, set): (usize, &Vec<(String, String)>)| {
            if at == 20 {
                store.db.flush().unwrap();
            }
            let labels: Vec<_> = set.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            store.write(&labels, 2)
        };
        let mut expected: Vec<Read> = sets.iter().enumerate().map(write).collect();
        expected.sort();
        prop_assert_eq!(store.read(&[], 100).unwrap(), expected);
    }
}
