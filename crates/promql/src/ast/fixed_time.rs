//! A query at a fixed time: `@` put where there is none.

use siltstone::Timestamp;

use super::{Ast, At, ExprId, ExprKind, TimeShift};

impl Ast {
    /// This query with `@ time` on every selector and subquery that has no time of its own, `time`
    /// being in milliseconds since the Unix epoch.
    ///
    /// The result of an instant query at `time` stays what it is, and is then the same at any other
    /// time, unless a function asks for that (`time`, `timestamp` and those of dates do). So `start()`
    /// and `end()` behind an `@` are replaced: they mean `time` there. What is inside a subquery is
    /// evaluated at times that the subquery gives, which are fixed then, and stays as it is. Spans
    /// stay those of the text that was parsed.
    #[must_use]
    pub fn with_at(&self, time: Timestamp) -> Self {
        let mut nodes = self.nodes.clone();
        // From the root down: an expression stands behind its operands.
        let mut inside_subquery = vec![false; nodes.len()];
        for index in (0..nodes.len()).rev() {
            let expression = &self.nodes[index];
            let id = ExprId(u32::try_from(index).unwrap_or(u32::MAX));
            let inside = inside_subquery[index];
            let within = inside || matches!(expression.kind, ExprKind::Subquery(_));
            self.for_each_operand(id, |operand| inside_subquery[operand.index()] = within);
            if inside {
                continue;
            }
            match &mut nodes[index].kind {
                ExprKind::Selector(selector) => selector.shift.fix(time),
                ExprKind::Subquery(subquery) => subquery.shift.fix(time),
                _ => {}
            }
        }
        Self { nodes }
    }
}

impl TimeShift {
    fn fix(&mut self, time: Timestamp) {
        if !matches!(self.at, Some(At::Time(_))) {
            self.at = Some(At::Time(time));
        }
    }
}
