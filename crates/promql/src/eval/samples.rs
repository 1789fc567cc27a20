//! Range vectors as results: what an instant query for `x[5m]` or `x[5m:1m]` answers.

use siltstone::Timestamp;
use siltstone::types::STALE_MARKER_BITS;

use super::grid::Windows;
use super::query::ResultSeries;
use super::run::Evaluation;
use super::run::drop_names;
use crate::plan::{NodeId, RangeSource, SelectionId};
use crate::query_error::QueryError;
use crate::source::SampleColumns;
use crate::value::Point;

impl Evaluation<'_> {
    /// The samples of a range vector in its window, which is one: range queries have no range
    /// vectors as results.
    pub(super) fn samples(
        &mut self,
        source: RangeSource,
        windows: &Windows,
    ) -> Result<Vec<ResultSeries>, QueryError> {
        match source {
            RangeSource::Stored(id) => self.stored_samples(id, windows),
            RangeSource::Subquery(operand) => self.evaluated_samples(operand, windows),
        }
    }

    fn stored_samples(
        &mut self,
        id: SelectionId,
        windows: &Windows,
    ) -> Result<Vec<ResultSeries>, QueryError> {
        let list = self.list(id)?;
        let meter = self.meter();
        let (mut found, mut bytes) = (Vec::new(), 0);
        list.fold_all(|labels, columns| {
            let points = points_in(columns, windows);
            meter.read_samples(points.len())?;
            let own = points.len() * size_of::<(Timestamp, Point)>();
            meter.hold(own)?;
            bytes += own;
            if !points.is_empty() {
                found.push(ResultSeries { labels: labels.clone(), points });
            }
            Ok(())
        })?;
        // They are the answer now.
        meter.release(bytes);
        Ok(found)
    }

    fn evaluated_samples(
        &mut self,
        operand: NodeId,
        windows: &Windows,
    ) -> Result<Vec<ResultSeries>, QueryError> {
        let grid = self.plan.node(operand).grid;
        let chain = self.chain(operand)?;
        let series = self.runner.collect(chain, &mut self.notes)?;
        let (start, end) = (windows.start(0), windows.end(0));
        // The points are made before the columns go.
        let points: usize = series.iter().map(|series| series.values.len()).sum();
        let bytes = points.saturating_mul(size_of::<(Timestamp, Point)>());
        self.meter().hold(bytes)?;
        self.meter().release(bytes);
        let series = drop_names(series)?.into_iter().map(|series| {
            let times = series.values.iter().map(|(step, point)| (grid.time(step), point));
            let points = times.filter(|(time, _)| *time > start && *time <= end).collect();
            ResultSeries { labels: series.labels, points }
        });
        Ok(series.filter(|series| !series.points.is_empty()).collect())
    }
}

/// The samples of one series in a window, without stale markers, both kinds by time.
fn points_in(columns: &SampleColumns<'_>, windows: &Windows) -> Vec<(Timestamp, Point)> {
    let (start, end) = (windows.start(0), windows.end(0));
    let inside = |times: &[Timestamp]| {
        let behind = |bound: Timestamp| times.partition_point(|time| *time <= bound);
        behind(start)..behind(end)
    };
    let run = inside(columns.floats.timestamps);
    let mut points: Vec<(Timestamp, Point)> = Vec::with_capacity(run.len());
    let floats = columns.floats.timestamps[run.clone()].iter().zip(&columns.floats.values[run]);
    let floats = floats.filter(|(_, value)| value.to_bits() != STALE_MARKER_BITS);
    points.extend(floats.map(|(time, value)| (*time, Point::Float(*value))));
    let run = inside(columns.histograms.timestamps);
    if !run.is_empty() {
        let times = columns.histograms.timestamps[run.clone()].iter();
        let histograms = times.zip(&columns.histograms.values[run]);
        let histograms = histograms.filter(|(_, value)| !value.is_stale());
        points.extend(histograms.map(|(time, value)| (*time, Point::Histogram(value.clone()))));
        points.sort_by_key(|(time, _)| *time);
    }
    points
}
