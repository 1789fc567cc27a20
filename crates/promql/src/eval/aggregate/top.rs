//! `topk` and `bottomk`: the `k` series of a group with the largest or smallest values, at each step
//! for itself. NaN comes last in both. Native histograms are ignored, with an info, at steps where `k`
//! is not 0.
//!
//! Streams, with `k` values for each group and step at best. Which of several equal values stay at
//! the edge is visible, so it has to be as in Prometheus, where it follows from how its heap of `k`
//! values is laid out: of 0, 0, 5 for `k` = 2 the second 0 stays, because the first was at the root.
//! The layout depends on all values that ever were in the heap, in order of rank, also on those that
//! others drove out. A share therefore holds its heap *and* what it drove out, and merging runs the
//! values of both sides through a heap again. What never entered the heap of a share would not have
//! entered that of all series either: there, too, `k` values at least as good came before it.
//!
//! Values in random order drive out about `k * ln(n / k)` of `n`. Only values that rise (or fall, for
//! `bottomk`) with the rank, series after series, drive out all before; then a share holds its input.

use crate::annotations::Annotations;
use crate::ast::AggregateOp;
use crate::value::{LabelSet, Series, StepColumn, is_absent};

use super::call::AggregateCall;
use super::group_state::{Choice, GroupState};
use super::input::InputSeries;

/// The best values of one group.
#[derive(Debug)]
pub(super) struct Top {
    /// One for each step.
    heaps: Vec<TopHeap>,
    /// The series that are or were in a heap, by rank.
    members: Vec<Member>,
    /// Bytes held by the heaps.
    heap_bytes: usize,
}

/// A series that may be in the result.
#[derive(Debug)]
struct Member {
    rank: u32,
    labels: LabelSet,
    drop_name: bool,
}

/// A value of a series.
#[derive(Debug, Clone, Copy)]
struct Entry {
    value: f64,
    rank: u32,
}

/// The up to `k` best of the values seen so far as a binary heap with the worst at the root, and
/// behind it the values that were in the heap and no longer are.
///
/// The order of operations is that of Go's `container/heap`, so that equal values lie as they do in
/// Prometheus.
#[derive(Debug, Default)]
struct TopHeap {
    entries: Vec<Entry>,
}

/// How values are ordered: which of two comes nearer to the root.
#[derive(Debug, Clone, Copy)]
struct Order {
    /// `topk`: smaller values are worse; else larger ones.
    largest: bool,
}

impl Order {
    fn of(call: &AggregateCall) -> Self {
        Self { largest: call.op == AggregateOp::Topk }
    }

    /// Whether `a` is worse than `b`, as numbers.
    fn is_below(self, a: f64, b: f64) -> bool {
        if self.largest { a < b } else { a > b }
    }

    /// Whether `a` goes before `b` in the heap. Prometheus puts a NaN before anything, another NaN
    /// included.
    fn is_less(self, a: Entry, b: Entry) -> bool {
        a.value.is_nan() || self.is_below(a.value, b.value)
    }

    /// Whether a full heap with `root` at the root takes `value` instead of it.
    fn replaces(self, root: f64, value: f64) -> bool {
        self.is_below(root, value) || (root.is_nan() && !value.is_nan())
    }
}

impl TopHeap {
    /// Offers a value with a rank above those of all before to a heap of at most `k`, at least 1;
    /// returns whether it was taken.
    fn offer(&mut self, entry: Entry, k: usize, order: Order) -> bool {
        if self.entries.len() < k {
            self.entries.push(entry);
            self.sift_up(order);
            return true;
        }
        let root = self.entries[0];
        if !order.replaces(root.value, entry.value) {
            return false;
        }
        self.entries[0] = entry;
        self.sift_down(k, order);
        self.entries.push(root);
        true
    }

    /// Moves the last entry of a heap that is not full up to its place.
    fn sift_up(&mut self, order: Order) {
        let mut at = self.entries.len() - 1;
        while at > 0 {
            let parent = (at - 1) / 2;
            if !order.is_less(self.entries[at], self.entries[parent]) {
                break;
            }
            self.entries.swap(at, parent);
            at = parent;
        }
    }

