//! At which steps each expression of a query is evaluated.

use siltstone::Timestamp;

use super::length::LengthContext;
use super::{PlanOptions, Times};
use crate::ast::{Ast, At, ExprId, ExprKind, Length, Subquery, TimeShift, ValueType};
use crate::eval::grid::{Grid, Shift};
use crate::eval::vector::QueryTimes;
use crate::functions::Function;
use crate::query_error::QueryError;

/// The steps of the expressions of one query.
pub(super) struct Steps {
    /// For each expression the grid at which it is evaluated.
    grids: Vec<Grid>,
    /// For each expression how often its value at one step is repeated; 0 where it is not.
    repeats: Vec<usize>,
    lengths: LengthContext,
    start: Timestamp,
    end: Timestamp,
    options: PlanOptions,
}

impl Steps {
    /// Finds the steps of all expressions of `ast`.
    pub(super) fn new(ast: &Ast, times: Times, options: PlanOptions) -> Result<Self, QueryError> {
        let grid = query_grid(times, options.steps_max)?;
        let QueryTimes { start, end, step } = times.of_query();
        let range = end.saturating_sub(start);
        let count = ast.nodes().len();
        let mut steps = Self {
            grids: vec![grid; count],
            repeats: vec![0; count],
            lengths: LengthContext { step, range },
            start,
            end,
            options,
        };
        let invariant = invariance(ast);
        // Operators stand behind their operands: from the root down.
        for index in (0..count).rev() {
            let id = ExprId::at(index);
            steps.pass_down(ast, id, &invariant)?;
        }
        Ok(steps)
    }

    /// Gives the operands of `id` their grids.
    fn pass_down(&mut self, ast: &Ast, id: ExprId, invariant: &[bool]) -> Result<(), QueryError> {
        let expression = ast.get(id);
        let is_root = id == ast.root();
        if is_root && self.may_repeat(ast, id, invariant) {
            self.repeat(id);
        }
        let grid = self.grids[id.index()];
        let operand_grid = match &expression.kind {
            ExprKind::Subquery(subquery) => self.subquery_grid(subquery, grid)?,
            _ => grid,
        };
        let mut operands = Vec::new();
        ast.for_each_operand(id, |operand| operands.push(operand));
        let inherits = invariant[id.index()] && !matches!(expression.kind, ExprKind::Subquery(_));
        for operand in operands {
            self.grids[operand.index()] = operand_grid;
            // What is in a step-invariant expression has its one step already.
            if !inherits && self.may_repeat(ast, operand, invariant) {
                self.repeat(operand);
            }
        }
        Ok(())
    }

    fn may_repeat(&self, ast: &Ast, id: ExprId, invariant: &[bool]) -> bool {
        let expression = ast.get(ast.without_parens(id));
        let is_worth_it = match expression.kind {
            ExprKind::Number { .. } | ExprKind::String(_) => false,
            _ => expression.value_type != ValueType::Matrix,
        };
        self.options.optimise
            && is_worth_it
            && invariant[id.index()]
            && self.grids[id.index()].count > 1
    }

    /// Evaluates `id` at the first of its steps only.
    fn repeat(&mut self, id: ExprId) {
        let grid = &mut self.grids[id.index()];
        self.repeats[id.index()] = grid.count;
        grid.count = 1;
    }

    /// The grid at which `id` is evaluated.
    pub(super) fn grid(&self, id: ExprId) -> Grid {
        self.grids[id.index()]
    }

    /// How often the value of `id` at its one step is repeated, if it is.
    pub(super) fn repeated(&self, id: ExprId) -> Option<usize> {
        Some(self.repeats[id.index()]).filter(|count| *count > 0)
    }

    /// Where a selector or subquery looks.
    pub(super) fn shift(&self, shift: &TimeShift) -> Result<Shift, QueryError> {
        let at = shift.at.map(|at| match at {
            At::Time(time) => time,
            At::Start => self.start,
            At::End => self.end,
        });
        Ok(Shift { at, offset: self.lengths.offset(shift.offset.as_ref())? })
    }

    /// The length of a window, in milliseconds; a window of length 0 holds nothing.
    pub(super) fn range(&self, length: &Length) -> Result<i64, QueryError> {
        self.lengths.positive(length)
    }

