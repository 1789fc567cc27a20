//! `siltstone query`: PromQL on a store or through a server, as a table, JSON, CSV or a plot.
//!
//! 1. The flags say when ([`crate::query_flags`]).
//! 2. [`local`] evaluates on a directory, [`remote`] asks a server; both give an [`answer`].
//! 3. [`show`] and [`json`] write it, or [`draw`] plots it; warnings and infos go to stderr.

mod answer;
mod draw;
mod json;
mod local;
mod number;
mod remote;
mod show;

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use crate::failure::{Outcome, Result};
use crate::messages;
use crate::plot::unit::Unit;
use crate::query_flags::{LimitFlags, When, WhenFlags};
use crate::server_client::{ServerUrl, parse_url};
use crate::store_flags::DataFlag;

pub(super) use local::on_store;

const EXAMPLES: &str = "\
Examples:
  siltstone query 'sum by (job) (rate(http_requests_total[5m]))'
  siltstone query up --time 2026-01-31T08:00:00Z
  siltstone query 'rate(node_cpu_seconds_total[5m])' --start -6h --step 5m --format csv
  siltstone query 'avg_over_time(temperature[10m])' --start -1d --plot
  siltstone query temperature --start -30d --svg temperature.svg
  siltstone query up --url http://127.0.0.1:7480 --json | jq -r '.result[].metric.job'

With --start, --end or --step, and for a plot, the query is evaluated at steps
from --start to --end, else once. Times are UTC. JSON is the data of Prometheus's
HTTP API; CSV (RFC 4180) has timestamps in milliseconds and a column for each
label. It reads a store that is in use as well, and sees what was written
before it started. Ctrl-C stops it.

A plot has as many characters as the terminal; --width and --height set others.
Without colours (a pipe, or NO_COLOR set) letters mark the series. Its numbers
have the unit that the name of the metric ends with, or that of --unit.

siltstone samples shows what is stored, sample by sample.";

/// Evaluate a PromQL query
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The query, such as 'rate(http_requests_total[5m])'
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expression: String,
    #[command(flatten)]
    when: WhenFlags,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print JSON, as --format json does
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    plot: PlotFlags,
    #[command(flatten)]
    limits: LimitFlags,
    #[command(flatten)]
    data: DataFlag,
    /// Ask the server there: Siltstone, Prometheus, or another with its API
    #[arg(long, value_name = "URL", conflicts_with = "data", value_parser = parse_url)]
    url: Option<ServerUrl>,
}

#[derive(Debug, ClapArgs)]
struct PlotFlags {
    /// Draw a plot in the terminal
    #[arg(long, conflicts_with_all = ["format", "json", "time"])]
    plot: bool,
    /// Draw a plot into a file, which is replaced if it is there
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format", "json", "time"])]
    svg: Option<PathBuf>,
    /// Columns of the plot [default: those of the terminal, or 80]
    #[arg(long, value_name = "N", requires = "plot",
        value_parser = clap::value_parser!(u16).range(20..=1000))]
    width: Option<u16>,
    /// Rows of the plot with its legend [default: those of the terminal, or 24]
    #[arg(long, value_name = "N", requires = "plot",
        value_parser = clap::value_parser!(u16).range(8..=1000))]
    height: Option<u16>,
    /// What the values of a plot count
    #[arg(long, value_enum)]
    unit: Option<Unit>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Aligned columns
    Table,
    /// The data of Prometheus's HTTP API
    Json,
    /// Comma-separated values
    Csv,
}

pub(crate) fn run(args: &Args) -> Result {
    let is_plot = args.plot.plot || args.plot.svg.is_some();
    let when = args.when.when(is_plot)?;
    let (answer, found) = match &args.url {
        Some(url) => (remote::ask(url, &args.expression, when, args.limits)?, Outcome::Good),
        None => local::evaluate(&args.data.data, &args.expression, when, args.limits)?,
    };
    for note in answer.warnings.iter().chain(&answer.infos) {
        messages::note(note);
    }
    if answer.is_empty() {
        messages::note(&nothing_found(when));
    }
    match (when, is_plot) {
        (When::Range { start, end, step }, true) => {
            draw::draw(answer, (&args.expression, (start, end), step), &args.plot)?;
        }
        _ => show::print(answer, if args.json { Format::Json } else { args.format })?,
    }
    Ok(found)
}

/// What an empty answer means, which a table without rows does not say.
fn nothing_found(when: When) -> String {
    use siltstone_server::time::format_time as text;
    match when {
        When::At(time) => format!(
            "the answer is empty: nothing that the query selects has a sample in the minutes before \
             {}; --time sets another time",
            text(time)
        ),
        When::Range { start, end, .. } => format!(
            "the answer is empty: nothing that the query selects has samples from {} to {}; --start \
             and --end set other times",
            text(start),
            text(end)
        ),
    }
}
