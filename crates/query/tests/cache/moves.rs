//! What a panel that moves costs, and what bounds the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use siltstone::sys::Clock;
use siltstone::{Damage, Db, MemoryPool, Options, WriteBatch};
use siltstone_query::{
    CacheUse, Engine, Features, Limits, Query, QueryError, QueryValue, ResultCache, StoreSource,
};

use crate::compare::{Random, labels};
use crate::{HOUR, MINUTE, SECOND};

/// A store with one gauge, a sample a minute for two hours.
fn gauge(db: &Db) -> i64 {
    let base = 1_700_000_000_000 / HOUR * HOUR;
    let handle = db.series(&labels(&[("__name__", "g".to_owned())])).unwrap();
    let mut batch = WriteBatch::new();
    (0..120).for_each(|t| batch.push(handle, base + t * MINUTE, t as f64).unwrap());
    db.write(&batch).unwrap();
    base
}

#[test]
fn a_panel_that_moves_reads_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let base = gauge(&db);
    let (cache, engine) = (ResultCache::new(1 << 20), Engine::default());
    let query = Query::parse("max_over_time(g[2m])", Features::default()).unwrap();
    let ask = |text: &Query, start: i64, end: i64| {
        let source = StoreSource::new(&db.snapshot().unwrap());
        let range = (base + start * MINUTE, base + end * MINUTE);
        let (answer, used) = cache.range(&source, &engine, text, range, MINUTE).unwrap();
        (used, answer.samples_read)
    };
    assert_eq!(ask(&query, 10, 70), (CacheUse::Miss, 62));
    assert_eq!(ask(&query, 10, 70), (CacheUse::Whole { steps: 61 }, 0));
    assert_eq!(ask(&query, 11, 71), (CacheUse::Partial { steps: 60 }, 2));
    assert_eq!(ask(&query, 8, 73), (CacheUse::Partial { steps: 61 }, 4 + 3));
    // The same query, written otherwise.
    let same = Query::parse(" max_over_time ( g [120s] )", Features::default()).unwrap();
    assert_eq!(ask(&same, 9, 20), (CacheUse::Whole { steps: 12 }, 0));
    // A late sample of minute 30 is seen at minutes 30 and 31, and half a minute behind at 31 and 32.
    let handle = db.series(&labels(&[("__name__", "g".to_owned())])).unwrap();
    let mut batch = WriteBatch::new();
    batch.push(handle, base + 30 * MINUTE + 30 * SECOND, 1000.0).unwrap();
    db.write(&batch).unwrap();
    let (used, read) = ask(&query, 8, 73);
    assert_eq!(used, CacheUse::Partial { steps: 73 - 32 });
    assert!(read < 40, "{read}");
    assert_eq!(ask(&query, 8, 73).0, CacheUse::Whole { steps: 66 });
    let stats = cache.stats();
    assert_eq!((stats.misses, stats.partial, stats.whole), (1, 3, 3));
    assert_eq!(stats.queries, 1);
    db.close().unwrap();
}

#[test]
fn memory_is_counted_and_limits_hold() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let base = gauge(&db);
    let cache = ResultCache::new(1 << 20);
    let query = Query::parse("g", Features::default()).unwrap();
    let source = StoreSource::new(&db.snapshot().unwrap());
    let range = (base + HOUR, base + HOUR + 50 * MINUTE);
    let pool = MemoryPool::new(8 << 20, 4);
    for expected in [CacheUse::Miss, CacheUse::Whole { steps: 51 }] {
        let memory = pool.query(u64::MAX);
        let engine = Engine::default().counting_in(memory.clone());
        let (answer, used) = cache.range(&source, &engine, &query, range, MINUTE).unwrap();
        assert_eq!(used, expected);
        let QueryValue::Matrix(series) = &answer.value else { panic!("{answer:?}") };
        assert_eq!(memory.bytes_held(), series[0].points.len() as u64 * 24, "{used:?}");
    }
    // Without room for the answer.
    let engine = Engine::default().counting_in(MemoryPool::new(1000, 1).query(1000));
    let refused = cache.range(&source, &engine, &query, range, MINUTE);
    assert!(matches!(refused, Err(QueryError::Memory(_))), "{refused:?}");
    let mut engine = Engine::default();
    engine.limits.steps = 50;
    let refused = cache.range(&source, &engine, &query, range, MINUTE);
    assert!(matches!(refused, Err(QueryError::Limit { what: "steps", .. })), "{refused:?}");
    let cancelled = Engine::default();
    cancelled.cancel.cancel();
    let refused = cache.range(&source, &cancelled, &query, range, MINUTE);
    assert!(matches!(refused, Err(QueryError::Cancelled)), "{refused:?}");
    // Off.
    let off = ResultCache::new(0);
    for _ in 0..2 {
        let (_, used) = off.range(&source, &Engine::default(), &query, range, MINUTE).unwrap();
        assert_eq!(used, CacheUse::Unfit);
    }
    assert_eq!(off.stats().bytes, 0);
    db.close().unwrap();
}

