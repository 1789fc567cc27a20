//! Random vectors and operators, evaluated over columns and step by step.

use std::sync::Arc;

use proptest::prelude::*;

use super::{meter, reference, samples, text};
use crate::annotations::{Annotations, Severity};
use crate::ast::{BinaryOp, Cardinality, Fill, Matching, MatchingLabels, Span};
use crate::eval::binary::VectorVector;
use crate::eval::threads::Threads;
use crate::flags::Features;
use crate::value::{LabelSet, Point, Series, StepColumn};

const OPERATORS: [BinaryOp; 18] = [
    BinaryOp::Add,
    BinaryOp::Sub,
    BinaryOp::Mul,
    BinaryOp::Div,
    BinaryOp::Mod,
    BinaryOp::Pow,
    BinaryOp::Atan2,
    BinaryOp::Equal,
    BinaryOp::NotEqual,
    BinaryOp::Greater,
    BinaryOp::Less,
    BinaryOp::GreaterOrEqual,
    BinaryOp::LessOrEqual,
    BinaryOp::And,
    BinaryOp::Or,
    BinaryOp::Unless,
    BinaryOp::TrimUpper,
    BinaryOp::TrimLower,
];

const NAMES: [&str; 3] = ["__name__", "a", "b"];

fn point() -> impl Strategy<Value = Option<Point>> {
    let float = prop::sample::select(vec![0.0, 1.0, 2.0, -3.0, f64::NAN, f64::INFINITY]);
    let histogram =
        prop::sample::select(samples()).prop_map(|h| Some(Point::Histogram(Arc::new(h))));
    prop_oneof![
        6 => Just(None),
        4 => float.prop_map(|value| Some(Point::Float(value))),
        1 => histogram,
    ]
}

/// Series with different labels.
fn vector(steps: usize) -> impl Strategy<Value = Vec<Series>> {
    let value = || prop::sample::select(vec!["", "1", "2"]);
    let column = prop::collection::vec(point(), steps);
    let one = ([value(), value(), value()], any::<bool>(), column);
    prop::collection::vec(one, 0..7).prop_map(move |all| {
        let mut series: Vec<Series> = Vec::new();
        for (values, drop_name, column) in all {
            let labels = LabelSet::from_pairs(NAMES.into_iter().zip(values));
            if series.iter().all(|other| other.labels != labels) {
                series.push(Series { labels, drop_name, values: filled(column) });
            }
        }
        series
    })
}

fn filled(points: Vec<Option<Point>>) -> StepColumn {
    let mut column = StepColumn::absent(points.len());
    for (step, point) in points.into_iter().enumerate() {
        match point {
            None => {}
            Some(Point::Float(value)) => column.set_float(step, value),
            Some(Point::Histogram(histogram)) => column.push_histogram(step, histogram),
        }
    }
    column
}

fn names() -> impl Strategy<Value = Vec<String>> {
    let listed = |keep: [bool; 3]| {
        let names = NAMES.iter().zip(keep).filter(|(_, keep)| *keep);
        names.map(|(name, _)| (*name).to_owned()).collect()
    };
    any::<[bool; 3]>().prop_map(listed)
}

fn fill() -> impl Strategy<Value = Option<f64>> {
    prop::option::weighted(0.3, prop::sample::select(vec![0.0, 1.0, f64::NAN]))
}

#[derive(Debug, Clone)]
struct Case {
    op: BinaryOp,
    matching: Matching,
    return_bool: bool,
    delayed: bool,
    steps: usize,
    left: Vec<Series>,
    right: Vec<Series>,
}

fn case() -> impl Strategy<Value = Case> {
    let op = prop::sample::select(OPERATORS.to_vec());
    let cardinality = prop::sample::select(vec![
        Cardinality::OneToOne,
        Cardinality::ManyToOne,
        Cardinality::OneToMany,
    ]);
    let key = (any::<bool>(), names());
    let matching = (cardinality, key, names(), fill(), fill());
    let vectors = (1..5usize).prop_flat_map(|steps| (Just(steps), vector(steps), vector(steps)));
    let all = (op, matching, any::<bool>(), any::<bool>(), vectors);
    all.prop_map(|(op, matching, return_bool, delayed, (steps, left, right))| {
        let (cardinality, (on, labels), mut include, fill_left, fill_right) = matching;
        // What the parser allows.
        include.retain(|name| !(on && labels.contains(name)));
        let is_set = op.is_set_operator();
        let grouped = !is_set && cardinality != Cardinality::OneToOne;
        let matching = Matching {
            cardinality: if is_set { Cardinality::ManyToMany } else { cardinality },
            labels: MatchingLabels { on, labels },
            include: if grouped { include } else { Vec::new() },
            fill: if is_set {
                Fill::default()
            } else {
                Fill { left: fill_left, right: fill_right }
            },
        };
        let return_bool = return_bool && op.is_comparison();
        Case { op, matching, return_bool, delayed, steps, left, right }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn columns_give_what_steps_give(case in case()) {
        let meter = meter(1 << 20);
        let operator = VectorVector {
            op: case.op,
            matching: &case.matching,
            return_bool: case.return_bool,
            span: Span::new(0, 1),
            features: Features { delayed_name_removal: case.delayed, ..Features::default() },
            steps: case.steps,
            threads: Threads::Rayon,
            meter: &meter,
        };
        let (mut notes, mut expected_notes) = (Annotations::default(), Annotations::default());
        let expected = reference::evaluate(&operator, &case.left, &case.right, &mut expected_notes);
        let got = operator.evaluate(case.left.clone(), case.right.clone(), &mut notes);
        prop_assert!(got.is_err() || meter.bytes_held() == 0, "all is given back");
        match (got, expected) {
            (Ok(got), Ok(expected)) => {
                let (mut got, mut expected) = (text(&got), text(&expected));
                if case.steps > 1 {
                    got.sort();
                    expected.sort();
                }
                prop_assert_eq!(got, expected);
                for severity in [Severity::Warning, Severity::Info] {
                    let texts = notes.texts(severity, "q");
                    let expected = expected_notes.texts(severity, "q");
                    prop_assert_eq!(texts, expected);
                }
            }
            (got, expected) => {
                let got = got.map(|got| text(&got)).map_err(|error| error.to_string());
                prop_assert_eq!(got, expected.map(|expected| text(&expected)));
            }
        }
    }
}
