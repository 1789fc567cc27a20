//! `siltstone ls`: the segments of a store.

use clap::Args as ClapArgs;
use serde_json::{Value, json};
use siltstone::{ReadOnlyDb, SegmentMeta, Timestamp};
use siltstone_query::format_duration;
use siltstone_server::time::{TimeScale, format_time};

use crate::failure::Result;
use crate::store_flags::{DataFlag, read_only};
use crate::table::{Align, Table};
use crate::{output, units};

const EXAMPLES: &str = "\
Examples:
  siltstone ls
  siltstone ls --data /var/lib/siltstone --json | jq '.segments[].samples'

LEVEL counts the merges behind a segment, WINDOW is the span of time that it is
confined to, OVERLAP the number of other segments that share a part of its
time, DELETES those that may hide some of its samples until it is merged, SEQ
the batches that its samples are from.";

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

/// A segment as the manifest and the others know it, and its footer where that can be read.
pub(crate) struct Listed<'a> {
    meta: &'a SegmentMeta,
    window: Option<(Timestamp, u64)>,
    overlap: usize,
    /// Deletes that apply to it.
    deletes: usize,
}

pub(crate) fn run(args: &Args) -> Result {
    let db = ReadOnlyDb::open(&args.data.data, read_only())?;
    let segments = list(&db);
    if args.json {
        let rows: Vec<Value> = segments.iter().map(Listed::as_json).collect();
        output::print_json(&json!({ "segments": rows }))?;
    } else {
        let scale = TimeScale::new(db.ticks_per_second());
        let mut table = Table::new(&[
            ("SEGMENT", Align::Left),
            ("LEVEL", Align::Right),
            ("SERIES", Align::Right),
            ("SAMPLES", Align::Right),
            ("SIZE", Align::Right),
            ("B/SAMPLE", Align::Right),
            ("FIRST", Align::Left),
            ("LAST", Align::Left),
            ("WINDOW", Align::Right),
            ("OVERLAP", Align::Right),
            ("DELETES", Align::Right),
            ("SEQ", Align::Left),
        ]);
        segments.iter().for_each(|listed| table.row(listed.cells(scale)));
        output::print(&table.page())?;
    }
    Ok(output::report_findings(db.open_report()))
}

/// The segments by their earliest sample.
fn list(db: &ReadOnlyDb) -> Vec<Listed<'_>> {
    let segments = db.segments();
    let overlaps = Overlaps::new(segments.iter().map(|meta| &**meta));
    let listed = segments.iter().map(|meta| Listed {
        meta,
        // One that cannot be opened is among the findings.
        window: db.segment_window(meta.file_number).unwrap_or_default(),
        overlap: overlaps.of(meta),
        deletes: db.tombstones().filter(|tombstone| tombstone.applies_to(meta)).count(),
    });
    listed.collect()
}

/// Counts the segments that overlap with one in time, for all of them in less than square time.
pub(crate) struct Overlaps {
    firsts: Vec<Timestamp>,
    lasts: Vec<Timestamp>,
}

impl Overlaps {
    pub(crate) fn new<'a>(segments: impl Iterator<Item = &'a SegmentMeta>) -> Self {
        let (mut firsts, mut lasts): (Vec<_>, Vec<_>) =
            segments.map(|meta| (meta.min_timestamp, meta.max_timestamp)).unzip();
        firsts.sort_unstable();
        lasts.sort_unstable();
        Self { firsts, lasts }
    }

    /// How many others overlap with `meta`, which is one of them.
    pub(crate) fn of(&self, meta: &SegmentMeta) -> usize {
        let begun = self.firsts.partition_point(|&first| first <= meta.max_timestamp);
        let over = self.lasts.partition_point(|&last| last < meta.min_timestamp);
        (begun - over).saturating_sub(1)
    }
}

impl Listed<'_> {
    fn cells(&self, scale: TimeScale) -> [String; 12] {
        let meta = self.meta;
        let length = |(_, ticks): (Timestamp, u64)| window_length(ticks, scale);
        [
            format!("{}.seg", meta.file_number),
            meta.level.to_string(),
            units::grouped(u64::from(meta.series)),
            units::grouped(meta.samples),
            units::bytes(meta.file_bytes),
            per_sample(meta),
            format_time(scale.to_ms(meta.min_timestamp)),
            format_time(scale.to_ms(meta.max_timestamp)),
            self.window.map_or_else(|| "-".to_owned(), length),
            self.overlap.to_string(),
            self.deletes.to_string(),
            format!("{}..{}", meta.min_seq, meta.max_seq),
        ]
    }

    fn as_json(&self) -> Value {
        as_json(self.meta, self.window, self.overlap, self.deletes)
    }
}

pub(crate) fn per_sample(meta: &SegmentMeta) -> String {
    format!("{:.3}", meta.file_bytes as f64 / meta.samples.max(1) as f64)
}

/// The length of a window as people say it.
pub(crate) fn window_length(ticks: u64, scale: TimeScale) -> String {
    let ms = scale.to_ms(Timestamp::try_from(ticks).unwrap_or(Timestamp::MAX));
    format_duration(ms)
}

/// A segment for scripts; times are in ticks.
pub(crate) fn as_json(
    meta: &SegmentMeta,
    window: Option<(Timestamp, u64)>,
    overlap: usize,
    deletes: usize,
) -> Value {
    json!({
        "file_number": meta.file_number,
        "level": meta.level,
        "series": meta.series,
        "samples": meta.samples,
        "file_bytes": meta.file_bytes,
        "bytes_per_sample": meta.file_bytes as f64 / meta.samples.max(1) as f64,
        "min_timestamp": meta.min_timestamp,
        "max_timestamp": meta.max_timestamp,
        "min_seq": meta.min_seq,
        "max_seq": meta.max_seq,
        "window_start": window.map(|(start, _)| start),
        "window_ticks": window.map(|(_, ticks)| ticks),
        "overlap": overlap,
        "deletes": deletes,
        "tombstone_seq": meta.tombstone_seq,
    })
}
