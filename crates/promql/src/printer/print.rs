//! The canonical form, on one line.

use super::pieces::{Piece, push_pieces};
use crate::ast::Ast;

/// The query in Prometheus's canonical form: blanks around operators, grouping before the operands,
/// matchers sorted, lengths of time in units, times with three decimals.
///
/// ```
/// use siltstone_promql::{Features, parse, print};
/// let ast = parse("sum(x{b='2', a='1'} offset 90m)by(z)", &Features::default())?;
/// assert_eq!(print(&ast), r#"sum by (z) (x{a="1",b="2"} offset 1h30m)"#);
/// # Ok::<(), siltstone_promql::ParseError>(())
/// ```
#[must_use]
pub fn print(ast: &Ast) -> String {
    let mut out = String::new();
    let mut stack = vec![Piece::Operand(ast.root())];
    while let Some(piece) = stack.pop() {
        match piece {
            Piece::Text(text) => out.push_str(&text),
            Piece::Static(text) => out.push_str(text),
            Piece::Operand(id) => {
                let start = stack.len();
                push_pieces(ast, id, &mut stack);
                stack[start..].reverse();
            }
        }
    }
    out
}
