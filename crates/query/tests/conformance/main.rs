//! Prometheus's own test scripts, run over a store: `cargo test -p siltstone-query --test conformance
//! -- --nocapture`.
//!
//! The runner is `siltstone-promql-conformance`. What a script loads is kept in memory and written to
//! stores in several layouts ([`stored`]); every evaluation must answer the same bits over all of them. A store holds floats: what native histograms and start timestamps are loaded
//! for is evaluated in memory alone, and counted.

#![allow(clippy::print_stdout, reason = "the report is what the program is for")]

mod stored;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use siltstone_promql_conformance::run::run_script;
use siltstone_promql_conformance::scripts::{directory, scripts};

use crate::stored::Stored;

fn main() -> ExitCode {
    // Tools that list tests find none here.
    if env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let Some(directory) = directory() else { return ExitCode::SUCCESS };
    match run_all(&directory) {
        Ok(passed) => {
            if passed {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every script; whether all cases passed and the stores were asked.
fn run_all(directory: &Path) -> Result<bool, String> {
    let stored = Stored::default();
    let (mut passed, mut total) = (0, 0);
    for path in scripts(directory)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{name}: {e}"))?;
        let report = run_script(&stored, &name, &text, None)?;
        for miss in &report.misses {
            println!("{name}:{}: {}\n    {}", miss.line, miss.query, miss.reason);
        }
        passed += report.passed();
        total += report.lines.len();
    }
    let (in_stores, in_memory) = stored.evaluations();
    println!("evaluations over stores: {in_stores}, in memory alone: {in_memory}");
    println!("total: {passed}/{total}");
    Ok(passed == total && in_stores > 1_000)
}
