//! Chains: what is computed series by series, without holding them.
//!
//! A chain begins at series, those of a selection or of a value that is held, and leads through
//! *stages*, each of which makes one series of one series. It ends in a sink.
//!
//! Labels change in two stages: `label_replace` and `label_join`, and, without delayed name removal,
//! whatever drops names. They are computed for all series before any sample is read. Where two
//! series would become one there, the chain is cut: what comes before is held and merged, and the
//! rest is a chain over the merged series.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::binary::VectorScalar;
use super::grid::Grid;
use super::lookup::look_up;
use super::merge::{all_differ, merge_same_labels, same_labels_error};
use super::meter::{Meter, Ticker};
use super::range::{self, RangeCall, RangeScratch, RangeSeries};
use super::sample_buffer::SampleBuffer;
use super::share::{cut, fold_tree, hash};
use super::sink::{Collect, Row, Sink};
use super::smoothed::{Blamed, smooth};
use super::statistics::ResetHints;
use super::vector::{LabelTransform, SeriesFunction, negate};
use crate::annotations::Annotations;
use crate::ast::Span;
use crate::functions::Function;
use crate::plan::{Lookup, LookupValue};
use crate::query_error::QueryError;
use crate::source::{SampleColumns, SeriesList, SourceError};
use crate::value::{LabelSet, Series, StepColumn};

/// Longest labels of one series that a query may make, names and values together.
const LABELS_BYTES_MAX: usize = 1 << 20;

/// The work of changing the labels of a series, in samples looked at.
const LABELS_WORK: usize = 64;

/// From so many steps on, time limit and cancellation are looked at before each stage of each series;
/// else before each series.
const LONG_STEPS: usize = 4096;

/// For fewer series threads do not pay.
const PARALLEL_SERIES_MIN: usize = 64;

/// Where the series of a chain come from.
pub(super) enum Origin<'a> {
    /// A selection; the first stage is a [`Stage::Lookup`] or a [`Stage::Range`].
    List(Arc<OrderedList<'a>>),
    /// Series that are held, with values at the steps of this grid.
    Held(Vec<Series>, Grid),
}

/// What makes one series of one series.
pub(super) enum Stage {
    /// Of samples the newest at each step of the grid.
    Lookup(Lookup, Grid, Span),
    /// A function of windows: of samples, or of the values so far, which are those of a subquery.
    /// Of samples only their statistics may matter: [`Lookup::statistics`].
    Range(RangeCall, bool),
    Function(SeriesFunction),
    /// The unary minus.
    Negate,
    Scalar(VectorScalar, Vec<f64>),
    Labels(LabelTransform),
}

impl Stage {
    /// Whether the name goes: the series is no longer what it was called.
    fn drops_name(&self) -> bool {
        match self {
            Self::Lookup(lookup, ..) => {
                matches!(lookup.what, LookupValue::Timestamp | LookupValue::StartTimestamp)
            }
            // Nothing is named after the series that `absent_over_time` looks at.
            Self::Range(call, _) => !matches!(
                call.function,
                Function::LastOverTime | Function::FirstOverTime | Function::AbsentOverTime
            ),
            Self::Function(_) | Self::Negate => true,
            Self::Scalar(operator, _) => operator.drops_name(),
            Self::Labels(_) => false,
        }
    }
}

/// Series and the stages that they go through.
pub(super) struct Chain<'a> {
    pub(super) origin: Origin<'a>,
    pub(super) stages: Vec<Stage>,
}

impl Chain<'_> {
    /// The steps of what comes out.
    fn grid(&self) -> Grid {
        let last = self.stages.iter().rev().find_map(|stage| match stage {
            Stage::Lookup(_, grid, _) => Some(*grid),
            Stage::Range(call, _) => Some(call.windows.grid),
            _ => None,
        });
        match (&self.origin, last) {
            (_, Some(grid)) => grid,
            (Origin::Held(_, grid), None) => *grid,
            (Origin::List(_), None) => unreachable!("samples are looked up or in windows"),
        }
    }
}

