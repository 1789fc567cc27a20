//! Reads the JSON of the query API.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::answer::{Answer, Buckets, Failure, Outcome, Row, Sample, Value};

/// The outcome in a response; `None` if it is none.
pub(super) fn outcome(json: &Json) -> Option<Outcome> {
    if json["status"] == "error" {
        let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
        return Some(Outcome::Error(Failure { kind: text("errorType"), message: text("error") }));
    }
    let texts = |name: &str| -> BTreeSet<String> {
        json[name]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .map(Into::into)
            .collect()
    };
    let result = &json["data"]["result"];
    let value = match json["data"]["resultType"].as_str()? {
        "scalar" => Value::Scalar(number(&result[1])?),
        "string" => Value::Text(result[1].as_str()?.to_owned()),
        "vector" => Value::Vector(rows(result)?),
        "matrix" => Value::Matrix(rows(result)?),
        _ => return None,
    };
    Some(Outcome::Answer(Answer { value, warnings: texts("warnings"), infos: texts("infos") }))
}

fn rows(json: &Json) -> Option<Vec<Row>> {
    json.as_array()?.iter().map(row).collect()
}

fn row(json: &Json) -> Option<Row> {
    let labels = json["metric"].as_object()?.iter();
    let labels = labels.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let mut points = Vec::new();
    let many = |name: &str| json[name].as_array().into_iter().flatten();
    for point in many("values").chain(json.get("value")) {
        points.push((time(&point[0])?, Sample::Float(number(&point[1])?)));
    }
    for point in many("histograms").chain(json.get("histogram")) {
        points.push((time(&point[0])?, Sample::Histogram(histogram(&point[1])?)));
    }
    points.sort_by_key(|(time, _)| *time);
    Some(Row { labels: labels.collect::<Option<_>>()?, points })
}

fn time(json: &Json) -> Option<i64> {
    Some((json.as_f64()? * 1000.0).round() as i64)
}

fn number(json: &Json) -> Option<f64> {
    match json.as_str()? {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        text => text.parse().ok(),
    }
}

fn histogram(json: &Json) -> Option<Buckets> {
    let bucket = |json: &Json| {
        let rule = u8::try_from(json[0].as_u64()?).ok()?;
        Some((rule, number(&json[1])?, number(&json[2])?, number(&json[3])?))
    };
    let buckets = json["buckets"].as_array().into_iter().flatten().map(bucket);
    Some(Buckets {
        count: number(&json["count"])?,
        sum: number(&json["sum"])?,
        buckets: buckets.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_have_floats_and_histograms() {
        let json = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"a":"b"},"value":[1.5,"-Inf"]},
            {"metric":{},"histogram":[2,{"count":"3","sum":"NaN","buckets":[[3,"-1","1","3"]]}]}
            ]},"infos":["i"]}"#;
        let json: Json = serde_json::from_str(json).unwrap();
        let Some(Outcome::Answer(answer)) = outcome(&json) else { panic!("an answer") };
        let Value::Vector(rows) = answer.value else { panic!("a vector") };
        assert_eq!(rows[0].points, [(1500, Sample::Float(f64::NEG_INFINITY))]);
        assert_eq!(rows[0].labels["a"], "b");
        let (2000, Sample::Histogram(buckets)) = &rows[1].points[0] else { panic!("a histogram") };
        assert_eq!(buckets.buckets, [(3, -1.0, 1.0, 3.0)]);
        assert!(buckets.sum.is_nan());
        assert_eq!(answer.infos.len(), 1);
    }

    #[test]
    fn an_error_has_its_kind() {
        let json = r#"{"status":"error","errorType":"bad_data","error":"no"}"#;
        let json: Json = serde_json::from_str(json).unwrap();
        let failure = Failure { kind: "bad_data".into(), message: "no".into() };
        assert_eq!(outcome(&json), Some(Outcome::Error(failure)));
    }
}
