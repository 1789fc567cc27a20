//! The whole engine against a map, bit for bit.
//!
//! `machine` runs random steps (writes of every kind, flushes, time, kills, readers beside the writer)
//! and compares every answer with the oracle's. `metamorphic` runs the same steps under many
//! configurations. `named` keeps what they found. `PROPTEST_CASES` widens the random ones.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod machine;
mod metamorphic;
mod named;
mod ops;

use proptest::collection::vec;
use proptest::prelude::*;

use machine::Machine;

/// The number of random cases: `PROPTEST_CASES`, or so many.
fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(default),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(384))]

    #[test]
    fn any_sequence_of_steps_answers_as_a_map_would(
        config in ops::config(),
        steps in vec(ops::op(), 1..40),
    ) {
        let mut machine = Machine::new(config);
        steps.iter().for_each(|step| machine.run(step));
        machine.finish();
    }
}
