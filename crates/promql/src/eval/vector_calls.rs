//! Calls of functions that take whole instant vectors.

use std::sync::Arc;

use siltstone::Matcher;

use super::grid::Grid;
use super::lookup::look_up;
use super::run::{Evaluation, unexpected};
use super::vector::{HistogramCall, Info, InfoSample, InfoSelection, InfoSeries, Sort, join_info};
use crate::ast::{Span, ValueType};
use crate::functions::Function;
use crate::plan::{Lookup, LookupValue, Node, NodeId};
use crate::query_error::QueryError;
use crate::source::{Hints, SelectRequest};
use crate::value::{Series, StepColumn, is_absent};

impl Evaluation<'_> {
    /// Evaluates a call whose arguments are evaluated.
    pub(super) fn vector_function(
        &mut self,
        node: &Node,
        function: Function,
        (arguments, spans): (&[NodeId], &[Span]),
    ) -> Result<Vec<Series>, QueryError> {
        match function {
            Function::Sort
            | Function::SortDesc
            | Function::SortByLabel
            | Function::SortByLabelDesc => self.sort(node, function, arguments),
            _ => self.histogram_function(node, function, (arguments, spans)),
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
        self.meter().check()?;
        Ok(sort.apply(series, node.grid.count, &mut self.notes))
    }

    /// `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`.
    fn histogram_function(
        &mut self,
        node: &Node,
        function: Function,
        (arguments, spans): (&[NodeId], &[Span]),
    ) -> Result<Vec<Series>, QueryError> {
        let (mut parameters, mut label, mut series) = (Vec::new(), None, Vec::new());
        for id in arguments {
            match self.plan.node(*id).value_type {
                ValueType::Scalar => parameters.push(self.take_scalar(*id)?),
                ValueType::String => label = Some(self.take_text(*id)?),
                _ => series = self.use_vector(*id)?,
            }
        }
        let steps = node.grid.count;
        // What goes with the call and what the result may take, each before it is made.
        let mut bytes = series.iter().map(Series::held_bytes).sum::<usize>();
        if label.is_some() {
            bytes = bytes.saturating_add(HistogramCall::texts_bytes(&parameters));
        }
        self.meter().hold(bytes)?;
        let call =
            HistogramCall::prepare(function, parameters, label.as_deref(), spans, self.features)
                .ok_or_else(|| unexpected(function))?;
        let result_bytes =
            series.len().saturating_mul(call.series_per_histogram()).saturating_mul(8 * steps);
        self.meter().hold(result_bytes)?;
        let result = call.apply(&series, steps, self.runner.meter, &mut self.notes);
        self.meter().release(bytes.saturating_add(result_bytes));
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
        let base_bytes = base.iter().map(Series::held_bytes).sum();
        self.meter().hold(base_bytes)?;
        let found = match info.selection(&base) {
            Some(selection) => self.info_series(grid, &selection, lookup)?,
            None => Vec::new(),
        };
        let joined = join_info(&info, (&base, &found), self.meter())?;
        self.meter().release(found.len() * info_bytes(grid) + base_bytes);
        Ok(joined)
    }

    /// The info series that may belong to the base series. Each holds [`info_bytes`], which the
    /// caller releases.
    fn info_series(
        &self,
        grid: Grid,
        wanted: &InfoSelection,
        lookup: Lookup,
    ) -> Result<Vec<InfoSeries>, QueryError> {
        let (start, end) = lookup.needed(grid);
        let hints = Hints { function: Some(Function::Info.name()), ..Hints::default() };
        let selection = SelectRequest { matchers: &wanted.matchers, start, end, hints };
        let list = self.list_selection(&selection)?;
        let mut found = Vec::new();
        list.fold_all(|labels, columns| {
            if !wanted.accepts(labels) {
                return Ok(());
            }
            self.meter().read_samples(columns.floats.len() + columns.histograms.len())?;
            self.meter().hold(info_bytes(grid))?;
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
        Ok(found)
    }
}

/// What an info series takes, its labels aside, which the list has.
fn info_bytes(grid: Grid) -> usize {
    size_of::<InfoSeries>() + grid.count.saturating_mul(size_of::<InfoSample>())
}

#[cfg(test)]
mod tests {
    use crate::Query;
    use crate::eval::{Answer, Engine, Limits};
    use crate::flags::Features;
    use crate::query_error::QueryError;
    use crate::source::MemorySource;
    use crate::value::{LabelSet, Point};

    const STEPS: usize = 10_000;

    fn answer(query: &str, bytes: u64) -> Result<Answer, QueryError> {
        let mut source = MemorySource::new();
        let target = [("instance", "a"), ("job", "b")];
        for name in ["m", "target_info"] {
            let labels = [("__name__", name)].into_iter().chain(target);
            source.insert(&LabelSet::from_pairs(labels), 0, 0, Point::Float(1.0));
        }
        let limits = Limits { bytes, ..Limits::default() };
        let query = Query::parse(query, Features::experimental()).unwrap();
        Engine { limits, ..Engine::default() }.range(&source, &query, (0, STEPS as i64 - 1), 1)
    }

    #[test]
    fn info_series_are_held_until_they_are_joined() {
        // The base series and its result have 8 bytes a step, the info series 16, its winner 8.
        let needed = 40 * STEPS as u64;
        let answered = answer("info(m)", 1 << 30).unwrap();
        assert!(answered.bytes_peak > needed, "{}", answered.bytes_peak);
        let refused = answer("info(m)", needed);
        assert!(matches!(refused, Err(QueryError::Limit { what: "bytes of values", .. })));
    }

    #[test]
    fn texts_of_quantiles_are_bounded_before_they_are_made() {
        let many = r#"histogram_quantiles(none, "q", time() / 1e9)"#;
        let refused = answer(many, 40 * STEPS as u64);
        assert!(matches!(refused, Err(QueryError::Limit { what: "bytes of values", .. })));
        assert!(answer(many, 1 << 30).is_ok());
        let one = r#"histogram_quantiles(none, "q", 0.5)"#;
        assert!(answer(one, 40 * STEPS as u64).is_ok());
    }
}
