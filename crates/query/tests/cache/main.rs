//! The result cache tries to lie: random histories of a store, and after each step queries of panels that
//! move, answered by the cache and by the plain engine on the same snapshot. Both must be equal bit for
//! bit, in labels and in order, notes and errors included.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod compare;
mod history;
mod moves;

use std::sync::atomic::{AtomicBool, Ordering};

use siltstone::{Db, Matcher, Options, Snapshot, TimeRange, WriteBatch};
use siltstone_query::{Engine, Features, Query, ResultCache};

use compare::{Panel, Random, Tally, all_series, ask};
use history::History;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

const QUERIES: &[&str] = &[
    "m",
    "rate(m[5m])",
    "sum(rate(m[5m]))",
    "sum by (x) (rate(m[3m]))",
    "avg without (y) (g)",
    "increase(m[10m] offset 20m)",
    "g offset -10m",
    "sum(g offset -3m) - sum(g offset 3m)",
    "max_over_time(g[7m])",
    "max_over_time(rate(m[2m])[10m:1m])",
    "count_over_time(g[10m:])",
    "min_over_time(sum(g)[5m:30s] offset 2m)",
    "absent(g{x=\"7\"})",
    "absent(g{x=\"1\",y=\"1\"})",
    "absent_over_time(g{x=\"1\"}[2m])",
    "topk(2, g)",
    "bottomk(1, rate(m[5m]))",
    "topk(2, sum by (x) (g))",
    "m / on (x, y) g",
    "sum by (x) (m) / on (x) group_left sum by (x) (g)",
    "sum(m * g)",
    "sum(sum by (y) (rate(m[5m])))",
    "sum(g or m)",
    "avg_over_time(g[5m])",
    "stddev_over_time(g[4m] offset -2m)",
    "avg(sum_over_time(g[10m:45s]))",
    "deriv(g[5m])",
    "g > 50",
    "g > bool 50",
    "g == 3",
    "g unless m > 300",
    "g and g offset 15m",
    "g or m",
    "g @ 1700000000",
    "g - g @ end()",
    "count_values(\"value\", round(g / 30))",
    "label_replace(g, \"z\", \"$1\", \"x\", \"(.*)\") > 20",
    "histogram_quantile(0.9, sum by (le) (rate(b_bucket[5m])))",
    "histogram_quantile(0.5, b_bucket)",
    "quantile(0.3, g)",
    "quantile(1.5, g)",
    "stddev(g)",
    "count(g) + scalar(sum(g))",
    "sum_over_time(g[5m])",
    "sum_over_time(g[30s])",
    "timestamp(g) - time()",
    "day_of_week() + minute()",
    "rate({x=\"1\"}[5m])",
    "changes(g[10m]) > 2",
    "{__name__=~\"g|m\",x=\"1\"}",
    "-{x=\"1\",y=\"0\"}",
    "rate(g[5m])",
    "1 + 1",
    "sort(g)",
];

#[test]
fn what_is_kept_is_never_different() {
    let mut tally = Tally::default();
    for seed in 0..24u64 {
        let mut history = History::new(seed * 7919 + 1);
        (0..60).for_each(|_| history.scrape());
        // The last one is so small that answers drive each other out.
        let cache = ResultCache::new(if seed % 8 == 7 { 96 << 10 } else { 8 << 20 });
        let engines = [(5 * MINUTE, MINUTE), (40 * SECOND, MINUTE), (5 * MINUTE, 8 * SECOND)];
        let engines = engines.map(|(lookback, subquery_step)| Engine {
            lookback,
            subquery_step,
            ..Engine::default()
        });
        let mut old: Option<Snapshot> = None;
        for _ in 0..400 {
            history.step();
            let snapshot = history.db.snapshot().unwrap();
            if history.random.below(10) == 0 {
                old = Some(snapshot.clone());
            }
            for _ in 0..3 {
                let number = history.next_panel();
                let panel = &history.panels[number];
                let engine = &engines[history.random.below(12).saturating_sub(9) as usize];
                // Now and then somebody is still at an older moment.
                let asked = old.as_ref().filter(|_| history.random.below(6) == 0);
                ask(&cache, asked.unwrap_or(&snapshot), engine, panel, &mut tally);
                let stats = cache.stats();
                assert!(stats.bytes <= stats.bytes_max, "{stats:?}");
            }
        }
    }
    let Tally { answers, steps, cached, points, continued } = tally;
    println!("{answers} answers, {cached} of {steps} steps were kept, {points} points");
    println!("continued: {} queries", continued.len());
    assert!(answers > 20_000 && points > 1_000_000, "{answers} {points}");
    assert!(cached * 3 > steps, "a third of the steps at least: {cached} of {steps}");
    assert!(continued.len() > QUERIES.len() / 2, "{continued:?}");
    assert!(!continued.iter().any(|text| text.contains('@') || text.contains("sort")));
}

#[test]
fn beside_writers_nothing_is_different() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let done = AtomicBool::new(false);
    let cache = ResultCache::new(8 << 20);
    let series = all_series();
    let base = 1_700_000_000_000 / MINUTE * MINUTE;
    std::thread::scope(|scope| {
        for writer in 0..2u64 {
            let (db, done, series) = (&db, &done, &series);
            scope.spawn(move || {
                let mut random = Random(writer + 1);
                for t in 0..2000i64 {
                    let mut batch = WriteBatch::new();
                    for labels in series.iter().skip(writer as usize).step_by(2) {
                        let handle = db.series(labels).unwrap();
                        let late = if random.below(20) == 0 { random.between(0, t + 1) } else { 0 };
                        let time = base + (t - late) * 5 * SECOND;
                        batch.push(handle, time, random.below(1000) as f64 / 7.0).unwrap();
                    }
                    db.write(&batch).unwrap();
                    if t % 300 == 299 {
                        db.flush().unwrap();
                    }
                    if t % 400 == 399 {
                        let end = base + random.between(0, t) * 5 * SECOND;
                        let range = TimeRange::new(end - 3 * MINUTE, end);
                        db.delete(&[Matcher::equal("x", "1")], range).unwrap();
                    }
                }
                done.store(true, Ordering::Release);
            });
        }
        for reader in 0..2usize {
            let (db, done, cache) = (&db, &done, &cache);
            scope.spawn(move || {
                let (mut tally, mut asked) = (Tally::default(), reader);
                while !done.load(Ordering::Acquire) || tally.answers < 50 {
                    let snapshot = db.snapshot().unwrap();
                    let newest = snapshot.extent().map_or(base, |(_, last)| last);
                    let text = QUERIES[asked % QUERIES.len()];
                    asked += 1;
                    let query = Query::parse(text, Features::default()).unwrap();
                    let end = newest.div_euclid(MINUTE) * MINUTE;
                    let panel = Panel { query, start: end - HOUR, end, step: MINUTE };
                    ask(cache, &snapshot, &Engine::default(), &panel, &mut tally);
                }
            });
        }
    });
    assert!(cache.stats().partial > 0, "{:?}", cache.stats());
    db.close().unwrap();
}
