//! Queries: what can be read is printed, and what is printed reads back as the same. The first byte
//! decides whether the others are a text or the choices of a generator of queries.

#![no_main]

use libfuzzer_sys::fuzz_target;
use siltstone_promql::{Features, parse, parse_selector, parse_series_labels, pretty, print};
use siltstone_promql_reference::generate::{ANY_TEXT, choices, query};

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let features = match kind % 4 {
        0 => Features::default(),
        _ => Features { type_and_unit_labels: kind % 4 == 1, ..Features::experimental() },
    };
    if kind & 4 == 0 {
        let text = query(features, &ANY_TEXT, &mut choices(rest));
        assert!(parse(&text, &features).is_ok(), "{text}");
        return check(&text, &features);
    }
    if let Ok(text) = std::str::from_utf8(rest) {
        check(text, &features);
        let _ = parse_selector(text).map_err(|error| error.to_string());
        let _ = parse_series_labels(text).map_err(|error| error.to_string());
    }
});

fn check(text: &str, features: &Features) {
    let ast = match parse(text, features) {
        Ok(ast) => ast,
        Err(error) => {
            assert!(text.get(error.span.range()).is_some(), "{text:?}: {error:?}");
            return;
        }
    };
    for node in ast.nodes() {
        assert!(text.get(node.span.range()).is_some(), "{text:?}: {node:?}");
    }
    // What has no place any more is all that matters.
    let printed = print(&ast);
    for again in [&printed, &pretty(&ast)] {
        let ast = parse(again, features).unwrap_or_else(|e| panic!("{text:?}: {again:?}: {e}"));
        assert_eq!(print(&ast), printed, "{text:?}");
    }
    let fixed = ast.with_at(60_000);
    assert!(parse(&print(&fixed), features).is_ok(), "{text:?}");
}
