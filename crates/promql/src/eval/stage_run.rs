//! The stages of a chain on one series after the other.

use super::chain::Stage;
use super::changed_labels::ChangedLabels;
use super::grid::Grid;
use super::lookup::look_up;
use super::meter::Meter;
use super::ordered_list::OrderedList;
use super::range::{self, RangeScratch, RangeSeries};
use super::sample_buffer::SampleBuffer;
use super::sink::Row;
use super::smoothed::{Blamed, smooth};
use super::statistics::ResetHints;
use super::vector::negate;
use crate::annotations::Annotations;
use crate::plan::LookupValue;
use crate::query_error::QueryError;
use crate::source::SampleColumns;
use crate::value::{LabelSet, StepColumn};

/// From so many steps on, time limit and cancellation are looked at before each stage of each series;
/// else before each series.
const LONG_STEPS: usize = 4096;

/// Runs the stages on one series after the other: what one thread needs for that.
pub(super) struct StageRun<'a> {
    meter: &'a Meter,
    stages: &'a [Stage],
    changed: &'a ChangedLabels,
    notes: Annotations,
    /// The values of the series at hand.
    values: StepColumn,
    /// The result of a range function, which then takes the place of `values`.
    next: StepColumn,
    samples: SampleBuffer,
    hints: ResetHints,
    scratch: RangeScratch,
}

impl<'a> StageRun<'a> {
    pub(super) fn new(meter: &'a Meter, stages: &'a [Stage], changed: &'a ChangedLabels) -> Self {
        Self {
            meter,
            stages,
            changed,
            notes: Annotations::default(),
            values: StepColumn::default(),
            next: StepColumn::default(),
            samples: SampleBuffer::default(),
            hints: ResetHints::default(),
            scratch: RangeScratch::default(),
        }
    }

    /// What was noticed in all series.
    pub(super) fn into_notes(self) -> Annotations {
        self.notes
    }

    /// Reads the series of `list` with these ranks and hands what comes out of the last stage to
    /// `take`; series without a value are left out.
    pub(super) fn fold(
        &mut self,
        list: &'a OrderedList<'_>,
        ranks: &[u32],
        mut take: impl FnMut(Row<'a, '_>),
    ) -> Result<(), QueryError> {
        let numbers: Vec<u32> = ranks.iter().map(|rank| list.order()[*rank as usize]).collect();
        let mut ranks = ranks.iter();
        let outline = self.stages.first().and_then(Stage::outline);
        let visit = |_, columns: &SampleColumns<'_>| {
            if let Some(rank) = ranks.next()
                && let Some(row) = self.read(list, *rank, columns)?
            {
                take(row);
            }
            Ok(())
        };
        match outline {
            Some(outline) => list.outline(&numbers, &outline, visit),
            None => list.fold(&numbers, visit),
        }
    }

    /// Runs a held series through the stages.
    pub(super) fn pass(
        &mut self,
        (labels, drop_name): (&'a LabelSet, bool),
        values: StepColumn,
        (rank, grid): (u32, Grid),
    ) -> Result<Option<Row<'a, '_>>, QueryError> {
        self.values = values;
        self.run_stages(0, (labels, drop_name), (rank, rank as usize), grid)
    }

    /// The first stage, over samples, and the others.
    fn read(
        &mut self,
        list: &'a OrderedList<'_>,
        rank: u32,
        columns: &SampleColumns<'_>,
    ) -> Result<Option<Row<'a, '_>>, QueryError> {
        let key = list.key(rank);
        let labels = &list.sets()[key];
        self.meter.read_samples(columns.floats.len() + columns.histograms.len())?;
        let Some(first) = self.stages.first() else { return Ok(None) };
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
                let series = RangeSeries { labels, samples, meter: self.meter };
                let out = &mut self.values;
                range::evaluate(call, &series, &mut self.scratch, &mut self.notes, out)?;
                call.windows.grid
            }
            _ => unreachable!("samples are looked up or in windows"),
        };
        let labels = self.behind(0, key, (labels, first.drops_name()));
        self.run_stages(1, labels, (rank, key), grid)
    }

    /// The labels behind a stage, and whether the name is to be dropped.
    fn behind(&self, stage: usize, key: usize, kept: (&'a LabelSet, bool)) -> (&'a LabelSet, bool) {
        match &self.changed.behind[stage] {
            Some(all) => {
                let (labels, drop_name) = &all[key];
                (labels, *drop_name)
            }
            None => kept,
        }
    }

    /// Runs the stages from `first` on on the values at hand; `None` if there is no value.
    fn run_stages(
        &mut self,
        first: usize,
        (mut labels, mut drop_name): (&'a LabelSet, bool),
        (rank, key): (u32, usize),
        mut grid: Grid,
    ) -> Result<Option<Row<'a, '_>>, QueryError> {
        let stages = self.stages;
        for (place, stage) in stages.iter().enumerate().skip(first) {
            if grid.count >= LONG_STEPS {
                self.meter.check()?;
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
                    let series = RangeSeries { labels, samples, meter: self.meter };
                    let out = &mut self.next;
                    range::evaluate(call, &series, &mut self.scratch, &mut self.notes, out)?;
                    std::mem::swap(&mut self.values, &mut self.next);
                    grid = call.windows.grid;
                }
                Stage::Labels(_) => {}
                Stage::Lookup(..) => unreachable!("samples are looked up first"),
            }
            let kept = (labels, drop_name || stage.drops_name());
            (labels, drop_name) = self.behind(place, key, kept);
        }
        if self.values.is_empty() {
            return Ok(None);
        }
        Ok(Some(Row { rank, labels, drop_name, values: &mut self.values }))
    }
}
