//! Answers of range queries that are kept, so that the next one costs what is new.
//!
//! A dashboard asks the same query again and again, each time moved by a step. [`ResultCache::range`] is
//! [`StoreSource::range`] with a memory: it takes from the answers that it has kept those steps that are
//! sure to be the same now, evaluates the steps before and behind them, and joins the parts.
//!
//! 1. A query may be answered in parts if its steps are a matter of the samples around them alone:
//!    [`Engine::reach`]. Others are evaluated as ever.
//! 2. What was kept under the same [`Key`] is looked at: the snapshot says at which times its content has
//!    changed since the mark of the kept answer ([`Snapshot::changed_since`](siltstone::Snapshot::changed_since));
//!    steps that reach there are not used. The longest run of the others is.
//! 3. At most one part before it and one behind it is evaluated, on the same snapshot, with the limits of
//!    the engine. Where a part fails, or notes anything, the whole is evaluated instead: errors and
//!    annotations are those of the whole.
//! 4. The parts are joined series by series, in order of labels, as the engine has them.
//! 5. The joined answer is kept with the mark of the snapshot, if it has floats only and no annotations.
//!
//! Called by the server for `/api/v1/query_range`, and by whoever embeds a store. Two equal queries at a
//! time are both evaluated; no lock is held meanwhile.
//!
//! # Invariants
//!
//! - An answer has the bits, series, labels and order that evaluating the whole gives on the same
//!   snapshot. Only the counts differ: they are those of the parts that were read.
//! - What is kept takes no more than `bytes_max`, keys and labels included; what was not asked for the
//!   longest goes first ([`kept`]).

mod extent;
mod join;
mod kept;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use siltstone::{Changes, Timestamp};
use siltstone_promql::{
    Answer, Engine, Features, Point, Query, QueryError, QueryValue, Reach, ResultSeries, print,
};

use crate::StoreSource;
use extent::{Extent, Steps};
use kept::Kept;

/// Answers larger than this part of the cache are not kept: they would drive out all others.
const ANSWER_PART: u64 = 8;
/// Bytes of a point of an answer.
const POINT_BYTES: u64 = size_of::<(Timestamp, Point)>() as u64;
/// Times beyond these, in milliseconds, are not looked up: sums of them might overflow.
const TIMES_MAX: u64 = 1 << 60;

/// A bounded memory of answers, for any number of queries at a time.
///
/// ```
/// use siltstone::{Db, Labels, Options, WriteBatch};
/// use siltstone_query::{CacheUse, Engine, Features, Query, ResultCache, StoreSource};
///
/// # let dir = tempfile::tempdir()?;
/// let db = Db::open(dir.path(), Options::default())?;
/// # let series = db.series(&Labels::from_pairs([("__name__", "requests_total")])?)?;
/// # let mut batch = WriteBatch::new();
/// # (0..240).try_for_each(|t| batch.push(series, t * 15_000, t as f64))?;
/// # db.write(&batch)?;
/// let cache = ResultCache::new(32 << 20);
/// let (engine, minute) = (Engine::default(), 60_000);
/// let query = Query::parse("sum(rate(requests_total[5m]))", Features::default())?;
///
/// let source = StoreSource::new(&db.snapshot()?);
/// let (_, used) = cache.range(&source, &engine, &query, (10 * minute, 40 * minute), minute)?;
/// assert_eq!(used, CacheUse::Miss);
/// // A minute later only the newest step is evaluated.
/// let (_, used) = cache.range(&source, &engine, &query, (11 * minute, 41 * minute), minute)?;
/// assert_eq!(used, CacheUse::Partial { steps: 30 });
/// # db.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ResultCache {
    kept: Kept,
    counters: Counters,
}

/// What became of a query in a [`ResultCache`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheUse {
    /// It cannot be answered in parts, and was evaluated.
    Unfit,
    /// Nothing that was kept was of use: it was evaluated.
    Miss,
    /// So many of its steps were there; the others were evaluated.
    Partial {
        /// How many, at least one.
        steps: u64,
    },
    /// All of its steps were there: nothing was read.
    Whole {
        /// How many, at least one.
        steps: u64,
    },
}

/// What a [`ResultCache`] holds, and what it has been good for since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Bytes of the answers that are kept, with their labels and keys.
    pub bytes: u64,
    /// The most bytes that may be.
    pub bytes_max: u64,
    /// Queries of which something is kept.
    pub queries: u64,
    /// Queries that could not be answered in parts.
    pub unfit: u64,
    /// Queries of which nothing was there.
    pub misses: u64,
    /// Queries of which a part was there.
    pub partial: u64,
    /// Queries of which everything was there.
    pub whole: u64,
    /// Steps that were there.
    pub steps: u64,
    /// Queries whose answers had to go for those of others.
    pub evicted: u64,
}

