//! An aggregation of a query, prepared once for all of its series.

use crate::annotations::{Annotation, Annotations};
use crate::ast::{AggregateOp, Grouping, Span};
use crate::query_error::QueryError;

use super::group_labels::GroupLabels;
use super::parameter::{self, Parameter, Prepared};

/// The places in the query that annotations of an aggregation blame.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AggregateSpans {
    /// The whole aggregation.
    pub(crate) whole: Span,
    /// The expression that is aggregated.
    pub(crate) operand: Span,
    /// The parameter; not looked at where there is none.
    pub(crate) parameter: Span,
}

/// An aggregation as it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AggregateNode<'a> {
    pub(crate) op: AggregateOp,
    pub(crate) grouping: &'a Grouping,
    pub(crate) spans: AggregateSpans,
}

/// An aggregation, ready to take series: immutable, and shared by all accumulators.
#[derive(Debug)]
pub(crate) struct AggregateCall {
    pub(crate) op: AggregateOp,
    pub(crate) spans: AggregateSpans,
    /// The number of values of each column.
    pub(crate) steps: usize,
    /// Up to how many bytes a state may hold: one that would hold more stops taking values, since the
    /// caller refuses what [`Accumulator::heap_bytes`](super::Accumulator::heap_bytes) says then.
    pub(super) bytes_max: u64,
    pub(super) groups: GroupLabels,
    pub(super) parameter: Prepared,
}

impl AggregateCall {
    /// Checks the parameter and prepares the grouping, for columns of `steps` values. Warnings about
    /// the parameter go to `notes`.
    ///
    /// # Errors
    /// A parameter that the language forbids, in Prometheus's words: NaN or a number beyond 64 bits
    /// for `topk`, `bottomk` and `limitk`, NaN for `limit_ratio`, a label name for `count_values`
    /// that is empty or no UTF-8.
    pub(crate) fn prepare(
        node: AggregateNode<'_>,
        parameter: Parameter,
        steps: usize,
        notes: &mut Annotations,
    ) -> Result<Self, QueryError> {
        let AggregateNode { op, grouping, spans } = node;
        let parameter = parameter::prepare(op, parameter, |note| {
            notes.add(note, spans.parameter);
        })?;
        let groups = match &parameter {
            Prepared::Label(label) => GroupLabels::except(grouping, label),
            _ => GroupLabels::new(grouping),
        };
        Ok(Self { op, spans, steps, bytes_max: u64::MAX, groups, parameter })
    }

    /// The same for a caller that fails as soon as an accumulator holds more than `bytes`.
    pub(crate) fn within(self, bytes: u64) -> Self {
        Self { bytes_max: bytes, ..self }
    }

    /// Notes that the operand had native histograms, which this aggregation ignores. `topk` and
    /// `bottomk` blame the whole aggregation, others their operand, as Prometheus does.
    pub(super) fn histogram_ignored(&self, notes: &mut Annotations) {
        let span = match self.op {
            AggregateOp::Topk | AggregateOp::Bottomk => self.spans.whole,
            _ => self.spans.operand,
        };
        let aggregation = self.op.as_str();
        notes.add(Annotation::HistogramIgnoredInAggregation { aggregation }, span);
    }
}