/// Damage that somebody meets ends what was computed of the segment before.
#[test]
fn what_was_kept_of_a_damaged_segment_is_not_used() {
    damage_ends_what_was_kept(false);
    damage_ends_what_was_kept(true);
}

/// Damage is met by a query that fails of it, or first by one that leaves it out.
#[expect(clippy::disallowed_methods, reason = "damages the file of a store")]
fn damage_ends_what_was_kept(is_left_out: bool) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let (mut batch, mut random) = (WriteBatch::new(), Random(1));
    let base = 1_700_000_000_000 / HOUR * HOUR;
    for name in ["first", "last"] {
        for number in 0..200 {
            let pairs = [("__name__", name.to_owned()), ("number", number.to_string())];
            let handle = db.series(&labels(&pairs)).unwrap();
            for t in 0..60 {
                let value = random.below(1 << 40) as f64 / 7.0;
                batch.push(handle, base + t * MINUTE, value).unwrap();
            }
        }
    }
    db.write(&batch).unwrap();
    db.flush().unwrap();
    let cache = ResultCache::new(1 << 20);
    let ask = |text: &str| {
        let query = Query::parse(text, Features::default()).unwrap();
        let source = StoreSource::new(&db.snapshot().unwrap());
        let range = (base, base + HOUR);
        cache.range(&source, &Engine::default(), &query, range, MINUTE).map(|(_, used)| used)
    };
    assert_eq!(ask("sum(first)").unwrap(), CacheUse::Miss);
    assert_eq!(ask("sum(first)").unwrap(), CacheUse::Whole { steps: 61 });
    let is_segment = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "seg");
    let mut files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let path = files.find(is_segment).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    // The values of the last series lie in the second half.
    let middle = bytes.len() * 6 / 10;
    bytes[middle..middle + 8].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(&path, bytes).unwrap();
    // Nobody has met it yet.
    assert_eq!(ask("sum(first)").unwrap(), CacheUse::Whole { steps: 61 });
    if is_left_out {
        let damage = Damage::default();
        let source = StoreSource::new(&db.snapshot().unwrap()).skipping_damage(damage.clone());
        let query = Query::parse("sum(last)", Features::default()).unwrap();
        source.range(&Engine::default(), &query, (base, base + HOUR), MINUTE).unwrap();
        assert_eq!(damage.take().len(), 64, "an entry for each series of the block");
        assert_eq!(ask("sum(first)").unwrap(), CacheUse::Miss);
        assert_eq!(ask("sum(first)").unwrap(), CacheUse::Whole { steps: 61 });
    }
    let error = ask("sum(last)").unwrap_err();
    assert!(matches!(error, QueryError::Source(_)), "{error}");
    let then = if is_left_out { CacheUse::Whole { steps: 61 } } else { CacheUse::Miss };
    assert_eq!(ask("sum(first)").unwrap(), then);
    // It is known now.
    assert!(ask("sum(last)").is_err());
    assert_eq!(ask("sum(first)").unwrap(), CacheUse::Whole { steps: 61 });
    db.close().unwrap();
}

#[test]
fn of_a_store_of_another_process_nothing_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let base = gauge(&db);
    let other = siltstone::ReadOnlyDb::open(dir.path(), Options::default()).unwrap();
    let source = StoreSource::new(&other.snapshot());
    let cache = ResultCache::new(1 << 20);
    let query = Query::parse("g", Features::default()).unwrap();
    for _ in 0..2 {
        let range = (base, base + HOUR);
        let used = cache.range(&source, &Engine::default(), &query, range, MINUTE).unwrap().1;
        assert_eq!((used, cache.stats().bytes), (CacheUse::Unfit, 0));
    }
    db.close().unwrap();
}

