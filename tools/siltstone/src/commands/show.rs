//! `siltstone show`: one segment in detail.

use std::fmt::Write;
use std::sync::Arc;

use clap::Args as ClapArgs;
use serde_json::{Value, json};
use siltstone::{ReadOnlyDb, SegmentDescription, Tombstone};
use siltstone_server::time::{TimeScale, format_ticks, format_time};

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
    let shown = Shown {
        segment: db.segment(args.segment)?,
        overlap: Overlaps::new(db.segments().iter().map(|meta| &**meta)).of(meta),
        tombstone_seq: meta.tombstone_seq,
        deletes: db.tombstones().filter(|tombstone| tombstone.applies_to(meta)).collect(),
    };
    if args.json {
        output::print_json(&as_json(&shown))?;
    } else {
        output::print(&as_text(&shown, TimeScale::new(db.ticks_per_second())))?;
    }
    Ok(output::report_findings(db.open_report()))
}

/// A segment, and what the store knows of it.
struct Shown<'a> {
    segment: SegmentDescription,
    /// Other segments that share a part of its time.
    overlap: usize,
    /// Deletes up to this seq are carried out in it, or match nothing there.
    tombstone_seq: u64,
    /// Those that may hide some of its samples.
    deletes: Vec<&'a Arc<Tombstone>>,
}

fn as_text(shown: &Shown<'_>, scale: TimeScale) -> String {
    let segment = &shown.segment;
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
    let others = units::counted(shown.overlap as u64, "other segment");
    line("overlap", format!("{others} in a part of its time"));
    line("seq", format!("{}..{}", meta.min_seq, meta.max_seq));
    line("erased to", format!("seq {}", shown.tombstone_seq));
    if !segment.replaces.is_empty() {
        let replaced: Vec<String> = segment.replaces.iter().map(u64::to_string).collect();
        line("replaced", replaced.join(", "));
    }
    let tables =
        [deletes(&shown.deletes, scale), encodings(segment), kinds(segment), sections(segment)];
    for table in tables.iter().filter(|table| !table.is_empty()) {
        out += "\n";
        out += table;
    }
    out
}

/// The deletes that may hide some of its samples; nothing without any.
fn deletes(deletes: &[&Arc<Tombstone>], scale: TimeScale) -> String {
    if deletes.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("DELETE", Align::Left),
        ("ASKED FOR", Align::Left),
        ("FROM", Align::Left),
        ("TO", Align::Left),
        ("SERIES", Align::Left),
    ]);
    for tombstone in deletes {
        let bound = |ticks, none| {
            if ticks == none { "-".to_owned() } else { format_ticks(scale, ticks) }
        };
        table.row([
            format!("seq {}", tombstone.seq),
            format_time(tombstone.created_ms),
            bound(tombstone.range.start, i64::MIN),
            bound(tombstone.range.last(), i64::MAX),
            selector(tombstone),
        ]);
    }
    table.page()
}

/// The matchers of a delete as a selector.
fn selector(tombstone: &Tombstone) -> String {
    let matchers: Vec<String> = tombstone.matchers.iter().map(ToString::to_string).collect();
    format!("{{{}}}", matchers.join(","))
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

fn as_json(shown: &Shown<'_>) -> Value {
    let segment = &shown.segment;
    let deletes = shown.deletes.iter().map(|tombstone| {
        json!({
            "seq": tombstone.seq,
            "created_ms": tombstone.created_ms,
            "start": tombstone.range.start,
            "last": tombstone.range.last(),
            "selector": selector(tombstone),
        })
    });
    let deletes: Vec<Value> = deletes.collect();
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
        "segment": ls::as_json(&segment.meta, segment.window, shown.overlap, deletes.len()),
        "deletes": deletes,
        "chunks": segment.chunks,
        "timestamp_columns": segment.timestamp_columns,
        "tombstone_seq": shown.tombstone_seq,
        "replaces": segment.replaces,
        "encodings": encodings,
        "bytes_by_kind": kinds,
        "sections": sections,
    })
}
