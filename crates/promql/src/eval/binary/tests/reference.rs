//! Operators between two vectors as their definition has them: step by step, pair by pair, with
//! label sets compared whole. What the evaluation over columns is held against.

use std::sync::Arc;

use crate::annotations::{Annotation, Annotations, HistogramOperation};
use crate::ast::{BinaryOp, Cardinality};
use crate::eval::binary::VectorVector;
use crate::histogram::CounterResetHint;
use crate::value::{LabelSet, Point, Series, StepColumn, is_metric_label};

/// A series' value at one step.
#[derive(Debug, Clone)]
struct Sample {
    labels: LabelSet,
    drop_name: bool,
    value: Point,
}

/// The samples that `series` have at a step.
fn at(series: &[Series], step: usize) -> Vec<Sample> {
    let sample = |s: &Series| {
        let value = s.values.get(step)?;
        Some(Sample { labels: s.labels.clone(), drop_name: s.drop_name, value })
    };
    series.iter().filter_map(sample).collect()
}

/// The results of an operator, or the text of its error.
pub(super) fn evaluate(
    operator: &VectorVector<'_>,
    left: &[Series],
    right: &[Series],
    notes: &mut Annotations,
) -> Result<Vec<Series>, String> {
    let same_labels = || Err("vector cannot contain metrics with the same labelset".to_owned());
    let mut results: Vec<Series> = Vec::new();
    for step in 0..operator.steps {
        let vector =
            Step { operator, note: None }.samples(at(left, step), at(right, step), notes)?;
        for (place, sample) in vector.iter().enumerate() {
            let is_twice = vector[..place].iter().any(|other| other.labels == sample.labels);
            let instant_delayed = operator.steps == 1 && operator.features.delayed_name_removal;
            if is_twice && !instant_delayed {
                return same_labels();
            }
            let known = results.iter().position(|s| s.labels == sample.labels && !is_twice);
            let place = known.unwrap_or_else(|| {
                let values = StepColumn::absent(operator.steps);
                let (labels, drop_name) = (sample.labels.clone(), sample.drop_name);
                results.push(Series { labels, drop_name, values });
                results.len() - 1
            });
            match sample.value.clone() {
                Point::Float(value) => results[place].values.set_float(step, value),
                Point::Histogram(h) => results[place].values.push_histogram(step, h),
            }
        }
    }
    Ok(results)
}

/// One step of an operator.
struct Step<'o> {
    operator: &'o VectorVector<'o>,
    note: Option<Annotation>,
}