#[test]
fn times_at_the_ends_are_no_trouble() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    gauge(&db);
    let source = StoreSource::new(&db.snapshot().unwrap());
    let cache = ResultCache::new(1 << 20);
    let query = Query::parse("g offset 5m", Features::default()).unwrap();
    let (first, last) = (i64::MIN, i64::MAX);
    for (range, step) in [
        ((first, first), 1),
        ((last, last), last),
        ((first, first + 10), last),
        ((-5, 5), last),
        ((1 << 60, (1 << 60) + 1), 1),
        ((-(1 << 60), 1 << 60), 1 << 59),
        ((first, last), 1),
        ((5, 4), 1),
        ((4, 5), 0),
        ((4, 5), first),
    ] {
        for _ in 0..2 {
            let expected = source.range(&Engine::default(), &query, range, step);
            let found = cache.range(&source, &Engine::default(), &query, range, step);
            match (found, expected) {
                (Ok((found, _)), Ok(expected)) => assert_eq!(found.value, expected.value),
                (Err(found), Err(expected)) => assert_eq!(found.to_string(), expected.to_string()),
                other => panic!("{other:?}"),
            }
        }
    }
    db.close().unwrap();
}

#[test]
fn of_a_store_that_leaves_out_damage_nothing_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let base = gauge(&db);
    let cache = ResultCache::new(1 << 20);
    let query = Query::parse("g", Features::default()).unwrap();
    let source = StoreSource::new(&db.snapshot().unwrap()).skipping_damage(Default::default());
    for _ in 0..2 {
        let range = (base, base + HOUR);
        let used = cache.range(&source, &Engine::default(), &query, range, MINUTE).unwrap().1;
        assert_eq!((used, cache.stats().bytes), (CacheUse::Unfit, 0));
    }
    db.close().unwrap();
}

/// A clock on which each look takes a millisecond.
#[derive(Debug, Default)]
struct LooksCost(AtomicU64);

impl Clock for LooksCost {
    fn wall_ms(&self) -> i64 {
        0
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Some steps are kept, those behind them are evaluated; these have a warning, and so the whole is
/// evaluated. Both together have the time of one query.
#[test]
fn a_part_in_vain_and_the_whole_share_the_time_of_the_query() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let base = gauge(&db);
    // From minute 40 on there is no such quantile.
    let sines = ["sin(", "cos("].repeat(20).concat() + "g" + &")".repeat(40);
    let text = format!("quantile(scalar(g) / 40, {sines})");
    let query = Query::parse(&text, Features::default()).unwrap();
    let source = StoreSource::new(&db.snapshot().unwrap());
    let clock = Arc::new(LooksCost::default());
    let ask = |cache: &ResultCache, end: i64, limit: u64| {
        let limits = Limits { time: Some(Duration::from_millis(limit)), ..Limits::default() };
        let engine = Engine { limits, clock: Arc::clone(&clock) as _, ..Engine::default() };
        let before = clock.0.load(Ordering::Relaxed);
        let range = (base, base + end * MINUTE);
        let asked = cache.range(&source, &engine, &query, range, MINUTE);
        (asked.map(|(_, used)| used), clock.0.load(Ordering::Relaxed) - before)
    };
    let nothing = ResultCache::new(0);
    let (_, whole) = ask(&nothing, 100, u64::MAX / 2);
    let cache = ResultCache::new(1 << 20);
    assert_eq!(ask(&cache, 20, u64::MAX / 2).0.unwrap(), CacheUse::Miss);
    let (used, both) = ask(&cache, 100, u64::MAX / 2);
    assert_eq!(used.unwrap(), CacheUse::Miss);
    assert!(both > whole + whole / 2, "the part costs something: {both}, {whole}");
    // The last answer was not kept, since it has a warning.
    assert_eq!(ask(&cache, 100, both + 5).0.unwrap(), CacheUse::Miss);
    let late = ask(&cache, 100, (whole + both) / 2).0.unwrap_err();
    assert!(matches!(late, QueryError::Timeout), "{late}");
    db.close().unwrap();
}
