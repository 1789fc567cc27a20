//! The values of a window in order, moved with the window.
//!
//! What leaves is removed and what enters is inserted, each found by binary search. The values lie in
//! blocks, so that no more than one of them is moved for a value, however long the window is (a
//! B-tree of one level). Where much changes at once the values are sorted anew. For both, a window
//! that moves over a series costs a logarithm and one block for each sample and step, not a share of
//! the window.
//!
//! Called by `quantiles`. All NaN are one value, which is below all numbers.

use super::window::Run;

/// A block of so many values is halved: few enough to move, so many that blocks are few.
const BLOCK_MAX: usize = 512;

/// Length of the blocks that sorting makes.
const BLOCK_SORTED: usize = BLOCK_MAX / 2;

/// Values in order.
///
/// # Invariants
/// - No block is empty, and none has [`BLOCK_MAX`] values.
/// - `starts` has the number of the first value of each block.
#[derive(Debug, Default)]
pub(super) struct SortedValues {
    blocks: Vec<Vec<f64>>,
    starts: Vec<usize>,
    len: usize,
    /// Memory for sorting.
    flat: Vec<f64>,
}

impl SortedValues {
    /// Forgets all values.
    pub(super) fn clear(&mut self) {
        self.blocks.clear();
        self.starts.clear();
        self.len = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The value with index `at` in order; there is one.
    #[inline]
    pub(super) fn at(&self, at: usize) -> f64 {
        let block = self.starts.partition_point(|start| *start <= at) - 1;
        self.blocks[block][at - self.starts[block]]
    }

    /// Replaces all values.
    fn sort(&mut self, values: impl Iterator<Item = f64>) {
        self.flat.clear();
        self.flat.extend(values.map(order_key));
        self.flat.sort_unstable_by(f64::total_cmp);
        self.cut();
    }

    /// Makes blocks of `flat`.
    fn cut(&mut self) {
        self.clear();
        self.len = self.flat.len();
        for (number, block) in self.flat.chunks(BLOCK_SORTED).enumerate() {
            let mut values = Vec::with_capacity(BLOCK_MAX.min(2 * block.len()));
            values.extend_from_slice(block);
            self.blocks.push(values);
            self.starts.push(number * BLOCK_SORTED);
        }
    }

    /// The block in which the first value that is not below `value` is, or the last block.
    fn block_of(&self, value: f64) -> usize {
        let below = |block: &Vec<f64>| block.last().is_some_and(|last| is_below(*last, value));
        self.blocks.partition_point(below).min(self.blocks.len().saturating_sub(1))
    }

    fn insert(&mut self, value: f64) {
        let value = order_key(value);
        self.len += 1;
        let number = self.block_of(value);
        let Some(block) = self.blocks.get_mut(number) else {
            self.blocks.push(vec![value]);
            self.starts.push(0);
            return;
        };
        block.insert(block.partition_point(|held| is_below(*held, value)), value);
        self.starts[number + 1..].iter_mut().for_each(|start| *start += 1);
        if block.len() == BLOCK_MAX {
            let upper = block.split_off(BLOCK_MAX / 2);
            self.blocks.insert(number + 1, upper);
            self.starts.insert(number + 1, self.starts[number] + BLOCK_MAX / 2);
            // Removals may leave many short blocks.
            if self.blocks.len() > 8 + self.len / (BLOCK_MAX / 4) {
                self.flat.clear();
                self.flat.extend(self.blocks.iter().flatten());
                self.cut();
            }
        }
    }

    /// Removes one value equal to `value`, which is there.
    fn remove(&mut self, value: f64) {
        let value = order_key(value);
        let number = self.block_of(value);
        let block = &mut self.blocks[number];
        block.remove(block.partition_point(|held| is_below(*held, value)));
        self.len -= 1;
        self.starts[number + 1..].iter_mut().for_each(|start| *start -= 1);
        if block.is_empty() {
            self.blocks.remove(number);
            self.starts.remove(number);
        }
    }
}

/// The value by which values are ordered: one NaN for all, which the total order of floats puts
/// before all numbers.
#[inline]
pub(super) fn order_key(value: f64) -> f64 {
    if value.is_nan() { -f64::NAN.abs() } else { value }
}

#[inline]
fn is_below(a: f64, b: f64) -> bool {
    a.total_cmp(&b).is_lt()
}

/// The values of a window in order.
pub(super) struct SortedWindow<'s, 'a> {
    values: &'a [f64],
    sorted: &'s mut SortedValues,
    run: Run,
}

impl<'s, 'a> SortedWindow<'s, 'a> {
    /// A window over `values` that holds nothing yet.
    pub(super) fn new(values: &'a [f64], memory: &'s mut SortedValues) -> Self {
        memory.clear();
        Self { values, sorted: memory, run: Run::default() }
    }

