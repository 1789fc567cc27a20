//! Which histograms are read for their counts and sums alone.

use crate::ast::{Ast, ExprId, ExprKind};
use crate::functions::Function;

/// For each expression whether only the counts and sums of its histograms matter: it is within
/// `histogram_count`, `histogram_sum` or `histogram_avg`, and neither in a subquery nor in a function
/// that looks at buckets, as Prometheus finds it.
pub(super) fn statistics(ast: &Ast) -> Vec<bool> {
    let mut within = vec![(false, false); ast.nodes().len()];
    for index in (0..within.len()).rev() {
        let id = ExprId::at(index);
        let (mut counts, mut buckets) = within[index];
        match &ast.get(id).kind {
            ExprKind::Subquery(_) => buckets = true,
            ExprKind::Call { function, .. } => match function {
                Function::HistogramCount | Function::HistogramSum | Function::HistogramAvg => {
                    counts = true;
                }
                Function::HistogramQuantile
                | Function::HistogramQuantiles
                | Function::HistogramFraction => buckets = true,
                _ => {}
            },
            _ => {}
        }
        ast.for_each_operand(id, |operand| within[operand.index()] = (counts, buckets));
    }
    within.into_iter().map(|(counts, buckets)| counts && !buckets).collect()
}
