//! The public face of the evaluator: the engine, which turns a query into its answer.

use std::sync::Arc;

use siltstone::sys::Executor;
use siltstone::{
    Cancel, Clock, Outline, PatternCache, Patterns, QueryMemory, ReadCost, SystemClock, Timestamp,
};

use super::meter::{Limits, Meter};
use super::ordered_list::OrderedList;
use super::outline::{of_function, of_lookup};
use super::query::{Answer, Query, QueryValue, ResultSeries};
use super::run::{Evaluation, RootValue};
use super::runner::Runner;
use super::threads::Threads;
use crate::ast::ValueType;
use crate::plan::{
    self, Estimate, Explained, NodeKind, Plan, PlanOptions, RangeSource, Reach, ReachOptions, Times,
};
use crate::query_error::QueryError;
use crate::source::Queryable;
use crate::value::{LabelSet, Point, Series};

/// How queries are evaluated. One engine serves any number of queries at a time.
///
/// ```
/// use siltstone_promql::{Engine, Features, LabelSet, MemorySource, Point, Query, QueryValue};
///
/// let mut source = MemorySource::new();
/// let series = LabelSet::from_pairs([("__name__", "requests_total"), ("job", "api")]);
/// for t in 0..10 {
///     source.insert(&series, t * 15_000, 0, Point::Float(t as f64));
/// }
/// let query = Query::parse("sum by (job) (increase(requests_total[1m]))", Features::default())?;
/// let answer = Engine::default().instant(&source, &query, 120_000)?;
/// let QueryValue::Vector(series) = &answer.value else { panic!("an instant vector") };
/// assert_eq!(series[0].labels.get("job"), "api");
/// assert_eq!(series[0].points[0], (120_000, Point::Float(4.0)));
/// # Ok::<(), siltstone_promql::QueryError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Engine {
    /// How old the sample of an instant lookup may be, in milliseconds; 5 minutes by default. Less
    /// than 1 counts as 1.
    pub lookback: i64,
    /// The step of subqueries that have none, in milliseconds; a minute by default. Less than 1
    /// counts as 1.
    pub subquery_step: i64,
    /// What one query may use.
    pub limits: Limits,
    /// Whether large parts are evaluated on rayon's threads: the shares of at least 64 series, and
    /// operators between vectors of many values. Answers are the same.
    pub parallel: bool,
    /// Whose threads these are; `None` for rayon's own, or those of the pool that the caller is in.
    pub executor: Option<Executor>,
    /// Whether plans are optimised. Answers are the same.
    pub optimise: bool,
    /// Where the time comes from that [`Limits::time`] is measured by.
    pub clock: Arc<dyn Clock>,
    /// Stops the evaluations of this engine, for good; see [`Engine::cancelled_by`].
    pub cancel: Cancel,
    /// An account of memory in which, beside [`Limits::bytes`], everything is counted that an
    /// evaluation holds, what the source holds for it included. The bytes of an answer stay counted
    /// until the last clone of the account is dropped; so do those of an evaluation that failed. See
    /// [`Engine::counting_in`].
    pub memory: Option<QueryMemory>,
    /// Where compiled regular expressions are kept between queries; `None` to compile them for each.
    pub patterns: Option<PatternCache>,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            lookback: 300_000,
            subquery_step: 60_000,
            limits: Limits::default(),
            parallel: true,
            executor: None,
            optimise: true,
            clock: Arc::new(SystemClock::new()),
            cancel: Cancel::default(),
            memory: None,
            patterns: None,
        }
    }
}

impl Engine {
    /// An engine like this one for the queries that `cancel` stops. They end with
    /// [`QueryError::Cancelled`] at their next series.
    #[must_use]
    pub fn cancelled_by(&self, cancel: Cancel) -> Self {
        Self { cancel, ..self.clone() }
    }

    /// An engine like this one that counts in `memory`.
    #[must_use]
    pub fn counting_in(&self, memory: QueryMemory) -> Self {
        Self { memory: Some(memory), ..self.clone() }
    }

