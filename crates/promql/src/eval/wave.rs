//! Runs the series of a selection through the stages of a chain and into the sinks of its shares.
//!
//! Two orders meet here. A source reads neighbours of its own order best, one after the other, since
//! they lie in the same blocks. A sink must see the series of its share in Prometheus's order, or the
//! last bits of a sum would depend on how samples are stored. So series are taken in *waves*: some
//! hundred that follow each other in Prometheus's order.
//!
//! 1. The wave is put into the source's order and cut into *runs* of neighbours. Each run is read and
//!    goes through the stages, several at a time; the values of all steps are held.
//! 2. They are put back into Prometheus's order and given to the sinks of their shares, several shares
//!    at a time.
//!
//! Where waves and runs are cut, and how many threads there are, changes nothing in what a sink sees.

use rayon::prelude::*;

use super::chain::Stage;
use super::changed_labels::ChangedLabels;
use super::meter::Meter;
use super::ordered_list::OrderedList;
use super::share::{SHARES, ShareSink, share_of};
use super::sink::{Row, Sink};
use super::stage_run::StageRun;
use super::threads::Threads;
use crate::annotations::Annotations;
use crate::query_error::QueryError;
use crate::value::{LabelSet, StepColumn};

/// Bytes of values that a wave holds, about.
const WAVE_BYTES: usize = 4 << 20;
/// Most series of a wave.
const WAVE_SERIES_MAX: usize = 2048;
/// Most series of a run: about what a block of a source holds.
const RUN_SERIES_MAX: usize = 64;
/// Fewest series of a run, so that handing it to a thread pays.
const RUN_SERIES_MIN: usize = 8;

/// What waves run on.
#[derive(Clone, Copy)]
pub(super) struct Waves<'a, 'b> {
    pub(super) meter: &'a Meter,
    pub(super) list: &'a OrderedList<'b>,
    pub(super) stages: &'a [Stage],
    pub(super) changed: &'a ChangedLabels,
    /// The steps that come out of the last stage.
    pub(super) steps: usize,
    /// Where runs and shares go.
    pub(super) threads: Threads<'a>,
}

/// The sinks of the shares: [`SHARES`], of which those are there that have got a series.
type Sinks<'a, S> = Vec<Option<ShareSink<'a, S>>>;

/// A series that has gone through the stages.
struct Done<'a> {
    rank: u32,
    labels: &'a LabelSet,
    drop_name: bool,
    values: StepColumn,
}

impl<'a> Waves<'a, '_> {
    /// Runs all series into sinks of `make`, one for each share.
    pub(super) fn run<'s, S: Sink>(
        self,
        make: &(impl Fn() -> ShareSink<'s, S> + Sync),
        notes: &mut Annotations,
    ) -> Result<Sinks<'s, S>, QueryError> {
        let mut sinks = Vec::new();
        sinks.resize_with(SHARES, || None);
        let ranks: Vec<u32> = (0..u32::try_from(self.list.len()).unwrap_or(u32::MAX)).collect();
        let series_bytes = self.steps.max(1).saturating_mul(size_of::<f64>());
        let wave_series = (WAVE_BYTES / series_bytes).clamp(1, WAVE_SERIES_MAX);
        let mut spare: Vec<StepColumn> = Vec::new();
        for wave in ranks.chunks(wave_series) {
            let bytes = wave.len().saturating_mul(series_bytes);
            self.meter.hold(bytes)?;
            let done = self.read(wave, &mut spare, notes)?;
            spare = self.give(done, &mut sinks, make)?;
            self.meter.release(bytes);
        }
        Ok(sinks)
    }

    /// The series of a wave behind the last stage, in order of rank.
    fn read(
        &self,
        wave: &[u32],
        spare: &mut Vec<StepColumn>,
        notes: &mut Annotations,
    ) -> Result<Vec<Done<'a>>, QueryError> {
        let mut ranks = wave.to_vec();
        ranks.sort_unstable_by_key(|rank| self.list.order()[*rank as usize]);
        // More runs than threads: they take unequal time.
        let run_series = ranks.len() / (self.threads.count() * 4);
        let run_series = run_series.clamp(RUN_SERIES_MIN, RUN_SERIES_MAX);
        let runs: Vec<(&[u32], Vec<StepColumn>)> = ranks
            .chunks(run_series)
            .map(|run| (run, spare.split_off(spare.len().saturating_sub(run.len()))))
            .collect();
        let read = |(run, spare)| self.read_run(run, spare);
        let read: Vec<_> = if self.threads.are_many() {
            self.threads.run(|| runs.into_par_iter().map(read).collect::<Result<_, _>>())?
        } else {
            runs.into_iter().map(read).collect::<Result<_, _>>()?
        };
        let mut done = Vec::with_capacity(wave.len());
        for (run, own) in read {
            done.extend(run);
            notes.merge(own);
        }
        done.sort_unstable_by_key(|one: &Done<'_>| one.rank);
        Ok(done)
    }

    fn read_run(
        &self,
        ranks: &[u32],
        mut spare: Vec<StepColumn>,
    ) -> Result<(Vec<Done<'a>>, Annotations), QueryError> {
        let mut done = Vec::with_capacity(ranks.len());
        let mut run = StageRun::new(self.meter, self.stages, self.changed);
        run.fold(self.list, ranks, |row| {
            let Row { rank, labels, drop_name, values } = row;
            let values = values.take(spare.pop().unwrap_or_default());
            done.push(Done { rank, labels, drop_name, values });
        })?;
        Ok((done, run.into_notes()))
    }

    /// Gives the series of a wave to the sinks of their shares. Returns columns to use again.
    fn give<'s, S: Sink>(
        &self,
        done: Vec<Done<'a>>,
        sinks: &mut Sinks<'s, S>,
        make: &(impl Fn() -> ShareSink<'s, S> + Sync),
    ) -> Result<Vec<StepColumn>, QueryError> {
        let mut shares: Vec<Vec<Done<'a>>> = Vec::new();
        shares.resize_with(SHARES, Vec::new);
        let mut memory = Vec::new();
        for one in done {
            let share = self.list.share(one.rank).unwrap_or_else(|| {
                let changed = self.changed.last();
                let labels = changed.map_or(one.labels, |all| &all[self.list.key(one.rank)].0);
                share_of(labels, &mut memory)
            });
            shares[share].push(one);
        }
        let give = |(sink, share): (&mut Option<ShareSink<'s, S>>, Vec<Done<'a>>)| {
            let mut spare = Vec::with_capacity(share.len());
            for mut one in share {
                let sink = sink.get_or_insert_with(make);
                let Done { rank, labels, drop_name, values } = &mut one;
                sink.add(Row { rank: *rank, labels, drop_name: *drop_name, values })?;
                spare.push(one.values);
            }
            Ok::<_, QueryError>(spare)
        };
        let spare: Vec<Vec<StepColumn>> = if self.threads.are_many() {
            let give_all = || sinks.par_iter_mut().zip(shares).map(give).collect::<Result<_, _>>();
            self.threads.run(give_all)?
        } else {
            sinks.iter_mut().zip(shares).map(give).collect::<Result<_, _>>()?
        };
        Ok(spare.into_iter().flatten().collect())
    }
}
