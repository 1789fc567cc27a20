//! Every query of Prometheus's test scripts parses, and prints as a query that means the same.
//!
//! The scripts are read from the directory that `SILTSTONE_PROMQLTEST` names, by default
//! `../shared/promqltest` beside the workspace; without it the test says so and passes.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test reports on the console")]

use std::path::PathBuf;

use siltstone_promql::{Features, parse, pretty, print};

fn directory() -> PathBuf {
    std::env::var_os("SILTSTONE_PROMQLTEST").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/promqltest")),
        PathBuf::from,
    )
}

/// The query of an `eval` line.
fn query(line: &str) -> Option<&str> {
    let mut words = line.trim().strip_prefix("eval")?.split_ascii_whitespace().skip_while(|word| {
        // What is glued to `eval`, such as `_fail`.
        word.starts_with('_')
    });
    let skipped = match words.next()? {
        "instant" => 2,
        "range" => 6,
        other => panic!("an eval of a kind that this test does not know: {other} in {line}"),
    };
    let first = words.nth(skipped)?;
    let start = first.as_ptr() as usize - line.as_ptr() as usize;
    Some(line[start..].trim_end())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "reads test scripts, not a store")]
fn every_query_parses_and_prints() {
    let directory = directory();
    let Ok(entries) = std::fs::read_dir(&directory) else {
        eprintln!("SKIPPED: no test scripts in {}", directory.display());
        return;
    };
    let features = Features::experimental();
    let (mut queries, mut faults) = (0, Vec::new());
    for entry in entries {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "test") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let Some(query) = query(line) else { continue };
            queries += 1;
            let place = format!("{}:{}: {query}", path.display(), number + 1);
            let ast = match parse(query, &features) {
                Ok(ast) => ast,
                Err(error) => {
                    faults.push(format!("{place}: {error}"));
                    continue;
                }
            };
            let printed = print(&ast);
            for text in [&printed, &pretty(&ast)] {
                match parse(text, &features) {
                    Ok(again) if print(&again) == printed => {}
                    Ok(again) => faults.push(format!("{place}: {text} / {}", print(&again))),
                    Err(error) => faults.push(format!("{place}: {text}: {error}")),
                }
            }
        }
    }
    eprintln!("{queries} queries");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(queries > 0, "no queries in {}", directory.display());
}
