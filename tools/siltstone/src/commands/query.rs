//! `siltstone query`: samples of some series, for people and for scripts.
//!
//! Everything is streamed: a table in pages, whose columns only ever widen, CSV and JSON as they
//! come. Values and, in CSV and JSON, timestamps read back exactly.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::ControlFlow;

use clap::{Args as ClapArgs, ValueEnum};
use siltstone::{Columns, Error, Labels, ReadOnlyDb, Snapshot};
use siltstone_server::protocol::json_lines::write_line;
use siltstone_server::protocol::number;
use siltstone_server::selection::{Selection, unlimited};
use siltstone_server::time::TimeScale;

use crate::failure::{Failure, Result};
use crate::selection_flags::{RangeFlags, selection};
use crate::store_flags::{DataFlag, read_only};
use crate::table::{Align, Table};
use crate::{csv, output, units};

const EXAMPLES: &str = "\
Examples:
  siltstone query 'up{job=\"node\"}'
  siltstone query 'node_cpu_seconds_total{mode=\"idle\"}' --start 2026-01-31T08:00:00Z --limit 100
  siltstone query '{\"دما\", \"شهر\"=\"تهران\"}' --format csv > tehran.csv
  siltstone query up --json | jq .metric

Values are written so that they read back bit for bit; a NaN with a payload is
NaN: and its bits. CSV (RFC 4180) has a column for each label, and timestamps
in ticks of the store, as JSON lines do. It reads a store that is in use as
well, and sees what was written before it started.";

/// Bytes collected before they are written.
const CHUNK_BYTES: usize = 256 << 10;
/// Most rows of a page of a table, which is aligned as a whole.
const PAGE_ROWS: usize = 1000;
/// Most bytes of the cells of a page, unless one row has more.
const PAGE_BYTES: usize = 1 << 20;

/// Show the samples of some series
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Series to show, such as up{job="node"}; several select what any of them does
    #[arg(required = true, value_name = "SELECTOR")]
    selectors: Vec<String>,
    #[command(flatten)]
    range: RangeFlags,
    /// Most samples to show [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// How they are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Print JSON lines, as --format json and as export does
    #[arg(long, conflicts_with = "format")]
    json: bool,
    #[command(flatten)]
    data: DataFlag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Aligned columns
    Table,
    /// JSON lines, which import reads
    Json,
    /// Comma-separated values
    Csv,
}

pub(crate) fn run(args: &Args) -> Result {
    args.range.check()?;
    let mut db = ReadOnlyDb::open(&args.data.data, read_only())?;
    let range = args.range.ticks(db.ticks_per_second())?;
    let selection = selection("SELECTOR", &args.selectors, range)?;
    let found = output::report_findings(db.open_report());
    let format = if args.json { Format::Json } else { args.format };
    let scale = TimeScale::new(db.ticks_per_second());
    let limit = args.limit.unwrap_or(u64::MAX);
    let mut printed = Output { out: io::stdout().lock(), begun: false, result: Ok(()) };
    let shown = db.read(|snapshot| {
        let printer = Printer::new(format, scale, snapshot, &selection)?;
        let shown = show(snapshot, &selection, printer, limit, &mut printed);
        // What is out cannot be taken back: only before that it may start over.
        if printed.begun { Ok(shown) } else { shown.map(Ok) }
    });
    printed.result.map_err(|error| Failure::output(&error))?;
    if shown?? {
        output::warning(&format!(
            "--limit leaves out what follows the first {} samples",
            units::grouped(limit)
        ));
    }
    Ok(found)
}

/// Where the text goes.
struct Output<'a> {
    out: io::StdoutLock<'a>,
    /// Whether anything has been written.
    begun: bool,
    result: io::Result<()>,
}

impl Output<'_> {
    /// Writes `bytes`; false when nobody reads them.
    fn write(&mut self, bytes: &[u8]) -> bool {
        if self.result.is_ok() && !bytes.is_empty() {
            self.begun = true;
            self.result = self.out.write_all(bytes);
        }
        self.result.is_ok()
    }
}

