//! Queries: any text, and generated ones with a part of them overwritten.
//!
//! A parse ends with a tree or with an error inside the text; what is printed of a tree reads back as
//! the same tree.

#![no_main]

#[path = "../../crates/promql/tests/support/mod.rs"]
mod support;

use libfuzzer_sys::fuzz_target;
use siltstone_promql::{Features, parse, parse_series_labels, pretty, print};
use support::generator::{choices, query};
use support::meaning;

fuzz_target!(|data: &[u8]| {
    let Some((&kind, data)) = data.split_first() else { return };
    let text = match kind % 3 {
        0 => String::from_utf8_lossy(data).into_owned(),
        1 => query(Features::experimental(), &mut choices(data)),
        _ => {
            let (damage, data) = data.split_at(data.len().min(8));
            let text = query(Features::experimental(), &mut choices(data));
            let mut bytes = text.into_bytes();
            let at = damage.iter().fold(0, |at, b| at * 31 + usize::from(*b)) % (bytes.len() + 1);
            let end = (at + damage.len() / 2).min(bytes.len());
            bytes.splice(at..end, damage.iter().copied());
            String::from_utf8_lossy(&bytes).into_owned()
        }
    };
    let features = if kind < 128 { Features::experimental() } else { Features::default() };
    match parse(&text, &features) {
        Ok(ast) => {
            for printed in [print(&ast), pretty(&ast)] {
                // A length below a millisecond prints as nothing, which is no range.
                let Ok(again) = parse(&printed, &features) else {
                    assert!(printed.contains("0s"), "{text} / {printed}");
                    return;
                };
                assert_eq!(meaning(&again), meaning(&ast), "{text} / {printed}");
            }
        }
        Err(error) => assert!(text.get(error.span.range()).is_some()),
    }
    if let Ok((_, rest)) = parse_series_labels(&text) {
        assert!(text.get(rest..).is_some());
    }
});
