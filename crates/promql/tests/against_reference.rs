//! The evaluator against the one that follows the definitions, over random series and queries.
//!
//! The cases are the same in every run, so that one run says of another what changed.
//! `PROPTEST_RNG_SEED` asks for others, `PROPTEST_CASES` for more; the fuzzer looks for new ones.

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use siltstone_promql_reference::compare::{Verdict, check};
use siltstone_promql_reference::generate::{case, choices};

/// How many cases, unless the environment asks for another number.
const CASES: u32 = 20_000;

/// What the cases are drawn by, unless the environment says.
const SEED: RngSeed = RngSeed::Fixed(1);

#[test]
fn answers_are_those_of_the_definitions() {
    let asked = |name| std::env::var_os(name).is_some();
    let mut config = Config::default();
    if !asked("PROPTEST_CASES") {
        config.cases = CASES;
    }
    if !asked("PROPTEST_RNG_SEED") {
        config.rng_seed = SEED;
    }
    let cases = config.cases;
    let counts: [AtomicU32; 5] = Default::default();
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..config });
    let outcome = runner.run(&vec(any::<u8>(), 0..500), |bytes| {
        let case = case(&mut choices(&bytes));
        let verdict = check(&case)
            .map_err(|difference| TestCaseError::fail(format!("{case}{difference}")))?;
        counts[verdict as usize].fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let share = |verdict: Verdict| {
        f64::from(counts[verdict as usize].load(Ordering::Relaxed)) / f64::from(cases)
    };
    // If most cases were not compared, the generator would be to blame.
    assert!(share(Verdict::Equal) > 0.3, "{counts:?}");
    assert!(share(Verdict::Open) + share(Verdict::Unsupported) < 0.2, "{counts:?}");
}