    /// Evaluates `query` at `time`, in milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`QueryError`] says why there is no answer.
    pub fn instant(
        &self,
        source: &dyn Queryable,
        query: &Query,
        time: Timestamp,
    ) -> Result<Answer, QueryError> {
        self.run(source, query, Times::Instant(time))
    }

    /// Evaluates `query` at `start`, `start + step`, ... up to `end`; all in milliseconds.
    ///
    /// # Errors
    /// [`QueryError`] says why there is no answer; it is [`QueryError::BadTimes`] also for a query
    /// whose value is a range vector or a string.
    pub fn range(
        &self,
        source: &dyn Queryable,
        query: &Query,
        (start, end): (Timestamp, Timestamp),
        step: i64,
    ) -> Result<Answer, QueryError> {
        self.run(source, query, Times::Range { start, end, step })
    }

    /// What an evaluation of `query` at `start`, `start + step`, ... up to `end` would do, as text,
    /// and what `source` has for it and reading that takes: series, samples, and chunks and bytes of files.
    /// Samples that need not be read ([`siltstone::Outline`]) are not counted. Lists series and reads no
    /// samples.
    ///
    /// ```
    /// # use siltstone_promql::{Engine, Features, LabelSet, MemorySource, Point, Query};
    /// let mut source = MemorySource::new();
    /// source.insert(&LabelSet::from_pairs([("__name__", "up")]), 0, 0, Point::Float(1.0));
    /// let query = Query::parse("sum by (job) (rate(up[1m]))", Features::default())?;
    /// let text = Engine::default().explain(&source, &query, (0, 60_000), 15_000)?;
    /// assert!(text.starts_with("sum by [\"job\"]  [5 steps of 15000 ms from 0 ms]"));
    /// assert!(text.ends_with("selection 0 has 1 series, about 1 samples\n"));
    /// # Ok::<(), siltstone_promql::QueryError>(())
    /// ```
    ///
    /// # Errors
    /// [`QueryError`]: the times make no sense, the source fails, or a limit is exceeded. A range
    /// vector or a string is explained, although [`Engine::range`] refuses it.
    pub fn explain(
        &self,
        source: &dyn Queryable,
        query: &Query,
        (start, end): (Timestamp, Timestamp),
        step: i64,
    ) -> Result<String, QueryError> {
        let plan = self.plan(query, Times::Range { start, end, step })?;
        let meter = self.meter();
        let mut estimates = Vec::with_capacity(plan.selections.len());
        for (selection, number) in plan.selections.iter().zip(0..) {
            let list = OrderedList::list(source, &selection.request(), &meter)?;
            meter.check()?;
            let cost = outlines(&plan, number).into_iter().try_fold(
                ReadCost::default(),
                |mut cost, outline| {
                    cost.add(list.cost(outline.as_ref())?);
                    Some(cost)
                },
            );
            estimates.push(Estimate { series: list.len(), cost });
        }
        Ok(Explained { plan: &plan, estimates: &estimates }.to_string())
    }

    /// How far around a step of a range query with steps of `step` milliseconds samples matter for the
    /// value there; whatever other steps are evaluated with it, it has the same bits then. `None` where
    /// the value depends on anything else, or might.
    #[must_use]
    pub fn reach(&self, query: &Query, step: i64) -> Option<Reach> {
        if query.features.delayed_name_removal || step < 1 {
            return None;
        }
        let (lookback, subquery_step) = (self.lookback.max(1), self.subquery_step.max(1));
        plan::reach(query.ast(), ReachOptions { lookback, subquery_step, step })
    }

    fn meter(&self) -> Meter {
        let meter = Meter::new(self.limits, self.cancel.clone(), self.clock.clone());
        match &self.memory {
            Some(memory) => meter.counting_in(memory.clone()),
            None => meter,
        }
    }

    fn plan(&self, query: &Query, times: Times) -> Result<Plan, QueryError> {
        let options = PlanOptions {
            lookback: self.lookback.max(1),
            subquery_step: self.subquery_step.max(1),
            steps_max: self.limits.steps,
            optimise: self.optimise,
        };
        plan::build(query.ast(), times, options)
    }

