//! Calls of functions that take whole instant vectors.

use std::sync::Arc;

use siltstone::Matcher;

use super::grid::Grid;
use super::lookup::look_up;
use super::run::{Evaluation, unexpected};
use super::vector::{HistogramCall, Info, InfoSample, InfoSelection, InfoSeries, Sort};
use crate::ast::{Span, ValueType};
use crate::functions::Function;
use crate::plan::{Lookup, LookupValue, Node, NodeId};
use crate::query_error::QueryError;
use crate::source::{Hints, Selection};
use crate::value::{Series, StepColumn, is_absent};

impl Evaluation<'_> {
    /// Evaluates a call whose arguments are evaluated.
    pub(super) fn vector_function(
        &mut self,
        node: &Node,
        function: Function,
        arguments: &[NodeId],
    ) -> Result<Vec<Series>, QueryError> {
        match function {
            Function::Sort
            | Function::SortDesc
            | Function::SortByLabel
            | Function::SortByLabelDesc => self.sort(node, function, arguments),
            _ => self.histogram_function(node, function, arguments),
        }
    }

    fn sort(
        &mut self,
        node: &Node,
        function: Function,
        arguments: &[NodeId],
    ) -> Result<Vec<Series>, QueryError> {
        let [vector, labels @ ..] = arguments else { return Err(unexpected(function)) };
        let labels = labels.iter().map(|id| self.take_text(*id));
        let labels: Vec<Arc<[u8]>> = labels.collect::<Result<_, _>>()?;
        let series = self.use_vector(*vector)?;
        let sort = Sort::prepare(function, labels.iter().map(|label| &**label), node.span)
            .ok_or_else(|| unexpected(function))?;
        Ok(sort.apply(series, node.grid.count, &mut self.notes))
    }

    /// `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`.
    fn histogram_function(
        &mut self,
        node: &Node,
        function: Function,
        arguments: &[NodeId],
    ) -> Result<Vec<Series>, QueryError> {
        let (mut parameters, mut label, mut series) = (Vec::new(), None, Vec::new());
        for id in arguments {
            match self.plan.node(*id).value_type {
                ValueType::Scalar => parameters.push(self.take_scalar(*id)?),
                ValueType::String => label = Some(self.take_text(*id)?),
                _ => series = self.use_vector(*id)?,
            }
        }
        let spans: Vec<Span> = arguments.iter().map(|id| self.plan.node(*id).span).collect();
        let call =
            HistogramCall::prepare(function, parameters, label.as_deref(), &spans, self.features)
                .ok_or_else(|| unexpected(function))?;
        let steps = node.grid.count;
        // What the result may take, before it is made.
        let bytes =
            series.len().saturating_mul(call.series_per_histogram()).saturating_mul(8 * steps);
        self.meter().hold(bytes)?;
        let result = call.apply(&series, steps, &mut self.notes);
        self.meter().release(bytes);
        result
    }

    /// `info`: looks up the info series that may belong to the operand's series, and joins them.
    pub(super) fn info(
        &mut self,
        grid: Grid,
        (operand, matchers): (NodeId, &[Matcher]),
        lookup: Lookup,
    ) -> Result<Vec<Series>, QueryError> {
        let base = self.use_vector(operand)?;
        let info = Info::prepare(matchers);
        let found = match info.selection(&base) {
            Some(selection) => self.info_series(grid, &selection, lookup)?,
            None => Vec::new(),
        };
        info.join(&base, &found)
    }

    fn info_series(
        &self,
        grid: Grid,
        wanted: &InfoSelection,
        lookup: Lookup,
    ) -> Result<Vec<InfoSeries>, QueryError> {
        let (start, end) = lookup.needed(grid);
        let hints = Hints { function: Some(Function::Info.name()), ..Hints::default() };
        let selection = Selection { matchers: &wanted.matchers, start, end, hints };
        let list = self.list_selection(&selection)?;
        let mut found = Vec::new();
        list.fold_all(|labels, columns| {
            if !wanted.accepts(labels) {
                return Ok(());
            }
            self.meter().read_samples(columns.floats.len() + columns.histograms.len())?;
            self.meter().hold(grid.count * size_of::<InfoSample>())?;
            let mut values = StepColumn::absent(grid.count);
            look_up(&lookup, grid, columns, &mut values);
            let mut times = StepColumn::absent(grid.count);
            let times_lookup = Lookup { what: LookupValue::Timestamp, ..lookup };
            look_up(&times_lookup, grid, columns, &mut times);
            let sample = |(step, value): (usize, &f64)| match times.floats()[step] {
                time if is_absent(time) => InfoSample::None,
                _ if is_absent(*value) => InfoSample::Histogram,
                seconds => InfoSample::Float((seconds * 1000.0).round() as i64),
            };
            let samples = values.floats().iter().enumerate().map(sample).collect();
            found.push(InfoSeries { labels: labels.clone(), samples });
            Ok(())
        })?;
        // Held until the join is done, which ends this evaluation of the node.
        self.meter().release(found.len() * grid.count * size_of::<InfoSample>());
        Ok(found)
    }
}
