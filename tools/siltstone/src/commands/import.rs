//! `siltstone import`: JSON lines, or the text formats, into a store.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum};
use siltstone::{Db, Options, SeriesId};
use siltstone_server::ServerConfig;
use siltstone_server::ingest::{
    Format, Ingest, IngestError, IngestLimits, IngestReport, OldSamples,
};

use crate::failure::{Failure, Outcome, Result};
use crate::store_flags::DataFlag;
use crate::units::parse_bytes_usize;
use crate::{input, messages, output, progress, units};

const EXAMPLES: &str = "\
Examples:
  siltstone import samples.jsonl
  siltstone import --data /var/lib/siltstone monday.jsonl.gz tuesday.jsonl.zst
  siltstone export --data old | siltstone import --data new -
  promtool tsdb dump DIR | siltstone import --format text -

A line is {\"metric\":{\"__name__\":\"up\"},\"values\":[\"1\"],\"timestamps\":[1700000000000]}.
A bad line is reported and skipped; the exit code is then 1.";

/// Read JSON lines, or text as exporters write it, into a store, which is created if need be
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Files, plain or compressed with gzip or zstd; - for stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    data: DataFlag,
    /// What the lines are. Text whose pages end with '# EOF' is OpenMetrics, with times in seconds; otherwise they
    /// are milliseconds, and times that look like seconds are refused
    #[arg(long, value_enum, default_value_t = LineFormat::Json)]
    format: LineFormat,
    /// Longest JSON line
    #[arg(long, value_name = "SIZE", default_value = "10MiB", value_parser = parse_bytes_usize)]
    json_line_max: usize,
    /// Longest line of text
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_bytes_usize)]
    text_line_max: usize,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LineFormat {
    Json,
    Text,
}

/// What all files together brought.
#[derive(Debug, Default)]
struct Summary {
    series: HashSet<SeriesId>,
    samples: u64,
    lines: u64,
    refused: u64,
    old: OldSamples,
}

pub(crate) fn run(args: &Args) -> Result {
    let db = Db::open(&args.data.data, Options::default())?;
    let clock = db.options().clock.clone();
    let start = clock.monotonic();
    let mut summary = Summary::default();
    let imported = args.files.iter().try_for_each(|file| import(&db, file, args, &mut summary));
    // What is written stays even if a later file cannot be read.
    let closed = db.close();
    imported?;
    closed?;
    let seconds = (clock.monotonic() - start).as_secs_f64();
    print(&summary, seconds, args.json)?;
    Ok(if summary.refused == 0 { Outcome::Good } else { Outcome::Found })
}

fn import(db: &Db, file: &Path, args: &Args, summary: &mut Summary) -> Result<()> {
    let unreadable = |error: std::io::Error| Failure::io("read", file, &error);
    let (reader, len) = input::open(file).map_err(unreadable)?;
    let bar = progress::of_bytes(&file.display().to_string(), len);
    let mut lines = input::lines(reader, &bar).map_err(unreadable)?;
    let (format, line_bytes_max) = match args.format {
        LineFormat::Json => (Format::JsonLines, args.json_line_max),
        LineFormat::Text => {
            (Format::Text { dialect: None, timestamp_ms: None }, args.text_line_max)
        }
    };
    let batch_rows = ServerConfig::default().import_batch_rows;
    let limits = IngestLimits { line_bytes_max, batch_rows };
    let mut ingest = Ingest::new(db, format, limits).counting_series();
    let result = ingest.read(&mut lines);
    bar.finish_and_clear();
    summary.add(file, ingest.report());
    result.map_err(|error| match error {
        IngestError::Input(error) => unreadable(error),
        IngestError::Store(error) => error.into(),
    })
}

impl Summary {
    fn add(&mut self, file: &Path, report: &IngestReport) {
        self.series.extend(&report.series);
        self.samples += report.samples;
        self.lines += report.lines;
        self.old += report.old;
        for reasons in [&report.refused, &report.no_room] {
            self.refused += reasons.count();
            for reason in reasons.first() {
                messages::warning(&format!("{}: {reason}", file.display()));
            }
            let more = reasons.count() - reasons.first().len() as u64;
            if more > 0 {
                messages::warning(&format!("{}: {more} more lines were refused", file.display()));
            }
        }
    }
}

fn print(summary: &Summary, seconds: f64, json: bool) -> Result<()> {
    let series = summary.series.len() as u64;
    if json {
        return output::print_json(&serde_json::json!({
            "series": series,
            "samples": summary.samples,
            "lines": summary.lines,
            "refused": summary.refused,
            "before_2000": summary.old.before_2000,
            "expired": summary.old.expired,
            "seconds": seconds,
        }));
    }
    let refused = match summary.refused {
        0 => String::new(),
        n => format!("; {} of {} lines refused", units::grouped(n), units::grouped(summary.lines)),
    };
    output::print(&format!(
        "imported {} series, {} samples in {seconds:.1} s{refused}\n{}",
        units::grouped(series),
        units::grouped(summary.samples),
        summary.old,
    ))
}