/// A listed selection in Prometheus's order.
pub(super) struct OrderedList<'a> {
    list: Box<dyn SeriesList + 'a>,
    /// The series numbers in order of labels.
    order: Vec<u32>,
}

impl<'a> OrderedList<'a> {
    pub(super) fn new(list: Box<dyn SeriesList + 'a>) -> Self {
        let labels = list.labels();
        let mut order: Vec<u32> = (0..u32::try_from(labels.len()).unwrap_or(u32::MAX)).collect();
        let by_labels = |a: &u32, b: &u32| labels[*a as usize].cmp(&labels[*b as usize]);
        if !order.is_sorted_by(|a, b| by_labels(a, b).is_le()) {
            order.sort_unstable_by(by_labels);
        }
        Self { list, order }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Hands the samples of all series to `visit`, in order.
    pub(super) fn fold_all(
        &self,
        mut visit: impl FnMut(&LabelSet, &SampleColumns<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        self.fold(&self.order, |number, columns| {
            visit(&self.list.labels()[number as usize], columns)
        })
    }

    /// Hands the samples of the series with these numbers to `visit`.
    fn fold(
        &self,
        numbers: &[u32],
        mut visit: impl FnMut(u32, &SampleColumns<'_>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        // The source passes our errors on as its own: this keeps what they were.
        let mut failure = None;
        let folded = self.list.fold(numbers, &mut |number, columns| {
            visit(number, &columns).map_err(|error| {
                failure = Some(error);
                SourceError::from("the evaluation ended")
            })
        });
        match failure {
            Some(error) => Err(error),
            None => folded.map_err(QueryError::Source),
        }
    }

    fn labels(&self, rank: u32) -> &LabelSet {
        &self.list.labels()[self.order[rank as usize] as usize]
    }
}

/// The labels of a chain's series behind the stages that change them, by rank.
///
/// `behind[i]` is for stage `i`; `None` where it changes nothing, which is the rule.
struct ChangedLabels {
    behind: Vec<Option<Vec<(LabelSet, bool)>>>,
}

impl ChangedLabels {
    /// The labels that the sink sees, if any stage changes them.
    fn last(&self) -> Option<&[(LabelSet, bool)]> {
        self.behind.iter().rev().flatten().next().map(Vec::as_slice)
    }

    /// Bytes of the labels, which the meter knows of.
    fn bytes(&self) -> usize {
        let sets = self.behind.iter().flatten().flatten();
        sets.map(|(labels, _)| labels.encoded().len()).sum()
    }
}

/// What runs chains.
#[derive(Clone, Copy)]
pub(super) struct Runner<'a> {
    pub(super) meter: &'a Meter,
    /// Whether shares run on rayon's threads.
    pub(super) parallel: bool,
    /// Prometheus's delayed name removal: names are dropped when the evaluation ends.
    pub(super) delayed_names: bool,
}

impl Runner<'_> {
    /// Runs `chain` into sinks that `make` makes, one for each share; `None` without series.
    pub(super) fn run<S: Sink>(
        &self,
        mut chain: Chain<'_>,
        make: &(impl Fn() -> S + Sync),
        notes: &mut Annotations,
    ) -> Result<Option<S>, QueryError> {
        loop {
            let stage = match self.change_labels(&chain)? {
                Ok(labels) => {
                    let done = self.run_uncut(chain, &labels, make, notes)?;
                    self.meter.release(labels.bytes());
                    return Ok(done);
                }
                Err(stage) => stage,
            };
            // Behind this stage several series have the same labels. It changes the labels of held
            // series, which are then merged.
            let rest = chain.stages.split_off(stage + 1);
            let grid = chain.grid();
            let is_range = matches!(chain.stages[stage], Stage::Range(..));
            let held = self.run_ignoring_duplicates(chain, notes)?;
            if is_range && !all_differ(&held) {
                return Err(same_labels_error());
            }
            let held = merge_same_labels(held)?;
            self.meter.hold(held.iter().map(Series::held_bytes).sum())?;
            chain = Chain { origin: Origin::Held(held, grid), stages: rest };
        }
    }

    /// The series that come out of `chain`, in order; those that end up with the same labels are
    /// merged.
    pub(super) fn collect(
        &self,
        chain: Chain<'_>,
        notes: &mut Annotations,
    ) -> Result<Vec<Series>, QueryError> {
        let sink = self.run(chain, &Collect::default, notes)?;
        Ok(sink.map(Collect::finish).unwrap_or_default())
    }

    /// The series that come out of `chain`, which may have the same labels.
    fn run_ignoring_duplicates(
        &self,
        chain: Chain<'_>,
        notes: &mut Annotations,
    ) -> Result<Vec<Series>, QueryError> {
        let labels = match self.all_changes(&chain, false)? {
            Ok(labels) => labels,
            Err(_) => unreachable!("duplicates are not looked for"),
        };
        let sink = self.run_uncut(chain, &labels, &Collect::default, notes)?;
        self.meter.release(labels.bytes());
        Ok(sink.map(Collect::finish).unwrap_or_default())
    }

    fn change_labels(&self, chain: &Chain<'_>) -> Result<Result<ChangedLabels, usize>, QueryError> {
        self.all_changes(chain, true)
    }

    /// The labels behind all stages; or the first stage behind which two series have the same, if
    /// that is looked for.
    fn all_changes(
        &self,
        chain: &Chain<'_>,
        find_duplicates: bool,
    ) -> Result<Result<ChangedLabels, usize>, QueryError> {
        let mut behind: Vec<Option<Vec<(LabelSet, bool)>>> = Vec::new();
        let mut last_change = None;
        let mut dropped_since = false;
        for (place, stage) in chain.stages.iter().enumerate() {
            let drops = stage.drops_name();
            dropped_since |= drops;
            let changes = matches!(stage, Stage::Labels(_)) || (drops && !self.delayed_names);
            if !changes {
                behind.push(None);
                continue;
            }
            let mut ticker = Ticker::new(self.meter);
            let before = |rank: usize| match last_change.and_then(|at: usize| behind[at].as_ref()) {
                Some(all) => all[rank].clone(),
                None => chain.origin.labels(rank),
            };
            let mut changed = Vec::with_capacity(chain.origin.len());
            for rank in 0..chain.origin.len() {
                ticker.tick(LABELS_WORK)?;
                let (labels, mut drop_name) = before(rank);
                drop_name |= dropped_since && self.delayed_names;
                let labels = match stage {
                    Stage::Labels(transform) => transform.apply(&labels, &mut drop_name),
                    _ => labels.without_metric(),
                };
                self.hold_labels(&labels)?;
                changed.push((labels, drop_name && matches!(stage, Stage::Labels(_))));
            }
            let is_cut = find_duplicates && has_duplicates(&changed);
            behind.push(Some(changed));
            if is_cut {
                self.meter.release(ChangedLabels { behind }.bytes());
                return Ok(Err(place));
            }
            last_change = Some(place);
            dropped_since = false;
        }
        Ok(Ok(ChangedLabels { behind }))
    }

    /// Labels that are made count as held: a call of `label_join` in another may double them each
    /// time.
    fn hold_labels(&self, labels: &LabelSet) -> Result<(), QueryError> {
        let bytes = labels.encoded().len();
        if bytes > LABELS_BYTES_MAX {
            let max = LABELS_BYTES_MAX as u64;
            return Err(QueryError::Limit { what: "bytes of labels of a series", max });
        }
        self.meter.hold(bytes)
    }

    fn run_uncut<S: Sink>(
        &self,
        chain: Chain<'_>,
        labels: &ChangedLabels,
        make: &(impl Fn() -> S + Sync),
        notes: &mut Annotations,
    ) -> Result<Option<S>, QueryError> {
        let Chain { origin, stages } = chain;
        let runner = *self;
        // What sinks hold is metered while they gather; then their result is what is held.
        let held = AtomicUsize::new(0);
        let merge = |(mut left, mut left_notes): (S, Annotations), (right, right_notes)| {
            left_notes.merge(right_notes);
            left.merge(right);
            Ok((left, left_notes))
        };
        let new_share = || ShareRun::new(runner, (&stages, labels), make(), &held);
        let parallel = self.parallel && origin.len() >= PARALLEL_SERIES_MIN;
        let last = labels.last();
        let done = match origin {
            Origin::List(list) => {
                let ranks = (0..u32::try_from(list.len()).unwrap_or(u32::MAX)).collect();
                let shares = cut(ranks, |rank| match last {
                    Some(labels) => hash(&labels[*rank as usize].0),
                    None => hash(list.labels(*rank)),
                });
                let leaf = |ranks: Vec<u32>| new_share().fold(&list, &ranks);
                fold_tree(shares, parallel, &leaf, &merge)?
            }
            Origin::Held(series, grid) => {
                let ranked = (0u32..).zip(series).collect();
                let shares = cut(ranked, |(rank, series): &(u32, Series)| match last {
                    Some(labels) => hash(&labels[*rank as usize].0),
                    None => hash(&series.labels),
                });
                let leaf = |share| new_share().take(share, grid);
                fold_tree(shares, parallel, &leaf, &merge)?
            }
        };
        self.meter.release(held.into_inner());
        Ok(done.map(|(sink, own)| {
            notes.merge(own);
            sink
        }))
    }
}

impl Origin<'_> {
    fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Held(series, _) => series.len(),
        }
    }

    /// The labels of a series, and whether its name is to be dropped.
    fn labels(&self, rank: usize) -> (LabelSet, bool) {
        match self {
            Self::List(list) => {
                (list.labels(u32::try_from(rank).unwrap_or(u32::MAX)).clone(), false)
            }
            Self::Held(series, _) => (series[rank].labels.clone(), series[rank].drop_name),
        }
    }
}