    /// Moves the window to `run`, whose ends are not before those of the run before. Also tells how
    /// much work it was, in samples looked at.
    pub(super) fn slide(&mut self, run: Run) -> (&SortedValues, usize) {
        let entering = Run { first: self.run.end.max(run.first), end: run.end };
        let leaving = Run { first: self.run.first, end: run.first.min(self.run.end) };
        let changes = entering.len() + leaving.len();
        self.run = run;
        // Moving the values behind an insertion is cheap beside sorting, but not free.
        let few = (run.len() / 16).max(4);
        if changes > few {
            self.sorted.sort(run.of(self.values).iter().copied());
            return (self.sorted, run.len() * 8);
        }
        leaving.of(self.values).iter().for_each(|value| self.sorted.remove(*value));
        entering.of(self.values).iter().for_each(|value| self.sorted.insert(*value));
        (self.sorted, changes * 64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A sequence in which values recur, with NaN and both zeros.
    fn values(len: usize) -> Vec<f64> {
        let value = |at: usize| match at * 7919 % 1009 {
            0 => f64::NAN,
            1 => -0.0,
            2 => f64::NEG_INFINITY,
            value => (value / 3) as f64 - 100.0,
        };
        (0..len).map(value).collect()
    }

    fn bits(values: impl Iterator<Item = f64>) -> Vec<u64> {
        values.map(f64::to_bits).collect()
    }

    proptest! {
        #[test]
        fn a_moving_window_has_the_values_of_a_sorted_one(
            moves in prop::collection::vec((0usize..40, 0usize..40, 1usize..60), 1..60),
            length in 0usize..3000,
        ) {
            let values = values(9000);
            let mut memory = SortedValues::default();
            let mut window = SortedWindow::new(&values, &mut memory);
            let mut run = Run { first: 0, end: length };
            window.slide(run);
            for (first, end, far) in moves {
                // Now and then much changes at once.
                let by = if far == 1 { 20 } else { 1 };
                run.end = (run.end + end * by).min(values.len());
                run.first = (run.first + first * by).min(run.end);
                let (sorted, _) = window.slide(run);
                let mut expected: Vec<f64> =
                    run.of(&values).iter().map(|value| order_key(*value)).collect();
                expected.sort_unstable_by(f64::total_cmp);
                let found = (0..sorted.len()).map(|at| sorted.at(at));
                prop_assert_eq!(bits(found), bits(expected.into_iter()));
            }
        }
    }

    #[test]
    fn no_value_moves_more_than_a_block() {
        let values = values(100_000);
        let mut memory = SortedValues::default();
        let mut window = SortedWindow::new(&values, &mut memory);
        for first in 0..50_000 {
            window.slide(Run { first, end: first + 50_000 });
        }
        assert_eq!(memory.len(), 50_000);
        assert!(memory.blocks.iter().all(|block| (1..BLOCK_MAX).contains(&block.len())));
        assert!(memory.blocks.len() <= 8 + memory.len / (BLOCK_MAX / 4) + 1);
    }
}
