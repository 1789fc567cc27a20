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
            let id = ExprId::at(index);
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

#[cfg(test)]
mod tests {
    use crate::{Features, parse, print};

    #[test]
    fn the_time_is_put_where_there_is_none_and_not_into_subqueries() {
        for (query, fixed) in [
            ("a", "a @ 60.000"),
            ("a offset 5m", "a @ 60.000 offset 5m"),
            ("rate(a[5m] @ 10)", "rate(a[5m] @ 10.000)"),
            ("a @ start() + b @ end()", "a @ 60.000 + b @ 60.000"),
            ("sum by (x) (rate(a[5m])) / -b", "sum by (x) (rate(a[5m] @ 60.000)) / -b @ 60.000"),
            ("max_over_time(a[5m:1m])", "max_over_time(a[5m:1m] @ 60.000)"),
            ("max_over_time((a + b)[5m:] @ 10)", "max_over_time((a + b)[5m:] @ 10.000)"),
            (
                "max_over_time(rate(a[1m] @ start())[5m:]) + a",
                "max_over_time(rate(a[1m] @ start())[5m:] @ 60.000) + a @ 60.000",
            ),
            ("vector(1) + 2", "vector(1) + 2"),
        ] {
            let ast = parse(query, &Features::experimental()).unwrap();
            assert_eq!(print(&ast.with_at(60_000)), fixed, "{query}");
        }
    }
}
