//! `siltstone ls`: the segments of a store.

use clap::Args as ClapArgs;
use serde_json::{Value, json};
use siltstone::{ReadOnlyDb, SegmentMeta};
use siltstone_server::time::{TimeScale, format_time};

use crate::failure::Result;
use crate::store_flags::{DataFlag, read_only};
use crate::table::{Align, Table};
use crate::{output, units};

const EXAMPLES: &str = "\
Examples:
  siltstone ls
  siltstone ls --data /var/lib/siltstone --json | jq '.segments[].samples'";

/// List the segments of a store
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
    let db = ReadOnlyDb::open(&args.data.data, read_only())?;
    let scale = TimeScale::new(db.ticks_per_second());
    let segments = db.segments();
    if args.json {
        let rows: Vec<Value> = segments.iter().map(|meta| as_json(meta)).collect();
        output::print_json(&json!({ "segments": rows }))?;
    } else {
        let mut table = Table::new(&[
            ("SEGMENT", Align::Left),
            ("LEVEL", Align::Right),
            ("SERIES", Align::Right),
            ("SAMPLES", Align::Right),
            ("SIZE", Align::Right),
            ("B/SAMPLE", Align::Right),
            ("FIRST", Align::Left),
            ("LAST", Align::Left),
            ("SEQ", Align::Left),
        ]);
        segments.iter().for_each(|meta| table.row(cells(meta, scale)));
        output::print(&table.render())?;
    }
    Ok(output::report_findings(db.open_report()))
}

fn cells(meta: &SegmentMeta, scale: TimeScale) -> [String; 9] {
    [
        format!("{}.seg", meta.file_number),
        meta.level.to_string(),
        units::grouped(u64::from(meta.series)),
        units::grouped(meta.samples),
        units::bytes(meta.file_bytes),
        format!("{:.3}", meta.file_bytes as f64 / meta.samples.max(1) as f64),
        format_time(scale.to_ms(meta.min_timestamp)),
        format_time(scale.to_ms(meta.max_timestamp)),
        format!("{}..{}", meta.min_seq, meta.max_seq),
    ]
}

/// A segment for scripts; times are in ticks.
pub(crate) fn as_json(meta: &SegmentMeta) -> Value {
    json!({
        "file_number": meta.file_number,
        "level": meta.level,
        "series": meta.series,
        "samples": meta.samples,
        "file_bytes": meta.file_bytes,
        "min_timestamp": meta.min_timestamp,
        "max_timestamp": meta.max_timestamp,
        "min_seq": meta.min_seq,
        "max_seq": meta.max_seq,
    })
}
