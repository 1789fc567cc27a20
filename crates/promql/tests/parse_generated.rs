//! Generated queries: they parse, and what is printed means the same.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use siltstone_promql::{Features, parse, pretty, print};
use siltstone_promql_reference::generate::{ANY_TEXT, choices, query};
use support::meaning;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_printed_means_the_same(bytes in vec(any::<u8>(), 0..200)) {
        let features = Features::experimental();
        let text = query(features, &ANY_TEXT, &mut choices(&bytes));
        let ast = parse(&text, &features).map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
        for printed in [print(&ast), pretty(&ast)] {
            let again = parse(&printed, &features)
                .map_err(|e| TestCaseError::fail(format!("{text}: {printed}: {e}")))?;
            prop_assert!(meaning(&again) == meaning(&ast), "{text} / {printed}");
        }
    }

    #[test]
    fn nothing_experimental_passes_without_its_flag(bytes in vec(any::<u8>(), 0..200)) {
        let text = query(Features::default(), &ANY_TEXT, &mut choices(&bytes));
        prop_assert!(parse(&text, &Features::default()).is_ok(), "{}", text);
    }
}
