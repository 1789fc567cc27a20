//! Whether two answers are the same.

use std::collections::BTreeMap;

use serde_json::Value;
use siltstone_server_testing::client::Answer;

/// By which part of the larger one two numbers may differ that were added up in another order, or come from
/// another mathematical library.
const RELATIVE: f64 = 1e-12;
/// What is left of such numbers where they cancelled.
const NOISE: f64 = 1e-15;

/// What adds up, extrapolates from what was added up, or is computed by a library.
const INEXACT: &[&str] = &[
    "atan2",
    "exp",
    "ln",
    "log2",
    "log10",
    "sin",
    "sum",
    "avg",
    "stddev",
    "stdvar",
    "sum_over_time",
    "avg_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "rate",
    "increase",
    "delta",
    "deriv",
    "predict_linear",
];

fn is_inexact(query: &str) -> bool {
    query.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| INEXACT.contains(&word))
}

/// What newer versions of Prometheus say and 3.5 does not.
const NEWER_WARNINGS: &str = "sort is ineffective for range queries";

/// What the answers to `query` differ in; `None` if in nothing.
pub(super) fn difference(query: &str, ours: &Answer, theirs: &Answer) -> Option<String> {
    let is_inexact = is_inexact(query);
    let found = if ours.status == theirs.status {
        bodies(query, &ours.json(), &theirs.json(), is_inexact)
    } else {
        Err("status".to_owned())
    };
    let cut = |answer: &Answer| answer.text().chars().take(200).collect::<String>();
    found.err().map(|what| {
        format!(
            "{query}: {what}\n  ours:   {} {}\n  theirs: {} {}",
            ours.status,
            cut(ours),
            theirs.status,
            cut(theirs)
        )
    })
}

fn bodies(query: &str, ours: &Value, theirs: &Value, is_inexact: bool) -> Result<(), String> {
    for field in ["status", "errorType"] {
        same(field, &ours[field], &theirs[field])?;
    }
    same("error", &message(&ours["error"]), &message(&theirs["error"]))?;
    for field in ["warnings", "infos"] {
        same(field, &sorted(&ours[field]), &sorted(&theirs[field]))?;
    }
    let (ours, theirs) = (&ours["data"], &theirs["data"]);
    same("resultType", &ours["resultType"], &theirs["resultType"])?;
    let kind = ours["resultType"].as_str().unwrap_or("none");
    if !["vector", "matrix"].contains(&kind) {
        return point(&ours["result"], &theirs["result"], is_inexact);
    }
    let order = |result: &Value| -> Vec<String> {
        result.as_array().unwrap().iter().map(|series| series["metric"].to_string()).collect()
    };
    if kind == "matrix" || query.starts_with("sort") {
        let (ours, theirs) = (order(&ours["result"]), order(&theirs["result"]));
        if ours != theirs {
            return Err("series or their order".to_owned());
        }
    }
    let (ours, theirs) = (by_labels(&ours["result"])?, by_labels(&theirs["result"])?);
    if ours.keys().ne(theirs.keys()) {
        return Err("series".to_owned());
    }
    ours.iter().try_for_each(|(labels, ours)| series(labels, ours, theirs[labels], is_inexact))
}

fn same(what: &str, ours: &Value, theirs: &Value) -> Result<(), String> {
    if ours == theirs { Ok(()) } else { Err(format!("{what}: {ours} and {theirs}")) }
}

/// A message without the two series that stand for an ambiguous match: which ones, and in which order, is
/// random in Prometheus.
fn message(error: &Value) -> Value {
    let Some(text) = error.as_str() else { return error.clone() };
    match (text.split_once(": [{"), text.split_once("}];")) {
        (Some((before, _)), Some((_, behind))) => format!("{before} {behind}").into(),
        _ => text.into(),
    }
}

/// Annotations, which have no order.
fn sorted(annotations: &Value) -> Value {
    let mut all = annotations.as_array().cloned().unwrap_or_default();
    all.retain(|text| !text.to_string().contains(NEWER_WARNINGS));
    all.sort_by_key(Value::to_string);
    Value::Array(all)
}

fn by_labels(result: &Value) -> Result<BTreeMap<String, &Value>, String> {
    let mut by_labels = BTreeMap::new();
    for series in result.as_array().unwrap() {
        let metric = series["metric"].to_string();
        if by_labels.insert(metric.clone(), series).is_some() {
            return Err(format!("{metric} comes twice"));
        }
    }
    Ok(by_labels)
}

fn series(labels: &str, ours: &Value, theirs: &Value, is_inexact: bool) -> Result<(), String> {
    let points = |series: &Value| match series["values"].as_array() {
        Some(values) => values.clone(),
        None => vec![series["value"].clone()],
    };
    let (ours, theirs) = (points(ours), points(theirs));
    if ours.len() != theirs.len() {
        return Err(format!("{} and {} samples of {labels}", ours.len(), theirs.len()));
    }
    let mut pairs = ours.iter().zip(&theirs);
    pairs.try_for_each(|(a, b)| point(a, b, is_inexact).map_err(|what| format!("{labels}: {what}")))
}

/// A time with a value.
fn point(ours: &Value, theirs: &Value, is_inexact: bool) -> Result<(), String> {
    if ours == theirs {
        return Ok(());
    }
    let number = |point: &Value| point[1].as_str().and_then(|text| text.parse::<f64>().ok());
    let near = |(a, b): (f64, f64)| {
        is_inexact && (a - b).abs() <= NOISE.max(RELATIVE * a.abs().max(b.abs()))
    };
    let is_near = ours[0] == theirs[0] && number(ours).zip(number(theirs)).is_some_and(near);
    if is_near { Ok(()) } else { Err(format!("{ours} and {theirs}")) }
}
