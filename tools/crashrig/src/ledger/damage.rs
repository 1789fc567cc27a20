//! What a check has found wrong.

/// Findings that are described one by one.
const DESCRIBED_MAX: usize = 20;

/// What was found wrong, in samples unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Acknowledged, or seen before, and not there.
    pub(crate) lost: u64,
    /// There with bits that were never sent for that place.
    pub(crate) different: u64,
    /// There with an older value than the last.
    pub(crate) superseded: u64,
    /// Operations of which a part holds.
    pub(crate) torn: u64,
    /// Deleted, or not found once, and there later.
    pub(crate) risen: u64,
    /// There, but never sent.
    pub(crate) foreign: u64,
    /// A second sample at one time, or samples that do not go forward in time.
    pub(crate) disordered: u64,
    /// The first findings.
    pub(crate) described: Vec<String>,
}

impl Damage {
    /// The counts, with their names.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 7] {
        [
            ("lost", self.lost),
            ("different", self.different),
            ("superseded", self.superseded),
            ("torn", self.torn),
            ("risen", self.risen),
            ("foreign", self.foreign),
            ("disordered", self.disordered),
        ]
    }

    /// Whether nothing was found.
    pub(crate) fn is_none(&self) -> bool {
        self.counts().iter().all(|(_, count)| *count == 0)
    }

    pub(super) fn describe(&mut self, what: String) {
        if self.described.len() < DESCRIBED_MAX {
            self.described.push(what);
        }
    }

    /// Adds what another check found.
    pub(crate) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.different += other.different;
        self.superseded += other.superseded;
        self.torn += other.torn;
        self.risen += other.risen;
        self.foreign += other.foreign;
        self.disordered += other.disordered;
        for line in other.described {
            self.describe(line);
        }
    }
}
