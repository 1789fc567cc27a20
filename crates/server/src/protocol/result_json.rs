//! Answers of PromQL as the JSON of Prometheus's HTTP API.
//!
//! A matrix is an array of `{"metric":{..},"values":[[t,"v"],..],"histograms":[[t,H],..]}`, a vector of
//! `{"metric":{..},"value":[t,"v"]}` or `"histogram":[t,H]`; a scalar and a string are `[t,"v"]`. Times
//! are in seconds, with three digits behind the point unless they are whole. Values are quoted, as Go
//! writes them shortest; every NaN is `NaN`. A histogram is `{"count":"..","sum":"..","buckets":[[rule,
//! "lower","upper","count"],..]}` without empty buckets; the rule says which bounds belong to a bucket:
//! 0 the upper, 1 the lower, 2 none, 3 both. (Prometheus 3.14, `util/jsonutil`, `web/api/v1/json_codec.go`.)

use std::ops::ControlFlow;

use siltstone::Timestamp;
use siltstone_promql::histogram::Histogram;
use siltstone_promql::{Point, ResultSeries};

use super::json_lines::{write_labels, write_string};
use super::number;

/// Points of a part of a series.
const PART_POINTS: usize = 4096;

/// Appends a time in milliseconds as seconds.
pub fn write_time(ms: Timestamp, out: &mut Vec<u8>) {
    // The sign of what is less than a second would be lost in the quotient.
    if ms < 0 && ms > -1000 {
        out.push(b'-');
    }
    number::write_integer(ms / 1000, out);
    let fraction = (ms % 1000).unsigned_abs() as u16;
    if fraction > 0 {
        let digit = |n: u16| b'0' + (n % 10) as u8;
        out.extend_from_slice(&[
            b'.',
            digit(fraction / 100),
            digit(fraction / 10),
            digit(fraction),
        ]);
    }
}

/// Appends a value in quotes.
pub fn write_value(value: f64, out: &mut Vec<u8>) {
    out.push(b'"');
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else {
        number::write(value, out);
    }
    out.push(b'"');
}

/// Appends a scalar: `[t,"v"]`.
pub fn write_scalar(ms: Timestamp, value: f64, out: &mut Vec<u8>) {
    out.push(b'[');
    write_time(ms, out);
    out.push(b',');
    write_value(value, out);
    out.push(b']');
}

/// Appends a string: `[t,"text"]`; what is no UTF-8 in it becomes replacement characters.
pub fn write_text(ms: Timestamp, text: &[u8], out: &mut Vec<u8>) {
    out.push(b'[');
    write_time(ms, out);
    out.push(b',');
    write_string(&String::from_utf8_lossy(text), out);
    out.push(b']');
}

/// Appends a series of a matrix.
pub fn write_matrix_series(series: &ResultSeries, out: &mut Vec<u8>) {
    // Nobody ends it.
    let _ = write_matrix_parts(series, out, &mut |_| ControlFlow::Continue(()));
}

/// Appends a series of a matrix, and hands what is there to `part` after every few thousand points, which
/// may take it out, or end the writing.
pub fn write_matrix_parts(
    series: &ResultSeries,
    out: &mut Vec<u8>,
    part: &mut dyn FnMut(&mut Vec<u8>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    write_metric(series, out);
    let is_float = |(_, point): &&(Timestamp, Point)| matches!(point, Point::Float(_));
    let floats = series.points.iter().filter(is_float).count();
    if floats > 0 {
        out.extend_from_slice(b",\"values\":[");
        write_points(series.points.iter().filter(is_float), out, part)?;
    }
    if floats < series.points.len() {
        out.extend_from_slice(b",\"histograms\":[");
        write_points(series.points.iter().filter(|point| !is_float(point)), out, part)?;
    }
    out.push(b'}');
    ControlFlow::Continue(())
}

fn write_points<'a>(
    points: impl Iterator<Item = &'a (Timestamp, Point)>,
    out: &mut Vec<u8>,
    part: &mut dyn FnMut(&mut Vec<u8>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for (at, (ms, point)) in points.enumerate() {
        if at > 0 {
            out.push(b',');
            if at.is_multiple_of(PART_POINTS) {
                part(out)?;
            }
        }
        write_point(*ms, point, out);
    }
    out.push(b']');
    ControlFlow::Continue(())
}

/// Appends a series of a vector, which has one point.
pub fn write_vector_series(series: &ResultSeries, out: &mut Vec<u8>) {
    write_metric(series, out);
    if let Some((ms, point)) = series.points.first() {
        out.extend_from_slice(match point {
            Point::Float(_) => b",\"value\":",
            Point::Histogram(_) => b",\"histogram\":",
        });
        write_point(*ms, point, out);
    }
    out.push(b'}');
}

fn write_metric(series: &ResultSeries, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"metric\":");
    write_labels(series.labels.iter(), out);
}

fn write_point(ms: Timestamp, point: &Point, out: &mut Vec<u8>) {
    match point {
        Point::Float(value) => write_scalar(ms, *value, out),
        Point::Histogram(histogram) => {
            out.push(b'[');
            write_time(ms, out);
            out.push(b',');
            write_histogram(histogram, out);
            out.push(b']');
        }
    }
}

