//! No answer depends on how a history is spread over sources, or on the executor.

use proptest::prelude::*;

use super::prepared::Prepared;
use super::*;

pub(super) fn series() -> impl Strategy<Value = Labels> {
    (0usize..5, 0usize..3).prop_map(|(n, shape)| match shape {
        0 => numbered(n),
        1 => labels(&[("__name__", "s"), ("n", &n.to_string()), ("شهر", "تهران")]),
        _ => labels(&[("__name__", "other"), ("zone", "a")]),
    })
}

pub(super) fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        12 => 0i64..50,
        1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX]),
    ]
}

fn bits() -> impl Strategy<Value = u64> {
    let special = vec![0x7ff0_0000_0000_0002, 0x7ff8_dead_beef_0001, 1 << 63, 0];
    prop_oneof![any::<u64>(), prop::sample::select(special)]
}

pub(super) fn history() -> impl Strategy<Value = Vec<Write>> {
    prop::collection::vec((series(), time(), bits()), 0..120)
}

pub(super) fn range() -> impl Strategy<Value = TimeRange> {
    prop_oneof![
        Just(TimeRange::ALL),
        (time(), time()).prop_map(|(start, end)| TimeRange::new(start, end)),
        (time(), 0i64..6)
            .prop_map(|(start, ticks)| TimeRange::new(start, start.saturating_add(ticks))),
    ]
}

pub(super) fn matchers() -> impl Strategy<Value = Vec<Matcher>> {
    let choices = vec![
        Matcher::equal("__name__", "s"),
        Matcher::not_equal("n", "1"),
        Matcher::regex("n", "[0-2]|").unwrap(),
        Matcher::not_regex("شهر", "ته.*").unwrap(),
        Matcher::equal("n", "9"),
        Matcher::equal("zone", ""),
    ];
    prop::collection::vec(prop::sample::select(choices), 0..3)
}

/// How each part of a history is kept.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Prepared { batch_rows: usize },
    Memtable,
    Segment,
}

/// Ends of the parts within a history, as parts of 1,000, and what keeps each.
pub(super) fn split() -> impl Strategy<Value = Vec<(usize, Kind)>> {
    let kind = prop_oneof![
        (1usize..9).prop_map(|batch_rows| Kind::Prepared { batch_rows }),
        Just(Kind::Memtable),
        Just(Kind::Segment),
    ];
    prop::collection::vec((0usize..=1000, kind), 0..5)
}

pub(super) fn spread(history: &[Write], split: &[(usize, Kind)]) -> Vec<Arc<dyn SeriesSource>> {
    let mut ends: Vec<(usize, Kind)> =
        split.iter().map(|&(end, kind)| (end * history.len() / 1000, kind)).collect();
    ends.sort_by_key(|&(end, _)| end);
    ends.push((history.len(), Kind::Memtable));
    let mut spread: Vec<Arc<dyn SeriesSource>> = Vec::new();
    let mut from = 0;
    let mut maker = in_segments::SegmentMaker::new();
    for ((end, kind), seq) in ends.into_iter().zip((1u64..).step_by(100)) {
        let part = &history[from..end];
        from = end;
        if part.is_empty() {
            continue;
        }
        match kind {
            Kind::Prepared { batch_rows } => {
                spread.push(Arc::new(Prepared::new(part, seq, batch_rows)));
            }
            // Two memtables of one registry, as when one is flushing.
            Kind::Memtable => {
                let (sealed, active) = part.split_at(part.len() / 2);
                spread.push(Arc::new(memtables(&[sealed, active], seq)));
            }
            Kind::Segment => spread.push(maker.segment(part, seq)),
        }
    }
    // Order of recency comes from the seqs alone.
    spread.reverse();
    spread
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_answer_depends_on_the_spread(
        history in history(),
        split in split(),
        questions in prop::collection::vec((matchers(), range()), 1..4),
    ) {
        let oracle = oracle(&history);
        let threads = threads();
        for executor in [&Executor::Inline, &threads] {
            let sources = sources(spread(&history, &split), executor);
            for (matchers, range) in &questions {
                check(&sources, &oracle, matchers, *range);
            }
        }
    }
}

/// One pool for all cases.
fn threads() -> Executor {
    static POOL: std::sync::OnceLock<Executor> = std::sync::OnceLock::new();
    POOL.get_or_init(|| pool(3)).clone()
}

#[test]
fn many_series_decoded_ahead() {
    // More series than are decoded at once, and parts that do not share them all.
    let at = |n: usize| labels(&[("__name__", "m"), ("n", &format!("{n:04}"))]);
    let part = |step: usize, bits: u64| -> Vec<Write> {
        let times = |n: usize| (0..20 + n as i64 % 7).map(move |t| (at(n), t * 3, bits));
        (0..1000).step_by(step).flat_map(times).collect()
    };
    let parts = [part(1, 1), part(3, 2), part(7, 3)];
    let oracle = oracle(&parts.concat());
    for executor in [Executor::Inline, pool(4)] {
        let list = parts.iter().zip(1..);
        let list = list.map(|(part, seq)| Arc::new(Prepared::new(part, seq, 11)) as Arc<_>);
        let sources = sources(list.collect(), &executor);
        check(&sources, &oracle, &[], TimeRange::new(1, 60));
    }
}

#[test]
fn long_series_come_in_order_beside_short_ones() {
    // Some longer than what is decoded ahead of a scan, and than a run.
    let rows = |n: usize| if n.is_multiple_of(3) { 200_000 } else { 10 };
    let part = |n: usize| (0..rows(n)).map(move |t| (numbered(n), t, t as u64));
    let history: Vec<Write> = (0..8).flat_map(part).collect();
    let oracle = oracle(&history);
    for executor in [Executor::Inline, pool(2)] {
        let sources = sources(vec![Arc::new(Prepared::new(&history, 1, 8192))], &executor);
        let expected = oracle.select(&[], TimeRange::ALL);
        let options = QueryOptions::default();
        assert!(select(&sources, &[], TimeRange::ALL, &options).unwrap() == expected);
        assert!(scan(&sources, &[], TimeRange::ALL, &options).unwrap() == expected);
    }
}

#[test]
fn a_scan_visits_bounded_batches_and_stops_when_told() {
    let history: Vec<Write> = (0..150_000).map(|t| (numbered(0), t, 1)).collect();
    let source = Arc::new(Prepared::new(&history, 1, 8192));
    let sources = sources(vec![Arc::clone(&source) as Arc<_>], &Executor::Inline);
    let mut visits = Vec::new();
    let mut visit = |_: &Labels, columns: &crate::cursor::Columns| {
        visits.push(columns.len());
        if visits.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    sources.scan(&[], TimeRange::ALL, &QueryOptions::default(), &mut visit).unwrap();
    assert_eq!(visits, [65_536, 8192, 8192]);
    assert_eq!(source.batches.load(std::sync::atomic::Ordering::Relaxed), 10);
}
