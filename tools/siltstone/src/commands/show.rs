//! `siltstone show`: one segment in detail.

use std::fmt::Write;

use clap::Args as ClapArgs;
use serde_json::{Value, json};
use siltstone::{ReadOnlyDb, SegmentDescription};
use siltstone_server::time::{TimeScale, format_time};

use super::ls;
use crate::failure::{Failure, Result};
use crate::store_flags::{DataFlag, read_only};
use crate::table::{Align, Table};
use crate::{output, units};

const EXAMPLES: &str = "\
Examples:
  siltstone show 12
  siltstone show 12.seg --data /var/lib/siltstone --json";

/// Show what is in a segment
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Number of the segment, as `siltstone ls` lists it
    #[arg(value_name = "SEGMENT", value_parser = parse_number)]
    segment: u64,
    #[command(flatten)]
    data: DataFlag,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn parse_number(text: &str) -> std::result::Result<u64, String> {
    let number = text.strip_suffix(".seg").unwrap_or(text);
    number.parse().map_err(|_| format!("{text:?} is not the number of a segment, such as 12"))
}

pub(crate) fn run(args: &Args) -> Result {
    let db = ReadOnlyDb::open(&args.data.data, read_only())?;
    if !db.segments().iter().any(|meta| meta.file_number == args.segment) {
        let message = format!("there is no segment {}; siltstone ls lists them", args.segment);
        return Err(Failure::usage(message));
    }
    let segment = db.segment(args.segment)?;
    if args.json {
        output::print_json(&as_json(&segment))?;
    } else {
        output::print(&as_text(&segment, TimeScale::new(db.ticks_per_second())))?;
    }
    Ok(output::report_findings(db.open_report()))
}

fn as_text(segment: &SegmentDescription, scale: TimeScale) -> String {
    let meta = &segment.meta;
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        // A String takes everything.
        let _ = writeln!(out, "{name:<10} {value}");
    };
    line("segment", format!("{}.seg", meta.file_number));
    line("level", meta.level.to_string());
    line("series", units::grouped(u64::from(meta.series)));
    line("samples", units::grouped(meta.samples));
    line("chunks", units::grouped(segment.chunks));
    line("size", units::bytes(meta.file_bytes));
    line("per sample", format!("{:.3} B", meta.file_bytes as f64 / meta.samples.max(1) as f64));
    line("first", format_time(scale.to_ms(meta.min_timestamp)));
    line("last", format_time(scale.to_ms(meta.max_timestamp)));
    line("seq", format!("{}..{}", meta.min_seq, meta.max_seq));
    let mut table =
        Table::new(&[("SECTION", Align::Left), ("OFFSET", Align::Right), ("SIZE", Align::Right)]);
    for section in &segment.sections {
        table.row([
            section.name.to_string(),
            units::grouped(section.offset),
            units::bytes(section.bytes),
        ]);
    }
    out.push('\n');
    out + &table.render()
}

fn as_json(segment: &SegmentDescription) -> Value {
    let sections: Vec<Value> = segment
        .sections
        .iter()
        .map(|s| json!({ "name": s.name, "offset": s.offset, "bytes": s.bytes }))
        .collect();
    json!({ "segment": ls::as_json(&segment.meta), "chunks": segment.chunks, "sections": sections })
}
