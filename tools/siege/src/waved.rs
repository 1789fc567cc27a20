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
/// Growth that is looked at.
const GROWTH_MIN: u64 = 8 << 20;

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
        // What others left behind is their fault: it is named where it came about.
        let peak = self.peak.rss_anon_bytes;
        let is_bounded = peak < budget_bytes + OVER_BUDGET_MAX;
        let has_grown = peak > self.before_bytes + GROWTH_MIN;
        let (excess, grown) = (over(peak, budget_bytes), over(peak, self.before_bytes));
        verdict.require(
            is_bounded || !has_grown,
            format!("memory was {excess} over the budget, {grown} over what it was before"),
        );
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

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: u64 = 256 << 20;

    fn waved(wave: &Wave) -> Waved<'_> {
        let served = Served { name: "write", count: 9, ..Served::default() };
        let mut outcomes = Outcomes::default();
        outcomes.note(wave.attacks[0].expected[0]);
        Waved {
            wave,
            attacked: vec![(wave.attacks[0], outcomes)],
            served: vec![served],
            before_bytes: 1,
            peak: Peak { rss_anon_bytes: BUDGET, ..Peak::default() },
            room: Ok(Duration::ZERO),
        }
    }

    #[test]
    fn what_should_not_have_happened_is_named() {
        let wave = Wave {
            name: "alone".into(),
            attacks: crate::attacks::all()[..1].to_vec(),
            length: Duration::ZERO,
            share: 1,
        };
        let faults = |change: &dyn Fn(&mut Waved<'_>)| {
            let mut waved = waved(&wave);
            change(&mut waved);
            waved.verdict(BUDGET).faults().join("\n")
        };
        assert_eq!(faults(&|_| {}), "");
        assert!(faults(&|w| w.attacked[0].1.note("500")).contains("1 times 500"));
        assert!(faults(&|w| w.attacked[0].1 = Outcomes::default()).contains("nothing came"));
        assert!(faults(&|w| w.served[0].fail("503")).contains("healthy write: 1 times 503"));
        assert!(faults(&|w| w.served[0].count = 0).contains("none was served"));
        assert!(faults(&|w| w.room = Err("429".into())).contains("refused: 429"));
        let large = |w: &mut Waved<'_>| w.peak.rss_anon_bytes = BUDGET + OVER_BUDGET_MAX;
        assert!(faults(&large).contains("+67.1 MB over the budget"));
        // It was so large before.
        assert_eq!(faults(&|w| (large(w), w.before_bytes = w.peak.rss_anon_bytes).1), "");
    }
}
