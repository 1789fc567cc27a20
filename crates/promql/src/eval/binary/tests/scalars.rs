//! Operators between an instant vector and a scalar.

use super::{note_texts, series, text};
use crate::annotations::Annotations;
use crate::ast::{BinaryOp, Span};
use crate::eval::binary::VectorScalar;

fn vector_first(op: BinaryOp) -> VectorScalar {
    VectorScalar { op, return_bool: false, vector_is_left: true, span: Span::new(0, 1) }
}

fn scalar_first(op: BinaryOp) -> VectorScalar {
    VectorScalar { vector_is_left: false, ..vector_first(op) }
}

/// The values of `values` afterwards, and the annotations.
fn apply(operator: VectorScalar, values: &str, scalars: &[f64]) -> (String, Vec<String>) {
    let mut series = series("", values);
    let mut notes = Annotations::default();
    operator.apply(&mut series.values, scalars, &mut notes);
    (text(&[series]).concat(), note_texts(&notes))
}

#[test]
fn the_order_of_the_operands_matters() {
    let (left, notes) = apply(vector_first(BinaryOp::Sub), "5 _ 7", &[1.0, 2.0, 3.0]);
    assert_eq!((left.as_str(), notes.len()), ("{} 0:4 2:4", 0));
    assert_eq!(apply(scalar_first(BinaryOp::Sub), "5 _ 7", &[1.0, 2.0, 3.0]).0, "{} 0:-4 2:-4");
}

#[test]
fn a_filter_keeps_the_value_of_the_vector_on_either_side() {
    assert_eq!(apply(vector_first(BinaryOp::Greater), "5 1 NaN", &[3.0; 3]).0, "{} 0:5");
    assert_eq!(apply(scalar_first(BinaryOp::Less), "5 1 NaN", &[3.0; 3]).0, "{} 0:5");
    assert_eq!(apply(scalar_first(BinaryOp::NotEqual), "3 1 NaN", &[3.0; 3]).0, "{} 1:1 2:NaN");
    let with_bool = VectorScalar { return_bool: true, ..scalar_first(BinaryOp::Less) };
    assert_eq!(apply(with_bool, "5 1 NaN _", &[3.0; 4]).0, "{} 0:1 1:0 2:0");
}

#[test]
fn a_name_goes_with_arithmetic_and_bool() {
    for (op, drops) in [
        (BinaryOp::Add, true),
        (BinaryOp::Atan2, true),
        (BinaryOp::Less, false),
        (BinaryOp::TrimUpper, false),
    ] {
        assert_eq!(vector_first(op).drops_name(), drops, "{op}");
    }
    assert!(VectorScalar { return_bool: true, ..vector_first(BinaryOp::Less) }.drops_name());
}

#[test]
fn histograms_are_scaled_and_trimmed() {
    let scaled = "{} 0:1 1:6/12 Unknown None [0, 1] [2.0, 4.0] 0.0";
    assert_eq!(apply(vector_first(BinaryOp::Mul), "0.5 h0", &[2.0; 2]).0, scaled);
    assert_eq!(apply(scalar_first(BinaryOp::Mul), "0.5 h0", &[2.0; 2]).0, scaled);
    let (halved, notes) = apply(vector_first(BinaryOp::Div), "h2", &[2.0]);
    assert_eq!(halved, "{} 0:2/4 NotReset None [1, 2] [1.5, 0.5] 0.0", "compacted");
    assert!(notes.is_empty());
    // The buckets are (0.5, 1] and (1, 2].
    let (upper, _) = apply(vector_first(BinaryOp::TrimUpper), "h0", &[1.0]);
    assert!(upper.contains("[0] [1.0]"), "{upper}");
    let (lower, _) = apply(vector_first(BinaryOp::TrimLower), "h0", &[1.0]);
    assert!(lower.contains("[1] [2.0]"), "{lower}");
}

#[test]
fn what_is_not_defined_is_removed_and_noted() {
    let info = |left: &str, op: &str, right: &str| {
        format!(
            "PromQL info: incompatible sample types encountered for binary operator {op:?}: {left} \
             {op} {right} (1:1)"
        )
    };
    let cases = [
        (vector_first(BinaryOp::Add), "1 h0", "{} 0:3", info("histogram", "+", "float")),
        (scalar_first(BinaryOp::Add), "1 h0", "{} 0:3", info("float", "+", "histogram")),
        (scalar_first(BinaryOp::Div), "1 h0", "{} 0:2", info("float", "/", "histogram")),
        (vector_first(BinaryOp::Equal), "2 h0", "{} 0:2", info("histogram", "==", "float")),
        (vector_first(BinaryOp::TrimUpper), "2 _", "{}", info("float", "</", "float")),
        (scalar_first(BinaryOp::TrimLower), "_ h0", "{}", info("float", ">/", "histogram")),
    ];
    for (operator, values, expected, info) in cases {
        let got = apply(operator, values, &[2.0; 2]);
        assert_eq!(got, (expected.to_owned(), vec![info]), "{operator:?}");
    }
}

#[test]
fn a_shared_histogram_is_not_changed() {
    let original = series("", "h0");
    let mut changed = original.clone();
    let mut notes = Annotations::default();
    vector_first(BinaryOp::Mul).apply(&mut changed.values, &[2.0], &mut notes);
    assert_eq!(text(&[original]), text(&[series("", "h0")]));
}
