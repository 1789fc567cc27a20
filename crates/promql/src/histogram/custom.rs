//! Custom buckets with different bounds: both histograms are brought to the bounds in common.

use std::sync::Arc;

use super::buckets::Buckets;
use super::count::Count;
use super::layout::Layout;
use super::value::HistogramOf;

impl<C: Count> HistogramOf<C> {
    /// Adds the buckets of `other` after `convert`, both with custom bounds. The result has the
    /// bounds that both have, and no empty buckets.
    pub(super) fn add_custom<D: Count>(
        &mut self,
        other: &HistogramOf<D>,
        convert: impl Fn(D) -> C,
    ) {
        let (Layout::Custom(own), Layout::Custom(theirs)) = (&self.layout, &other.layout) else {
            return;
        };
        let common = common_bounds(own, theirs);
        self.positive.merge_by(|index| target(index, own, &common));
        let pairs = other.positive.iter();
        self.positive.add_pairs(
            pairs.map(|(index, count)| (target(index, theirs, &common), convert(count))),
        );
        self.positive.compact();
        self.layout = Layout::Custom(common);
    }
}

/// The bounds that both lists have, each in strictly increasing order.
pub(super) fn common_bounds(left: &[f64], right: &[f64]) -> Arc<[f64]> {
    let mut rest = right.iter().peekable();
    left.iter()
        .copied()
        .filter(|bound| {
            while rest.next_if(|&other| other < bound).is_some() {}
            rest.next_if(|&other| other == bound).is_some()
        })
        .collect()
}

/// The bucket of `common` that contains bucket `index` of `bounds`.
fn target(index: i32, bounds: &[f64], common: &[f64]) -> i32 {
    let bound = usize::try_from(index).ok().and_then(|at| bounds.get(at));
    let target = match bound {
        Some(bound) => common.partition_point(|other| other < bound),
        None => common.len(),
    };
    i32::try_from(target).unwrap_or(i32::MAX)
}

/// The counts of `buckets` in the buckets of `common`, which are among `bounds`.
pub(super) fn merged(buckets: &Buckets, bounds: &[f64], common: &[f64]) -> Buckets {
    let mut merged = buckets.clone();
    merged.merge_by(|index| target(index, bounds, common));
    merged
}
