//! `siltstone samples`: samples of some series, or what they add up to in steps of time, for people and
//! for scripts.
//!
//! Everything is streamed: a table in pages, whose columns only ever widen, CSV and JSON as they
//! come. Values and, in CSV and JSON, timestamps read back exactly.

mod buckets;
mod rows;
mod step;

use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};
use siltstone::{QueryOptions, ReadOnlyDb};
use siltstone_server::selected_series::{SelectedSeries, unlimited};
use siltstone_server::time::TimeScale;

use crate::damage_flags::DamageFlags;
use crate::failure::Result;
use crate::selection_flags::{RangeFlags, selection};
use crate::store_flags::{DataFlag, read_only};
use crate::stream::Output;
use crate::times::parse_step;
use crate::{messages, output, units};
use step::Step;

const EXAMPLES: &str = "\
Examples:
  siltstone samples 'up{job=\"node\"}'
  siltstone samples 'node_cpu_seconds_total{mode=\"idle\"}' --start -6h --limit 100
  siltstone samples '{\"دما\", \"شهر\"=\"تهران\"}' --format csv > tehran.csv
  siltstone samples up --json | jq .metric
  siltstone samples '{\"دما\"}' --step 1h
  siltstone samples up --start 2026-01-31T08:30 --step 1d --json | jq -c '[.metric.job, .avg]'

Values are written so that they read back bit for bit; a NaN with a payload is
NaN: and its bits. CSV (RFC 4180) has a column for each label, and timestamps
in ticks of the store, as JSON lines do. It reads a store that is in use as
well, and sees what was written before it started.

With --step there is a row for each bucket of a series that has samples. The
buckets are counted from --start: with --start 08:30 and --step 1d one goes
from 08:30 to 08:30 of the next day. Without --start they begin at multiples
of the step since 1970, UTC: --step 1h begins them on the hour. Buckets at
either end hold only samples between --start and --end.

SUM is exact and rounded once: ten times 0.1 is 1. AVG is SUM divided
by COUNT, unless only the sum is too large for a 64-bit float. FIRST and LAST
are the earliest and the latest value. STALE counts stale markers, which are in
no other column. Other NaNs make SUM NaN and are left out of MIN and MAX. Where
there is no value, as in a bucket of stale markers alone, stands - (in CSV
nothing, in JSON null). JSON has the columns of CSV as arrays, with an item for
each bucket; it is no input of import.";

/// Show the samples of some series, or count, extremes, sum and ends of them in steps of time
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Series to show, such as up{job="node"}; several select what any of them does
    #[arg(required = true, value_name = "SELECTOR")]
    selectors: Vec<String>,
    #[command(flatten)]
    range: RangeFlags,
    /// Show buckets of this length instead of samples, such as 30s, 5m or 1d
    #[arg(long, value_name = "DURATION", value_parser = parse_step, allow_hyphen_values = true)]
    step: Option<Duration>,
    /// Most rows to show: samples, or buckets with --step [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// How they are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print JSON lines, as --format json and as export does
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    damage: DamageFlags,
    #[command(flatten)]
    data: DataFlag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Aligned columns
    Table,
    /// JSON lines, which import reads unless they are of --step
    Json,
    /// Comma-separated values
    Csv,
}

/// What is shown, and how.
struct Request {
    selection: SelectedSeries,
    format: Format,
    scale: TimeScale,
    /// Most rows.
    limit: u64,
    /// What is done about damage; the limits of time and memory are each reader's own.
    options: QueryOptions,
}

pub(crate) fn run(args: &Args) -> Result {
    args.range.check()?;
    let mut db = ReadOnlyDb::open(&args.data.data, read_only())?;
    let ticks_per_second = db.ticks_per_second();
    let range = args.range.ticks(ticks_per_second)?;
    let step = args.step.map(|step| Step::new(step, ticks_per_second, args.range.start.is_some()));
    let step = step.transpose()?;
    let shown_range = step.map_or(range, |step| step.aligned(range));
    let (options, left_out) = args.damage.apply(unlimited());
    let request = Request {
        options,
        selection: selection("SELECTOR", &args.selectors, shown_range)?,
        format: if args.json { Format::Json } else { args.format },
        scale: TimeScale::new(ticks_per_second),
        limit: args.limit.unwrap_or(u64::MAX),
    };
    let found = output::report_findings(db.open_report());
    let mut printed = Output::new();
    let shown = db.read(|snapshot| {
        let shown = match step {
            None => rows::show(snapshot, &request, &mut printed),
            Some(step) => step
                .refuse_left_out(snapshot, &request, range)
                .and_then(|()| buckets::show(snapshot, &request, step, &mut printed)),
        };
        // What is out cannot be taken back: only before that it may start over.
        if printed.has_begun() { Ok(shown) } else { shown.map(Ok) }
    });
    printed.close()?;
    if shown?? {
        messages::warning(&format!(
            "--limit leaves out what follows the first {} {}",
            units::grouped(request.limit),
            if step.is_some() { "buckets" } else { "samples" }
        ));
    }
    Ok(left_out.report(found))
}
