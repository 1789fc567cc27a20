//! A snapshot of a store as a source of series for PromQL.

use std::ops::ControlFlow;

use siltstone::{
    Columns, Damage, Labels, Outline, QueryMemory, QueryOptions, ReadCost, SeriesSet, Snapshot,
    TimeScale, Timestamp,
};
use siltstone_promql::source::{KeptList, KindColumn, LabelKeeper, SampleColumns, SourceError};
use siltstone_promql::{
    Answer, Control, Engine, LabelSet, Query, QueryError, Queryable, SelectRequest, SeriesList,
};

/// A snapshot as PromQL reads it. Times of queries are in milliseconds, whatever the ticks of the store
/// are; of several samples within one millisecond the last counts.
///
/// ```
/// use siltstone::{Cancel, Db, MemoryPool, Options};
/// use siltstone_query::{Engine, Features, Limits, Query, StoreSource};
///
/// # let dir = tempfile::tempdir()?;
/// let db = Db::open(dir.path(), Options::default())?;
/// // What all queries of the program share.
/// let pool = MemoryPool::new(256 << 20, 8);
/// let engine = Engine {
///     limits: Limits { samples: 10_000_000, ..Limits::default() },
///     ..Engine::default()
/// };
///
/// let cancel = Cancel::default(); // kept by who may want to stop this query
/// let engine = engine.cancelled_by(cancel.clone()).counting_in(pool.query(u64::MAX));
/// let source = StoreSource::new(&db.snapshot()?);
/// let query = Query::parse("max_over_time(up[1h])", Features::default())?;
/// let answer = source.range(&engine, &query, (0, 86_400_000), 3_600_000)?;
/// println!("{} samples read", answer.samples_read);
/// # db.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct StoreSource {
    snapshot: Snapshot,
    /// Where damage is listed that is left out; `None` if it is an error.
    damage: Option<Damage>,
}

impl StoreSource {
    /// The series and samples of `snapshot`. Damage that a query meets is its error:
    /// [`QueryError::Source`] with a [`siltstone::Error::Lost`] or [`siltstone::Error::Corrupt`] that says where.
    #[must_use]
    pub fn new(snapshot: &Snapshot) -> Self {
        Self { snapshot: snapshot.clone(), damage: None }
    }

    /// Leaves out what is damaged or lost and lists it in `damage`. An older sample at the time of a lost
    /// one is left out, too.
    #[must_use]
    pub fn skipping_damage(self, damage: Damage) -> Self {
        Self { damage: Some(damage), ..self }
    }

    /// [`Engine::instant`] over this source; large parts run on the store's threads.
    ///
    /// # Errors
    /// Those of [`Engine::instant`].
    pub fn instant(
        &self,
        engine: &Engine,
        query: &Query,
        time: Timestamp,
    ) -> Result<Answer, QueryError> {
        self.on_threads(engine).instant(self, query, time)
    }

    /// [`Engine::range`] over this source; large parts run on the store's threads.
    ///
    /// # Errors
    /// Those of [`Engine::range`].
    pub fn range(
        &self,
        engine: &Engine,
        query: &Query,
        range: (Timestamp, Timestamp),
        step: i64,
    ) -> Result<Answer, QueryError> {
        self.on_threads(engine).range(self, query, range, step)
    }

    /// What is read.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Whether damage is left out.
    pub(crate) fn skips_damage(&self) -> bool {
        self.damage.is_some()
    }

    /// The engine, with the store's threads.
    fn on_threads(&self, engine: &Engine) -> Engine {
        Engine { executor: Some(self.snapshot.executor().clone()), ..engine.clone() }
    }
}

impl Queryable for StoreSource {
    fn list<'a>(
        &'a self,
        selection: &SelectRequest<'_>,
        control: &Control,
    ) -> Result<Box<dyn SeriesList + 'a>, SourceError> {
        let defaults = QueryOptions::default();
        let options = QueryOptions {
            // The evaluator counts samples, and bounds its memory, by limits of its own.
            samples_max: u64::MAX,
            bytes_max: Some(u64::MAX),
            memory: control.memory.clone(),
            timeout: control.time,
            cancel: Some(control.cancel.clone()),
            skip_damaged: self.damage.clone(),
            ..defaults
        };
        let scale = self.snapshot.time_scale();
        let range = scale.range(Some(selection.start), Some(selection.end));
        if let Some(keeper) = LabelKeeper::of(selection) {
            let keep = |before: Option<&Labels>, own: &Labels| {
                let kept = keeper.keep(before, own);
                if let Some(memory) = &control.memory {
                    memory.hold(kept.new_bytes())?;
                }
                Ok(kept)
            };
            let (set, series) =
                self.snapshot.list_as(selection.matchers, range, &options, &keep)?;
            let set_bytes = keeper.set_bytes();
            if let Some(kept) = keeper.finish(series) {
                let kept = Kept::new(kept, set_bytes, control.memory.clone())?;
                return Ok(Box::new(StoreList { set, labels: StoredLabels::Kept(kept), scale }));
            }
            if let Some(memory) = &control.memory {
                memory.release(set_bytes);
            }
        }
        let set = self.snapshot.list(selection.matchers, range, &options)?;
        let labels = StoredLabels::All(set.labels().iter().map(LabelSet::from).collect());
        Ok(Box::new(StoreList { set, labels, scale }))
    }
}