/// Counters of what happened; they only grow.
#[derive(Debug, Default)]
struct Counters {
    unfit: AtomicU64,
    misses: AtomicU64,
    partial: AtomicU64,
    whole: AtomicU64,
    steps: AtomicU64,
}

/// What answers must have in common to be continued one by the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// The query as it is printed: texts that mean the same are one.
    text: String,
    features: Features,
    /// Milliseconds.
    step: i64,
    /// Where the steps lie between two multiples of the step, in milliseconds.
    phase: i64,
    /// Milliseconds.
    lookback: i64,
    /// Milliseconds; the step of subqueries that have none.
    subquery_step: i64,
}

/// A query that may be answered in parts.
struct Lookup<'a> {
    source: &'a StoreSource,
    engine: &'a Engine,
    query: &'a Query,
    steps: Steps,
    reach: Reach,
}

impl ResultCache {
    /// A cache of at most `bytes_max` bytes; with 0 it keeps nothing.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self { kept: Kept::new(bytes_max), counters: Counters::default() }
    }

    /// [`StoreSource::range`], of which those steps are not evaluated that were kept and are the same on
    /// this snapshot. The answer is that of [`StoreSource::range`], bit for bit; its counts are those of
    /// what was evaluated. Of a source that leaves out damage, and of a
    /// [`ReadOnlyDb`](siltstone::ReadOnlyDb), nothing is taken and nothing kept.
    ///
    /// # Errors
    /// Those of [`StoreSource::range`]; limits on what is read count what is evaluated.
    pub fn range(
        &self,
        source: &StoreSource,
        engine: &Engine,
        query: &Query,
        (start, end): (Timestamp, Timestamp),
        step: i64,
    ) -> Result<(Answer, CacheUse), QueryError> {
        let started = engine.clock.monotonic();
        // Parts may have been evaluated in vain before: the limit of time is that of both.
        let whole = || source.range(&with_time_since(started, engine), query, (start, end), step);
        let steps = Steps::of((start, end), step);
        let steps = steps.filter(|steps| {
            let times = [start, end, step].map(i64::unsigned_abs);
            times.into_iter().all(|time| time <= TIMES_MAX)
                && steps.count <= engine.limits.steps as u64
                && self.kept.bytes_max() > 0
                && !source.skips_damage()
                && knows_changes(source)
        });
        let (Some(steps), Some(reach)) = (steps, engine.reach(query, step)) else {
            count(&self.counters.unfit, 1);
            return Ok((whole()?, CacheUse::Unfit));
        };
        let key = Arc::new(Key::new(engine, query, steps));
        let lookup = Lookup { source, engine, query, steps, reach };
        if let Some((extent, known)) = lookup.best_of(self.kept.get(&key))
            && let Some(answer) = lookup.continued(&extent, known)?
        {
            count(&self.counters.steps, known.count);
            if known == steps {
                count(&self.counters.whole, 1);
                return Ok((answer, CacheUse::Whole { steps: known.count }));
            }
            self.keep(&lookup, key, &answer);
            count(&self.counters.partial, 1);
            return Ok((answer, CacheUse::Partial { steps: known.count }));
        }
        let answer = whole()?;
        self.keep(&lookup, key, &answer);
        count(&self.counters.misses, 1);
        Ok((answer, CacheUse::Miss))
    }

    /// What it holds, and what it has been good for.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (bytes, queries, evicted) = self.kept.figures();
        CacheStats {
            bytes,
            bytes_max: self.kept.bytes_max(),
            queries,
            unfit: read(&self.counters.unfit),
            misses: read(&self.counters.misses),
            partial: read(&self.counters.partial),
            whole: read(&self.counters.whole),
            steps: read(&self.counters.steps),
            evicted,
        }
    }

    /// Keeps an answer, if it can be: without annotations, of floats, not too large, and with room for
    /// another copy of it in the memory of the query.
    fn keep(&self, lookup: &Lookup<'_>, key: Arc<Key>, answer: &Answer) {
        let QueryValue::Matrix(series) = &answer.value else { return };
        if is_noted(answer) {
            return;
        }
        let bytes = Extent::bytes_of(series, lookup.steps).saturating_add(key.bytes());
        if bytes > self.kept.bytes_max() / ANSWER_PART {
            return;
        }
        let memory = lookup.engine.memory.as_ref();
        if memory.is_none_or(|memory| memory.hold(bytes).is_ok()) {
            let mark = lookup.source.snapshot().mark();
            if let Some(extent) = Extent::new(series, lookup.steps, mark) {
                self.kept.put(key, extent);
            }
        }
        memory.into_iter().for_each(|memory| memory.release(bytes));
    }
}

impl Key {
    fn new(engine: &Engine, query: &Query, steps: Steps) -> Self {
        Self {
            text: print(query.ast()),
            features: query.features(),
            step: steps.step,
            phase: steps.first.rem_euclid(steps.step),
            lookback: engine.lookback,
            subquery_step: engine.subquery_step,
        }
    }

