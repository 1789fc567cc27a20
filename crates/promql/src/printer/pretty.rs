//! The form of many lines: an expression that does not fit on a line is split at its operands.

use super::pieces::{
    Piece, aggregation, is_infinite_base, operator, push_pieces, sign, subquery_suffix,
};
use crate::ast::{Ast, ExprId, ExprKind};

/// An expression longer than this, in bytes, is split.
const LINE_BYTES_MAX: usize = 100;

/// Deepest indentation. Each level costs two blanks on each line below it, so without a limit the
/// text would grow with the square of the query.
const INDENT_MAX: usize = 100;

/// The query as Prometheus formats it: expressions longer than 100 bytes in canonical form are split,
/// with their operands on lines of their own, indented by two blanks.
///
/// As there, what is before a subquery that fits on its line is not indented. Other than there,
/// indentation ends at 100 levels.
#[must_use]
pub fn pretty(ast: &Ast) -> String {
    let writer = Writer { ast, lengths: lengths(ast), out: String::new() };
    writer.write()
}

/// The length of each expression in canonical form, in bytes.
fn lengths(ast: &Ast) -> Vec<usize> {
    let mut lengths: Vec<usize> = Vec::with_capacity(ast.nodes().len());
    let mut pieces = Vec::new();
    for index in 0..ast.nodes().len() {
        push_pieces(ast, ExprId::at(index), &mut pieces);
        let length = pieces.drain(..).map(|piece| match piece {
            Piece::Text(text) => text.len(),
            Piece::Static(text) => text.len(),
            Piece::Operand(operand) => lengths[operand.index()],
        });
        let length = length.sum();
        lengths.push(length);
    }
    lengths
}

/// What is still to be written, last first.
enum Task {
    /// An expression as it is formatted at this level.
    Split {
        id: ExprId,
        level: usize,
        indented: bool,
    },
    /// An expression in canonical form.
    Line(ExprId),
    Text(String),
    Static(&'static str),
    Indent(usize),
}

struct Writer<'a> {
    ast: &'a Ast,
    lengths: Vec<usize>,
    out: String,
}

impl Writer<'_> {
    fn write(mut self) -> String {
        let mut tasks = vec![Task::Split { id: self.ast.root(), level: 0, indented: true }];
        let mut pieces = Vec::new();
        while let Some(task) = tasks.pop() {
            let start = tasks.len();
            match task {
                Task::Text(text) => self.out.push_str(&text),
                Task::Static(text) => self.out.push_str(text),
                Task::Indent(level) => {
                    self.out.extend(std::iter::repeat_n("  ", level.min(INDENT_MAX)));
                }
                Task::Line(id) => {
                    push_pieces(self.ast, id, &mut pieces);
                    tasks.extend(pieces.drain(..).map(|piece| match piece {
                        Piece::Text(text) => Task::Text(text),
                        Piece::Static(text) => Task::Static(text),
                        Piece::Operand(id) => Task::Line(id),
                    }));
                }
                Task::Split { id, level, indented } => {
                    self.split(id, level, indented, &mut tasks);
                }
            }
            tasks[start..].reverse();
        }
        self.out
    }

    /// Plans the lines of an expression; `indented` is whether its first line begins with blanks.
    fn split(&self, id: ExprId, level: usize, indented: bool, tasks: &mut Vec<Task>) {
        let fits = self.lengths[id.index()] <= LINE_BYTES_MAX;
        let below = |id| Task::Split { id, level: level + 1, indented: true };
        let indent = Task::Indent(if indented { level } else { 0 });
        match &self.ast.get(id).kind {
            ExprKind::Unary { op, operand } => {
                let operand = Task::Split { id: *operand, level, indented: false };
                tasks.extend([indent, Task::Static(sign(*op)), operand]);
            }
            ExprKind::Subquery(_) if fits => tasks.push(Task::Line(id)),
            ExprKind::Subquery(subquery) => {
                tasks.push(Task::Split { id: subquery.operand, level, indented });
                tasks.push(Task::Text(subquery_suffix(subquery)));
            }
            ExprKind::Aggregate(aggregate) if !fits => {
                tasks.extend([indent, Task::Text(aggregation(aggregate)), Task::Static("(\n")]);
                if let Some(parameter) = aggregate.parameter {
                    tasks.extend([below(parameter), Task::Static(",\n")]);
                }
                tasks.extend([below(aggregate.operand), Task::Static("\n")]);
                tasks.extend([Task::Indent(level), Task::Static(")")]);
            }
            ExprKind::Binary(binary) if !fits => {
                if is_infinite_base(self.ast, binary) {
                    tasks.extend([Task::Indent(if indented { level + 1 } else { 0 })]);
                    tasks.push(Task::Static("Inf"));
                } else {
                    let id = binary.left;
                    tasks.push(Task::Split { id, level: level + 1, indented });
                }
                tasks.extend([Task::Static("\n"), Task::Indent(level)]);
                tasks.extend([Task::Text(operator(binary)), Task::Static("\n")]);
                tasks.push(below(binary.right));
            }
            ExprKind::Call { function, arguments } if !fits => {
                tasks.extend([indent, Task::Static(function.name()), Task::Static("(\n")]);
                for (index, argument) in arguments.iter().enumerate() {
                    tasks.extend((index > 0).then_some(Task::Static(",\n")));
                    tasks.push(below(*argument));
                }
                tasks.extend([Task::Static("\n"), Task::Indent(level), Task::Static(")")]);
            }
            ExprKind::Paren(inner) if !fits => {
                tasks.extend([indent, Task::Static("(\n"), below(*inner), Task::Static("\n")]);
                tasks.extend([Task::Indent(level), Task::Static(")")]);
            }
            _ => tasks.extend([indent, Task::Line(id)]),
        }
    }
}
