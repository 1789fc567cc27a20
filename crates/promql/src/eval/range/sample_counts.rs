//! The numbers of samples in runs of a column whose samples may stand for several.

use super::window::Run;

/// Counts that are looked at before it is asked whether all are 1.
const BLOCK: usize = 64;

/// How many samples the runs of a column stand for. Few stand for more than themselves.
#[derive(Debug)]
pub(super) struct SampleCounts<'s> {
    /// The samples that stand for others: their places, and how many others they and all before them
    /// stand for.
    others: &'s [(usize, u64)],
}

impl<'s> SampleCounts<'s> {
    /// Of a column with these `counts`, at least 1 each, which are empty where each is 1. `memory` is
    /// used again.
    pub(super) fn new(counts: &[u32], memory: &'s mut Vec<(usize, u64)>) -> Self {
        memory.clear();
        let mut sum = 0;
        for (block, start) in counts.chunks(BLOCK).zip((0..).step_by(BLOCK)) {
            // Without an early end, so that several are looked at at a time.
            if block.iter().fold(true, |all, count| all & (*count == 1)) {
                continue;
            }
            for (count, at) in block.iter().zip(start..).filter(|(count, _)| **count != 1) {
                sum += u64::from(*count) - 1;
                memory.push((at, sum));
            }
        }
        Self { others: memory }
    }

    /// How many samples `run` stands for.
    #[inline]
    pub(super) fn of(&self, run: Run) -> u64 {
        run.len() as u64 + self.before(run.end) - self.before(run.first)
    }

    /// How many others the samples before `at` stand for.
    #[inline]
    fn before(&self, at: usize) -> u64 {
        let found = self.others.partition_point(|(place, _)| *place < at);
        found.checked_sub(1).map_or(0, |last| self.others[last].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_count_what_their_samples_stand_for() {
        let counts = [1, 5, 1, 1, 8];
        let mut memory = vec![(9, 9)];
        let counted = SampleCounts::new(&counts, &mut memory);
        for first in 0..5 {
            for end in first..=5 {
                let expected: u64 = counts[first..end].iter().map(|count| u64::from(*count)).sum();
                assert_eq!(counted.of(Run { first, end }), expected, "{first}..{end}");
            }
        }
        let mut counts = [1; 3 * BLOCK + 5];
        counts[2 * BLOCK + 3] = 4;
        let run = Run { first: 1, end: counts.len() };
        assert_eq!(SampleCounts::new(&counts, &mut memory).of(run), 3 * BLOCK as u64 + 7);
        assert_eq!(SampleCounts::new(&[], &mut memory).of(Run { first: 2, end: 7 }), 5);
    }
}
