//! Whether two outcomes are the same, and if not, in what they differ.

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::{Answer, Buckets, Labels, Outcome, Row, Sample, Value};

/// Two numbers are the same if they differ by at most this part of the larger one.
const RELATIVE: f64 = 1e-9;
/// What is left of numbers that cancelled: those of the data are larger, or far smaller.
const NOISE: std::ops::Range<f64> = 1e-200..1e-13;
/// Annotations of one severity that the API shows.
const ANNOTATIONS_SHOWN: usize = 10;

/// In what outcomes differ; the first that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Aspect {
    /// The crate panicked.
    Panic,
    /// One side has an error, the other an answer.
    ErrorOrAnswer,
    /// Both have an error, of different kinds.
    ErrorKind,
    /// Both have an error of one kind, in other words.
    ErrorText,
    /// The types of values.
    Type,
    /// Which series there are.
    Labels,
    /// At which steps they have samples, or of which kind.
    Presence,
    /// Numbers.
    Value,
    /// The order of the series.
    Order,
    Warnings,
    Infos,
    /// How a query is formatted.
    Format,
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) aspect: Aspect,
    /// One example, theirs and ours.
    pub(crate) text: String,
}

fn differ(aspect: Aspect, text: String) -> Result<(), Difference> {
    Err(Difference { aspect, text })
}

/// Compares an outcome of Prometheus with one of ours. `ordered` says that the order of series is
/// defined.
pub(crate) fn compare(theirs: &Outcome, ours: &Outcome, ordered: bool) -> Result<(), Difference> {
    match (theirs, ours) {
        (_, Outcome::Error(error)) if error.kind == "panic" => {
            differ(Aspect::Panic, "ours panicked".into())
        }
        (Outcome::Answer(theirs), Outcome::Answer(ours)) => answers(theirs, ours, ordered),
        (Outcome::Error(theirs), Outcome::Error(ours)) => {
            let text = format!(
                "theirs {}: {}\n  ours   {}: {}",
                theirs.kind, theirs.message, ours.kind, ours.message
            );
            if theirs.kind != ours.kind {
                differ(Aspect::ErrorKind, text)
            } else if bare(&theirs.message) != bare(&ours.message) {
                differ(Aspect::ErrorText, text)
            } else {
                Ok(())
            }
        }
        (Outcome::Error(theirs), Outcome::Answer(ours)) => differ(
            Aspect::ErrorOrAnswer,
            format!("theirs {}: {}\n  ours   {:?}", theirs.kind, theirs.message, ours.value),
        ),
        (Outcome::Answer(theirs), Outcome::Error(ours)) => differ(
            Aspect::ErrorOrAnswer,
            format!("theirs {:?}\n  ours   {}: {}", theirs.value, ours.kind, ours.message),
        ),
    }
}

/// A message without what the API puts before it.
fn bare(message: &str) -> &str {
    message.strip_prefix("invalid parameter \"query\": ").unwrap_or(message)
}

fn answers(theirs: &Answer, ours: &Answer, ordered: bool) -> Result<(), Difference> {
    values(&theirs.value, &ours.value, ordered)?;
    annotations(Aspect::Warnings, &theirs.warnings, &ours.warnings)?;
    annotations(Aspect::Infos, &theirs.infos, &ours.infos)
}

fn annotations(
    aspect: Aspect,
    theirs: &BTreeSet<String>,
    ours: &BTreeSet<String>,
) -> Result<(), Difference> {
    // Theirs are cut to a few, of which we cannot know which.
    let cut = ours.len() > ANNOTATIONS_SHOWN && theirs.len() > ANNOTATIONS_SHOWN;
    if cut || theirs == ours {
        return Ok(());
    }
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
        a.difference(b).cloned().collect::<Vec<_>>().join(" | ")
    };
    differ(
        aspect,
        format!("only theirs: {}\n  only ours:   {}", only(theirs, ours), only(ours, theirs)),
    )
}

fn values(theirs: &Value, ours: &Value, ordered: bool) -> Result<(), Difference> {
    match (theirs, ours) {
        (Value::Scalar(a), Value::Scalar(b)) if same(*a, *b) => Ok(()),
        (Value::Scalar(a), Value::Scalar(b)) => differ(Aspect::Value, format!("{a} and {b}")),
        (Value::Text(a), Value::Text(b)) if a == b => Ok(()),
        (Value::Text(a), Value::Text(b)) => differ(Aspect::Value, format!("{a:?} and {b:?}")),
        (Value::Vector(a), Value::Vector(b)) => {
            rows(a, b)?;
            if ordered { order(a, b) } else { Ok(()) }
        }
        (Value::Matrix(a), Value::Matrix(b)) => {
            rows(a, b)?;
            order(a, b)
        }
        _ => differ(Aspect::Type, format!("{} and {}", theirs.type_name(), ours.type_name())),
    }
}

/// The same number, or close enough; any NaN is any other, and so is 0 or what is left of larger numbers
/// that cancelled.
pub(crate) fn same(a: f64, b: f64) -> bool {
    a == b
        || (a.is_nan() && b.is_nan())
        || [a, b].iter().all(|x| *x == 0.0 || NOISE.contains(&x.abs()))
        || (a - b).abs() <= RELATIVE * a.abs().max(b.abs()) && a.is_finite() && b.is_finite()
}