impl Step<'_> {
    fn samples(
        mut self,
        left: Vec<Sample>,
        right: Vec<Sample>,
        notes: &mut Annotations,
    ) -> Result<Vec<Sample>, String> {
        let op = self.operator.op;
        if op.is_set_operator() {
            let has = |side: &[Sample], s: &Sample| {
                side.iter().any(|other| self.key(&other.labels) == self.key(&s.labels))
            };
            let keep = |from: &[Sample], by: &[Sample], wanted: bool| -> Vec<Sample> {
                from.iter().filter(|s| has(by, s) == wanted).cloned().collect()
            };
            return Ok(match op {
                BinaryOp::And => keep(&left, &right, true),
                BinaryOp::Unless => keep(&left, &right, false),
                _ => left.iter().cloned().chain(keep(&right, &left, false)).collect(),
            });
        }
        let results = self.pairs(left, right)?;
        self.note.into_iter().for_each(|note| notes.add(note, self.operator.span));
        Ok(results)
    }

    /// The labels that must be equal.
    fn key(&self, labels: &LabelSet) -> LabelSet {
        let matching = &self.operator.matching.labels;
        labels.filter(|name| {
            let listed = matching.labels.iter().any(|other| other == name);
            if matching.on { listed } else { !listed && name != "__name__" }
        })
    }

    fn pairs(&mut self, left: Vec<Sample>, right: Vec<Sample>) -> Result<Vec<Sample>, String> {
        let fill = self.operator.matching.fill;
        if (left.is_empty() || right.is_empty()) && fill.left.is_none() && fill.right.is_none() {
            return Ok(Vec::new());
        }
        let cardinality = self.operator.matching.cardinality;
        let one_to_many = cardinality == Cardinality::OneToMany;
        let (many, one) = if one_to_many { (right, left) } else { (left, right) };
        self.check_unique(&one, if one_to_many { "left" } else { "right" })?;
        let mut results: Vec<Sample> = Vec::new();
        // The key of every match, with the labels of its result.
        let mut matched: Vec<(LabelSet, LabelSet)> = Vec::new();
        for sample in &many {
            let key = self.key(&sample.labels);
            let partner = match one.iter().find(|other| self.key(&other.labels) == key) {
                Some(other) => other.clone(),
                None => match fill.right {
                    Some(value) => self.filler(&key, value),
                    None => continue,
                },
            };
            self.pair(sample, &partner, &mut matched, &mut results)?;
        }
        if let Some(value) = fill.left {
            for sample in &one {
                let key = self.key(&sample.labels);
                if !matched.iter().any(|(other, _)| *other == key) {
                    let filler = self.filler(&key, value);
                    self.pair(&filler, sample, &mut matched, &mut results)?;
                }
            }
        }
        Ok(results)
    }

    fn filler(&self, key: &LabelSet, value: f64) -> Sample {
        Sample { labels: key.clone(), drop_name: false, value: Point::Float(value) }
    }

    fn check_unique(&self, one: &[Sample], side: &str) -> Result<(), String> {
        for (place, second) in one.iter().enumerate() {
            let key = self.key(&second.labels);
            if let Some(first) = one[..place].iter().find(|s| self.key(&s.labels) == key) {
                let mut both = [&first.labels, &second.labels];
                both.sort();
                return Err(format!(
                    "found duplicate series for the match group {key} on the {side} hand-side of \
                     the operation: [{}, {}];many-to-many matching not allowed: matching labels \
                     must be unique on one side",
                    both[0], both[1]
                ));
            }
        }
        Ok(())
    }

    fn pair(
        &mut self,
        many: &Sample,
        one: &Sample,
        matched: &mut Vec<(LabelSet, LabelSet)>,
        results: &mut Vec<Sample>,
    ) -> Result<(), String> {
        let matching = self.operator.matching;
        let (left, right) = match matching.cardinality {
            Cardinality::OneToMany => (&one.value, &many.value),
            _ => (&many.value, &one.value),
        };
        let Some(value) = self.value(left, right) else { return Ok(()) };
        let labels = self.result_labels(&many.labels, &one.labels);
        let key = self.key(&many.labels);
        let mut same_key = matched.iter().filter(|(other, _)| *other == key);
        if matching.cardinality == Cardinality::OneToOne {
            if same_key.next().is_some() {
                return Err("multiple matches for labels: many-to-one matching must be explicit \
                            (group_left/group_right)"
                    .to_owned());
            }
        } else if same_key.any(|(_, other)| *other == labels) {
            let text = "multiple matches for labels: grouping labels must ensure unique matches";
            return Err(text.to_owned());
        }
        matched.push((key, labels.clone()));
        let features = self.operator.features;
        let drop_name = self.operator.return_bool && features.delayed_name_removal;
        results.extend(value.map(|value| Sample { labels, drop_name, value }));
        Ok(())
    }

    fn result_labels(&self, many: &LabelSet, one: &LabelSet) -> LabelSet {
        let (operator, matching) = (self.operator, self.operator.matching);
        let bool_now = operator.return_bool && !operator.features.delayed_name_removal;
        let mut labels = many.clone();
        if is_arithmetic(operator.op) || bool_now {
            labels = labels.filter(|name| !is_metric_label(name));
        }
        if matching.cardinality == Cardinality::OneToOne {
            let key = &matching.labels;
            labels = labels.filter(|name| key.labels.iter().any(|l| l == name) == key.on);
        }
        matching.include.iter().fold(labels, |labels, name| labels.with(name, one.get(name)))
    }

    /// `None` for no match, `Some(None)` for a match that a comparison filters.
    fn value(&mut self, left: &Point, right: &Point) -> Option<Option<Point>> {
        let op = self.operator.op;
        let float = |value| Some(Some(Point::Float(value)));
        let (holds, left_value) = match (left, right) {
            (Point::Float(l), Point::Float(r)) => match op {
                BinaryOp::Add => return float(l + r),
                BinaryOp::Sub => return float(l - r),
                BinaryOp::Mul => return float(l * r),
                BinaryOp::Div => return float(l / r),
                BinaryOp::Mod => return float(l % r),
                BinaryOp::Pow => return float(l.powf(*r)),
                BinaryOp::Atan2 => return float(l.atan2(*r)),
                BinaryOp::Equal => (l == r, left),
                BinaryOp::NotEqual => (l != r, left),
                BinaryOp::Greater => (l > r, left),
                BinaryOp::Less => (l < r, left),
                BinaryOp::GreaterOrEqual => (l >= r, left),
                BinaryOp::LessOrEqual => (l <= r, left),
                _ => return self.refuse(left, right),
            },
            (Point::Histogram(l), Point::Histogram(r)) => match op {
                BinaryOp::Equal => (l.same(r), left),
                BinaryOp::NotEqual => (!l.same(r), left),
                _ => return self.histograms(left, right),
            },
            _ => return self.histograms(left, right),
        };
        Some(match (self.operator.return_bool, holds) {
            (true, holds) => Some(Point::Float(f64::from(u8::from(holds)))),
            (false, true) => Some(left_value.clone()),
            (false, false) => None,
        })
    }

    /// Arithmetic with histograms.
    fn histograms(&mut self, left: &Point, right: &Point) -> Option<Option<Point>> {
        let op = self.operator.op;
        let mut result;
        match (left, right) {
            (Point::Histogram(l), Point::Histogram(r))
                if matches!(op, BinaryOp::Add | BinaryOp::Sub) =>
            {
                result = (**l).clone();
                let (combined, during) = if op == BinaryOp::Add {
                    (result.add(r), HistogramOperation::Addition)
                } else {
                    (result.sub(r), HistogramOperation::Subtraction)
                };
                let Ok(combined) = combined else {
                    let operator = op.as_str();
                    self.note = Some(Annotation::IncompatibleBucketLayout { operator });
                    return None;
                };
                if combined.hints_collided {
                    self.note = Some(Annotation::CounterResetCollision { during });
                    return None;
                }
                if combined.bounds_reconciled {
                    self.note = Some(Annotation::MismatchedCustomBuckets { during });
                }
                if op == BinaryOp::Sub {
                    result.hint = CounterResetHint::Gauge;
                }
            }
            (Point::Histogram(h), Point::Float(f)) | (Point::Float(f), Point::Histogram(h))
                if op == BinaryOp::Mul =>
            {
                result = (**h).clone();
                result.mul(*f);
            }
            (Point::Histogram(h), Point::Float(f)) if op == BinaryOp::Div => {
                result = (**h).clone();
                result.div(*f);
            }
            (Point::Histogram(h), Point::Float(f)) if op == BinaryOp::TrimUpper => {
                return Some(Some(Point::Histogram(Arc::new(h.trimmed_below(*f)))));
            }
            (Point::Histogram(h), Point::Float(f)) if op == BinaryOp::TrimLower => {
                return Some(Some(Point::Histogram(Arc::new(h.trimmed_above(*f)))));
            }
            _ => return self.refuse(left, right),
        }
        result.compact();
        Some(Some(Point::Histogram(Arc::new(result))))
    }

    fn refuse(&mut self, left: &Point, right: &Point) -> Option<Option<Point>> {
        let kind = |point: &Point| match point {
            Point::Float(_) => "float",
            Point::Histogram(_) => "histogram",
        };
        let operator = self.operator.op.as_str();
        let (left, right) = (kind(left), kind(right));
        self.note = Some(Annotation::IncompatibleTypes { left, operator, right });
        None
    }
}

fn is_arithmetic(op: BinaryOp) -> bool {
    matches!(op.as_str(), "+" | "-" | "*" | "/" | "%" | "^" | "atan2")
}