fn has_duplicates(labels: &[(LabelSet, bool)]) -> bool {
    let mut seen = HashSet::with_capacity(labels.len());
    labels.iter().any(|(labels, _)| !seen.insert(labels))
}

/// Runs the stages on the series of one share.
struct ShareRun<'a, S> {
    runner: Runner<'a>,
    stages: &'a [Stage],
    changed: &'a ChangedLabels,
    sink: S,
    notes: Annotations,
    /// The values of the series at hand.
    values: StepColumn,
    /// The result of a range function, which then takes the place of `values`.
    next: StepColumn,
    samples: SampleBuffer,
    hints: ResetHints,
    scratch: RangeScratch,
    /// Bytes of the sink that the meter knows of.
    metered: usize,
    /// Those of all shares.
    held: &'a AtomicUsize,
}

impl<'a, S: Sink> ShareRun<'a, S> {
    fn new(
        runner: Runner<'a>,
        (stages, changed): (&'a [Stage], &'a ChangedLabels),
        sink: S,
        held: &'a AtomicUsize,
    ) -> Self {
        Self {
            runner,
            stages,
            changed,
            sink,
            notes: Annotations::default(),
            values: StepColumn::default(),
            next: StepColumn::default(),
            samples: SampleBuffer::default(),
            hints: ResetHints::default(),
            scratch: RangeScratch::default(),
            metered: 0,
            held,
        }
    }

