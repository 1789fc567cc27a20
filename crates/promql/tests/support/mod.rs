//! What several tests of the parser share.

use siltstone_promql::ast::{Ast, Expr, ExprKind};

/// The tree as text, without what has no meaning: places, the order of matchers, an empty `by ()`.
pub(crate) fn meaning(ast: &Ast) -> String {
    let mut nodes: Vec<Expr> = ast.nodes().to_vec();
    for node in &mut nodes {
        match &mut node.kind {
            ExprKind::Selector(selector) => selector.matchers.sort_by_key(ToString::to_string),
            ExprKind::Aggregate(aggregate) => {
                let grouping = &mut aggregate.grouping;
                grouping.is_written = grouping.without || !grouping.labels.is_empty();
            }
            _ => {}
        }
    }
    let text = format!("{nodes:#?}");
    let places = ["start: ", "end: "];
    let is_place = |line: &&str| places.iter().any(|place| line.trim_start().starts_with(place));
    text.lines().filter(|line| !is_place(line)).collect::<Vec<_>>().join("\n")
}
