//! The kept list of series: any order of reading, on several threads, yields what a selection does.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::prepared::Prepared;
use super::*;
use crate::error::Error;
use crate::read::{MemoryPool, QueryMemory};

/// Samples of one reading: (time, bits).
type Samples = Vec<(i64, u64)>;

/// Reads all series twice, in different orders and on two threads, and compares them with `expected`.
pub(super) fn check(
    sources: &Arc<Sources>,
    matchers: &[Matcher],
    range: TimeRange,
    expected: &[OracleSeries],
) {
    let memory = QueryMemory::new(u64::MAX);
    let options = QueryOptions { memory: Some(memory.clone()), ..QueryOptions::default() };
    let set = sources.list_all(matchers, range, &options).unwrap();
    assert!(set.labels().is_sorted_by(|a, b| a < b), "in label order, each once");
    let numbers: Vec<u32> = (0..set.labels().len() as u32).collect();
    let backwards: Vec<u32> = numbers.iter().rev().copied().collect();
    let found: Mutex<BTreeMap<Labels, Vec<Samples>>> = Mutex::default();
    let samples =
        |columns: &Columns| -> Samples { columns.iter().map(|(t, v)| (t, v.to_bits())).collect() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let visit = &mut |number: u32, columns: &Columns| {
                let labels = set.labels()[number as usize].clone();
                found.lock().unwrap().entry(labels).or_default().push(samples(columns));
                ControlFlow::Continue(())
            };
            set.fold(&backwards, visit).unwrap();
        });
        scope.spawn(|| {
            let mut read: BTreeMap<u32, Samples> = BTreeMap::new();
            let visit = &mut |number: u32, columns: &Columns| {
                assert!(!columns.is_empty(), "a batch has samples");
                read.entry(number).or_default().extend(samples(columns));
                ControlFlow::Continue(())
            };
            set.scan(&numbers, visit).unwrap();
            for number in &numbers {
                let labels = set.labels()[*number as usize].clone();
                let samples = read.remove(number).unwrap_or_default();
                found.lock().unwrap().entry(labels).or_default().push(samples);
            }
        });
    });
    let mut found = found.into_inner().unwrap();
    found.retain(|_, reads| reads.iter().any(|samples| !samples.is_empty()));
    assert_eq!(found.len(), expected.len(), "series with samples");
    for (labels, samples) in expected {
        assert_eq!(found[labels], [samples.clone(), samples.clone()], "{labels}");
    }
    let rows: usize = expected.iter().map(|(_, samples)| samples.len()).sum();
    assert!(set.cost(None).unwrap().samples >= rows as u64);
    let labels = set.labels().to_vec();
    drop(set);
    check_without_labels(sources, (matchers, range), &options, (&labels, expected));
    assert_eq!(memory.bytes_held(), 0, "what was held is given back");
}

/// A list that holds no labels: of the same series, with the same samples.
fn check_without_labels(
    sources: &Arc<Sources>,
    (matchers, range): (&[Matcher], TimeRange),
    options: &QueryOptions,
    (labels, expected): (&[Labels], &[OracleSeries]),
) {
    let take = |before: Option<&Labels>, own: &Labels| Ok((before.cloned(), own.clone()));
    let (set, taken) = sources.list_as(matchers, range, options, &take).unwrap();
    assert_eq!(set.series_count(), labels.len());
    let before = std::iter::once(None).chain(labels.iter().cloned().map(Some));
    assert_eq!(taken, before.zip(labels.iter().cloned()).collect::<Vec<_>>());
    let numbers: Vec<u32> = (0..labels.len() as u32).collect();
    let mut found: Vec<OracleSeries> = Vec::new();
    let visit = &mut |number: u32, columns: &Columns| {
        let samples: Samples = columns.iter().map(|(t, v)| (t, v.to_bits())).collect();
        if !samples.is_empty() {
            found.push((labels[number as usize].clone(), samples));
        }
        ControlFlow::Continue(())
    };
    set.fold(&numbers, visit).unwrap();
    assert_eq!(found, expected);
}

fn long_and_short() -> Arc<Sources> {
    let rows = |n: usize| if n == 1 { 20_000 } else { 10 };
    let writes: Vec<Write> =
        (0..3).flat_map(|n| (0..rows(n)).map(move |t| (numbered(n), t, 1))).collect();
    sources(vec![Arc::new(Prepared::new(&writes, 1, 100))], &Executor::Inline)
}

#[test]
fn a_fold_holds_its_longest_series_and_a_scan_does_not() {
    let sources = long_and_short();
    let pool = MemoryPool::new(512 << 10, 1);
    let memory = pool.query(u64::MAX);
    let options = QueryOptions { memory: Some(memory.clone()), ..QueryOptions::default() };
    let set = sources.list_all(&[], TimeRange::ALL, &options).unwrap();
    set.fold(&[2, 0], &mut |_, _| ControlFlow::Continue(())).unwrap();
    let mut rows = 0;
    let count = &mut |_, columns: &Columns| {
        rows += columns.len();
        ControlFlow::Continue(())
    };
    set.scan(&[1], count).unwrap();
    assert_eq!(rows, 20_000);
    assert!(memory.bytes_peak() < 20_000, "{} bytes", memory.bytes_peak());
    let refused = set.fold(&[0, 1, 2], &mut |_, _| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(Error::LimitExceeded(_))), "{refused:?}");
    drop((set, memory, options));
    assert_eq!(pool.bytes_taken(), 0);
}

#[test]
fn reading_ends_when_it_is_told_to() {
    let sources = long_and_short();
    let set = sources.list_all(&[], TimeRange::ALL, &QueryOptions::default()).unwrap();
    let mut seen = Vec::new();
    let visit = &mut |number, _: &Columns| {
        seen.push(number);
        if seen.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    set.fold(&[2, 0, 1], visit).unwrap();
    assert_eq!(seen, [2, 0]);
    let mut batches = 0;
    let visit = &mut |_, _: &Columns| {
        batches += 1;
        ControlFlow::Break(())
    };
    set.scan(&[1, 2], visit).unwrap();
    assert_eq!(batches, 1);
}