    /// Reads the series of `list` with these ranks.
    fn fold(
        mut self,
        list: &OrderedList<'_>,
        ranks: &[u32],
    ) -> Result<(S, Annotations), QueryError> {
        let share: Vec<u32> = ranks.iter().map(|rank| list.order[*rank as usize]).collect();
        let mut ranks = ranks.iter();
        list.fold(&share, |_, columns| match ranks.next() {
            Some(rank) => self.read(list.labels(*rank), *rank, columns),
            None => Ok(()),
        })?;
        Ok((self.sink, self.notes))
    }

    /// Takes held series.
    fn take(
        mut self,
        share: Vec<(u32, Series)>,
        grid: Grid,
    ) -> Result<(S, Annotations), QueryError> {
        for (rank, series) in share {
            self.runner.meter.check()?;
            let bytes = series.held_bytes();
            self.values = series.values;
            self.run_stages(0, (&series.labels, series.drop_name), rank, grid)?;
            self.runner.meter.release(bytes);
        }
        Ok((self.sink, self.notes))
    }

    /// The first stage, over samples, and the others.
    fn read(
        &mut self,
        labels: &LabelSet,
        rank: u32,
        columns: &SampleColumns<'_>,
    ) -> Result<(), QueryError> {
        self.runner.meter.read_samples(columns.floats.len() + columns.histograms.len())?;
        let Some(first) = self.stages.first() else { return Ok(()) };
        let grid = match first {
            Stage::Lookup(lookup, grid, span) => {
                self.values.reset(grid.count);
                let columns = self.hints.applied(columns, lookup.statistics);
                if lookup.what == LookupValue::Smoothed {
                    let samples = self.samples.without_stale_markers(&columns);
                    let blamed = Blamed { labels, span: *span, notes: &mut self.notes };
                    smooth(lookup, *grid, &samples, blamed, &mut self.values);
                } else {
                    look_up(lookup, *grid, &columns, &mut self.values);
                }
                *grid
            }
            Stage::Range(call, statistics) => {
                self.values.reset(call.windows.grid.count);
                let columns = self.hints.applied(columns, *statistics);
                let samples = self.samples.without_stale_markers(&columns);
                let series = RangeSeries { labels, samples, meter: self.runner.meter };
                let out = &mut self.values;
                range::evaluate(call, &series, &mut self.scratch, &mut self.notes, out)?;
                call.windows.grid
            }
            _ => unreachable!("samples are looked up or in windows"),
        };
        let labels = self.behind(0, rank, (labels, first.drops_name()));
        self.run_stages(1, labels, rank, grid)
    }

