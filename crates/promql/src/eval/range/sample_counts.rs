//! The numbers of samples in runs of a column whose samples may stand for several.

use super::window::Run;

/// How many samples the runs of a column stand for.
#[derive(Debug)]
pub(super) struct SampleCounts<'s> {
    /// At `i` how many the first `i` stand for; `None` where each is one.
    before: Option<&'s [u64]>,
}

impl<'s> SampleCounts<'s> {
    /// Of a column with these `counts`, which are empty where each is 1. `memory` holds their sums.
    pub(super) fn new(counts: &[u32], memory: &'s mut Vec<u64>) -> Self {
        if counts.is_empty() {
            return Self { before: None };
        }
        memory.clear();
        memory.push(0);
        let sums = counts.iter().scan(0, |sum, count| {
            *sum += u64::from(*count);
            Some(*sum)
        });
        memory.extend(sums);
        Self { before: Some(memory) }
    }

    /// How many samples `run` stands for.
    #[inline]
    pub(super) fn of(&self, run: Run) -> u64 {
        match self.before {
            Some(before) => before[run.end] - before[run.first],
            None => run.len() as u64,
        }
    }
}