    /// Bytes that it takes.
    fn bytes(&self) -> u64 {
        (self.text.capacity() + size_of::<Self>()) as u64
    }
}

impl Lookup<'_> {
    /// The kept answer that has most of the steps asked for, and which of them it has.
    fn best_of(&self, extents: Vec<Arc<Extent>>) -> Option<(Arc<Extent>, Steps)> {
        let usable = extents.into_iter().filter_map(|extent| {
            let known = self.usable(&extent)?;
            Some((extent, known))
        });
        usable.max_by_key(|(_, known)| known.count)
    }

    /// The longest run of the steps asked for that a kept answer has and that nothing has changed for.
    fn usable(&self, extent: &Extent) -> Option<Steps> {
        let snapshot = self.source.snapshot();
        let Changes::Within(changes) = snapshot.changed_since(&extent.mark) else { return None };
        let scale = snapshot.time_scale();
        // A step sees from `before_ms` before it to `after_ms` behind it. In a millisecond more on both
        // sides: ticks may be shorter or longer.
        let blocked = |change: &RangeInclusive<Timestamp>| {
            let first = scale.to_ms(*change.start()).saturating_sub(1);
            let last = scale.to_ms(*change.end()).saturating_add(1);
            let from = first.saturating_sub(self.reach.after_ms);
            from..=last.saturating_add(self.reach.before_ms)
        };
        let common = self.steps.common_with(extent.steps)?;
        common.longest_without(changes.iter().map(blocked))
    }

    /// The answer made of the steps of `extent` that are `known`, and of those around them; `None` if it
    /// has to be made as a whole.
    fn continued(&self, extent: &Extent, known: Steps) -> Result<Option<Answer>, QueryError> {
        let parts = [self.steps.before(known), self.steps.behind(known)];
        let started = self.engine.clock.monotonic();
        let mut evaluated: [Vec<ResultSeries>; 2] = Default::default();
        let mut answer = Answer::of(self.query, QueryValue::Matrix(Vec::new()));
        for (part, series) in parts.into_iter().zip(&mut evaluated) {
            let Some(part) = part else { continue };
            let engine = with_time_since(started, self.engine);
            let range = (part.first, part.last());
            let own = match self.source.range(&engine, self.query, range, part.step) {
                Ok(own) => own,
                // Of several errors the whole has the earliest.
                Err(QueryError::Execution(_)) => return Ok(None),
                Err(error) => return Err(error),
            };
            answer.samples_read += own.samples_read;
            answer.bytes_peak = answer.bytes_peak.max(own.bytes_peak);
            let is_fit = !is_noted(&own);
            let QueryValue::Matrix(found) = own.value else { return Ok(None) };
            *series = found;
            if !is_fit {
                self.release(points_bytes(&evaluated[0]) + points_bytes(&evaluated[1]));
                return Ok(None);
            }
        }
        // What the engine would hold of a whole answer. The parts are given back when they are joined.
        let of_parts = points_bytes(&evaluated[0]) + points_bytes(&evaluated[1]);
        let bytes = of_parts + extent.points(known) * POINT_BYTES;
        if bytes > self.engine.limits.bytes {
            self.release(of_parts);
            return Ok(None);
        }
        if self.engine.cancel.is_cancelled() {
            return Err(QueryError::Cancelled);
        }
        if let Some(memory) = &self.engine.memory {
            memory.hold(bytes).map_err(QueryError::Memory)?;
        }
        let [before, behind] = evaluated;
        answer.value = QueryValue::Matrix(join::join(before, (extent, known), behind));
        self.release(of_parts);
        answer.bytes_peak = answer.bytes_peak.max(bytes);
        Ok(Some(answer))
    }

    /// Gives back bytes of answers that are not there any more.
    fn release(&self, bytes: u64) {
        self.engine.memory.iter().for_each(|memory| memory.release(bytes));
    }
}

/// The engine with the time that is left of its limit.
fn with_time_since(started: Duration, engine: &Engine) -> Engine {
    let mut engine = engine.clone();
    let spent = engine.clock.monotonic().saturating_sub(started);
    engine.limits.time = engine.limits.time.map(|time| time.saturating_sub(spent));
    engine
}

/// Bytes of the points of an answer, as the engine counts them.
fn points_bytes(series: &[ResultSeries]) -> u64 {
    series.iter().map(|one| one.points.len() as u64 * POINT_BYTES).sum()
}

/// Whether what changes is known at all: not beside another process that owns the store.
fn knows_changes(source: &StoreSource) -> bool {
    let snapshot = source.snapshot();
    snapshot.changed_since(&snapshot.mark()) != Changes::Everything
}

fn is_noted(answer: &Answer) -> bool {
    !answer.annotations.is_empty()
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
