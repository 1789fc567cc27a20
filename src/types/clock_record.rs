//! What a store remembers of the wall clock, for retention to guard itself with.

/// What edits of the manifest have recorded of the wall clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClockRecord {
    /// The wall clock when it was last trusted, in milliseconds since the epoch.
    pub trusted_ms: Option<i64>,
    /// A clock that has jumped since and is not trusted yet.
    pub suspect: Option<SuspectClock>,
}

impl ClockRecord {
    /// What is remembered once `next` is recorded: a trusted clock ends the suspicion.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        match next.trusted_ms {
            Some(_) => next,
            None => Self { trusted_ms: self.trusted_ms, suspect: next.suspect.or(self.suspect) },
        }
    }
}

/// A wall clock that has jumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuspectClock {
    /// What it showed when it was recorded, in milliseconds since the epoch.
    pub wall_ms: i64,
    /// How long the store had been open since the jump, in milliseconds.
    pub run_ms: u64,
}
