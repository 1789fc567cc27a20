//! Cutting the series of a chain into shares, and merging what they yield.
//!
//! The cut and the order of merging decide the last bits of a sum, so they follow from the label
//! sets alone: a share holds the series whose labels hash to it, in their order, and shares are
//! merged along one fixed binary tree. How many threads there are only decides which parts of the
//! tree run at the same time. The labels are those that the sink sees, without the metric's name:
//! so it is the same whether a chain is streamed, or held on its way and names dropped.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::meter::Meter;
use super::sink::{Row, Sink};
use crate::annotations::Annotations;
use crate::query_error::QueryError;
use crate::value::{LabelSet, hash_without_metric};

/// The number of shares: enough for sixteen threads, few enough that a share of a small result
/// costs little. It does not depend on the number of series, of which some may have no values.
pub(super) const SHARES: usize = 16;

/// Cuts `items`, which are in order, into shares by what [`share_of`] yields for their labels.
pub(super) fn cut<T>(items: Vec<T>, mut share_of: impl FnMut(&T) -> usize) -> Vec<Option<Vec<T>>> {
    let mut shares: Vec<Vec<T>> = Vec::new();
    shares.resize_with(SHARES, || Vec::with_capacity(items.len() / SHARES + 8));
    for item in items {
        shares[share_of(&item)].push(item);
    }
    shares.into_iter().map(|share| Some(share).filter(|share| !share.is_empty())).collect()
}

/// The share of a series with these labels. `memory` is used again.
pub(super) fn share_of(labels: &LabelSet, memory: &mut Vec<u8>) -> usize {
    share_of_top((hash_without_metric(labels.encoded(), memory) >> 56) as u8)
}

/// The share of a series, by the first byte of the hash of its labels: the last ones serve hash tables.
pub(super) fn share_of_top(top: u8) -> usize {
    usize::from(top >> 4)
}

/// The sink of one share, with what is noticed there and what it holds.
pub(super) struct ShareSink<'a, S> {
    sink: S,
    notes: Annotations,
    meter: &'a Meter,
    /// Bytes of the sink that the meter knows of.
    metered: usize,
    /// Those of all shares.
    held: &'a AtomicUsize,
}

impl<'a, S: Sink> ShareSink<'a, S> {
    pub(super) fn new(sink: S, meter: &'a Meter, held: &'a AtomicUsize) -> Self {
        Self { sink, notes: Annotations::default(), meter, metered: 0, held }
    }

    /// Gives a series to the sink.
    pub(super) fn add(&mut self, row: Row<'_, '_>) -> Result<(), QueryError> {
        self.sink.add(row, &mut self.notes);
        let held = self.sink.heap_bytes();
        if held > self.metered {
            self.held.fetch_add(held - self.metered, Ordering::Relaxed);
            self.meter.hold(held - self.metered)?;
            self.metered = held;
        }
        Ok(())
    }

    /// What was gathered, and noticed.
    pub(super) fn finish(self) -> (S, Annotations) {
        (self.sink, self.notes)
    }
}

/// Runs `leaf` on each share that has something and merges the results pairwise, always in the same
/// tree; on several threads if `parallel`.
pub(super) fn fold_tree<T: Send, R: Send>(
    mut shares: Vec<Option<T>>,
    parallel: bool,
    leaf: &(impl Fn(T) -> Result<R, QueryError> + Sync),
    merge: &(impl Fn(R, R) -> R + Sync),
) -> Result<Option<R>, QueryError> {
    match shares.len() {
        0 => Ok(None),
        1 => shares.pop().flatten().map(leaf).transpose(),
        len => {
            let right = shares.split_off(len.div_ceil(2));
            let fold = |half| fold_tree(half, parallel, leaf, merge);
            let (left, right) = if parallel {
                rayon::join(|| fold(shares), || fold(right))
            } else {
                let left = fold(shares)?;
                (Ok(left), fold(right))
            };
            match (left?, right?) {
                (Some(left), Some(right)) => Ok(Some(merge(left, right))),
                (one, other) => Ok(one.or(other)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_the_same_on_any_number_of_threads() {
        let leaf = |share: usize| Ok(share.to_string());
        let merge = |left: String, right: String| format!("({left}{right})");
        for count in 0..10 {
            let shares = || (0..count).map(Some).collect();
            let fold = |parallel| fold_tree(shares(), parallel, &leaf, &merge).unwrap();
            assert_eq!(fold(true), fold(false));
        }
        let four = |third| fold_tree(vec![Some(1), Some(2), third, Some(4)], false, &leaf, &merge);
        assert_eq!(four(Some(3)).unwrap().as_deref(), Some("((12)(34))"));
        assert_eq!(four(None).unwrap().as_deref(), Some("((12)4)"));
    }

    #[test]
    fn a_share_depends_on_the_labels_alone() {
        let items: Vec<LabelSet> =
            (0..1000).map(|i| LabelSet::from_pairs([("a", i.to_string())])).collect();
        let with_name = items[7].with("__name__", "m");
        let mut memory = Vec::new();
        let all = cut(items.clone(), |labels| share_of(labels, &mut memory));
        assert_eq!(share_of(&with_name, &mut memory), share_of(&items[7], &mut memory));
        let place_of = |labels: &LabelSet| {
            all.iter().position(|share| share.as_ref().is_some_and(|share| share.contains(labels)))
        };
        let some = cut(items[500..].to_vec(), |labels| share_of(labels, &mut memory));
        for (number, share) in some.iter().enumerate() {
            let share = share.as_ref().expect("500 series are in all shares");
            assert!(share.iter().all(|labels| place_of(labels) == Some(number)));
        }
    }
}