fn write_histogram(histogram: &Histogram, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"count\":");
    write_value(histogram.count, out);
    out.extend_from_slice(b",\"sum\":");
    write_value(histogram.sum, out);
    let filled = histogram.buckets().filter(|bucket| bucket.count != 0.0);
    for (at, bucket) in filled.enumerate() {
        out.extend_from_slice(if at == 0 { b",\"buckets\":[[" } else { b",[" });
        let rule = match (bucket.lower_inclusive, bucket.upper_inclusive) {
            (false, true) => b'0',
            (true, false) => b'1',
            (false, false) => b'2',
            (true, true) => b'3',
        };
        out.push(rule);
        for value in [bucket.lower, bucket.upper, bucket.count] {
            out.push(b',');
            write_value(value, out);
        }
        out.push(b']');
    }
    if histogram.buckets().any(|bucket| bucket.count != 0.0) {
        out.push(b']');
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use siltstone_promql::LabelSet;
    use siltstone_promql::histogram::{Buckets, HistogramParts};

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_have_three_digits_or_none() {
        for (ms, shown) in [
            (0, "0"),
            (1500, "1.500"),
            (1_435_781_451_781, "1435781451.781"),
            (1_435_781_451_000, "1435781451"),
            (7, "0.007"),
            (-7, "-0.007"),
            (-1500, "-1.500"),
            (-1000, "-1"),
            (i64::MAX, "9223372036854775.807"),
            (i64::MIN, "-9223372036854775.808"),
        ] {
            assert_eq!(text(|out| write_time(ms, out)), shown);
        }
    }

    #[test]
    fn values_are_go_s() {
        for (value, shown) in [
            (0.1 + 0.2, "\"0.30000000000000004\""),
            (1e21, "\"1e+21\""),
            (1e-7, "\"1e-07\""),
            (-0.0, "\"-0\""),
            (f64::INFINITY, "\"+Inf\""),
            (f64::from_bits(0x7ff8_0000_0000_0001), "\"NaN\""),
        ] {
            assert_eq!(text(|out| write_value(value, out)), shown);
        }
    }

    fn histogram() -> Point {
        let parts = HistogramParts {
            schema: 0,
            count: 12.0,
            sum: 18.4,
            zero_count: 2.0,
            zero_threshold: 0.001,
            positive: Buckets::from_dense(0, &[1.0, 0.0, 4.0]).unwrap(),
            negative: Buckets::from_dense(1, &[5.0]).unwrap(),
            ..HistogramParts::default()
        };
        Point::Histogram(Arc::new(parts.try_into().unwrap()))
    }

    #[test]
    fn series_of_floats_and_histograms() {
        let labels = LabelSet::from_pairs([("__name__", "دما"), ("a", "\"\n")]);
        let points =
            vec![(1000, Point::Float(1.0)), (2500, histogram()), (3000, Point::Float(2.5))];
        let series = ResultSeries { labels, points };
        let expected = concat!(
            r#"{"metric":{"__name__":"دما","a":"\"\n"},"values":[[1,"1"],[3,"2.5"]],"#,
            r#""histograms":[[2.500,{"count":"12","sum":"18.4","buckets":"#,
            r#"[[1,"-2","-1","5"],[3,"-0.001","0.001","2"],[0,"0.5","1","1"],[0,"2","4","4"]]}]]}"#
        );
        assert_eq!(text(|out| write_matrix_series(&series, out)), expected);
        let of = |point| ResultSeries { labels: LabelSet::default(), points: vec![(5, point)] };
        let float = of(Point::Float(7.0));
        let shown = r#"{"metric":{},"value":[0.005,"7"]}"#;
        assert_eq!(text(|out| write_vector_series(&float, out)), shown);
        let empty = Point::Histogram(Arc::new(Histogram::default()));
        let shown = r#"{"metric":{},"histogram":[0.005,{"count":"0","sum":"0"}]}"#;
        assert_eq!(text(|out| write_vector_series(&of(empty), out)), shown);
    }

    #[test]
    fn a_long_series_comes_in_parts_that_are_the_whole() {
        let points = (0..10_000).map(|i| (i * 1000, Point::Float(i as f64))).collect();
        let series = ResultSeries { labels: LabelSet::default(), points };
        let (mut taken, mut parts) = (Vec::new(), 0);
        let mut rest = Vec::new();
        let flow = write_matrix_parts(&series, &mut rest, &mut |out| {
            parts += 1;
            taken.append(out);
            ControlFlow::Continue(())
        });
        taken.append(&mut rest);
        assert_eq!((flow, parts), (ControlFlow::Continue(()), 2));
        assert_eq!(taken, text(|out| write_matrix_series(&series, out)).into_bytes());
        let ended = write_matrix_parts(&series, &mut rest, &mut |_| ControlFlow::Break(()));
        assert!(ended.is_break());
    }

    #[test]
    fn scalars_and_strings() {
        assert_eq!(text(|out| write_scalar(4000, 2.0, out)), r#"[4,"2"]"#);
        assert_eq!(text(|out| write_text(4000, b"a\xff\"", out)), "[4,\"a\u{fffd}\\\"\"]");
    }
}
