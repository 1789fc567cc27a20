//! `promqldiff`: asks a Prometheus server and Siltstone the same random PromQL queries.
//!
//! Exit codes: 0 no finding, 1 the sides differ, 2 usage, 4 the comparison could not run.

#![expect(
    clippy::disallowed_methods,
    reason = "a rig stands outside the store: it has files, clocks and threads of its own"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is the product")]

mod answer;
mod compare;
mod dataset;
mod generate;
mod grammar;
mod judge;
mod known;
mod native;
mod ours;
mod prometheus;
mod random;
mod report;
mod run;
mod shrink;
mod stored;
mod synthetic;
mod tokens;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use siltstone_rig::{Interrupt, RigError};

use crate::answer::Times;

/// Asks a Prometheus server and Siltstone the same random PromQL queries and reports where they
/// differ
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  promqldiff --prometheus /usr/bin/prometheus --queries 2000\n  \
    promqldiff --prometheus /usr/bin/prometheus --data node.jsonl.zst --seed 7 --minutes 10\n  \
    promqldiff --prometheus /usr/bin/prometheus --query 'rate(c_total[5m])'"
)]
struct Cli {
    /// The prometheus program; version 3.5 or newer
    #[arg(long, value_name = "PATH")]
    prometheus: PathBuf,
    /// A recording, JSON lines in zstd, of which parts are loaded; may be repeated. Together they
    /// must not be longer than an hour
    #[arg(long, value_name = "FILE")]
    data: Vec<PathBuf>,
    /// Number of queries; each is evaluated at two instants and two ranges
    #[arg(long, default_value_t = 1000)]
    queries: u64,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Ends after this time even if queries are left
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// Ends after so many findings
    #[arg(long, value_name = "N", default_value_t = 20)]
    findings: u64,
    /// Both sides drop names of metrics at the end of the evaluation
    #[arg(long)]
    delayed_name_removal: bool,
    /// Compares this query instead of random ones; may be repeated
    #[arg(long, value_name = "QUERY")]
    query: Vec<String>,
    /// When to evaluate it, in milliseconds: `TIME` or `START..END/STEP` [default: random times]
    #[arg(long, value_name = "TIMES", requires = "query")]
    at: Vec<Times>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match Interrupt::install().and_then(|interrupt| compare_both(&cli, &interrupt)) {
        Ok(counts) => {
            println!("{counts}");
            if counts.findings() == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => {
            eprintln!("promqldiff: {error}");
            ExitCode::from(4)
        }
    }
}

fn compare_both(cli: &Cli, interrupt: &Interrupt) -> Result<report::Counts, RigError> {
    let work = tempfile::Builder::new()
        .prefix("promqldiff-")
        .tempdir()
        .map_err(RigError::io("making a temporary directory"))?;
    run::run(cli, work.path(), interrupt)
}
