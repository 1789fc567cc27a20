//! Which input of a merge goes first, and for how many rows.
//!
//! [`Merge`](super::Merge) asks for each run that it copies while inputs overlap. Pure functions of
//! timestamps.

/// Which of the live inputs goes first.
pub(super) struct Heads {
    /// The position of the input with the earliest head, the newest of those that are equal.
    pub(super) lead: usize,
    /// How many inputs have that head.
    pub(super) tied: usize,
    /// The earliest head of the others.
    pub(super) bound: Option<i64>,
}

impl Heads {
    /// `heads` in order of rank, at least one.
    pub(super) fn of(heads: impl Iterator<Item = i64>) -> Self {
        let mut first = None;
        let mut found = Self { lead: 0, tied: 0, bound: None };
        for (position, head) in heads.enumerate() {
            match first {
                Some(time) if head == time => {
                    found.lead = position;
                    found.tied += 1;
                }
                Some(time) if head > time => {
                    found.bound = Some(found.bound.map_or(head, |bound| bound.min(head)));
                }
                _ => {
                    // An earlier head: what was first before is now behind it.
                    found = Self { lead: position, tied: 1, bound: first };
                    first = Some(head);
                }
            }
        }
        found
    }
}

/// How many of `times`, whose first is below `bound`, are below it: found in steps that double.
pub(super) fn rows_below(times: &[i64], bound: i64) -> usize {
    let mut step = 1;
    while step < times.len() && times[step] < bound {
        step *= 2;
    }
    // times[step / 2] is below the bound, and times[step], if it exists, is not.
    let from = step / 2;
    let until = step.min(times.len());
    from + times[from..until].partition_point(|&t| t < bound)
}

/// How many rows from the start have the same times in both.
pub(super) fn equal_rows(a: &[i64], b: &[i64]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
