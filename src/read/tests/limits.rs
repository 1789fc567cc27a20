//! Limits, deadlines, cancellation and damage.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::prepared::Prepared;
use super::*;
use crate::error::Error;
use crate::read::{Cancel, Damage};
use crate::sys::Clock;

/// What the list of a prepared source says that it holds.
const LIST_BYTES: u64 = 100;
/// What the labels of a series count as that was read ahead: their encoding, and what is beside it.
const LABELS_BYTES: u64 = 15 + 48;
/// What a list counts at most, which reads two series ahead.
const LISTED_BYTES: u64 = LIST_BYTES + 2 * LABELS_BYTES;

/// `series` series of `rows` samples, in batches of `batch_rows`.
fn prepared(series: usize, rows: i64, batch_rows: usize) -> Prepared {
    let writes: Vec<Write> =
        (0..series).flat_map(|n| (0..rows).map(move |t| (numbered(n), t, 1))).collect();
    Prepared::new(&writes, 1, batch_rows)
}

fn one(source: Prepared, executor: &Executor) -> (Arc<Sources>, Arc<Prepared>) {
    let source = Arc::new(source);
    (sources(vec![Arc::clone(&source) as Arc<_>], executor), source)
}

fn limit_of(result: Result<impl std::fmt::Debug>) -> String {
    match result {
        Err(Error::LimitExceeded(exceeded)) => exceeded.to_string(),
        other => panic!("no limit was reached: {other:?}"),
    }
}

#[test]
fn samples_are_limited_to_the_sample() {
    for executor in [Executor::Inline, pool(2)] {
        let (sources, _) = one(prepared(9, 100, 10), &executor);
        let with = |samples_max| QueryOptions { samples_max, ..QueryOptions::default() };
        assert_eq!(select(&sources, &[], TimeRange::ALL, &with(900)).unwrap().len(), 9);
        assert_eq!(scan(&sources, &[], TimeRange::ALL, &with(900)).unwrap().len(), 9);
        for result in [
            select(&sources, &[], TimeRange::ALL, &with(899)),
            scan(&sources, &[], TimeRange::ALL, &with(899)),
        ] {
            let message = limit_of(result);
            assert!(message.contains("900 samples, more than samples_max = 899"), "{message}");
        }
        // What comes before the limit is returned, whatever was decoded ahead; then it ends.
        let mut selection = sources.select(&[], TimeRange::ALL, &with(250)).unwrap();
        assert_eq!(selection.by_ref().take(2).filter(|series| series.is_ok()).count(), 2);
        assert!(matches!(selection.next(), Some(Err(Error::LimitExceeded(_)))));
        assert!(selection.next().is_none());
    }
}

#[test]
fn one_long_series_does_not_pass_the_limit_before_it_is_noticed() {
    let (sources, source) = one(prepared(1, 10_000, 10), &Executor::Inline);
    let options = QueryOptions { samples_max: 95, ..QueryOptions::default() };
    limit_of(select(&sources, &[], TimeRange::ALL, &options));
    assert_eq!(source.batches.load(Ordering::Relaxed), 10);
}

#[test]
fn series_are_limited() {
    let (sources, _) = one(prepared(5, 1, 10), &Executor::Inline);
    let with = |series_max| QueryOptions { series_max, ..QueryOptions::default() };
    assert_eq!(select(&sources, &[], TimeRange::ALL, &with(5)).unwrap().len(), 5);
    for message in [
        limit_of(select(&sources, &[], TimeRange::ALL, &with(4))),
        limit_of(scan(&sources, &[], TimeRange::ALL, &with(4))),
        limit_of(sources.series(&[], TimeRange::ALL, &with(4), 9)),
        limit_of(sources.label_values("n", &[], TimeRange::ALL, &with(4), 9)),
    ] {
        assert!(message.contains("5 series, more than series_max = 4"), "{message}");
    }
    assert_eq!(sources.series(&[], TimeRange::ALL, &with(4), 4).unwrap().len(), 4);
}

#[test]
fn memory_is_limited_by_the_largest_series_and_not_by_what_is_decoded_ahead() {
    for executor in [Executor::Inline, pool(2)] {
        let (sources, _) = one(prepared(9, 1000, 100), &executor);
        let with =
            |bytes_max| QueryOptions { bytes_max: Some(bytes_max), ..QueryOptions::default() };
        // All are listed before the first one is decoded; the last block is that of the ninth series.
        let bytes = 16_000 + LIST_BYTES + LABELS_BYTES;
        let all = select(&sources, &[], TimeRange::ALL, &with(bytes)).unwrap();
        assert_eq!(all.len(), 9);
        assert!(all.iter().all(|(_, samples)| samples.len() == 1000));
        let message = limit_of(select(&sources, &[], TimeRange::ALL, &with(bytes - 1)));
        let expected = format!("{bytes} bytes of memory, more than bytes_max");
        assert!(message.contains(&expected), "{message}");
        limit_of(select(&sources, &[], TimeRange::ALL, &with(99)));
        limit_of(sources.series(&[], TimeRange::ALL, &with(99), 9));
        limit_of(sources.label_values("n", &[], TimeRange::ALL, &with(99), 9));
    }
}