/// Prints at most `limit` samples; whether there are more.
fn show(
    snapshot: &Snapshot,
    selection: &Selection,
    mut printer: Printer,
    limit: u64,
    output: &mut Output<'_>,
) -> siltstone::Result<bool> {
    let mut left = limit;
    let mut cut = false;
    let scanned = selection.scan(snapshot, &unlimited(), |labels, columns| {
        let rows = columns.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        left -= rows as u64;
        cut = rows < columns.len();
        printer.add(labels, columns, rows, &mut |bytes| output.write(bytes));
        let stop = cut || output.result.is_err();
        if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match scanned {
        // It starts over, with another printer.
        Err(Error::SnapshotGone { path }) if !output.begun => Err(Error::SnapshotGone { path }),
        scanned => {
            if output.write(printer.finish()) {
                output.result = output.out.flush();
            }
            scanned.map(|()| cut)
        }
    }
}

/// Takes bytes; false when nobody reads them.
type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

/// Turns samples into text, and holds what is not written yet.
struct Printer {
    form: Form,
    buffer: Vec<u8>,
}

enum Form {
    Table {
        table: Table,
        scale: TimeScale,
        bytes: usize,
    },
    Json,
    /// With the label names that have columns.
    Csv(Vec<String>),
}

impl Printer {
    fn new(
        format: Format,
        scale: TimeScale,
        snapshot: &Snapshot,
        selection: &Selection,
    ) -> siltstone::Result<Self> {
        let mut buffer = Vec::new();
        let form = match format {
            Format::Json => Form::Json,
            Format::Csv => {
                let names: BTreeSet<String> = selection.label_names(snapshot, &unlimited())?;
                buffer.extend_from_slice(b"timestamp,value");
                for name in &names {
                    buffer.push(b',');
                    csv::field(name, &mut buffer);
                }
                csv::end(&mut buffer);
                Form::Csv(names.into_iter().collect())
            }
            Format::Table => {
                // Labels come last: whatever their script and length, times and values stay in
                // place, also where a terminal lays out Arabic or Hebrew from right to left.
                let table = Table::new(&[
                    ("TIME", Align::Left),
                    ("VALUE", Align::Right),
                    ("SERIES", Align::Left),
                ]);
                Form::Table { table, scale, bytes: 0 }
            }
        };
        Ok(Self { form, buffer })
    }

    /// Adds the first `rows` samples of a batch; gives to `sink` what is enough at once.
    fn add(&mut self, labels: &Labels, columns: &Columns, rows: usize, sink: Sink<'_>) {
        if rows == 0 {
            return;
        }
        let (times, values) = (&columns.timestamps[..rows], &columns.values.f64()[..rows]);
        match &mut self.form {
            Form::Json => {
                write_line(labels.iter(), times, values, &mut self.buffer);
                self.pass_on(CHUNK_BYTES, sink);
            }
            Form::Csv(names) => {
                let mut of_series = Vec::new();
                for name in names {
                    of_series.push(b',');
                    csv::field(labels.get(name).unwrap_or(""), &mut of_series);
                }
                csv::end(&mut of_series);
                for (time, value) in times.iter().zip(values) {
                    number::write_integer(*time, &mut self.buffer);
                    self.buffer.push(b',');
                    number::write(*value, &mut self.buffer);
                    self.buffer.extend_from_slice(&of_series);
                    if !self.pass_on(CHUNK_BYTES, sink) {
                        return;
                    }
                }
            }
            Form::Table { .. } => {
                let series = labels.to_string();
                for (time, value) in times.iter().zip(values) {
                    self.row(*time, *value, &series);
                    if !self.pass_on(1, sink) {
                        return;
                    }
                }
            }
        }
    }

    /// Adds a row of the table, and turns its page into text when it is full.
    fn row(&mut self, time: i64, value: f64, series: &str) {
        let Form::Table { table, scale, bytes } = &mut self.form else { return };
        let mut shown = Vec::with_capacity(24);
        number::write(value, &mut shown);
        let shown = String::from_utf8_lossy(&shown).into_owned();
        let time = scale.format(time);
        *bytes += time.len() + shown.len() + series.len();
        table.row([time, shown, series.to_owned()]);
        if table.rows() >= PAGE_ROWS || *bytes >= PAGE_BYTES {
            *bytes = 0;
            self.buffer.extend_from_slice(table.page().as_bytes());
        }
    }

    /// Gives the buffer to `sink` if it holds at least `bytes`; false when nobody reads it.
    fn pass_on(&mut self, bytes: usize, sink: Sink<'_>) -> bool {
        if self.buffer.len() < bytes {
            return true;
        }
        let taken = sink(&self.buffer);
        self.buffer.clear();
        taken
    }

    /// What is left to write.
    fn finish(&mut self) -> &[u8] {
        if let Form::Table { table, .. } = &mut self.form {
            self.buffer.extend_from_slice(table.page().as_bytes());
        }
        &self.buffer
    }
}
