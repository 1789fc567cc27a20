//! PromQL over a Siltstone store, in a program: no server, no async runtime.
//!
//! [`query`] and [`query_range`] answer a question about a [`Snapshot`], which comes from a
//! [`Db`](siltstone::Db) or a [`ReadOnlyDb`](siltstone::ReadOnlyDb). The answer is typed: label sets and
//! points.
//!
//! ```
//! use siltstone::{Db, Labels, Options, WriteBatch};
//! use siltstone_query::{Point, QueryValue, query};
//!
//! # let dir = tempfile::tempdir()?;
//! let db = Db::open(dir.path(), Options::default())?;
//! let mut batch = WriteBatch::new();
//! for (instance, rate) in [("a", 2.0), ("b", 3.0)] {
//!     let name = ("__name__", "http_requests_total");
//!     let labels = Labels::from_pairs([name, ("job", "api"), ("instance", instance)])?;
//!     let series = db.series(&labels)?;
//!     for t in 0..=20 {
//!         batch.push(series, t * 15_000, t as f64 * 15.0 * rate)?;
//!     }
//! }
//! db.write(&batch)?;
//!
//! let snapshot = db.snapshot()?;
//! let answer = query(&snapshot, "sum by (job) (rate(http_requests_total[5m]))", 300_000)?;
//! let QueryValue::Vector(series) = answer.value else { panic!("an instant vector") };
//! assert_eq!(series[0].labels.get("job"), "api");
//! let (_, Point::Float(rate)) = series[0].points[0] else { panic!("a float") };
//! assert!((rate - 5.0).abs() < 1e-9);
//! # db.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`StoreSource`] is the same in parts: with an [`Engine`] whose limits are set, and which can be
//! cancelled from another thread; with the memory of all queries of the program bounded by one
//! [`MemoryPool`](siltstone::MemoryPool); and with damage left out and listed. Everything of the language
//! is in [`siltstone_promql`], whose public names are those of this crate, too.
//!
//! [`ResultCache`] keeps answers of range queries, so that the same query a little later costs what is
//! new.
//!
//! # How answers are kept
//!
//! `crates/query` joins the two: `StoreSource` is a snapshot as a source, with milliseconds made of
//! ticks, the account of memory and the store's threads. The server and the command evaluate
//! through it. PromQL's conformance scripts run through it over stores in three layouts, and must
//! answer the bits that the same samples give in memory.
//!
//! *Answers are kept* (`crates/query/src/result_cache`). A panel asks the same query again, moved
//! by a step. Of the answer before those steps are taken whose reach marks used nothing that has
//! changed (`Snapshot::changed_since`); one part before them and one behind is evaluated on the
//! same snapshot, and the three are joined. The answer has the bits, series and order of the whole;
//! its counts are those of what was read.
//!
//! - The key is the printed query, the step and where the steps lie, lookback, the default step of
//!   subqueries, and the switches of the language. A query has up to four runs of steps: two people
//!   may look at different weeks of one panel.
//! - Kept are floats only, and no answer with annotations: those would have to be told by step.
//!   Where a part is noted anything or fails, the whole is evaluated, so that notes and errors are
//!   those of the whole. With `partial_response` nothing is taken or kept.
//! - It is bounded in bytes, labels and keys included; the least recently used go, and an answer of
//!   more than an eighth is not kept. No lock is held while anything is evaluated; two equal
//!   queries at a time are both evaluated.
//! - *Not done*: joining parts of several kept answers, and keeping instant queries, which cost one
//!   step.
//!

mod result_cache;
mod store_source;

pub use result_cache::{CacheStats, CacheUse, ResultCache};
use siltstone::{Snapshot, Timestamp};
pub use siltstone_promql::*;
pub use store_source::StoreSource;

/// Evaluates the query `text` at `time`, in milliseconds since the Unix epoch, with the default limits
/// of an [`Engine`]. The language is Prometheus's without experimental parts.
///
/// # Errors
/// [`QueryError`] says why there is no answer.
pub fn query(snapshot: &Snapshot, text: &str, time: Timestamp) -> Result<Answer, QueryError> {
    let query = Query::parse(text, Features::default())?;
    StoreSource::new(snapshot).instant(&Engine::default(), &query, time)
}

/// Evaluates the query `text` at `start`, `start + step`, ... up to `end`, all in milliseconds. As
/// [`query`] otherwise.
///
/// # Errors
/// [`QueryError`] says why there is no answer.
pub fn query_range(
    snapshot: &Snapshot,
    text: &str,
    (start, end): (Timestamp, Timestamp),
    step: i64,
) -> Result<Answer, QueryError> {
    let query = Query::parse(text, Features::default())?;
    StoreSource::new(snapshot).range(&Engine::default(), &query, (start, end), step)
}
