//! What is run: waves of attacks with the time of each, and the server's limits that fit into it.

use std::time::Duration;

use siltstone_rig::RigError;

use crate::attacks::{self, Attack};

/// How long healthy clients run alone.
const CALM: Duration = Duration::from_secs(5);
/// Clients of an attack that come to the storm: one of so many.
const STORM_SHARE: usize = 3;
/// In the short form, the same.
const SHORT_SHARE: usize = 4;
/// How long the waves of the short form last.
const SHORT_CALM: Duration = Duration::from_secs(1);
const SHORT_QUICK: Duration = Duration::from_millis(2500);
const SHORT_LASTING: Duration = Duration::from_secs(6);

/// Attacks at the same time.
#[derive(Debug)]
pub(crate) struct Wave {
    pub(crate) name: String,
    pub(crate) attacks: Vec<Attack>,
    pub(crate) length: Duration,
    /// Only one of so many clients comes.
    pub(crate) share: usize,
}

impl Wave {
    /// Whether attacks compete with each other, so that each may be refused for want of a turn.
    pub(crate) fn is_crowd(&self) -> bool {
        self.attacks.len() > 1
    }

    /// Whether new series of healthy clients may be refused meanwhile.
    pub(crate) fn fills(&self) -> bool {
        self.attacks.iter().any(|attack| attack.fills_the_registry)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) calm: Duration,
    pub(crate) waves: Vec<Wave>,
    pub(crate) budget_bytes: u64,
    pub(crate) seed: u64,
    /// What the server's deadlines are parts of.
    deadlines_of: Duration,
}

impl Plan {
    /// Each attack by itself, then all of them; or only those named, and no storm.
    ///
    /// # Errors
    /// If a name is not that of an attack.
    pub(crate) fn long(
        length: Duration,
        only: &[String],
        budget_bytes: u64,
        seed: u64,
    ) -> Result<Self, RigError> {
        let all = attacks::all();
        let known = |name: &&String| *name == "storm" || all.iter().any(|a| a.name == *name);
        if let Some(name) = only.iter().find(|name| !known(name)) {
            let names: Vec<_> = all.iter().map(|attack| attack.name).collect();
            let names = names.join(", ");
            return Err(RigError::failed(format!("{name} is none of {names}, storm")));
        }
        let is_wanted = |name: &str| only.is_empty() || only.iter().any(|wanted| wanted == name);
        let mut waves: Vec<_> = all
            .iter()
            .filter(|attack| is_wanted(attack.name))
            .map(|attack| Wave {
                name: attack.name.to_owned(),
                attacks: vec![*attack],
                length,
                share: 1,
            })
            .collect();
        if is_wanted("storm") {
            waves.push(Wave { name: "storm".into(), attacks: all, length, share: STORM_SHARE });
        }
        Ok(Self { calm: CALM, waves, budget_bytes, seed, deadlines_of: length })
    }

    /// The same attacks, all at the same time.
    pub(crate) fn together(mut self) -> Self {
        let length = self.deadlines_of;
        let attacks = self.waves.drain(..).flat_map(|wave| wave.attacks).collect();
        self.waves.push(Wave { name: "together".into(), attacks, length, share: 1 });
        self
    }

    /// Few seconds: all attacks in three waves, by what they need.
    pub(crate) fn short(budget_bytes: u64, seed: u64) -> Self {
        let all = attacks::all();
        let wave = |name: &str, length, is_in: &dyn Fn(&Attack) -> bool| Wave {
            name: name.into(),
            attacks: all.iter().filter(|attack| is_in(attack)).copied().collect(),
            length,
            share: SHORT_SHARE,
        };
        let waves = vec![
            wave("quick", SHORT_QUICK, &|a| !a.lasts && !a.fills_the_registry),
            wave("lasting", SHORT_LASTING, &|a| a.lasts),
            wave("filling", SHORT_QUICK, &|a| a.fills_the_registry),
        ];
        Self { calm: SHORT_CALM, waves, budget_bytes, seed, deadlines_of: SHORT_LASTING }
    }

    /// What the server is told beside where it is: deadlines that pass within an attack.
    pub(crate) fn server_arguments(&self) -> Vec<String> {
        let part = |parts: u32| format!("{}ms", (self.deadlines_of / parts).as_millis());
        [
            ("--memory-budget", self.budget_bytes.to_string()),
            // A part of what is stored lies in segments.
            ("--wal-max", "16MiB".to_owned()),
            ("--header-timeout", part(4)),
            ("--body-timeout", part(2)),
            ("--write-timeout", part(2)),
            ("--admission-wait", part(4)),
            ("--series-idle", "5s".to_owned()),
        ]
        .into_iter()
        .flat_map(|(flag, value)| [flag.to_owned(), value])
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(4);

    #[test]
    fn a_name_chooses_an_attack() {
        let all = Plan::long(LENGTH, &[], 1, 1).unwrap();
        assert_eq!(all.waves.len(), attacks::all().len() + 1);
        assert!(all.waves.last().is_some_and(|wave| wave.is_crowd() && wave.fills()));
        let only = Plan::long(LENGTH, &["ghost-series".into()], 1, 1).unwrap();
        assert_eq!((only.waves.len(), only.waves[0].is_crowd()), (1, false));
        let both = ["joins".to_owned(), "subqueries".to_owned()];
        let together = Plan::long(LENGTH, &both, 1, 1).unwrap().together();
        assert_eq!((together.waves.len(), together.waves[0].attacks.len()), (1, 2));
        let error = Plan::long(LENGTH, &["dragons".into()], 1, 1).unwrap_err().to_string();
        assert!(error.contains("dragons") && error.contains("ghost-series"), "{error}");
    }

    #[test]
    fn the_short_form_leaves_nothing_out() {
        let plan = Plan::short(1, 1);
        let attacks: usize = plan.waves.iter().map(|wave| wave.attacks.len()).sum();
        assert_eq!(attacks, attacks::all().len());
        assert!(plan.server_arguments().contains(&"1500ms".to_owned()));
    }
}
