//! The attacks, each a row: a name, what may come of its requests, and what its clients do.
//!
//! The outcomes of a row are what [`Progress::outcome`](crate::answer::Progress::outcome) says. They are what
//! the server should answer, not what it was seen to answer.

mod bodies;
mod bombs;
mod connections;
mod labels;
mod leaving;
mod mutations;
mod patterns;
mod protocol;
mod queries;
mod readers;
mod wrong;

use std::time::Duration;

use crate::arena::{Arena, Outcomes};

/// How long clients that wait for an answer may stay when no new request begins: longer than a request waits
/// for its turn.
const PATIENCE: Duration = Duration::from_secs(15);

/// How an attack ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Its clients leave when their time is over, whether or not they have an answer.
    Leaves,
    /// Each request is waited for: an outcome "left" is one that did not come.
    Waits,
}

impl End {
    /// How long clients stay after their time.
    pub(crate) fn patience(self) -> Duration {
        match self {
            Self::Leaves => Duration::ZERO,
            Self::Waits => PATIENCE,
        }
    }
}

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// Outcomes that are right.
    pub(crate) expected: &'static [&'static str],
    pub(crate) end: End,
    /// Whether new series of healthy clients may be refused meanwhile.
    pub(crate) fills_the_registry: bool,
    /// Whether it is of use only if it lasts: deadlines pass in it.
    pub(crate) lasts: bool,
    pub(crate) run: fn(&Arena<'_>) -> Outcomes,
}

impl Attack {
    /// A row whose requests are all waited for.
    const fn new(
        name: &'static str,
        expected: &'static [&'static str],
        run: fn(&Arena<'_>) -> Outcomes,
    ) -> Self {
        Self { name, expected, end: End::Waits, fills_the_registry: false, lasts: false, run }
    }

    /// The row, whose clients leave when their time is over.
    const fn leaving(self) -> Self {
        Self { end: End::Leaves, ..self }
    }

    /// The row, in which deadlines pass.
    const fn lasting(self) -> Self {
        Self { lasts: true, ..self }
    }

    /// The row, beside which new series have no room.
    const fn filling(self) -> Self {
        Self { fills_the_registry: true, ..self }
    }
}

/// Outcomes that are right for any attack beside many others: turns, memory and places run out. A remote read
/// is told so with 400.
const CROWDED: &[&str] =
    &["400", "408", "422", "429", "503", "closed", "left", "200 left", "200 cut", "503 cut"];

/// Whether `outcome` is right for `attack`, alone or in a crowd of others.
pub(crate) fn is_expected(attack: &Attack, outcome: &str, crowded: bool) -> bool {
    attack.expected.contains(&outcome) || (crowded && CROWDED.contains(&outcome))
}

/// All of them, in the order in which they run: what takes room for long comes last.
pub(crate) fn all() -> Vec<Attack> {
    [
        bodies::ATTACKS,
        connections::ATTACKS,
        protocol::ATTACKS,
        wrong::ATTACKS,
        bombs::ATTACKS,
        patterns::ATTACKS,
        queries::ATTACKS,
        readers::ATTACKS,
        mutations::ATTACKS,
        leaving::ATTACKS,
        labels::ATTACKS,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_different_and_everything_expects_something() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|attack| attack.name).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.iter().all(|attack| !attack.expected.is_empty()));
    }

    #[test]
    fn a_crowd_excuses_refusals_and_no_errors() {
        let attack = Attack::new("x", &["400"], |_| Outcomes::default());
        assert!(is_expected(&attack, "400", false) && !is_expected(&attack, "503", false));
        assert!(is_expected(&attack, "503", true) && !is_expected(&attack, "500", true));
        assert!(!is_expected(&attack, "503 without Retry-After", true));
    }
}