#[test]
fn what_is_decoded_ahead_makes_room_for_what_is_next() {
    // The first series fits alone only; meanwhile other threads decode those behind it.
    let rows = |n: usize| if n == 0 { 50_000 } else { 15_000 };
    let writes: Vec<Write> =
        (0..9).flat_map(|n| (0..rows(n)).map(move |t| (numbered(n), t, 1))).collect();
    let (sources, _) = one(Prepared::new(&writes, 1, 10), &pool(4));
    let bytes_max = Some(50_000 * 16 + LISTED_BYTES);
    let options = QueryOptions { bytes_max, ..QueryOptions::default() };
    for _ in 0..20 {
        let all = select(&sources, &[], TimeRange::ALL, &options).unwrap();
        let found: Vec<(Labels, usize)> = all.into_iter().map(|(l, s)| (l, s.len())).collect();
        let expected: Vec<(Labels, usize)> =
            (0..9).map(|n| (numbered(n), rows(n) as usize)).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_scan_of_a_long_series_needs_little_memory() {
    let (sources, _) = one(prepared(3, 300_000, 8192), &Executor::Inline);
    let bytes_max = Some(65_536 * 16 + LISTED_BYTES);
    let options = QueryOptions { bytes_max, ..QueryOptions::default() };
    let visited = scan(&sources, &[], TimeRange::ALL, &options).unwrap();
    assert!(visited.iter().all(|(_, samples)| samples.len() == 300_000) && visited.len() == 3);
    limit_of(select(&sources, &[], TimeRange::ALL, &options));
}

#[test]
fn a_cancelled_query_reads_no_further_batch() {
    static CANCEL: std::sync::OnceLock<Cancel> = std::sync::OnceLock::new();
    static LEFT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    fn cancel_at_third() {
        if LEFT.fetch_sub(1, Ordering::Relaxed) == 1 {
            CANCEL.get().unwrap().cancel();
        }
    }
    CANCEL.set(Cancel::default()).unwrap();
    LEFT.store(3, Ordering::Relaxed);
    let source = Prepared { on_batch: Some(cancel_at_third), ..prepared(100, 1000, 10) };
    let (sources, source) = one(source, &Executor::Inline);
    let options = QueryOptions { cancel: CANCEL.get().cloned(), ..QueryOptions::default() };
    let mut selection = sources.select(&[], TimeRange::ALL, &options).unwrap();
    assert!(matches!(selection.next(), Some(Err(Error::Cancelled))));
    assert!(selection.next().is_none());
    assert_eq!(source.batches.load(Ordering::Relaxed), 3);
    let every = [
        scan(&sources, &[], TimeRange::ALL, &options).err(),
        sources.series(&[], TimeRange::ALL, &options, 1).err(),
        sources.label_names(&[], TimeRange::ALL, &options, 1).err(),
        sources.label_values("n", &[], TimeRange::ALL, &options, 1).err(),
    ];
    assert!(every.iter().all(|e| matches!(e, Some(Error::Cancelled))), "{every:?}");
}

#[test]
fn time_runs_between_the_results_too() {
    let clock = Arc::new(SimClock::new(0));
    let source: Arc<dyn SeriesSource> = Arc::new(prepared(1, 100_000, 1000));
    let shared = Arc::clone(&clock) as Arc<dyn Clock>;
    let sources = Arc::new(Sources::new(vec![source], Executor::Inline, shared));
    let timeout = Some(Duration::from_secs(5));
    let options = QueryOptions { timeout, ..QueryOptions::default() };
    let mut visits = 0;
    let result = sources.scan(&[], TimeRange::ALL, &options, &mut |_, _| {
        visits += 1;
        clock.advance(Duration::from_secs(2));
        ControlFlow::Continue(())
    });
    assert!(matches!(result, Err(Error::Cancelled)));
    assert_eq!(visits, 3);
}

#[test]
fn damage_is_an_error_of_its_series_alone() {
    for executor in [Executor::Inline, pool(2)] {
        let source = Prepared { damaged: Some(numbered(1)), ..prepared(4, 100, 10) };
        let (sources, _) = one(source, &executor);
        let selection = sources.select(&[], TimeRange::ALL, &QueryOptions::default()).unwrap();
        let results: Vec<_> = selection.collect();
        assert_eq!(results.len(), 4);
        assert!(matches!(results[1], Err(Error::Corrupt { offset: 64, .. })));
        assert_eq!(results.iter().filter(|series| series.is_ok()).count(), 3);

        let damage = Damage::default();
        let options =
            QueryOptions { skip_damaged: Some(damage.clone()), ..QueryOptions::default() };
        for all in [
            select(&sources, &[], TimeRange::ALL, &options).unwrap(),
            scan(&sources, &[], TimeRange::ALL, &options).unwrap(),
        ] {
            let rows: Vec<usize> = all.iter().map(|(_, samples)| samples.len()).collect();
            assert_eq!(rows, [100, 90, 100, 100]);
        }
        let errors = damage.take();
        assert!(matches!(errors[..], [Error::Corrupt { .. }]), "one place, named once");
    }
}
