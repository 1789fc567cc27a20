//! `--skip-damaged`: reading on where samples are lost.

use clap::Args;
use siltstone::{Damage, QueryOptions};

use crate::failure::Outcome;
use crate::messages;

/// What is done where samples are lost.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct DamageFlags {
    /// Leave out what is damaged or lost, and say on stderr what that is; the exit code is 1 then
    #[arg(long)]
    skip_damaged: bool,
}

/// What a command has left out, once it is done.
pub(crate) struct LeftOut(Option<Damage>);

impl DamageFlags {
    /// The same limits, with what the flag says about damage.
    pub(crate) fn apply(self, options: QueryOptions) -> (QueryOptions, LeftOut) {
        let damage = self.skip_damaged.then(Damage::default);
        (QueryOptions { skip_damaged: damage.clone(), ..options }, LeftOut(damage))
    }
}

impl LeftOut {
    /// Says what was left out, a line for each series of a damaged block.
    pub(crate) fn report(&self, outcome: Outcome) -> Outcome {
        let errors = self.0.as_ref().map_or_else(Vec::new, Damage::take);
        errors.iter().for_each(|error| messages::warning(&format!("left out: {error}")));
        if errors.is_empty() { outcome } else { Outcome::Found }
    }
}