    /// The grid of a subquery's operand, where the subquery itself is evaluated at `outer`: all
    /// multiples of its step in the windows of all outer steps.
    fn subquery_grid(&self, subquery: &Subquery, outer: Grid) -> Result<Grid, QueryError> {
        // A step that was cut to nothing stands for none, as in Prometheus.
        let step = match &subquery.step {
            Some(step) => self.lengths.positive(step)?,
            None => 0,
        };
        let step = if step > 0 { step } else { self.options.subquery_step };
        let shift = self.shift(&subquery.shift)?;
        let range = self.range(&subquery.range)?;
        let before = shift.apply(outer.start).saturating_sub(range);
        let last = shift.apply(outer.end());
        // The first multiple of the step behind `before`, which is not in the window.
        let first = before.div_euclid(step).saturating_add(1).saturating_mul(step);
        let count = if outer.count == 0 { 0 } else { count_steps(first, last, step) };
        checked_grid(first, step, count, self.options.steps_max)
    }
}

/// The steps of a whole query.
fn query_grid(times: Times, steps_max: usize) -> Result<Grid, QueryError> {
    match times {
        Times::Instant(time) => Ok(Grid::instant(time)),
        Times::Range { start, end, step } => {
            if step <= 0 {
                let message = "zero or negative query resolution step widths are not accepted. \
                               Try a positive integer";
                return Err(QueryError::BadTimes(message.into()));
            }
            if end < start {
                let message = "invalid parameter \"end\": end timestamp must not be before start \
                               time";
                return Err(QueryError::BadTimes(message.into()));
            }
            checked_grid(start, step, count_steps(start, end, step), steps_max)
        }
    }
}

/// How many of `first`, `first + step`, ... are not behind `last`.
fn count_steps(first: Timestamp, last: Timestamp, step: i64) -> u64 {
    let length = i128::from(last) - i128::from(first);
    if length < 0 {
        return 0;
    }
    u64::try_from(length / i128::from(step) + 1).unwrap_or(u64::MAX)
}

fn checked_grid(
    start: Timestamp,
    step: i64,
    count: u64,
    steps_max: usize,
) -> Result<Grid, QueryError> {
    match usize::try_from(count) {
        Ok(count) if count <= steps_max => Ok(Grid { start, step, count }),
        _ => Err(QueryError::Limit { what: "steps", max: steps_max as u64 }),
    }
}

/// For each expression whether its value is the same at every step, wherever that is.
fn invariance(ast: &Ast) -> Vec<bool> {
    let mut invariant: Vec<bool> = Vec::with_capacity(ast.nodes().len());
    for (index, expression) in ast.nodes().iter().enumerate() {
        let id = ExprId::at(index);
        let mut operands_are = true;
        ast.for_each_operand(id, |operand| operands_are &= invariant[operand.index()]);
        invariant.push(match &expression.kind {
            ExprKind::Selector(selector) => selector.shift.at.is_some(),
            ExprKind::Subquery(subquery) => subquery.shift.at.is_some(),
            ExprKind::Call { function, .. } => operands_are && !depends_on_the_step(*function),
            _ => operands_are,
        });
    }
    invariant
}

/// Whether what a function answers depends on the step, whatever its arguments.
fn depends_on_the_step(function: Function) -> bool {
    matches!(
        function,
        Function::DaysInMonth
            | Function::DayOfMonth
            | Function::DayOfWeek
            | Function::DayOfYear
            | Function::Hour
            | Function::Minute
            | Function::Month
            | Function::Year
            | Function::PredictLinear
            | Function::Time
            | Function::Timestamp
            // They warn where there are several steps.
            | Function::Sort
            | Function::SortDesc
            | Function::SortByLabel
            | Function::SortByLabelDesc
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_step_is_not_behind_the_end() {
        assert_eq!(count_steps(0, 100, 30), 4);
        assert_eq!(count_steps(0, 90, 30), 4);
        assert_eq!(count_steps(1, 0, 30), 0);
        assert_eq!(count_steps(i64::MIN, i64::MAX, 1), u64::MAX);
        let range = |start, end, step| query_grid(Times::Range { start, end, step }, 1000);
        assert_eq!(range(5, 5, 7).unwrap(), Grid { start: 5, step: 7, count: 1 });
        for (start, end, step) in [(0, 1, 0), (0, 1, -5), (2, 1, 1)] {
            assert!(matches!(range(start, end, step), Err(QueryError::BadTimes(_))));
        }
        let too_many = range(i64::MIN, i64::MAX, 1);
        assert!(matches!(too_many, Err(QueryError::Limit { max: 1000, .. })));
    }
}
