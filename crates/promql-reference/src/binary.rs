//! Operators between two values.

use siltstone_promql::LabelSet;
use siltstone_promql::ast::{Binary, BinaryOp, Cardinality, Matching, MatchingLabels};

use crate::value::{Failure, Sample, is_metric_label};

/// What an operator makes of two numbers.
pub(crate) enum Outcome {
    /// Arithmetic: a number.
    Number(f64),
    /// A comparison: whether it holds.
    Holds(bool),
}

pub(crate) fn of_numbers(op: BinaryOp, left: f64, right: f64) -> Result<Outcome, Failure> {
    use BinaryOp as Op;
    Ok(match op {
        Op::Add => Outcome::Number(left + right),
        Op::Sub => Outcome::Number(left - right),
        Op::Mul => Outcome::Number(left * right),
        Op::Div => Outcome::Number(left / right),
        Op::Mod => Outcome::Number(left % right),
        Op::Pow => Outcome::Number(left.powf(right)),
        Op::Atan2 => Outcome::Number(left.atan2(right)),
        Op::Equal => Outcome::Holds(left == right),
        Op::NotEqual => Outcome::Holds(left != right),
        Op::Greater => Outcome::Holds(left > right),
        Op::Less => Outcome::Holds(left < right),
        Op::GreaterOrEqual => Outcome::Holds(left >= right),
        Op::LessOrEqual => Outcome::Holds(left <= right),
        Op::And | Op::Or | Op::Unless | Op::TrimUpper | Op::TrimLower => {
            return Err(Failure::Unsupported);
        }
    })
}

/// Between a vector and a scalar; a comparison keeps the vector's value.
pub(crate) fn vector_scalar(
    binary: &Binary,
    vector: Vec<Sample>,
    scalar: f64,
    vector_is_left: bool,
) -> Result<Vec<Sample>, Failure> {
    let mut results = Vec::new();
    for mut sample in vector {
        let own = sample.value;
        let (left, right) = if vector_is_left { (own, scalar) } else { (scalar, own) };
        match of_numbers(binary.op, left, right)? {
            Outcome::Number(value) => (sample.value, sample.drop_name) = (value, true),
            Outcome::Holds(holds) if binary.return_bool => {
                (sample.value, sample.drop_name) = (f64::from(holds), true);
            }
            Outcome::Holds(true) => {}
            Outcome::Holds(false) => continue,
        }
        results.push(sample);
    }
    Ok(results)
}

/// `and`, `or` and `unless`.
pub(crate) fn sets(
    op: BinaryOp,
    key: &MatchingLabels,
    left: Vec<Sample>,
    right: Vec<Sample>,
) -> Vec<Sample> {
    let has_match =
        |sample: &Sample, others: &[LabelSet]| others.contains(&match_labels(key, &sample.labels));
    let keys = |samples: &[Sample]| -> Vec<LabelSet> {
        samples.iter().map(|sample| match_labels(key, &sample.labels)).collect()
    };
    let (left_keys, right_keys) = (keys(&left), keys(&right));
    match op {
        BinaryOp::And => left.into_iter().filter(|s| has_match(s, &right_keys)).collect(),
        BinaryOp::Unless => left.into_iter().filter(|s| !has_match(s, &right_keys)).collect(),
        _ => {
            let others = right.into_iter().filter(|sample| !has_match(sample, &left_keys));
            left.into_iter().chain(others).collect()
        }
    }
}

/// The labels that must be equal.
fn match_labels(key: &MatchingLabels, labels: &LabelSet) -> LabelSet {
    let is_listed = |name: &str| key.labels.iter().any(|listed| listed == name);
    labels.filter(
        |name| if key.on { is_listed(name) } else { !is_listed(name) && name != "__name__" },
    )
}

/// Between two vectors whose series are matched.
pub(crate) fn vector_vector(
    binary: &Binary,
    matching: &Matching,
    left: Vec<Sample>,
    right: Vec<Sample>,
    delayed_names: bool,
) -> Result<Vec<Sample>, Failure> {
    let many_is_left = matching.cardinality != Cardinality::OneToMany;
    let fill = matching.fill;
    let fills = fill.left.is_some() || fill.right.is_some();
    if (left.is_empty() || right.is_empty()) && !fills {
        return Ok(Vec::new());
    }
    let (many, one) = if many_is_left { (left, right) } else { (right, left) };
    // Prometheus does not turn these round with the sides: under `group_right`, `fill_right` stands in
    // for the side that is written on the left.
    let (fill_many, fill_one) = (fill.left, fill.right);
    let key = |sample: &Sample| match_labels(&matching.labels, &sample.labels);
    let one: Vec<(LabelSet, Sample)> = one.into_iter().map(|s| (key(&s), s)).collect();
    for (at, (key, _)) in one.iter().enumerate() {
        if one[..at].iter().any(|(other, _)| other == key) {
            return Err(Failure::Forbidden("many-to-many matching not allowed"));
        }
    }
    let filled =
        |labels: &LabelSet, value| Sample { labels: labels.clone(), drop_name: false, value };
    let mut pairs: Vec<(LabelSet, Sample, Sample)> = Vec::new();
    for sample in many {
        let key = key(&sample);
        let partner = one.iter().find(|(other, _)| *other == key).map(|(_, sample)| sample.clone());
        if let Some(partner) = partner.or(fill_one.map(|value| filled(&key, value))) {
            pairs.push((key, sample, partner));
        }
    }
    for (key, sample) in &one {
        if let Some(value) = fill_many.filter(|_| !pairs.iter().any(|(other, ..)| other == key)) {
            pairs.push((key.clone(), filled(key, value), sample.clone()));
        }
    }
    let mut results = Vec::new();
    let mut seen: Vec<(LabelSet, LabelSet)> = Vec::new();
    for (key, many, one) in pairs {
        let mut labels = result_labels(binary, matching, &many.labels, &one.labels);
        if binary.return_bool && !delayed_names {
            labels = labels.filter(|name| !is_metric_label(name));
        }
        let one_to_one = matching.cardinality == Cardinality::OneToOne;
        let known = (key, if one_to_one { LabelSet::default() } else { labels.clone() });
        if seen.contains(&known) {
            return Err(Failure::Forbidden("multiple matches for labels"));
        }
        seen.push(known);
        let (l, r) = if many_is_left { (many.value, one.value) } else { (one.value, many.value) };
        let value = match of_numbers(binary.op, l, r)? {
            Outcome::Number(value) => value,
            Outcome::Holds(holds) if binary.return_bool => f64::from(holds),
            Outcome::Holds(true) => l,
            Outcome::Holds(false) => continue,
        };
        results.push(Sample { labels, drop_name: binary.return_bool, value });
    }
    Ok(results)
}

fn result_labels(
    binary: &Binary,
    matching: &Matching,
    many: &LabelSet,
    one: &LabelSet,
) -> LabelSet {
    let mut labels = many.clone();
    if !binary.op.is_comparison() {
        labels = labels.filter(|name| !is_metric_label(name));
    }
    if matching.cardinality == Cardinality::OneToOne {
        let key = &matching.labels;
        labels = labels.filter(|name| key.labels.iter().any(|listed| listed == name) == key.on);
    }
    for name in &matching.include {
        labels = labels.with(name, one.get(name));
    }
    labels
}
