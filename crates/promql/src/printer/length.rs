//! Lengths of time as text.

use crate::ast::{BinaryOp, DurationExpr, DurationOp, ExprId, Length};
use crate::go_float::format_f;
use crate::syntax::duration::write_milliseconds;

/// Appends a length: a fixed one in units, an expression with blanks around its operators.
pub(super) fn write_length(out: &mut String, length: &Length) {
    match length {
        Length::Fixed(milliseconds) => write_milliseconds(out, *milliseconds),
        Length::Expression(expression) => write_expression(out, expression),
    }
}

/// Appends `seconds` in units of time.
pub(super) fn write_seconds(out: &mut String, seconds: f64) {
    write_milliseconds(out, (seconds * 1e3).round() as i64);
}

fn is_negative(op: &DurationOp) -> bool {
    matches!(op, DurationOp::Number { seconds, .. } if seconds.is_sign_negative())
}

/// What is still to be written, last first.
enum Piece {
    Node(ExprId),
    Text(&'static str),
}

fn write_expression(out: &mut String, expression: &DurationExpr) {
    let nodes = expression.nodes();
    let root = ExprId::at(nodes.len() - 1);
    let mut pieces = vec![Piece::Node(root)];
    while let Some(piece) = pieces.pop() {
        let id = match piece {
            Piece::Node(id) => id,
            Piece::Text(text) => {
                out.push_str(text);
                continue;
            }
        };
        let mut call = |name: &'static str, a: ExprId, b: ExprId| {
            out.push_str(name);
            pieces.extend([Piece::Text(")"), Piece::Node(b), Piece::Text(", "), Piece::Node(a)]);
        };
        match nodes[id.index()].op {
            DurationOp::Number { seconds, is_duration: true } => write_seconds(out, seconds),
            DurationOp::Number { seconds, is_duration: false } => {
                out.push_str(&format_f(seconds));
            }
            DurationOp::Step => out.push_str("step()"),
            DurationOp::Range => out.push_str("range()"),
            DurationOp::Paren(inner) => {
                out.push('(');
                pieces.extend([Piece::Text(")"), Piece::Node(inner)]);
            }
            DurationOp::Minus(operand) => {
                out.push('-');
                pieces.push(Piece::Node(operand));
            }
            DurationOp::Min(a, b) => call("min_of(", a, b),
            DurationOp::Max(a, b) => call("max_of(", a, b),
            DurationOp::Binary(op, a, b) => {
                pieces.extend([
                    Piece::Node(b),
                    Piece::Text(" "),
                    Piece::Text(op.as_str()),
                    Piece::Text(" "),
                ]);
                // `-1s ^ 2` is read as `-(1s ^ 2)`; parentheses around a literal leave no trace.
                if op == BinaryOp::Pow && is_negative(&nodes[a.index()].op) {
                    pieces.extend([Piece::Text(")"), Piece::Node(a), Piece::Text("(")]);
                } else {
                    pieces.push(Piece::Node(a));
                }
            }
        }
    }
}
