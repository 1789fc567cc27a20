//! Writes an hour of two counters and asks for their rates: `cargo run -p siltstone-query --example
//! rates`.

#![allow(clippy::print_stdout, reason = "an example shows what it finds")]

use std::error::Error;
use std::time::Duration;

use siltstone::{Clock, Db, Labels, MemoryPool, Options, SystemClock, WriteBatch};
use siltstone_query::{Engine, Features, Limits, Point, Query, QueryValue, StoreSource};

/// Seconds between samples.
const STEP_S: i64 = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::temp_dir().join("siltstone-example-rates");
    let db = Db::open(&dir, Options::default())?;
    let now = SystemClock::new().wall_ms();
    write_hour(&db, now)?;

    // What all queries of this program may hold together, and what each may read.
    let pool = MemoryPool::new(64 << 20, 4);
    let limits =
        Limits { samples: 1_000_000, time: Some(Duration::from_secs(10)), ..Limits::default() };
    let engine = Engine { limits, ..Engine::default() };
    let query = Query::parse("sum by (job) (rate(requests_total[5m]))", Features::default())?;

    // Each snapshot is one moment of the store, whatever is written meanwhile.
    let source = StoreSource::new(&db.snapshot()?);
    let engine = engine.counting_in(pool.query(u64::MAX));
    let answer = source.range(&engine, &query, (now - 600_000, now), 120_000)?;
    let QueryValue::Matrix(series) = &answer.value else { unreachable!("a range query") };
    for one in series {
        println!("{}", one.labels);
        for (time, point) in &one.points {
            if let Point::Float(rate) = point {
                println!("  {:>4} s ago  {rate:.2} requests per second", (now - time) / 1000);
            }
        }
    }
    println!("{} samples read, at most {} bytes held", answer.samples_read, answer.bytes_peak);
    db.close()?;
    Ok(())
}

/// Writes an hour of two counters that ends at `now`.
fn write_hour(db: &Db, now: i64) -> Result<(), Box<dyn Error>> {
    let mut batch = WriteBatch::new();
    for (job, per_second) in [("api", 12), ("batch", 3)] {
        let labels = Labels::from_pairs([("__name__", "requests_total"), ("job", job)])?;
        let series = db.series(&labels)?;
        for step in 0..=3600 / STEP_S {
            let age_s = 3600 - step * STEP_S;
            batch.push(series, now - age_s * 1000, (step * STEP_S * per_second) as f64)?;
        }
    }
    db.write(&batch)?;
    Ok(())
}
