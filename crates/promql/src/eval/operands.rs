//! How operators take the values of their operands.
//!
//! [`run`](super::run) and the files that evaluate calls for it take each value as often as the plan
//! has users of it; the last one gets the value itself, those before it copies. What a value holds goes
//! on being counted with the query's meter until its user has gone.

use std::sync::Arc;

use super::run::Evaluation;
use crate::plan::{NodeId, NodeKind};
use crate::query_error::QueryError;
use crate::value::{Series, Value};

impl Evaluation<'_> {
    /// Takes the value of a node that was evaluated. A scalar counts as held until the node that
    /// takes it is evaluated: a chain holds those of all its stages.
    pub(super) fn take(&mut self, id: NodeId) -> Result<Value, QueryError> {
        let node = self.plan.node(id);
        if let NodeKind::Number(value) = node.kind {
            let bytes = node.grid.count.saturating_mul(size_of::<f64>());
            self.meter().hold(bytes)?;
            self.scalar_bytes += bytes;
            return Ok(Value::Scalar(vec![value; node.grid.count]));
        }
        let slot = &mut self.values[id.index()];
        let users = &mut self.users[id.index()];
        *users = users.saturating_sub(1);
        if *users > 0
            && let Some(Value::Vector(series)) = slot
        {
            // A copy may have less room to spare than what it was copied from.
            let copy = series.clone();
            self.runner.meter.hold(copy.iter().map(Series::held_bytes).sum())?;
            return Ok(Value::Vector(copy));
        }
        let value = slot.take();
        if let Some(Value::Scalar(values)) = &value {
            self.scalar_bytes += size_of_val(values.as_slice());
        }
        value.ok_or_else(|| QueryError::execution("an operand was not evaluated"))
    }

    /// Gives back the bytes of the scalars that were taken.
    pub(super) fn give_back_scalars(&mut self) {
        self.runner.meter.release(std::mem::take(&mut self.scalar_bytes));
    }

    pub(super) fn take_scalar(&mut self, id: NodeId) -> Result<Vec<f64>, QueryError> {
        match self.take(id)? {
            Value::Scalar(values) => Ok(values),
            _ => Err(QueryError::execution("expected a scalar")),
        }
    }

    pub(super) fn take_vector(&mut self, id: NodeId) -> Result<Vec<Series>, QueryError> {
        match self.take(id)? {
            Value::Vector(series) => Ok(series),
            _ => Err(QueryError::execution("expected an instant vector")),
        }
    }

    /// Takes a vector that is then used up. A chain gives back what its series held one by one.
    pub(super) fn use_vector(&mut self, id: NodeId) -> Result<Vec<Series>, QueryError> {
        let series = self.take_vector(id)?;
        self.meter().release(series.iter().map(Series::held_bytes).sum());
        Ok(series)
    }

    pub(super) fn take_text(&mut self, id: NodeId) -> Result<Arc<[u8]>, QueryError> {
        match self.take(id)? {
            Value::String(text) => Ok(text),
            _ => Err(QueryError::execution("expected a text")),
        }
    }
}
