//! An expression in pieces: its own text around its operands.

use std::fmt::Write;

use siltstone::Matcher;

use super::length::{write_length, write_seconds};
use crate::ast::{
    Aggregate, Ast, At, Binary, BinaryOp, Cardinality, ExprId, ExprKind, Matching, RangeMode,
    Selector, TimeShift, UnaryOp,
};
use crate::go_float::{format_f, general};
use crate::quote::quoted;

/// A part of the text of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Static(&'static str),
    Operand(ExprId),
}

/// Appends the pieces of `id`, in order.
pub(super) fn push_pieces(ast: &Ast, id: ExprId, out: &mut Vec<Piece>) {
    use Piece::{Operand, Static, Text};
    match &ast.get(id).kind {
        ExprKind::Number { value, is_duration } => out.push(Text(number(*value, *is_duration))),
        ExprKind::String(bytes) => out.push(Text(quoted(bytes))),
        ExprKind::Paren(inner) => out.extend([Static("("), Operand(*inner), Static(")")]),
        ExprKind::Unary { op, operand } => {
            out.extend([Static(sign(*op)), Operand(*operand)]);
        }
        ExprKind::Binary(binary) => {
            out.push(if is_infinite_base(ast, binary) {
                Static("Inf")
            } else {
                Operand(binary.left)
            });
            out.push(Text(format!(" {} ", operator(binary))));
            out.push(Operand(binary.right));
        }
        ExprKind::Aggregate(aggregate) => {
            out.push(Text(aggregation(aggregate) + "("));
            if let Some(parameter) = aggregate.parameter {
                out.extend([Operand(parameter), Static(", ")]);
            }
            out.extend([Operand(aggregate.operand), Static(")")]);
        }
        ExprKind::Call { function, arguments } => {
            out.extend([Static(function.name()), Static("(")]);
            for (index, argument) in arguments.iter().enumerate() {
                out.extend((index > 0).then_some(Static(", ")));
                out.push(Operand(*argument));
            }
            out.push(Static(")"));
        }
        ExprKind::Selector(selector) => {
            let mut text = series(selector);
            push_at(&mut text, &selector.shift);
            text.push_str(mode(selector.mode));
            push_offset(&mut text, &selector.shift);
            out.push(Text(text));
        }
        ExprKind::Range { selector, range } => {
            if let ExprKind::Selector(selector) = &ast.get(*selector).kind {
                let mut text = series(selector) + "[";
                write_length(&mut text, range);
                text.push(']');
                text.push_str(mode(selector.mode));
                push_at(&mut text, &selector.shift);
                push_offset(&mut text, &selector.shift);
                out.push(Text(text));
            }
        }
        ExprKind::Subquery(subquery) => {
            out.extend([Operand(subquery.operand), Text(subquery_suffix(subquery))]);
        }
    }
}

/// `[range:step] @ time offset length`
pub(super) fn subquery_suffix(subquery: &crate::ast::Subquery) -> String {
    let mut text = String::from("[");
    write_length(&mut text, &subquery.range);
    text.push(':');
    if let Some(step) = &subquery.step {
        write_length(&mut text, step);
    }
    text.push(']');
    push_at(&mut text, &subquery.shift);
    push_offset(&mut text, &subquery.shift);
    text
}

fn number(value: f64, is_duration: bool) -> String {
    let mut text = String::new();
    if is_duration {
        write_seconds(&mut text, value);
    } else {
        text.push_str(&format_f(value));
    }
    text
}

/// Whether an operator is a power of infinity. `+Inf ^ 2` would be read as `+(Inf ^ 2)`, so infinity
/// goes without its sign there.
pub(super) fn is_infinite_base(ast: &Ast, binary: &Binary) -> bool {
    let left = &ast.get(binary.left).kind;
    binary.op == BinaryOp::Pow
        && matches!(left, ExprKind::Number { value: f64::INFINITY, is_duration: false })
}

/// A sign as it is written.
pub(super) fn sign(op: UnaryOp) -> &'static str {
    match op {
        UnaryOp::Plus => "+",
        UnaryOp::Minus => "-",
    }
}