    /// Moves the root of a heap of `len` entries down to its place.
    fn sift_down(&mut self, len: usize, order: Order) {
        let mut at = 0;
        while let Some(left) = Some(2 * at + 1).filter(|left| *left < len) {
            let right = left + 1;
            let right_is_less =
                right < len && order.is_less(self.entries[right], self.entries[left]);
            let child = if right_is_less { right } else { left };
            if !order.is_less(self.entries[child], self.entries[at]) {
                break;
            }
            self.entries.swap(at, child);
            at = child;
        }
    }

    /// Runs the values of both through an empty heap, in order of rank.
    fn merge(&mut self, later: Self, k: usize, order: Order) {
        if later.entries.is_empty() {
            return;
        }
        if self.entries.is_empty() {
            *self = later;
            return;
        }
        let mut all = std::mem::take(&mut self.entries);
        all.extend(later.entries);
        all.sort_unstable_by_key(|entry| entry.rank);
        for entry in all {
            self.offer(entry, k, order);
        }
    }

    /// The values in the heap, in its order.
    fn best(&self, k: usize) -> &[Entry] {
        &self.entries[..k.min(self.entries.len())]
    }

    fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
    }
}

impl Top {
    /// The place of an entry's series.
    fn member_of(&self, entry: Entry) -> usize {
        let found = self.members.binary_search_by_key(&entry.rank, |member| member.rank);
        found.expect("the series of each entry is a member")
    }
}

impl GroupState for Top {
    fn new(call: &AggregateCall) -> Self {
        let mut heaps = Vec::new();
        heaps.resize_with(call.steps, TopHeap::default);
        Self { heaps, members: Vec::new(), heap_bytes: 0 }
    }

    fn add(&mut self, call: &AggregateCall, input: &InputSeries<'_>, notes: &mut Annotations) {
        let counts = call.parameter.counts();
        if input.values.histograms().iter().any(|(step, _)| counts[*step as usize] > 0) {
            call.histogram_ignored(notes);
        }
        let order = Order::of(call);
        let mut is_member = false;
        for ((heap, &k), &value) in self.heaps.iter_mut().zip(counts).zip(input.values.floats()) {
            if is_absent(value) || k == 0 {
                continue;
            }
            let before = heap.heap_bytes();
            is_member |= heap.offer(Entry { value, rank: input.rank }, k as usize, order);
            self.heap_bytes += heap.heap_bytes() - before;
        }
        if is_member {
            let labels = input.labels.clone();
            self.members.push(Member { rank: input.rank, labels, drop_name: input.drop_name });
        }
    }

    fn merge(&mut self, call: &AggregateCall, later: Self) {
        let order = Order::of(call);
        self.heap_bytes = 0;
        let heaps = self.heaps.iter_mut().zip(later.heaps);
        for ((own, theirs), k) in heaps.zip(call.parameter.counts()) {
            own.merge(theirs, *k as usize, order);
            self.heap_bytes += own.heap_bytes();
        }
        self.members.extend(later.members);
        self.members.sort_unstable_by_key(|member| member.rank);
    }

    fn heap_bytes(&self) -> usize {
        self.heaps.len() * size_of::<TopHeap>()
            + self.heap_bytes
            + self.members.capacity() * size_of::<Member>()
    }
}

impl Choice for Top {
    fn result_bytes(&self, call: &AggregateCall) -> usize {
        let mut wins = vec![false; self.members.len()];
        for (heap, k) in self.heaps.iter().zip(call.parameter.counts()) {
            for entry in heap.best(*k as usize) {
                wins[self.member_of(*entry)] = true;
            }
        }
        let winners = wins.iter().filter(|wins| **wins).count();
        let series = size_of::<Series>() + call.steps * size_of::<f64>();
        winners.saturating_mul(series)
    }

