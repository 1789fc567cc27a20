//! `siltstone stats`: what a store holds, and what it takes.

use clap::Args as ClapArgs;
use serde_json::{Value, json};
use siltstone::{QueryOptions, ReadOnlyDb, Stats, TimeRange};

use crate::failure::Result;
use crate::store_flags::{DataFlag, read_only};
use crate::table::{Align, Table};
use crate::{output, units};

const EXAMPLES: &str = "\
Examples:
  siltstone stats
  siltstone stats --json | jq '.bytes_by_kind.index / .series'

Figures of a running server, its latencies among them, are at /metrics.";

/// Show what a store holds
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    data: DataFlag,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let mut db = ReadOnlyDb::open(&args.data.data, read_only())?;
    let stats = db.stats();
    let unlimited = QueryOptions { bytes_max: Some(u64::MAX), ..QueryOptions::default() };
    let series = db.read(|snapshot| snapshot.count_series(&[], TimeRange::ALL, &unlimited))?;
    if args.json {
        output::print_json(&as_json(&stats, series, db.ticks_per_second()))?;
    } else {
        output::print(&as_text(&stats, series))?;
    }
    Ok(output::report_findings(db.open_report()))
}

/// Bytes on disk by kind.
fn kinds(stats: &Stats) -> [(&'static str, u64); 8] {
    let bytes = &stats.bytes_by_kind;
    [
        ("values", bytes.values),
        ("timestamps", bytes.timestamps),
        ("index", bytes.index),
        ("other_segment", bytes.other_segment),
        ("manifest", bytes.manifest),
        ("wal", bytes.wal),
        ("tombstones", bytes.tombstones),
        ("quarantine", bytes.quarantine),
    ]
}

fn as_json(stats: &Stats, series: u64, ticks_per_second: u64) -> Value {
    let by_kind: serde_json::Map<String, Value> =
        kinds(stats).into_iter().map(|(kind, bytes)| (kind.to_owned(), bytes.into())).collect();
    json!({
        "series": series,
        "samples": stats.samples,
        "segments": stats.segments,
        "bytes": kinds(stats).iter().map(|(_, bytes)| bytes).sum::<u64>(),
        "bytes_by_kind": by_kind,
        "ticks_per_second": ticks_per_second,
        "last_seq": stats.last_seq,
    })
}

fn as_text(stats: &Stats, series: u64) -> String {
    let total: u64 = kinds(stats).iter().map(|(_, bytes)| bytes).sum();
    let share = |bytes: u64| format!("{:.3}", bytes as f64 / stats.samples.max(1) as f64);
    let mut table = Table::new(&[
        ("KIND", Align::Left),
        ("SIZE", Align::Right),
        ("BYTES", Align::Right),
        ("B/SAMPLE", Align::Right),
    ]);
    for (kind, bytes) in kinds(stats).into_iter().chain([("total", total)]) {
        table.row([kind.to_owned(), units::bytes(bytes), units::grouped(bytes), share(bytes)]);
    }
    format!(
        "series    {}\nsamples   {}\nsegments  {}\n\n{}",
        units::grouped(series),
        units::grouped(stats.samples),
        units::grouped(stats.segments),
        table.page()
    )
}
