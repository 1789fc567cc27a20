//! Cutting the series of a chain into shares, and merging what they yield.
//!
//! The cut and the order of merging decide the last bits of a sum, so they follow from the label
//! sets alone: a share holds the series whose labels hash to it, in their order, and shares are
//! merged along one fixed binary tree. How many threads there are only decides which parts of the
//! tree run at the same time. The labels are those that the sink sees, without the metric's name:
//! so it is the same whether a chain is streamed, or held on its way and names dropped.

use xxhash_rust::xxh64::xxh64;

use crate::query_error::QueryError;
use crate::value::{LabelSet, is_metric_label};

/// The number of shares: enough for sixteen threads, few enough that a share of a small result
/// costs little. It does not depend on the number of series, of which some may have no values.
const SHARES: usize = 16;

/// Cuts `items`, which are in order, into shares by what [`hash`] yields for their labels.
pub(super) fn cut<T>(items: Vec<T>, hash: impl Fn(&T) -> u64) -> Vec<Vec<T>> {
    let mut shares: Vec<Vec<T>> = Vec::new();
    shares.resize_with(SHARES, || Vec::with_capacity(items.len() / SHARES + 8));
    for item in items {
        // The top bits: the low ones serve the hash tables of groups.
        let share = (hash(&item) >> 60) as usize;
        shares[share].push(item);
    }
    shares
}

/// The hash of labels that decides on the share.
pub(super) fn hash(labels: &LabelSet) -> u64 {
    let own = labels.iter().filter(|(name, _)| !is_metric_label(name));
    own.fold(0, |hash, (name, value)| xxh64(value.as_bytes(), xxh64(name.as_bytes(), hash)))
}

/// Runs `leaf` on each share that is not empty and merges the results pairwise, always in the same
/// tree; on several threads if `parallel`.
pub(super) fn fold_tree<T: Send, R: Send>(
    mut shares: Vec<Vec<T>>,
    parallel: bool,
    leaf: &(impl Fn(Vec<T>) -> Result<R, QueryError> + Sync),
    merge: &(impl Fn(R, R) -> R + Sync),
) -> Result<Option<R>, QueryError> {
    match shares.len() {
        0 => Ok(None),
        1 => shares.pop().filter(|share| !share.is_empty()).map(leaf).transpose(),
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
        let leaf = |share: Vec<usize>| Ok(share[0].to_string());
        let merge = |left: String, right: String| format!("({left}{right})");
        for count in 0..10 {
            let shares = || (0..count).map(|share| vec![share]).collect();
            let fold = |parallel| fold_tree(shares(), parallel, &leaf, &merge).unwrap();
            assert_eq!(fold(true), fold(false));
        }
        let four = |third| fold_tree(vec![vec![1], vec![2], third, vec![4]], false, &leaf, &merge);
        assert_eq!(four(vec![3]).unwrap().as_deref(), Some("((12)(34))"));
        assert_eq!(four(vec![]).unwrap().as_deref(), Some("((12)4)"));
    }

    #[test]
    fn a_share_depends_on_the_labels_alone() {
        let items: Vec<LabelSet> =
            (0..1000).map(|i| LabelSet::from_pairs([("a", i.to_string())])).collect();
        let all = cut(items.clone(), hash);
        let share_of = |labels: &LabelSet| all.iter().position(|s| s.contains(labels));
        let some = cut(items[500..].to_vec(), hash);
        for (number, share) in some.iter().enumerate() {
            assert!(share.iter().all(|labels| share_of(labels) == Some(number)));
            assert!(!share.is_empty());
        }
    }
}
