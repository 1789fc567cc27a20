//! The `siltstone` command: a store served, filled, read and inspected.
//!
//! Exit codes: 0 good, 1 damage or a difference found, 2 usage, 3 the store is in use, 4 input, output
//! or a full disk, 5 the store failed and takes no writes until it is opened again, 130 stopped by a signal. An error is one line on stderr that says what to do.
//!
//! # Decisions
//!
//! - *Tables of samples* have the labels last: neither the width nor the direction of a script
//!   moves times and values. They are printed in pages of 1,000 rows whose columns only widen, so
//!   that any number of samples streams.
//! - *Steps of `samples --step`* are counted from `--start`, as the library does, and without it
//!   from 1970, not from the first tick there is, which nobody would recognise. A series with more
//!   buckets than may be held is folded in parts, found by a fold in longer steps (`the server's
//!   `selected_series/steps.rs``).
//! - *Times in the command* are UTC, in and out: a plot and the query that it came from mean the
//!   same moments wherever they are read. All flags of one process share one `now`.
//! - *Plots* are drawn by the command itself, in the terminal: 300 lines for dots, axes and a
//!   legend that know about gaps, infinite values and scripts. SVG is written through `plotters`,
//!   of which only the SVG part is built.

mod caret;
mod commands;
mod csv;
mod damage_flags;
mod failure;
mod input;
mod interrupt;
mod lost_text;
mod messages;
mod output;
mod plot;
mod progress;
mod query_flags;
mod selection_flags;
mod server_client;
mod server_flags;
mod store_flags;
mod stream;
mod table;
mod target;
mod times;
mod units;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use commands::{
    attach, compact, delete, digest, explain, export, flush, import, ls, query, repair, samples,
    serve, show, snapshot, stats, verify,
};
use failure::Outcome;

/// A log-structured store for time series.
#[derive(Debug, Parser)]
#[command(name = "siltstone", version, about, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  siltstone serve                               listen on 127.0.0.1:7480
  siltstone import samples.jsonl.zst            read JSON lines into siltstone-data
  siltstone export --match 'up{job=\"node\"}'     write them as JSON lines
  siltstone query 'rate(up[5m])' --start -6h --plot
  siltstone samples 'up{job=\"node\"}'           show what is stored
  siltstone verify                              check every byte of the store
  siltstone delete --match up --dry-run         say what a delete would hide
  siltstone compact                             merge segments, free what was deleted

Exit codes: 0 good, 1 damage or a difference found, 2 usage, 3 in use, 4 I/O or full disk,
5 the store failed and is to be opened again, 130 stopped";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::Args>),
    Import(import::Args),
    Export(export::Args),
    Query(query::Args),
    Explain(explain::Args),
    Samples(samples::Args),
    Digest(digest::Args),
    Ls(ls::Args),
    Show(show::Args),
    Verify(verify::Args),
    Repair(repair::Args),
    Stats(stats::Args),
    Flush(flush::Args),
    Compact(compact::Args),
    Delete(delete::Args),
    Snapshot(snapshot::Args),
    Attach(attach::Args),
}

fn main() -> ExitCode {
    abort_on_panic();
    // Where there is no such handler, a fault of a disk ends the command as it always did.
    let _ = siltstone::turn_map_faults_into_errors();
    let cli = Cli::parse();
    let Some(command) = cli.command else {
        // Asking for nothing is a usage error, but a helpful one.
        let _ = Cli::command().print_help();
        return ExitCode::from(failure::USAGE);
    };
    let result = match command {
        Command::Serve(args) => serve::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Query(args) => query::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Samples(args) => samples::run(&args),
        Command::Digest(args) => digest::run(&args),
        Command::Ls(args) => ls::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Repair(args) => repair::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Flush(args) => flush::run(&args),
        Command::Compact(args) => compact::run(&args),
        Command::Delete(args) => delete::run(&args),
        Command::Snapshot(args) => snapshot::run(&args),
        Command::Attach(args) => attach::run(&args),
    };
    match result {
        Ok(Outcome::Good) => ExitCode::SUCCESS,
        Ok(Outcome::Found) => ExitCode::from(failure::FOUND),
        Err(failure) => failure.report(),
    }
}

/// A panic is a bug, and what is left of the process after one is not to be trusted with data: the
/// log makes dying safe.
fn abort_on_panic() {
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        show(panic);
        std::process::abort();
    }));
}
