//! A row for each sample.

use std::ops::ControlFlow;

use siltstone::{Columns, Labels, Snapshot};
use siltstone_server::protocol::json_lines::write_line;
use siltstone_server::protocol::number;
use siltstone_server::time::{TimeScale, format_ticks};

use super::{Format, Request};
use crate::stream::{CHUNK_BYTES, LabelColumns, Output, Pages};
use crate::table::Align;
use crate::units;

/// Labels come last: whatever their script and length, times and values stay in place, also where a
/// terminal lays out Arabic or Hebrew from right to left.
const COLUMNS: [(&str, Align); 3] =
    [("TIME", Align::Left), ("VALUE", Align::Right), ("SERIES", Align::Left)];

/// Prints at most `limit` samples; whether there are more.
pub(super) fn show(
    snapshot: &Snapshot,
    request: &Request,
    output: &mut Output,
) -> siltstone::Result<bool> {
    let mut printer = Printer::begin(snapshot, request, output)?;
    let mut left = request.limit;
    let mut cut = false;
    let scanned = request.selection.scan(snapshot, &request.options, |labels, columns| {
        let rows = columns.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        left -= rows as u64;
        cut = rows < columns.len();
        let taken = rows == 0 || printer.add(labels, columns, rows, output);
        if cut || !taken { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if let Printer::Table(pages, _) = &mut printer {
        pages.end(&mut output.text);
    }
    output.end(scanned).map(|()| cut)
}

/// Turns samples into text.
enum Printer {
    Table(Pages, TimeScale),
    Json,
    Csv(LabelColumns),
}

impl Printer {
    fn begin(
        snapshot: &Snapshot,
        request: &Request,
        output: &mut Output,
    ) -> siltstone::Result<Self> {
        Ok(match request.format {
            Format::Table => Self::Table(Pages::new(&COLUMNS), request.scale),
            Format::Json => Self::Json,
            Format::Csv => {
                let names = request.selection.label_names(snapshot, &request.options)?;
                Self::Csv(LabelColumns::begin("timestamp,value", names, &mut output.text))
            }
        })
    }

    /// Adds the first `rows` samples of a batch, at least one; false when nobody reads them.
    fn add(&mut self, labels: &Labels, columns: &Columns, rows: usize, out: &mut Output) -> bool {
        let (times, values) = (&columns.timestamps[..rows], &columns.values.f64()[..rows]);
        let mut samples = times.iter().zip(values);
        match self {
            Self::Table(pages, scale) => {
                let series = labels.to_string();
                samples.all(|(&time, &value)| {
                    let cells = [format_ticks(*scale, time), units::exact(value), series.clone()];
                    pages.row(cells, &mut out.text);
                    out.pass_on(1)
                })
            }
            Self::Json => {
                write_line(labels.iter(), times, values, &mut out.text);
                out.pass_on(CHUNK_BYTES)
            }
            Self::Csv(names) => {
                let of_series = names.of(|name| labels.get(name).unwrap_or(""));
                samples.all(|(&time, &value)| {
                    number::write_integer(time, &mut out.text);
                    out.text.push(b',');
                    number::write(value, &mut out.text);
                    out.text.extend_from_slice(&of_series);
                    out.pass_on(CHUNK_BYTES)
                })
            }
        }
    }
}
