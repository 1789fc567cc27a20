//! The evaluator against the one that follows the definitions, over random series and queries.

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use siltstone_promql_reference::compare::{Verdict, check};
use siltstone_promql_reference::generate::{case, choices};

/// How many cases; `PROPTEST_CASES` in the environment asks for another number.
const CASES: u32 = 20_000;

#[test]
fn answers_are_those_of_the_definitions() {
    let asked = std::env::var("PROPTEST_CASES").is_ok();
    let config = Config::default();
    let config = if asked { config } else { Config { cases: CASES, ..config } };
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
