//! Which batch a row belongs to: a run-length table from rows to batch seqs.

/// Batches in order; each run starts at its batch's first row and ends where the next one starts.
#[derive(Debug, Default)]
pub(super) struct SeqRuns {
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Copy)]
struct Run {
    first_row: u32,
    seq: u64,
}

impl SeqRuns {
    /// Records that the rows from `first_row` on belong to batch `seq`.
    pub(super) fn push(&mut self, first_row: u32, seq: u64) {
        if let Some(last) = self.runs.last() {
            assert!(last.seq < seq, "batches arrive in order of seq: {} then {seq}", last.seq);
            assert!(last.first_row < first_row, "a batch has rows");
        }
        self.runs.push(Run { first_row, seq });
    }

    /// The seq of the batch that holds `row`; `None` before the first run.
    #[cfg(test)]
    pub(super) fn of_row(&self, row: u32) -> Option<u64> {
        let after = self.runs.partition_point(|run| run.first_row <= row);
        Some(self.runs[after.checked_sub(1)?].seq)
    }

    pub(super) fn first(&self) -> Option<u64> {
        self.runs.first().map(|run| run.seq)
    }

    pub(super) fn last(&self) -> Option<u64> {
        self.runs.last().map(|run| run.seq)
    }

    pub(super) fn bytes(&self) -> usize {
        self.runs.capacity() * size_of::<Run>()
    }
}
