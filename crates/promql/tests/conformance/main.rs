//! Prometheus's own test scripts, run against the crate: `cargo test -p siltstone-promql --test
//! conformance -- --nocapture`.
//!
//! The scripts are not part of the project. They are read from the directory that
//! `SILTSTONE_PROMQLTEST` names, or else from `../shared/promqltest` beside the project; without it
//! nothing runs, which is said loudly. `SILTSTONE_PROMQLTEST_ONLY=functions` runs one file,
//! `functions:123` the case of one line.
//!
//! The run fails on a miss that `tests/known-misses.txt` does not list and on a listed case that
//! passes. The figures printed count what really passed, the total on the last line. The program has
//! no test harness, so that nothing is printed behind it.

#![allow(clippy::print_stdout, reason = "the report is what the program is for")]

use std::env;
use std::path::Path;
use std::process::ExitCode;

use siltstone_promql_conformance::run::{FileReport, run_script};
use siltstone_promql_conformance::scripts::{directory, scripts};
use siltstone_promql_conformance::under_test::Siltstone;
use siltstone_promql_conformance::verdict::{judge, read_known};

const KNOWN_MISSES: &str = include_str!("../known-misses.txt");

fn main() -> ExitCode {
    // Tools that list tests find none here.
    if env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    let Some(directory) = directory() else { return ExitCode::SUCCESS };
    // A panic of a case is reported as its miss, so the hook prints nothing.
    std::panic::set_hook(Box::new(|_| {}));
    match run_directory(&directory) {
        Ok(reports) if reports.iter().all(|report| report.lines.is_empty()) => {
            println!("no case was run");
            ExitCode::FAILURE
        }
        Ok(reports) => conclude(&reports),
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the scripts of a directory in order of their names.
fn run_directory(directory: &Path) -> Result<Vec<FileReport>, String> {
    let only = env::var("SILTSTONE_PROMQLTEST_ONLY").unwrap_or_default();
    let (only_file, only_line) = match only.split_once(':') {
        Some((file, line)) => (file, Some(line.parse().map_err(|e| format!("{only}: {e}"))?)),
        None => (only.as_str(), None),
    };
    let mut reports = Vec::new();
    for path in scripts(directory)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if only_file.is_empty() || name.trim_end_matches(".test") == only_file {
            let text = std::fs::read_to_string(&path).map_err(|e| format!("{name}: {e}"))?;
            reports.push(run_script(&Siltstone, &name, &text, only_line)?);
        }
    }
    Ok(reports)
}

fn conclude(reports: &[FileReport]) -> ExitCode {
    match read_known(KNOWN_MISSES) {
        Ok(known) => {
            let verdict = judge(reports, &known);
            print!("{}", verdict.text);
            if verdict.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            println!("known-misses.txt: {error}");
            ExitCode::FAILURE
        }
    }
}
