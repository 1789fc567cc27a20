//! `siltstone export`: samples as JSON lines on stdout.

use std::io::{self, Write};
use std::ops::ControlFlow;

use clap::Args as ClapArgs;
use siltstone::{QueryOptions, ReadOnlyDb};
use siltstone_server::protocol::json_lines::write_line;
use siltstone_server::selected_series::{SelectedSeries, unlimited};

use crate::damage_flags::DamageFlags;
use crate::failure::{Failure, Result};
use crate::selection_flags::{RangeFlags, selection};
use crate::store_flags::{DataFlag, read_only};
use crate::{output, progress};

const EXAMPLES: &str = "\
Examples:
  siltstone export > everything.jsonl
  siltstone export --match 'node_cpu_seconds_total{mode=\"idle\"}' --match up
  siltstone export --start 2026-01-01T00:00:00Z --end 2026-01-31T23:59:59Z | zstd > january.jsonl.zst

A sample that is damaged or lost ends it, unless --skip-damaged is given: then
everything else is written.

It reads a store that is in use as well, and sees what was written before it started.";

/// Bytes collected before they are written.
const CHUNK_BYTES: usize = 256 << 10;

/// Write samples as JSON lines to stdout
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Series to export, such as up{job="node"}; may be given several times [default: all]
    #[arg(long = "match", value_name = "SELECTOR")]
    selectors: Vec<String>,
    #[command(flatten)]
    range: RangeFlags,
    #[command(flatten)]
    damage: DamageFlags,
    #[command(flatten)]
    data: DataFlag,
}

pub(crate) fn run(args: &Args) -> Result {
    args.range.check()?;
    let mut db = ReadOnlyDb::open(&args.data.data, read_only())?;
    let range = args.range.ticks(db.ticks_per_second())?;
    let selection = selection("--match", &args.selectors, range)?;
    let found = output::report_findings(db.open_report());
    let (options, left_out) = args.damage.apply(unlimited());
    write(&mut db, &selection, &options)?;
    Ok(left_out.report(found))
}

fn write(db: &mut ReadOnlyDb, selection: &SelectedSeries, options: &QueryOptions) -> Result<()> {
    // A bar would mix with the lines on one screen.
    let bar = if output::is_terminal() {
        indicatif::ProgressBar::hidden()
    } else {
        progress::of_samples("exporting")
    };
    let mut out = io::stdout().lock();
    let mut buffer = Vec::with_capacity(CHUNK_BYTES * 2);
    let mut written = Ok(());
    let scanned = db.read(|snapshot| {
        let scanned = selection.scan(snapshot, options, |labels, columns| {
            write_line(labels.iter(), &columns.timestamps, columns.values.f64(), &mut buffer);
            bar.inc(columns.timestamps.len() as u64);
            if buffer.len() >= CHUNK_BYTES {
                written = out.write_all(&buffer);
                buffer.clear();
            }
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        // Lines that are out cannot be taken back: only a scan without any may start over.
        if bar.position() > 0 { Ok(scanned) } else { scanned.map(Ok) }
    });
    let written = written.and_then(|()| out.write_all(&buffer)).and_then(|()| out.flush());
    bar.finish_and_clear();
    written.map_err(|error| Failure::output(&error))?;
    Ok(scanned??)
}