    fn finish(self, call: &AggregateCall, _: &LabelSet, out: &mut Vec<Series>) {
        let Self { heaps, members, .. } = &self;
        let mut columns: Vec<Option<StepColumn>> = vec![None; members.len()];
        let mut set = |step: usize, entry: Entry| {
            let at = self.member_of(entry);
            let column = columns[at].get_or_insert_with(|| StepColumn::absent(call.steps));
            column.set_float(step, entry.value);
            at
        };
        let mut order_at_one_step = Vec::new();
        for (step, (heap, k)) in heaps.iter().zip(call.parameter.counts()).enumerate() {
            let best = heap.best(*k as usize);
            if call.steps == 1 {
                let best = best_first(best, Order::of(call));
                order_at_one_step = best.into_iter().map(|entry| set(step, entry)).collect();
            } else {
                for entry in best {
                    set(step, *entry);
                }
            }
        }
        let by_rank = 0..members.len();
        let order = if call.steps == 1 { order_at_one_step } else { by_rank.collect() };
        for at in order {
            let Some(values) = columns[at].take() else { continue };
            let Member { labels, drop_name, .. } = &members[at];
            out.push(Series { labels: labels.clone(), drop_name: *drop_name, values });
        }
    }
}

/// The entries of a heap, the best first.
///
/// Up to 12 of them are sorted by insertion from the layout of the heap, as Go's `sort.Sort` does, so
/// that equal values come in the order in which Prometheus shows them. Of more, equal ones come in
/// order of the heap's layout.
fn best_first(heap: &[Entry], order: Order) -> Vec<Entry> {
    const INSERTION_MAX: usize = 12;
    let mut sorted = heap.to_vec();
    if sorted.len() > INSERTION_MAX {
        sorted.sort_by(|a, b| {
            let nan_last = a.value.is_nan().cmp(&b.value.is_nan());
            let (worse, better) = if order.largest { (b, a) } else { (a, b) };
            nan_last
                .then(worse.value.partial_cmp(&better.value).unwrap_or(std::cmp::Ordering::Equal))
        });
        return sorted;
    }
    for end in 1..sorted.len() {
        let mut at = end;
        while at > 0 && order.is_less(sorted[at - 1], sorted[at]) {
            sorted.swap(at, at - 1);
            at -= 1;
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ranks of the best `k` of `values`, each offered in order, best first.
    fn best(values: &[f64], k: usize, largest: bool) -> Vec<u32> {
        let order = Order { largest };
        let mut heap = TopHeap::default();
        for (rank, value) in (0..).zip(values) {
            heap.offer(Entry { value: *value, rank }, k, order);
        }
        best_first(heap.best(k), order).iter().map(|entry| entry.rank).collect()
    }

    #[test]
    fn of_equal_values_stay_those_that_prometheus_s_heap_keeps() {
        // A full heap takes no equal value.
        assert_eq!(best(&[1.0, 1.0, 1.0, 1.0], 2, true), [0, 1]);
        // A better value drives out the root, which is the first of equal ones.
        assert_eq!(best(&[0.0, 0.0, 5.0], 2, true), [2, 1]);
        assert_eq!(best(&[0.0, 0.0, -5.0], 2, false), [2, 1]);
        assert_eq!(best(&[0.0, 0.0, 0.0, 5.0], 3, true), [3, 1, 2]);
    }

    #[test]
    fn nan_is_last() {
        let nan = f64::NAN;
        assert_eq!(best(&[nan, 1.0, nan, 2.0], 3, true)[..2], [3, 1]);
        assert_eq!(best(&[nan, 2.0, 1.0, nan], 2, false), [2, 1]);
        assert_eq!(best(&[nan, nan, nan], 2, true).len(), 2);
        let many: Vec<f64> = (0..20).map(f64::from).chain([nan]).collect();
        let sorted = best(&many, 21, true);
        assert_eq!((sorted[0], sorted[19], sorted[20]), (19, 0, 20));
        let sorted = best(&many, 21, false);
        assert_eq!((sorted[0], sorted[19], sorted[20]), (0, 19, 20));
    }
}
