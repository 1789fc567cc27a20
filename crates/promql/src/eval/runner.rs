//! What runs chains: computes the labels behind their stages, cuts them into shares and merges what
//! the shares' sinks gathered.

use std::collections::HashSet;
use std::sync::atomic::AtomicUsize;

use super::chain::{Chain, Origin, Stage};
use super::changed_labels::ChangedLabels;
use super::grid::Grid;
use super::merge::{all_differ, merge_same_labels, same_labels_error};
use super::meter::{Meter, Ticker};
use super::share::{ShareSink, cut, fold_tree, share_of};
use super::sink::{Collect, Sink};
use super::stage_run::StageRun;
use super::threads::Threads;
use super::wave::Waves;
use crate::annotations::Annotations;
use crate::query_error::QueryError;
use crate::value::{LabelSet, Series};

/// The work of changing the labels of a series, in samples looked at.
const LABELS_WORK: usize = 64;

/// Longest labels of one series that a query may make, names and values together.
const LABELS_BYTES_MAX: usize = 1 << 20;

/// Bytes of a step of a subquery while a function goes over it.
const INNER_STEP_BYTES: usize = 40;

/// For fewer series threads do not pay.
const PARALLEL_SERIES_MIN: usize = 64;

/// What runs chains.
#[derive(Clone, Copy)]
pub(super) struct Runner<'a> {
    pub(super) meter: &'a Meter,
    /// Where runs of series and shares are evaluated, if there are enough of them.
    pub(super) threads: Threads<'a>,
    /// Prometheus's delayed name removal: names are dropped when the evaluation ends.
    pub(super) delayed_names: bool,
    /// Whether held series go to their sinks in the order of their labels, as those of a list do. Otherwise
    /// they go in the order in which they were made, which over a range depends on the first step of each:
    /// so would the last bits of sums.
    pub(super) sorts_held: bool,
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
                    let labels = self.in_order(&mut chain, labels);
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

    /// Puts held series into the order of the labels that the sink sees, if that is wanted.
    fn in_order(&self, chain: &mut Chain<'_>, labels: ChangedLabels) -> ChangedLabels {
        let Origin::Held(series, _) = &mut chain.origin else { return labels };
        let mut order: Vec<usize> = (0..series.len()).collect();
        let last = |at: usize| labels.last().map_or(&series[at].labels, |all| &all[at].0);
        if !self.sorts_held || order.is_sorted_by(|a, b| last(*a) <= last(*b)) {
            return labels;
        }
        order.sort_by(|a, b| last(*a).cmp(last(*b)));
        *series = permuted(std::mem::take(series), &order);
        let behind = labels.behind.into_iter();
        ChangedLabels { behind: behind.map(|all| all.map(|all| permuted(all, &order))).collect() }
    }

    /// The series that come out of `chain`, in order; those that end up with the same labels are
    /// merged.
    pub(super) fn collect(
        &self,
        chain: Chain<'_>,
        notes: &mut Annotations,
    ) -> Result<Vec<Series>, QueryError> {
        debug_assert!(!chain.origin.shares_sets(), "held series have all their labels");
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
            let before = |key: usize| match last_change.and_then(|at: usize| behind[at].as_ref()) {
                Some(all) => all[key].clone(),
                None => chain.origin.set(key),
            };
            let mut changed = Vec::with_capacity(chain.origin.set_count());
            // Series of a list that have the same name, and nothing else that goes with it, differ
            // without it as well.
            let is_drop = !matches!(stage, Stage::Labels(_));
            let mut stay_different =
                is_drop && last_change.is_none() && matches!(chain.origin, Origin::List(_));
            let mut metric: Option<LabelSet> = None;
            for key in 0..chain.origin.set_count() {
                ticker.tick(LABELS_WORK)?;
                let (whole, mut drop_name) = before(key);
                drop_name |= dropped_since && self.delayed_names;
                let labels = match stage {
                    Stage::Labels(transform) => transform.apply(&whole, &mut drop_name),
                    _ => whole.without_metric(),
                };
                if stay_different {
                    let first = metric.get_or_insert_with(|| whole.clone()).metric_name();
                    stay_different = whole.has_only_name(first, &labels);
                }
                self.hold_labels(&labels)?;
                changed.push((labels, drop_name && matches!(stage, Stage::Labels(_))));
            }
            // Where sets are shared and names go, series were found to differ without.
            let may_be_same = !stay_different && !chain.origin.shares_sets();
            let is_cut = find_duplicates && may_be_same && has_duplicates(&changed);
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
        let steps = chain.grid().count;
        let Chain { origin, stages } = chain;
        // What sinks hold is metered while they gather; then their result is what is held.
        let held = AtomicUsize::new(0);
        let merge = |(mut left, mut left_notes): (S, Annotations), (right, right_notes)| {
            left_notes.merge(right_notes);
            left.merge(right);
            (left, left_notes)
        };
        let is_large = origin.len() >= PARALLEL_SERIES_MIN;
        let threads = if is_large { self.threads } else { Threads::One };
        let parallel = threads.are_many();
        let new_sink = || ShareSink::new(make(), self.meter, &held);
        let inner = inner_bytes(&stages, steps).saturating_mul(threads.count());
        self.meter.hold(inner)?;
        let done = match origin {
            Origin::List(list) => {
                let (list, stages) = (&*list, &stages[..]);
                let waves =
                    Waves { meter: self.meter, list, stages, changed: labels, steps, threads };
                let sinks = waves.run(&new_sink, notes)?;
                let leaf = |sink: ShareSink<'_, S>| Ok(sink.finish());
                threads.run(|| fold_tree(sinks, parallel, &leaf, &merge))?
            }
            Origin::Held(series, grid) => {
                let ranked = (0u32..).zip(series).collect();
                let mut memory = Vec::new();
                let shares = cut(ranked, |(rank, series): &(u32, Series)| match labels.last() {
                    Some(labels) => share_of(&labels[*rank as usize].0, &mut memory),
                    None => share_of(&series.labels, &mut memory),
                });
                let leaf = |share: Vec<(u32, Series)>| {
                    self.pass_held(share, (&stages, labels, grid), new_sink())
                };
                threads.run(|| fold_tree(shares, parallel, &leaf, &merge))?
            }
        };
        self.meter.release(held.into_inner());
        self.meter.release(inner);
        Ok(done.map(|(sink, own)| {
            notes.merge(own);
            sink
        }))
    }

    /// Runs held series of one share through the stages and into its sink.
    fn pass_held<S: Sink>(
        &self,
        share: Vec<(u32, Series)>,
        (stages, changed, grid): (&[Stage], &ChangedLabels, Grid),
        mut sink: ShareSink<'_, S>,
    ) -> Result<(S, Annotations), QueryError> {
        // The labels outlive the run, the values are given away.
        let (labels, values): (Vec<_>, Vec<_>) = share
            .into_iter()
            .map(|(rank, series)| {
                let bytes = series.held_bytes();
                ((series.labels, series.drop_name), (rank, bytes, series.values))
            })
            .unzip();
        let mut run = StageRun::new(self.meter, stages, changed);
        for ((labels, drop_name), (rank, bytes, values)) in labels.iter().zip(values) {
            self.meter.check()?;
            if let Some(row) = run.pass((labels, *drop_name), values, (rank, grid))? {
                sink.add(row)?;
            }
            self.meter.release(bytes);
        }
        let (sink, mut notes) = sink.finish();
        notes.merge(run.into_notes());
        Ok((sink, notes))
    }
}

/// Bytes that one series takes inside of subqueries, which have more steps than `steps`: its values, these
/// as samples, and what a function keeps beside them.
fn inner_bytes(stages: &[Stage], steps: usize) -> usize {
    let grids = stages.iter().filter_map(|stage| match stage {
        Stage::Lookup(_, grid, _) => Some(*grid),
        Stage::Range(call, _) => Some(call.windows.grid),
        _ => None,
    });
    let most = grids.map(|grid| grid.count).max().unwrap_or(0);
    if most > steps { most.saturating_mul(INNER_STEP_BYTES) } else { 0 }
}

/// The items in another order: `order` has the place of each.
fn permuted<T>(items: Vec<T>, order: &[usize]) -> Vec<T> {
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    order.iter().filter_map(|at| items[*at].take()).collect()
}

fn has_duplicates(labels: &[(LabelSet, bool)]) -> bool {
    let mut seen = HashSet::with_capacity(labels.len());
    labels.iter().any(|(labels, _)| !seen.insert(labels))
}
