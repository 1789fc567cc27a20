//! An answer as a table, CSV or JSON.

use std::collections::BTreeSet;

use siltstone::Timestamp;
use siltstone_server::time::{TimeScale, format_ticks};

use super::answer::{Data, Series, Shown, Value, label_text};
use super::{Format, json, number};
use crate::csv;
use crate::failure::Result;
use crate::stream::{CHUNK_BYTES, LabelColumns, Output, Pages};
use crate::table::{Align, printable};

/// Times of a query are milliseconds, whatever ticks the store has.
const MILLISECONDS: u64 = 1000;
/// What stands in CSV before the labels.
const CSV_COLUMNS: &str = "timestamp,value";

/// Prints the answer.
pub(super) fn print(answer: Shown, format: Format) -> Result<()> {
    let mut out = Output::new();
    match (format, &answer.data) {
        (Format::Json, data) => json::print(data, &mut out),
        (Format::Table, Data::Scalar(_, value)) => {
            out.text.extend((number::format(*value) + "\n").bytes());
        }
        (Format::Table, Data::String(_, text)) => out.text.extend((printable(text) + "\n").bytes()),
        (Format::Table, Data::Vector(series)) => print_vector(series, &mut out),
        (Format::Table, Data::Matrix(series)) => print_matrix(series, &mut out),
        (Format::Csv, Data::Vector(series) | Data::Matrix(series)) => print_csv(series, &mut out),
        (Format::Csv, Data::Scalar(time, value)) => {
            print_record(*time, &number::format(*value), &mut out);
        }
        (Format::Csv, Data::String(time, text)) => print_record(*time, text, &mut out),
    }
    out.finish()
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Float(value) => number::format(*value),
        Value::Histogram(histogram) => histogram.to_string(),
    }
}

/// A row for each series; their one time is that of the query.
fn print_vector(series: &[Series], out: &mut Output) {
    let mut pages = Pages::new(&[("VALUE", Align::Right), ("SERIES", Align::Left)]);
    for series in series {
        let value = series.points.first().map_or_else(String::new, |(_, value)| value_text(value));
        pages.row([value, label_text(&series.labels)], &mut out.text);
        if !out.pass_on(1) {
            return;
        }
    }
    pages.end(&mut out.text);
}

/// A row for each point.
fn print_matrix(series: &[Series], out: &mut Output) {
    let columns = [("TIME", Align::Left), ("VALUE", Align::Right), ("SERIES", Align::Left)];
    let mut pages = Pages::new(&columns);
    let scale = TimeScale::new(MILLISECONDS);
    for series in series {
        let labels = label_text(&series.labels);
        for (time, value) in &series.points {
            let cells = [format_ticks(scale, *time), value_text(value), labels.clone()];
            pages.row(cells, &mut out.text);
            if !out.pass_on(1) {
                return;
            }
        }
    }
    pages.end(&mut out.text);
}

/// The one record of a value without labels.
fn print_record(time: Timestamp, value: &str, out: &mut Output) {
    let columns = LabelColumns::begin(CSV_COLUMNS, BTreeSet::new(), &mut out.text);
    write_record((time, value), &columns.of(|_| ""), out);
}

fn write_record((time, value): (Timestamp, &str), labels: &[u8], out: &mut Output) {
    out.text.extend_from_slice(format!("{time},").as_bytes());
    csv::field(value, &mut out.text);
    out.text.extend_from_slice(labels);
}

fn print_csv(series: &[Series], out: &mut Output) {
    let names = series.iter().flat_map(|series| series.labels.iter().map(|(name, _)| name));
    let names: BTreeSet<String> = names.map(str::to_owned).collect();
    let columns = LabelColumns::begin(CSV_COLUMNS, names, &mut out.text);
    for series in series {
        let labels = columns.of(|name| series.labels.get(name));
        for (time, value) in &series.points {
            write_record((*time, &value_text(value)), &labels, out);
            if !out.pass_on(CHUNK_BYTES) {
                return;
            }
        }
    }
}
