//! `siltstone explain`: what a query would do and read, before it does.

use clap::Args as ClapArgs;

use super::query::on_store;
use crate::failure::Result;
use crate::output;
use crate::query_flags::{LimitFlags, When, WhenFlags};
use crate::store_flags::DataFlag;

const EXAMPLES: &str = "\
Examples:
  siltstone explain 'sum by (job) (rate(http_requests_total[5m]))' --start -6h
  siltstone explain up --time 2026-01-31 --data /var/lib/siltstone

The first line is what gives the answer; operands stand below their operator and
further to the right, each with the steps at which it is evaluated. The lines
behind say which series are selected, of which times, and what would be read of
them: samples, and of files the chunks that hold them, with the bytes of their
values. A chunk whose summary is enough, as for the count of a day, is not read.
No samples are read to say so.";

/// Show the plan of a query, and what it would read
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The query, such as 'rate(http_requests_total[5m])'
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    expression: String,
    #[command(flatten)]
    when: WhenFlags,
    #[command(flatten)]
    data: DataFlag,
}

pub(crate) fn run(args: &Args) -> Result {
    let (times, step) = match args.when.when(false)? {
        // One step: its distance is not used.
        When::At(time) => ((time, time), 1),
        When::Range { start, end, step } => ((start, end), step),
    };
    let limits = LimitFlags::default();
    let (plan, found) =
        on_store(&args.data.data, &args.expression, limits, |engine, source, query| {
            engine.explain(source, query, times, step)
        })?;
    output::print(&plan)?;
    Ok(found)
}