/// `sum by (label) `, up to the parenthesis of the operands.
pub(super) fn aggregation(aggregate: &Aggregate) -> String {
    let mut text = aggregate.op.as_str().to_owned();
    let grouping = &aggregate.grouping;
    if grouping.without || !grouping.labels.is_empty() {
        text.push_str(if grouping.without { " without (" } else { " by (" });
        push_labels(&mut text, &grouping.labels);
        text.push_str(") ");
    }
    text
}

/// An operator and its modifiers.
pub(super) fn operator(binary: &Binary) -> String {
    let mut text = binary.op.as_str().to_owned();
    if binary.return_bool {
        text.push_str(" bool");
    }
    if let Some(matching) = &binary.matching {
        push_matching(&mut text, matching);
    }
    text
}

fn push_matching(text: &mut String, matching: &Matching) {
    let group = match matching.cardinality {
        Cardinality::ManyToOne => " group_left (",
        Cardinality::OneToMany => " group_right (",
        Cardinality::OneToOne | Cardinality::ManyToMany => "",
    };
    let labels = &matching.labels;
    if labels.on || !labels.labels.is_empty() || !group.is_empty() {
        text.push_str(if labels.on { " on (" } else { " ignoring (" });
        push_labels(text, &labels.labels);
        text.push(')');
    }
    if !group.is_empty() {
        text.push_str(group);
        push_labels(text, &matching.include);
        text.push(')');
    }
    let (left, right) = (matching.fill.left, matching.fill.right);
    if left.is_some() && left.map(f64::to_bits) == right.map(f64::to_bits) {
        push_fill(text, " fill (", left);
    } else {
        push_fill(text, " fill_left (", left);
        push_fill(text, " fill_right (", right);
    }
}

fn push_fill(text: &mut String, keyword: &str, value: Option<f64>) {
    if let Some(value) = value {
        text.push_str(keyword);
        text.push_str(&general(value, 21));
        text.push(')');
    }
}

fn push_labels(text: &mut String, labels: &[String]) {
    for (index, label) in labels.iter().enumerate() {
        text.push_str(if index > 0 { ", " } else { "" });
        push_name(text, label);
    }
}

/// A label name, in quotes if it is not a word.
fn push_name(text: &mut String, name: &str) {
    let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if is_word {
        text.push_str(name);
    } else {
        text.push_str(&quoted(name.as_bytes()));
    }
}

/// The name and the matchers of a selector, matchers sorted.
fn series(selector: &Selector) -> String {
    let mut text = selector.name.clone().unwrap_or_default();
    // The matcher of the name is the first.
    let named = usize::from(selector.name.is_some());
    let mut matchers: Vec<String> = selector.matchers.iter().skip(named).map(matcher).collect();
    // Braces without matchers are a text only as the labels of `info`.
    if !matchers.is_empty() || text.is_empty() {
        matchers.sort_unstable();
        text.push('{');
        text.push_str(&matchers.join(","));
        text.push('}');
    }
    text
}

fn matcher(matcher: &Matcher) -> String {
    let mut text = String::new();
    push_name(&mut text, matcher.name());
    text.push_str(matcher.op().as_str());
    text.push_str(&quoted(matcher.value().as_bytes()));
    text
}

fn mode(mode: RangeMode) -> &'static str {
    match mode {
        RangeMode::Inside => "",
        RangeMode::Anchored => " anchored",
        RangeMode::Smoothed => " smoothed",
    }
}

fn push_at(text: &mut String, shift: &TimeShift) {
    match shift.at {
        None => {}
        Some(At::Start) => text.push_str(" @ start()"),
        Some(At::End) => text.push_str(" @ end()"),
        Some(At::Time(milliseconds)) => {
            let sign = if milliseconds < 0 { "-" } else { "" };
            let size = milliseconds.unsigned_abs();
            // Writing to a string cannot fail.
            let _ = write!(text, " @ {sign}{}.{:03}", size / 1000, size % 1000);
        }
    }
}

fn push_offset(text: &mut String, shift: &TimeShift) {
    if let Some(offset) = &shift.offset {
        text.push_str(" offset ");
        write_length(text, offset);
    }
}