fn rows(theirs: &[Row], ours: &[Row]) -> Result<(), Difference> {
    let by_labels = |rows: &'_ [Row]| -> BTreeMap<Labels, Vec<(i64, Sample)>> {
        rows.iter().map(|row| (row.labels.clone(), row.points.clone())).collect()
    };
    let (a, b) = (by_labels(theirs), by_labels(ours));
    if a.len() != theirs.len() || b.len() != ours.len() {
        return differ(Aspect::Labels, "a label set is there twice".into());
    }
    let alone = |rows: &BTreeMap<Labels, _>, others: &BTreeMap<Labels, _>| {
        let alone = rows.iter().filter(|(labels, _)| !others.contains_key(*labels)).take(2);
        format!("{:?}", alone.collect::<Vec<_>>())
    };
    if a.keys().ne(b.keys()) {
        let text = format!(
            "{} and {} series\n  only theirs {}\n  only ours   {}",
            a.len(),
            b.len(),
            alone(&a, &b),
            alone(&b, &a)
        );
        return differ(Aspect::Labels, text);
    }
    for (labels, theirs) in &a {
        presence(labels, theirs, &b[labels])?;
    }
    for (labels, theirs) in &a {
        for ((time, theirs), (_, ours)) in theirs.iter().zip(&b[labels]) {
            if !same_sample(theirs, ours) {
                let text = format!("{labels:?} at {time}:\n  theirs {theirs:?}\n  ours   {ours:?}");
                return differ(Aspect::Value, text);
            }
        }
    }
    Ok(())
}

fn presence(
    labels: &Labels,
    theirs: &[(i64, Sample)],
    ours: &[(i64, Sample)],
) -> Result<(), Difference> {
    let kinds = |points: &[(i64, Sample)]| -> BTreeSet<(i64, bool)> {
        points.iter().map(|(time, v)| (*time, matches!(v, Sample::Float(_)))).collect()
    };
    let (a, b) = (kinds(theirs), kinds(ours));
    if a == b && theirs.len() == ours.len() {
        return Ok(());
    }
    let first = a.symmetric_difference(&b).next();
    differ(
        Aspect::Presence,
        format!("{labels:?}, the first alone {first:?}:\n  theirs {theirs:?}\n  ours   {ours:?}"),
    )
}

fn same_sample(theirs: &Sample, ours: &Sample) -> bool {
    match (theirs, ours) {
        (Sample::Float(a), Sample::Float(b)) => same(*a, *b),
        (Sample::Histogram(a), Sample::Histogram(b)) => same_buckets(a, b),
        _ => false,
    }
}

fn same_buckets(a: &Buckets, b: &Buckets) -> bool {
    same(a.count, b.count)
        && same(a.sum, b.sum)
        && a.buckets.len() == b.buckets.len()
        && a.buckets
            .iter()
            .zip(&b.buckets)
            .all(|(a, b)| a.0 == b.0 && same(a.1, b.1) && same(a.2, b.2) && same(a.3, b.3))
}

/// The order; among series with equal values it is not defined.
fn order(theirs: &[Row], ours: &[Row]) -> Result<(), Difference> {
    let is_same = |(a, b): (&Row, &Row)| {
        a.labels == b.labels
            || a.points.len() == b.points.len()
                && a.points.len() == 1
                && same_sample(&a.points[0].1, &b.points[0].1)
    };
    if theirs.iter().zip(ours).all(is_same) {
        return Ok(());
    }
    let labels = |rows: &[Row]| format!("{:?}", rows.iter().map(|r| &r.labels).collect::<Vec<_>>());
    differ(Aspect::Order, format!("theirs {}\n  ours   {}", labels(theirs), labels(ours)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(rows: &[(&str, f64)]) -> Outcome {
        let row = |(label, value): &(&str, f64)| Row {
            labels: Labels::from([("a".to_owned(), (*label).to_owned())]),
            points: vec![(0, Sample::Float(*value))],
        };
        let value = Value::Vector(rows.iter().map(row).collect());
        let (warnings, infos) = (BTreeSet::new(), BTreeSet::new());
        Outcome::Answer(Answer { value, warnings, infos })
    }

    #[test]
    fn numbers_are_equal_within_a_billionth() {
        assert!(same(1.0, 1.0 + 9e-10) && !same(1.0, 1.0 + 2e-9));
        assert!(same(f64::NAN, -f64::NAN) && same(0.0, -0.0) && same(0.0, 1e-15));
        assert!(!same(f64::INFINITY, f64::MAX) && !same(f64::INFINITY, f64::NEG_INFINITY));
        assert!(!same(0.0, 1e-12) && !same(1e-300, 2e-300));
    }

    #[test]
    fn differences_have_an_aspect() {
        let theirs = vector(&[("x", 1.0), ("y", 2.0)]);
        let aspect = |ours: &Outcome, ordered| {
            compare(&theirs, ours, ordered).err().map(|difference| difference.aspect)
        };
        assert_eq!(aspect(&theirs, true), None);
        let turned = vector(&[("y", 2.0), ("x", 1.0)]);
        assert_eq!(aspect(&turned, false), None);
        assert_eq!(aspect(&turned, true), Some(Aspect::Order));
        assert_eq!(aspect(&vector(&[("x", 1.0), ("y", 3.0)]), false), Some(Aspect::Value));
        assert_eq!(aspect(&vector(&[("x", 1.0)]), false), Some(Aspect::Labels));
    }
}
