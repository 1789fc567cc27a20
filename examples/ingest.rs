//! Siltstone inside an ingestion service: threads that write batches by handle.
//!
//! ```text
//! cargo run -p siltstone --release --example ingest -- /tmp/example-store
//! ```

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

use std::error::Error;
use std::time::Duration;

use siltstone::{Db, Durability, Error as StoreError, Labels, Options, SeriesHandle, WriteBatch};

const WORKERS: usize = 4;
/// Series of each worker; a round is one sample of each of them.
const SERIES: usize = 250;
const ROUNDS: i64 = 100;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "example-store".into());
    // `Always` acknowledges what survives a power cut. This service can afford to lose a second to a
    // power cut, and nothing to a kill.
    let options =
        Options { durability: Durability::Interval(Duration::from_secs(1)), ..Options::default() };
    let db = Db::open(&dir, options)?;
    for finding in &db.open_report().findings {
        eprintln!("damage: {finding}");
    }

    // A `Db` is shared by its clones; threads that write at once share writes and syncs.
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let db = db.clone();
                scope.spawn(move || Worker::new(db, worker)?.run())
            })
            .collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(_) => Err(StoreError::Failed("a worker panicked".into())),
        })
    })?;

    let stats = db.stats();
    println!("{} samples of {} series in {dir}", stats.samples, stats.active_series);
    println!("a write took {} us at the median", stats.write.p50_us);
    // Flushes, and frees the directory for the next process. Without it the next opening recovers
    // from the log.
    db.close()?;
    Ok(())
}

struct Worker {
    db: Db,
    labels: Vec<Labels>,
    /// One for each label set: resolving labels once and writing by handle is the fast way.
    handles: Vec<SeriesHandle>,
}

impl Worker {
    fn new(db: Db, worker: usize) -> Result<Self, StoreError> {
        let worker = format!("worker-{worker}");
        let labels = (0..SERIES)
            .map(|sensor| {
                let sensor = sensor.to_string();
                Labels::from_pairs([
                    ("__name__", "temperature_celsius"),
                    ("instance", &worker),
                    ("sensor", &sensor),
                ])
            })
            .collect::<Result<Vec<_>, _>>()?;
        let handles = labels.iter().map(|l| db.series(l)).collect::<Result<_, _>>()?;
        Ok(Self { db, labels, handles })
    }

    fn run(mut self) -> Result<(), StoreError> {
        let mut batch = WriteBatch::new();
        for round in 0..ROUNDS {
            self.fill(&mut batch, 1_700_000_000_000 + round * 1000)?;
            // A series without samples for some flushes gives up its place in memory, and its handle
            // with it: it is resolved again, and the batch written again.
            let Self { db, labels, handles } = &mut self;
            db.write_renewing(&mut batch, |stale| {
                let i = handles.iter().position(|handle| *handle == stale);
                let i = i.expect("the batch has these handles");
                handles[i] = db.series(&labels[i])?;
                Ok(handles[i])
            })?;
        }
        Ok(())
    }

    /// One sample of each series. A batch is written whole or not at all; its memory is reused.
    fn fill(&self, batch: &mut WriteBatch, timestamp: i64) -> Result<(), StoreError> {
        batch.clear();
        for (i, handle) in self.handles.iter().enumerate() {
            batch.push(*handle, timestamp, 20.0 + (i % 10) as f64 / 10.0)?;
        }
        Ok(())
    }
}
