//! A row for each bucket of a series.

use std::ops::ControlFlow;

use siltstone::{Bucket, BucketValues, Labels, QueryOptions, Snapshot};
use siltstone_server::protocol::json_lines::write_labels;
use siltstone_server::protocol::number;
use siltstone_server::time::{TimeScale, format_ticks};

use super::step::Step;
use super::{Format, Request};
use crate::stream::{CHUNK_BYTES, LabelColumns, Output, Pages};
use crate::table::Align;
use crate::units;

/// Most buckets of a line of JSON.
const LINE_BUCKETS: usize = 16 << 10;

/// Most bytes of buckets that are folded and not printed yet, and of lists of series.
const HELD_BYTES: u64 = 256 << 20;

/// The columns of the table; labels come last, as among samples.
const COLUMNS: [(&str, Align); 10] = [
    ("START", Align::Left),
    ("COUNT", Align::Right),
    ("STALE", Align::Right),
    ("MIN", Align::Right),
    ("MAX", Align::Right),
    ("SUM", Align::Right),
    ("AVG", Align::Right),
    ("FIRST", Align::Right),
    ("LAST", Align::Right),
    ("SERIES", Align::Left),
];

/// A name, and what stands under it.
type Column = (&'static str, fn(&Bucket) -> Field);

/// The columns of CSV and the arrays of JSON.
const FIELDS: [Column; 11] = [
    ("start", |bucket| Field::Integer(bucket.start)),
    ("count", |bucket| Field::Count(count(bucket))),
    ("stale", |bucket| Field::Count(bucket.stale_markers)),
    ("min", |bucket| of_values(bucket, |v| Field::Value(v.min))),
    ("max", |bucket| of_values(bucket, |v| Field::Value(v.max))),
    ("sum", |bucket| of_values(bucket, |v| Field::Value(v.sum))),
    ("avg", |bucket| of_values(bucket, |v| average(v).map_or(Field::Missing, Field::Value))),
    ("first", |bucket| of_values(bucket, |v| Field::Value(v.first.value))),
    ("first_timestamp", |bucket| of_values(bucket, |v| Field::Integer(v.first.timestamp))),
    ("last", |bucket| of_values(bucket, |v| Field::Value(v.last.value))),
    ("last_timestamp", |bucket| of_values(bucket, |v| Field::Integer(v.last.timestamp))),
];

/// One thing that is said of a bucket.
enum Field {
    Integer(i64),
    Count(u64),
    Value(f64),
    Missing,
}

fn of_values(bucket: &Bucket, field: impl Fn(&BucketValues) -> Field) -> Field {
    bucket.values.as_ref().map_or(Field::Missing, field)
}

fn count(bucket: &Bucket) -> u64 {
    bucket.values.map_or(0, |values| values.count)
}

/// The mean, unless all that is known of the sum is that no float holds it.
fn average(values: &BucketValues) -> Option<f64> {
    let too_large = values.sum.is_infinite() && values.min.is_finite() && values.max.is_finite();
    (!too_large).then(|| values.sum / values.count as f64)
}

/// Prints at most `limit` buckets; whether there are more.
pub(super) fn show(
    snapshot: &Snapshot,
    request: &Request,
    step: Step,
    output: &mut Output,
) -> siltstone::Result<bool> {
    let mut printer = Printer::begin(snapshot, request, output)?;
    let mut left = request.limit;
    let mut cut = false;
    let selection = &request.selection;
    let folded = selection.aggregate(snapshot, step.ticks, &limits(request), |series| {
        let all = series.buckets.len();
        let rows = all.min(usize::try_from(left).unwrap_or(usize::MAX));
        left -= rows as u64;
        cut = rows < all;
        let taken = printer.add(&series.labels, &series.buckets[..rows], output);
        if cut || !taken { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if let Printer::Table(pages, _) = &mut printer {
        pages.end(&mut output.text);
    }
    output.end(folded).map(|()| cut)
}

/// However many series and buckets: those that cannot be held at once come in parts.
fn limits(request: &Request) -> QueryOptions {
    QueryOptions { bytes_max: Some(HELD_BYTES), ..request.options.clone() }
}

/// Turns buckets into text.
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
                let fixed = FIELDS.map(|(name, _)| name).join(",");
                let names = request.selection.label_names(snapshot, &request.options)?;
                Self::Csv(LabelColumns::begin(&fixed, names, &mut output.text))
            }
        })
    }

    /// Adds buckets of a series; false when nobody reads them.
    fn add(&mut self, labels: &Labels, buckets: &[Bucket], out: &mut Output) -> bool {
        match self {
            Self::Table(pages, scale) => {
                let series = labels.to_string();
                buckets.iter().all(|bucket| {
                    pages.row(cells(bucket, *scale, &series), &mut out.text);
                    out.pass_on(1)
                })
            }
            Self::Json => buckets.chunks(LINE_BUCKETS).all(|buckets| {
                write_line(labels, buckets, &mut out.text);
                out.pass_on(CHUNK_BYTES)
            }),
            Self::Csv(names) => {
                let of_series = names.of(|name| labels.get(name).unwrap_or(""));
                buckets.iter().all(|bucket| {
                    for (i, (_, field)) in FIELDS.iter().enumerate() {
                        out.text.extend_from_slice(if i > 0 { b"," } else { b"" });
                        field(bucket).write(&mut out.text);
                    }
                    out.text.extend_from_slice(&of_series);
                    out.pass_on(CHUNK_BYTES)
                })
            }
        }
    }
}

/// A row of the table.
fn cells(bucket: &Bucket, scale: TimeScale, series: &str) -> [String; COLUMNS.len()] {
    let cell = |value: fn(&BucketValues) -> Option<f64>| {
        bucket.values.as_ref().and_then(value).map_or_else(|| "-".to_owned(), units::exact)
    };
    [
        format_ticks(scale, bucket.start),
        count(bucket).to_string(),
        bucket.stale_markers.to_string(),
        cell(|v| Some(v.min)),
        cell(|v| Some(v.max)),
        cell(|v| Some(v.sum)),
        cell(average),
        cell(|v| Some(v.first.value)),
        cell(|v| Some(v.last.value)),
        series.to_owned(),
    ]
}

/// Appends a line of JSON: the labels, and an array for each field.
fn write_line(labels: &Labels, buckets: &[Bucket], text: &mut Vec<u8>) {
    text.extend_from_slice(b"{\"metric\":");
    write_labels(labels.iter(), text);
    for (name, field) in FIELDS {
        text.extend_from_slice(format!(",\"{name}\":[").as_bytes());
        for (i, bucket) in buckets.iter().enumerate() {
            text.extend_from_slice(if i > 0 { b"," } else { b"" });
            field(bucket).write_json(text);
        }
        text.push(b']');
    }
    text.extend_from_slice(b"}\n");
}

impl Field {
    /// Appends it as it stands in CSV.
    fn write(&self, text: &mut Vec<u8>) {
        match self {
            Self::Integer(n) => number::write_integer(*n, text),
            Self::Count(n) => text.extend_from_slice(n.to_string().as_bytes()),
            Self::Value(value) => number::write(*value, text),
            Self::Missing => {}
        }
    }

    /// Appends it as JSON, where values are strings, as in the lines of samples.
    fn write_json(&self, text: &mut Vec<u8>) {
        match self {
            Self::Missing => text.extend_from_slice(b"null"),
            Self::Value(_) => {
                text.push(b'"');
                self.write(text);
                text.push(b'"');
            }
            _ => self.write(text),
        }
    }
}
