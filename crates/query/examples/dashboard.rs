//! What a panel costs that moves by a step: evaluated as a whole each time, and continued from a cache.
//!
//! `cargo run --release -p siltstone-query --example dashboard [SERIES]`

#![allow(clippy::print_stdout, reason = "an example shows what it finds")]

use std::error::Error;
use std::time::Duration;

use siltstone::{Clock, Db, Labels, Options, SystemClock, TimeRange, WriteBatch};
use siltstone_query::{CacheUse, Engine, Features, Query, ResultCache, StoreSource};

const MINUTE: i64 = 60_000;
/// Time between samples.
const SCRAPE: i64 = 15_000;
/// Steps by which the panel moves.
const MOVES: i64 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let series: usize = std::env::args().nth(1).map_or(Ok(2000), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let db = Db::open(dir.path(), Options::default())?;
    fill(&db, series)?;
    let (engine, cache) = (Engine::default(), ResultCache::new(32 << 20));
    let query = Query::parse("sum by (job) (rate(requests_total[5m]))", Features::default())?;
    let clock = SystemClock::new();
    let (mut plain, mut cached) = (Duration::ZERO, Duration::ZERO);
    for moved in 0..=MOVES {
        let source = StoreSource::new(&db.snapshot()?);
        let range = ((5 + moved) * MINUTE, (365 + moved) * MINUTE);
        let begin = clock.monotonic();
        let expected = source.range(&engine, &query, range, MINUTE)?;
        let middle = clock.monotonic();
        let (answer, used) = cache.range(&source, &engine, &query, range, MINUTE)?;
        let end = clock.monotonic();
        assert_eq!(answer.value, expected.value);
        if let CacheUse::Partial { .. } = used {
            plain += middle - begin;
            cached += end - middle;
        }
    }
    let ms = |time: Duration| time.as_secs_f64() * 1e3 / MOVES as f64;
    println!("{series} series, 6 hours at steps of a minute, moved by a step {MOVES} times");
    println!("evaluated whole  {:9.3} ms", ms(plain));
    println!("continued        {:9.3} ms", ms(cached));
    println!("ratio            {:9.1}", ms(plain) / ms(cached));
    println!("kept             {:9} bytes", cache.stats().bytes);
    db.close()?;
    Ok(())
}

/// Seven hours of counters in 10 jobs.
fn fill(db: &Db, series: usize) -> Result<(), Box<dyn Error>> {
    let mut handles = Vec::new();
    for number in 0..series {
        let (job, instance) = (format!("job{}", number % 10), format!("i{number}"));
        let name = ("__name__", "requests_total");
        handles.push(db.series(&Labels::from_pairs([
            name,
            ("job", job.as_str()),
            ("instance", instance.as_str()),
        ])?)?);
    }
    let mut batch = WriteBatch::new();
    for t in 0..7 * 60 * MINUTE / SCRAPE {
        batch.clear();
        for (number, handle) in handles.iter().enumerate() {
            batch.push(*handle, t * SCRAPE, (t as usize * (number % 97 + 1)) as f64)?;
        }
        db.write(&batch)?;
    }
    db.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(()))?;
    Ok(())
}
