//! An answer from a server with Prometheus's HTTP API.

use serde::Deserialize;
use siltstone::Timestamp;
use siltstone_query::LabelSet;
use siltstone_query::histogram::Bucket;
use siltstone_server::protocol::number;

use super::answer::{Buckets, Data, Series, Shown, Value};
use crate::failure::{Failure, Result};
use crate::query_flags::{LimitFlags, When};
use crate::server_client::ServerUrl;
use crate::times::ms_text;

/// Asks the server and reads its answer.
pub(super) fn ask(url: &ServerUrl, query: &str, when: When, limits: LimitFlags) -> Result<Shown> {
    let mut form = vec![("query", query.to_owned())];
    let endpoint = match when {
        When::At(time) => {
            form.push(("time", ms_text(time)));
            "query"
        }
        When::Range { start, end, step } => {
            form.extend(
                [("start", start), ("end", end), ("step", step)]
                    .map(|(name, ms)| (name, ms_text(ms))),
            );
            "query_range"
        }
    };
    let timeout_ms = i64::try_from(limits.timeout.as_millis()).unwrap_or(i64::MAX);
    form.push(("timeout", ms_text(timeout_ms)));
    let (status, text) = url.query(endpoint, &form)?;
    read(status, &text, query)
}

/// An answer of the API.
#[derive(Debug, Deserialize)]
struct Envelope {
    status: String,
    data: Option<Wire>,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Wire {
    Scalar((f64, String)),
    String((f64, String)),
    Vector(Vec<WireSeries>),
    Matrix(Vec<WireSeries>),
}

#[derive(Debug, Deserialize)]
struct WireSeries {
    metric: Labels,
    value: Option<(f64, String)>,
    histogram: Option<(f64, WireHistogram)>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    #[serde(default)]
    histograms: Vec<(f64, WireHistogram)>,
}

type Labels = std::collections::BTreeMap<String, String>;

#[derive(Debug, Deserialize)]
struct WireHistogram {
    count: String,
    sum: String,
    #[serde(default)]
    buckets: Vec<(u8, String, String, String)>,
}

fn read(status: u16, text: &[u8], query: &str) -> Result<Shown> {
    let refused = |said: &str| {
        let failure = Failure::refused(status, said);
        match place(said) {
            Some(place) => failure.at(query, place, 1),
            None => failure,
        }
    };
    let is_success = (200..300).contains(&status);
    let envelope: Envelope = match serde_json::from_slice(text) {
        Ok(envelope) => envelope,
        Err(error) if is_success => return Err(unreadable(&error.to_string())),
        // The words of a proxy, or of a server that has no such API.
        Err(_) => return Err(refused(&start(&String::from_utf8_lossy(text)))),
    };
    match envelope.data {
        Some(data) if is_success && envelope.status == "success" => Ok(Shown {
            data: shown(data).ok_or_else(|| unreadable("a value is not a number"))?,
            warnings: envelope.warnings,
            infos: envelope.infos,
        }),
        _ => Err(refused(&envelope.error)),
    }
}

fn unreadable(reason: &str) -> Failure {
    Failure::unreachable(format!(
        "the answer of the server cannot be read: {reason}; does it have Prometheus's HTTP API?"
    ))
}

/// Enough of a text to say what it is.
fn start(text: &str) -> String {
    text.trim().chars().take(200).collect()
}

/// The line and the column in `... 1:5: parse error: ...`.
fn place(said: &str) -> Option<(usize, usize)> {
    let (before, _) = said.split_once(": parse error")?;
    let place = before.rsplit(' ').next()?;
    let (line, column) = place.split_once(':')?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

/// Times and numbers of the answer; `None` if one is none.
fn shown(data: Wire) -> Option<Data> {
    Some(match data {
        Wire::Scalar((time, value)) => Data::Scalar(milliseconds(time), float(&value)?),
        Wire::String((time, text)) => Data::String(milliseconds(time), text),
        Wire::Vector(list) => Data::Vector(list.into_iter().map(series).collect::<Option<_>>()?),
        Wire::Matrix(list) => Data::Matrix(list.into_iter().map(series).collect::<Option<_>>()?),
    })
}

fn series(wire: WireSeries) -> Option<Series> {
    let floats = wire.value.into_iter().chain(wire.values);
    let floats = floats.map(|(time, text)| Some((milliseconds(time), Value::Float(float(&text)?))));
    let histograms = wire.histogram.into_iter().chain(wire.histograms);
    let histograms = histograms.map(|(time, wire)| {
        Some((milliseconds(time), Value::Histogram(Box::new(histogram(&wire)?))))
    });
    let mut points = floats.chain(histograms).collect::<Option<Vec<_>>>()?;
    points.sort_by_key(|(time, _)| *time);
    Some(Series { labels: LabelSet::from_pairs(wire.metric), points })
}

fn histogram(wire: &WireHistogram) -> Option<Buckets> {
    let bucket = |(rule, lower, upper, count): &(u8, String, String, String)| {
        Some(Bucket {
            lower: float(lower)?,
            upper: float(upper)?,
            lower_inclusive: matches!(rule, 1 | 3),
            upper_inclusive: matches!(rule, 0 | 3),
            count: float(count)?,
        })
    };
    let buckets = wire.buckets.iter().map(bucket).collect::<Option<_>>()?;
    Some(Buckets { count: float(&wire.count)?, sum: float(&wire.sum)?, buckets })
}

fn float(text: &str) -> Option<f64> {
    number::parse(text.as_bytes()).ok()
}

/// Seconds as milliseconds; the cast saturates.
fn milliseconds(seconds: f64) -> Timestamp {
    (seconds * 1000.0).round() as Timestamp
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(result: &str) -> Result<Shown> {
        let text = format!("{{\"status\":\"success\",\"data\":{result},\"infos\":[\"i\"]}}");
        read(200, text.as_bytes(), "q")
    }

    #[test]
    fn every_kind_of_answer_is_read() {
        let scalar = data(r#"{"resultType":"scalar","result":[1.5,"-Inf"]}"#).unwrap();
        assert_eq!(scalar.data, Data::Scalar(1500, f64::NEG_INFINITY));
        assert_eq!((scalar.warnings.len(), scalar.infos), (0, vec!["i".to_owned()]));
        let string = data(r#"{"resultType":"string","result":[-1,"é"]}"#).unwrap();
        assert_eq!(string.data, Data::String(-1000, "é".to_owned()));
        let vector = data(
            r#"{"resultType":"vector","result":[{"metric":{"b":"2","a":"1"},"value":[1435781451.781,"1e-07"]}]}"#,
        );
        let labels = LabelSet::from_pairs([("a", "1"), ("b", "2")]);
        let points = vec![(1_435_781_451_781, Value::Float(1e-7))];
        assert_eq!(vector.unwrap().data, Data::Vector(vec![Series { labels, points }]));
        let matrix = data(
            r#"{"resultType":"matrix","result":[{"metric":{},"values":[[20,"2"]],"histograms":[
            [10,{"count":"3","sum":"4.5","buckets":[[3,"-1","1","1"],[0,"1","2","2"]]}]]}],"stats":{}}"#,
        );
        let Data::Matrix(series) = matrix.unwrap().data else { panic!("a matrix") };
        let texts: Vec<String> = series[0]
            .points
            .iter()
            .map(|(time, value)| match value {
                Value::Float(value) => format!("{time} {value}"),
                Value::Histogram(buckets) => format!("{time} {buckets}"),
            })
            .collect();
        assert_eq!(texts, ["10000 {count:3, sum:4.5, [-1,1]:1, (1,2]:2}", "20000 2"]);
    }

    #[test]
    fn what_is_no_answer_is_said() {
        for bad in [
            "{}",
            r#"{"resultType":"scalar","result":[1,"x"]}"#,
            r#"{"resultType":"streams","result":[]}"#,
            r#"{"resultType":"vector","result":[{"metric":{},"value":["a",1]}]}"#,
        ] {
            assert!(data(bad).is_err(), "{bad}");
        }
        assert!(read(200, b"<html>", "q").is_err() && read(204, b"", "q").is_err());
    }

    #[test]
    fn the_place_of_a_parse_error_is_found() {
        let said = "invalid parameter \"query\": 1:5: parse error: unexpected <op:*>";
        assert_eq!(place(said), Some((1, 5)));
        assert_eq!(place("2:17: parse error: x"), Some((2, 17)));
        assert_eq!(place("unknown position: parse error: no expression found in input"), None);
        assert_eq!(place("bad_data"), None);
    }
}
