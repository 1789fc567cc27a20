//! What came of a wave, and what of that should not have.

use std::time::Duration;

use siltstone_rig::gauge::Peak;
use siltstone_rig::served::Served;
use siltstone_rig::verdict::Verdict;

use crate::arena::Outcomes;
use crate::attacks::{Attack, is_expected};
use crate::plan::Wave;

/// What memory may be over the budget.
const OVER_BUDGET_MAX: u64 = 64 << 20;

/// What came of a wave.
#[derive(Debug)]
pub(crate) struct Waved<'p> {
    pub(crate) wave: &'p Wave,
    pub(crate) attacked: Vec<(Attack, Outcomes)>,
    pub(crate) served: Vec<Served>,
    pub(crate) before_bytes: u64,
    pub(crate) peak: Peak,
    /// How long a new series waited afterwards, or why it was refused.
    pub(crate) room: Result<Duration, String>,
}

impl Waved<'_> {
    /// What should not have happened.
    pub(crate) fn verdict(&self, budget_bytes: u64) -> Verdict {
        let mut verdict = Verdict::default();
        for (attack, outcomes) in &self.attacked {
            let name = attack.name;
            verdict.require(outcomes.total() > 0, format!("{name}: nothing came of it"));
            for (outcome, count) in outcomes.iter() {
                let expected = is_expected(attack, outcome, self.wave.is_crowd());
                verdict.require(expected, format!("{name}: {count} times {outcome}"));
            }
        }
        for served in &self.served {
            let (name, failed) = (served.name, failures(served));
            verdict.require(served.failures() == 0, format!("healthy {name}: {failed}"));
            let none = served.count == 0 && !(name == "new series" && self.wave.fills());
            verdict.require(!none, format!("healthy {name}: none was served"));
        }
        let excess = over(self.peak.rss_anon_bytes, budget_bytes);
        let is_bounded = self.peak.rss_anon_bytes < budget_bytes + OVER_BUDGET_MAX;
        verdict.require(is_bounded, format!("memory was {excess} over the budget"));
        if let Err(why) = &self.room {
            verdict.require(false, format!("afterwards a new series was refused: {why}"));
        }
        verdict
    }
}

/// Bytes over others, with their sign.
pub(crate) fn over(bytes: u64, others: u64) -> String {
    let over = bytes.cast_signed() - others.cast_signed();
    format!("{:+.1} MB", over as f64 / 1e6)
}

/// Requests that failed, by what came.
pub(crate) fn failures(served: &Served) -> String {
    let failed: Vec<_> =
        served.failed.iter().map(|(what, count)| format!("{count} times {what}")).collect();
    if failed.is_empty() { "none failed".into() } else { failed.join(", ") }
}