    /// The labels behind a stage, and whether the name is to be dropped.
    fn behind<'b>(
        &self,
        stage: usize,
        rank: u32,
        kept: (&'b LabelSet, bool),
    ) -> (&'b LabelSet, bool)
    where
        'a: 'b,
    {
        match &self.changed.behind[stage] {
            Some(all) => {
                let (labels, drop_name) = &all[rank as usize];
                (labels, *drop_name)
            }
            None => kept,
        }
    }

    /// Runs the stages from `first` on on the values at hand, and gives them to the sink.
    fn run_stages(
        &mut self,
        first: usize,
        (mut labels, mut drop_name): (&LabelSet, bool),
        rank: u32,
        mut grid: Grid,
    ) -> Result<(), QueryError> {
        let stages = self.stages;
        for (place, stage) in stages.iter().enumerate().skip(first) {
            if grid.count >= LONG_STEPS {
                self.runner.meter.check()?;
            }
            match stage {
                Stage::Function(function) => function.apply(&mut self.values),
                Stage::Negate => negate(&mut self.values),
                Stage::Scalar(operator, scalars) => {
                    operator.apply(&mut self.values, scalars, &mut self.notes);
                }
                Stage::Range(call, _) => {
                    self.next.reset(call.windows.grid.count);
                    let samples = self.samples.of_steps(&self.values, grid);
                    let series = RangeSeries { labels, samples, meter: self.runner.meter };
                    let out = &mut self.next;
                    range::evaluate(call, &series, &mut self.scratch, &mut self.notes, out)?;
                    std::mem::swap(&mut self.values, &mut self.next);
                    grid = call.windows.grid;
                }
                Stage::Labels(_) => {}
                Stage::Lookup(..) => unreachable!("samples are looked up first"),
            }
            let kept = (labels, drop_name || stage.drops_name());
            (labels, drop_name) = self.behind(place, rank, kept);
        }
        if self.values.is_empty() {
            return Ok(());
        }
        let row = Row { rank, labels, drop_name, values: &mut self.values };
        self.sink.add(row, &mut self.notes);
        let held = self.sink.heap_bytes();
        if held > self.metered {
            self.held.fetch_add(held - self.metered, Ordering::Relaxed);
            self.runner.meter.hold(held - self.metered)?;
            self.metered = held;
        }
        Ok(())
    }
}
