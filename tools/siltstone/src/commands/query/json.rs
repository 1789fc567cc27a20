//! The `data` of Prometheus's HTTP API: its type and its result.

use siltstone::Timestamp;
use siltstone_server::protocol::json_lines::write_labels;
use siltstone_server::protocol::result_json::{write_scalar, write_text, write_time, write_value};

use super::answer::{Buckets, Data, Series, Value};
use crate::stream::{CHUNK_BYTES, Output};

/// Prints `{"resultType":"...","result":...}` and a line end.
pub(super) fn print(data: &Data, out: &mut Output) {
    let kind = match data {
        Data::Scalar(..) => "scalar",
        Data::String(..) => "string",
        Data::Vector(_) => "vector",
        Data::Matrix(_) => "matrix",
    };
    put(out, &format!("{{\"resultType\":\"{kind}\",\"result\":"));
    match data {
        Data::Scalar(time, value) => write_scalar(*time, *value, &mut out.text),
        Data::String(time, text) => write_text(*time, text.as_bytes(), &mut out.text),
        Data::Vector(list) | Data::Matrix(list) => {
            put(out, "[");
            for (number, series) in list.iter().enumerate() {
                put(out, if number > 0 { "," } else { "" });
                write_series(series, matches!(data, Data::Vector(_)), out);
                // Once nobody reads it, nothing more is kept.
                if !out.pass_on(CHUNK_BYTES) {
                    return;
                }
            }
            put(out, "]");
        }
    }
    put(out, "}\n");
}

fn put(out: &mut Output, text: &str) {
    out.text.extend_from_slice(text.as_bytes());
}

fn write_series(series: &Series, is_vector: bool, out: &mut Output) {
    put(out, "{\"metric\":");
    write_labels(series.labels.iter(), &mut out.text);
    let is_float = |point: &&(Timestamp, Value)| matches!(point.1, Value::Float(_));
    let (floats, histograms): (Vec<_>, Vec<_>) = series.points.iter().partition(is_float);
    for (one, many, points) in
        [("value", "values", floats), ("histogram", "histograms", histograms)]
    {
        let Some((first, rest)) = points.split_first() else { continue };
        put(out, &format!(",\"{}\":", if is_vector { one } else { many }));
        put(out, if is_vector { "" } else { "[" });
        write_point(first, out);
        for point in rest {
            put(out, ",");
            write_point(point, out);
        }
        put(out, if is_vector { "" } else { "]" });
    }
    put(out, "}");
}

fn write_point((time, value): &(Timestamp, Value), out: &mut Output) {
    match value {
        Value::Float(value) => write_scalar(*time, *value, &mut out.text),
        Value::Histogram(histogram) => {
            put(out, "[");
            write_time(*time, &mut out.text);
            put(out, ",");
            write_histogram(histogram, &mut out.text);
            put(out, "]");
        }
    }
}

/// As the server writes one, of a histogram of which only the buckets are known.
fn write_histogram(histogram: &Buckets, text: &mut Vec<u8>) {
    text.extend_from_slice(b"{\"count\":");
    write_value(histogram.count, text);
    text.extend_from_slice(b",\"sum\":");
    write_value(histogram.sum, text);
    for (at, bucket) in histogram.buckets.iter().enumerate() {
        // The bounds that belong to it: only the upper, only the lower, none, both.
        let rule = match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => b'0',
            (true, false) => b'1',
            (false, false) => b'2',
            (true, true) => b'3',
        };
        text.extend_from_slice(if at == 0 { b",\"buckets\":[[" } else { b",[" });
        text.push(rule);
        for value in [bucket.lower, bucket.upper, bucket.count] {
            text.push(b',');
            write_value(value, text);
        }
        text.push(b']');
    }
    text.extend_from_slice(if histogram.buckets.is_empty() { b"}" } else { b"]}" });
}