    /// What compiles the regular expressions that an evaluation of `query` meets.
    fn patterns(&self, query: &Query) -> Patterns {
        let (cancel, clock) = (self.cancel.clone(), self.clock.clone());
        let deadline = self.limits.time.map(|time| clock.monotonic().saturating_add(time));
        let goes_on = move || {
            !cancel.is_cancelled() && deadline.is_none_or(|deadline| clock.monotonic() <= deadline)
        };
        let patterns = Patterns::within(query.pattern_budget.clone()).while_true(goes_on);
        match &self.patterns {
            Some(cache) => patterns.cached(cache),
            None => patterns,
        }
    }

    fn run(
        &self,
        source: &dyn Queryable,
        query: &Query,
        times: Times,
    ) -> Result<Answer, QueryError> {
        let is_range = matches!(times, Times::Range { .. });
        let root_type = query.ast.get(query.ast.root()).value_type;
        if is_range && matches!(root_type, ValueType::Matrix | ValueType::String) {
            let message = format!(
                "invalid expression type \"{}\" for range query, must be Scalar or instant Vector",
                root_type.documented()
            );
            return Err(QueryError::BadTimes(message));
        }
        let plan = self.plan(query, times)?;
        let meter = self.meter();
        meter.check()?;
        let features = query.features;
        let delayed_names = features.delayed_name_removal;
        let threads = Threads::of(self.parallel, self.executor.as_ref());
        let runner = Runner { meter: &meter, threads, delayed_names, sorts_held: is_range };
        let patterns = self.patterns(query);
        let evaluation =
            Evaluation::new(&plan, source, (features, self.optimise), runner, patterns);
        let (root, annotations) = evaluation.run()?;
        debug_assert_eq!(meter.bytes_held(), 0, "what was held is given back: {}", query.text);
        // The points of the result take more than the columns that they are made of.
        meter.hold(root.points().saturating_mul(size_of::<(Timestamp, Point)>()))?;
        meter.check()?;
        Ok(Answer {
            value: result(root, &plan, is_range),
            annotations,
            samples_read: meter.samples(),
            bytes_peak: meter.bytes_peak(),
            text: query.text.clone(),
        })
    }
}

/// The root's value as a result.
fn result(root: RootValue, plan: &Plan, is_range: bool) -> QueryValue {
    match root {
        RootValue::Samples(mut series) => {
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
            QueryValue::Matrix(series)
        }
        RootValue::String(text) => QueryValue::String(text),
        RootValue::Scalar(values) if is_range => {
            let points = values.iter().enumerate();
            let points = points.map(|(step, v)| (plan.grid.time(step), Point::Float(*v))).collect();
            QueryValue::Matrix(vec![ResultSeries { labels: LabelSet::default(), points }])
        }
        RootValue::Scalar(values) => {
            QueryValue::Scalar(values.first().copied().unwrap_or(f64::NAN))
        }
        RootValue::Vector(series) => {
            let mut series: Vec<ResultSeries> =
                series.into_iter().map(|series| points(series, plan)).collect();
            if is_range {
                series.sort_by(|a, b| a.labels.cmp(&b.labels));
                QueryValue::Matrix(series)
            } else {
                QueryValue::Vector(series)
            }
        }
    }
}

fn points(series: Series, plan: &Plan) -> ResultSeries {
    let points = series.values.iter();
    let points = points.map(|(step, point)| (plan.grid.time(step), point)).collect();
    ResultSeries { labels: series.labels, points }
}

/// For each reader of a selection, how much of its samples it needs; `None` for all.
fn outlines(plan: &Plan, selection: usize) -> Vec<Option<Outline>> {
    let readers =
        plan.nodes.iter().filter_map(|node| match &node.kind {
            NodeKind::Lookup { selection: id, lookup } if id.index() == selection => {
                Some(of_lookup(lookup, node.grid))
            }
            NodeKind::RangeFunction {
                function, source: RangeSource::Stored(id), windows, ..
            } if id.index() == selection => Some(of_function(*function, windows)),
            _ => None,
        });
    let mut readers: Vec<Option<Outline>> = readers.collect();
    if readers.is_empty() {
        readers.push(None);
    }
    readers
}