struct StoreList {
    set: SeriesSet,
    labels: StoredLabels,
    scale: TimeScale,
}

/// The labels of a list.
enum StoredLabels {
    /// Those of the engine's list, which are counted there.
    All(Vec<LabelSet>),
    Kept(Kept),
}

/// What the result keeps of labels, counted as held: the sets while they were listed.
struct Kept {
    list: KeptList,
    held_bytes: u64,
    memory: Option<QueryMemory>,
}

impl Kept {
    fn new(list: KeptList, set_bytes: u64, memory: Option<QueryMemory>) -> siltstone::Result<Self> {
        let held_bytes = set_bytes + list.series_bytes();
        let kept = Self { list, held_bytes, memory };
        if let Some(memory) = &kept.memory {
            memory.hold(kept.list.series_bytes())?;
        }
        Ok(kept)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(memory) = &self.memory {
            memory.release(self.held_bytes);
        }
    }
}

impl SeriesList for StoreList {
    fn labels(&self) -> &[LabelSet] {
        match &self.labels {
            StoredLabels::All(labels) => labels,
            StoredLabels::Kept(_) => &[],
        }
    }

    fn kept(&self) -> Option<&KeptList> {
        match &self.labels {
            StoredLabels::All(_) => None,
            StoredLabels::Kept(kept) => Some(&kept.list),
        }
    }

    fn cost(&self, outline: Option<&Outline>) -> Option<ReadCost> {
        self.set.cost(outline.filter(|_| self.counts_in_ms())).ok()
    }

    fn fold(
        &self,
        numbers: &[u32],
        visit: &mut dyn FnMut(u32, SampleColumns<'_>) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let mut failure = None;
        let mut converted = Converted::default();
        self.set.fold(numbers, &mut |number, columns| {
            let floats = match self.counts_in_ms() {
                true => of_columns(columns),
                false => converted.of(columns, self.scale),
            };
            let samples = SampleColumns { floats, ..SampleColumns::default() };
            flow(visit(number, samples), &mut failure)
        })?;
        failure.map_or(Ok(()), Err)
    }

    fn outline(
        &self,
        numbers: &[u32],
        outline: &Outline,
        visit: &mut dyn FnMut(u32, SampleColumns<'_>) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        // Of several samples within a millisecond one counts: which, is seen when they are read.
        if !self.counts_in_ms() {
            return self.fold(numbers, visit);
        }
        let mut failure = None;
        self.set.outline(numbers, outline, &mut |number, columns, float_counts| {
            let floats = of_columns(columns);
            let samples = SampleColumns { floats, float_counts, ..SampleColumns::default() };
            flow(visit(number, samples), &mut failure)
        })?;
        failure.map_or(Ok(()), Err)
    }
}

impl StoreList {
    fn counts_in_ms(&self) -> bool {
        self.scale.ticks_per_second() == 1000
    }
}

/// Goes on, or keeps why not.
fn flow(visited: Result<(), SourceError>, failure: &mut Option<SourceError>) -> ControlFlow<()> {
    match visited {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            *failure = Some(error);
            ControlFlow::Break(())
        }
    }
}

fn of_columns(columns: &Columns) -> KindColumn<'_, f64> {
    KindColumn {
        timestamps: &columns.timestamps,
        values: columns.values.f64(),
        start_timestamps: &[],
    }
}

/// Samples of a store that does not count in milliseconds.
#[derive(Default)]
struct Converted {
    timestamps: Vec<Timestamp>,
    values: Vec<f64>,
}

impl Converted {
    fn of(&mut self, columns: &Columns, scale: TimeScale) -> KindColumn<'_, f64> {
        self.timestamps.clear();
        self.values.clear();
        for (ticks, value) in columns.timestamps.iter().zip(columns.values.f64()) {
            let ms = scale.to_ms(*ticks);
            if self.timestamps.last() == Some(&ms) {
                self.timestamps.pop();
                self.values.pop();
            }
            self.timestamps.push(ms);
            self.values.push(*value);
        }
        KindColumn { timestamps: &self.timestamps, values: &self.values, start_timestamps: &[] }
    }
}
