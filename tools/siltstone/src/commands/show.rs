//! `siltstone show`: one segment in detail.

use std::fmt::Write;

use clap::Args as ClapArgs;
use serde_json::{Value, json};
use siltstone::{ReadOnlyDb, SegmentDescription};
use siltstone_server::time::{TimeScale, format_time};

use super::ls::{self, Overlaps};
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
    let Some(meta) = db.segments().iter().find(|meta| meta.file_number == args.segment) else {
        let message = format!("there is no segment {}; siltstone ls lists them", args.segment);
        return Err(Failure::usage(message));
    };
    let overlap = Overlaps::new(db.segments().iter().map(|meta| &**meta)).of(meta);
    let segment = db.segment(args.segment)?;
    if args.json {
        output::print_json(&as_json(&segment, overlap))?;
    } else {
        let scale = TimeScale::new(db.ticks_per_second());
        output::print(&as_text(&segment, overlap, scale))?;
    }
    Ok(output::report_findings(db.open_report()))
}

fn as_text(segment: &SegmentDescription, overlap: usize, scale: TimeScale) -> String {
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
    line("time cols", units::grouped(u64::from(segment.timestamp_columns)));
    line("size", units::bytes(meta.file_bytes));
    line("per sample", format!("{} B", ls::per_sample(meta)));
    line("first", format_time(scale.to_ms(meta.min_timestamp)));
    line("last", format_time(scale.to_ms(meta.max_timestamp)));
    let window = segment.window.map(|(start, ticks)| {
        let length = ls::window_length(ticks, scale);
        format!("{length} from {}", format_time(scale.to_ms(start)))
    });
    line("window", window.unwrap_or_else(|| "none".to_owned()));
    line("overlap", format!("{overlap} other segments share a part of its time"));
    line("seq", format!("{}..{}", meta.min_seq, meta.max_seq));
    line("erased to", format!("seq {}", segment.tombstone_seq));
    if !segment.replaces.is_empty() {
        let replaced: Vec<String> = segment.replaces.iter().map(u64::to_string).collect();
        line("replaced", replaced.join(", "));
    }
    out + "\n" + &encodings(segment) + "\n" + &kinds(segment) + "\n" + &sections(segment)
}

/// What the codecs made of the values.
fn encodings(segment: &SegmentDescription) -> String {
    let mut table = Table::new(&[
        ("ENCODING", Align::Left),
        ("CHUNKS", Align::Right),
        ("SAMPLES", Align::Right),
        ("SIZE", Align::Right),
        ("B/SAMPLE", Align::Right),
        ("OF BYTES", Align::Right),
    ]);
    let total: u64 = segment.encodings.values().map(|share| share.bytes).sum();
    for (name, share) in &segment.encodings {
        table.row([
            (*name).to_owned(),
            units::grouped(share.chunks),
            units::grouped(share.samples),
            units::bytes(share.bytes),
            format!("{:.3}", share.bytes as f64 / share.samples.max(1) as f64),
            percent(share.bytes, total),
        ]);
    }
    table.page()
}

/// Where the bytes of the file went.
fn kinds(segment: &SegmentDescription) -> String {
    let mut table = Table::new(&[
        ("KIND", Align::Left),
        ("SIZE", Align::Right),
        ("B/SAMPLE", Align::Right),
        ("OF BYTES", Align::Right),
    ]);
    let samples = segment.meta.samples.max(1) as f64;
    for (kind, bytes) in kinds_of(segment) {
        table.row([
            kind.to_owned(),
            units::bytes(bytes),
            format!("{:.3}", bytes as f64 / samples),
            percent(bytes, segment.meta.file_bytes),
        ]);
    }
    table.page()
}

fn kinds_of(segment: &SegmentDescription) -> [(&'static str, u64); 5] {
    let bytes = &segment.bytes;
    [
        ("values", bytes.values),
        ("timestamps", bytes.timestamps),
        ("chunk_index", bytes.chunk_index),
        ("labels", bytes.labels),
        ("other", bytes.other),
    ]
}

fn sections(segment: &SegmentDescription) -> String {
    let mut table =
        Table::new(&[("SECTION", Align::Left), ("OFFSET", Align::Right), ("SIZE", Align::Right)]);
    for section in &segment.sections {
        table.row([
            section.name.to_string(),
            units::grouped(section.offset),
            units::bytes(section.bytes),
        ]);
    }
    table.page()
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", part as f64 * 100.0 / whole.max(1) as f64)
}

fn as_json(segment: &SegmentDescription, overlap: usize) -> Value {
    let sections: Vec<Value> = segment
        .sections
        .iter()
        .map(|s| json!({ "name": s.name, "offset": s.offset, "bytes": s.bytes }))
        .collect();
    let encodings: Vec<Value> = segment
        .encodings
        .iter()
        .map(|(name, share)| {
            let (chunks, samples, bytes) = (share.chunks, share.samples, share.bytes);
            json!({ "name": name, "chunks": chunks, "samples": samples, "bytes": bytes })
        })
        .collect();
    let kinds: serde_json::Map<String, Value> = kinds_of(segment)
        .into_iter()
        .map(|(kind, bytes)| (kind.to_owned(), bytes.into()))
        .collect();
    json!({
        "segment": ls::as_json(&segment.meta, segment.window, overlap),
        "chunks": segment.chunks,
        "timestamp_columns": segment.timestamp_columns,
        "tombstone_seq": segment.tombstone_seq,
        "replaces": segment.replaces,
        "encodings": encodings,
        "bytes_by_kind": kinds,
        "sections": sections,
    })
}
