//! Reads the answers of the query API: floats, label sets and label values.
//!
//! Written apart from the server's own code, like all of the rig. Native histograms are not read: the
//! rows store none.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use siltstone_rig::http::Response;

/// The labels of a series by name.
pub type Labels = BTreeMap<String, String>;

/// A series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Times in milliseconds and values, in the order of the answer.
    pub points: Vec<(i64, f64)>,
}

/// What a request was answered with.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Of `query` and `query_range`.
    Samples {
        /// `vector` or `matrix`.
        result_type: String,
        /// In the order of the answer.
        series: Vec<Series>,
    },
    /// Of `series`.
    LabelSets(Vec<Labels>),
    /// Of `label/NAME/values`.
    LabelValues(Vec<String>),
}

impl Answer {
    /// How many series, label sets or values there are.
    #[must_use]
    pub fn series(&self) -> u64 {
        let count = match self {
            Self::Samples { series, .. } => series.len(),
            Self::LabelSets(sets) => sets.len(),
            Self::LabelValues(values) => values.len(),
        };
        count as u64
    }
}

/// What every answer of the API is in.
#[derive(Debug, Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Debug, Deserialize)]
struct SamplesJson {
    #[serde(rename = "resultType")]
    result_type: String,
    result: Vec<SeriesJson>,
}

#[derive(Debug, Deserialize)]
struct SeriesJson {
    metric: Labels,
    #[serde(default)]
    values: Vec<(f64, String)>,
    value: Option<(f64, String)>,
}

/// Reads the answer to a request with this target.
///
/// # Errors
/// What the server said if it refused; what is wrong with the answer if it is not as documented.
pub fn parse(target: &str, response: &Response) -> Result<Answer, String> {
    if !response.is_success() {
        return Err(response.to_string());
    }
    let path = target.split('?').next().unwrap_or_default();
    if path.ends_with("/series") {
        return data(response).map(Answer::LabelSets);
    }
    if path.ends_with("/values") {
        return data(response).map(Answer::LabelValues);
    }
    let SamplesJson { result_type, result } = data(response)?;
    let series = result.into_iter().map(series).collect::<Result<_, _>>()?;
    Ok(Answer::Samples { result_type, series })
}

fn data<T: DeserializeOwned>(response: &Response) -> Result<T, String> {
    match serde_json::from_slice::<Envelope<T>>(&response.body) {
        Ok(envelope) => Ok(envelope.data),
        Err(error) => Err(format!("not an answer ({error}): {response}")),
    }
}

fn series(json: SeriesJson) -> Result<Series, String> {
    let points = json.values.into_iter().chain(json.value);
    let points = points.map(|(seconds, value)| {
        // Times have at most three digits behind the point, which doubles of this size keep.
        Ok(((seconds * 1000.0).round() as i64, number(&value)?))
    });
    Ok(Series { labels: json.metric, points: points.collect::<Result<_, String>>()? })
}

fn number(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        _ => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(format!("{text:?} is not a value")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: &str, body: &str) -> Result<Answer, String> {
        parse(target, &Response { status: 200, body: body.into() })
    }

    #[test]
    fn vectors_and_matrices() {
        let body = r#"{"status":"success","stats":{"x":1},"data":{"resultType":"vector","result":[
            {"metric":{"a":"b"},"value":[1435781451.781,"-Inf"]}]}}"#;
        let labels = Labels::from([("a".to_owned(), "b".to_owned())]);
        let point = (1_435_781_451_781, f64::NEG_INFINITY);
        let series = vec![Series { labels, points: vec![point] }];
        let expected = Answer::Samples { result_type: "vector".into(), series };
        assert_eq!(read("/api/v1/query?query=a", body).unwrap(), expected);
        let body = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{},"values":[[1,"1e-07"],[2.5,"3"]]}]},"warnings":["w"]}"#;
        let answer = read("/api/v1/query_range?query=a", body).unwrap();
        assert_eq!(answer.series(), 1);
        let Answer::Samples { series, .. } = answer else { panic!("samples") };
        assert_eq!(series[0].points, [(1000, 1e-7), (2500, 3.0)]);
    }

    #[test]
    fn lists() {
        let body = r#"{"status":"success","data":[{"a":"b"},{}]}"#;
        assert_eq!(read("/api/v1/series?match[]=a", body).unwrap().series(), 2);
        let body = r#"{"status":"success","data":["x","y"]}"#;
        let expected = Answer::LabelValues(vec!["x".into(), "y".into()]);
        assert_eq!(read("/api/v1/label/a/values", body).unwrap(), expected);
    }

    #[test]
    fn refusals_and_what_is_no_answer() {
        let body = r#"{"status":"error","errorType":"execution","error":"too many"}"#.into();
        let refused = parse("/api/v1/query", &Response { status: 422, body }).unwrap_err();
        assert!(refused.starts_with("status 422") && refused.contains("too many"), "{refused}");
        for body in [
            "",
            r#"{"status":"success","data":[]}"#,
            r#"{"status":"success","data":{"resultType":"matrix","result":null}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[
                {"metric":{},"value":[1,"inf"]}]}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[
                {"metric":{},"value":[1,2]}]}}"#,
        ] {
            assert!(read("/api/v1/query", body).is_err(), "{body}");
        }
    }
}
