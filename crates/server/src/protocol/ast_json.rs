//! The syntax tree of a query as JSON: what Prometheus answers at `/api/v1/parse_query`.
//!
//! Field by field the objects of Prometheus 3.14 (`web/api/v1/translate_ast.go`). Lengths of time are
//! in milliseconds; one that is an expression (`[5m + step()]`) is 0 there, and the expression stands
//! beside it (`rangeExpr`, `stepExpr`, `offsetExpr`). Nothing recurses: a tree may be as deep as a
//! query has terms.

use std::fmt::Write;

use siltstone::Matcher;
use siltstone_promql::ast::{
    Aggregate, Ast, At, Binary, Cardinality, DurationExpr, DurationOp, ExprId, ExprKind, Length,
    Matching, RangeMode, Selector, Subquery, TimeShift, UnaryOp, ValueType,
};
use siltstone_promql::functions::Function;
use siltstone_promql::go_float::format_f;

use super::json_lines::string;

/// The JSON of the whole tree, piece by piece: it may be a hundred times as long as the query.
///
/// ```
/// use siltstone_promql::{Features, parse};
/// use siltstone_server::protocol::ast_json::pieces;
/// let ast = parse("-(1)", &Features::default())?;
/// let number = r#"{"type":"numberLiteral","val":"1"}"#;
/// let inner = format!(r#"{{"type":"parenExpr","expr":{number}}}"#);
/// let outer = format!(r#"{{"type":"unaryExpr","op":"-","expr":{inner}}}"#);
/// assert_eq!(pieces(&ast).collect::<String>(), outer);
/// # Ok::<(), siltstone_promql::ParseError>(())
/// ```
pub fn pieces(ast: &Ast) -> impl Iterator<Item = String> {
    let mut pieces = vec![Piece::Node(ast.root())];
    std::iter::from_fn(move || {
        loop {
            match pieces.pop()? {
                Piece::Text(text) => return Some(text),
                Piece::Node(id) => {
                    let start = pieces.len();
                    push_node(ast, id, &mut pieces);
                    // The first piece of the node is the next to be written.
                    pieces[start..].reverse();
                }
            }
        }
    })
}

/// A part of the JSON that is still to be written.
enum Piece {
    Text(String),
    Node(ExprId),
}

impl From<String> for Piece {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Piece {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<ExprId> for Piece {
    fn from(id: ExprId) -> Self {
        Self::Node(id)
    }
}

/// Appends the pieces of `id`, in order.
fn push_node(ast: &Ast, id: ExprId, pieces: &mut Vec<Piece>) {
    match &ast.get(id).kind {
        ExprKind::Number { value, .. } => pieces.push(number(*value).into()),
        ExprKind::String(bytes) => {
            let text = string(&String::from_utf8_lossy(bytes));
            pieces.push(format!("{{\"type\":\"stringLiteral\",\"val\":{text}}}").into());
        }
        ExprKind::Paren(inner) => {
            pieces.extend(["{\"type\":\"parenExpr\",\"expr\":".into(), (*inner).into(), end()]);
        }
        ExprKind::Unary { op, operand } => {
            let op = match op {
                UnaryOp::Plus => "+",
                UnaryOp::Minus => "-",
            };
            let head = format!("{{\"type\":\"unaryExpr\",\"op\":\"{op}\",\"expr\":");
            pieces.extend([head.into(), (*operand).into(), end()]);
        }
        ExprKind::Binary(binary) => push_binary(binary, pieces),
        ExprKind::Aggregate(aggregate) => push_aggregate(aggregate, pieces),
        ExprKind::Call { function, arguments } => push_call(*function, arguments, pieces),
        ExprKind::Selector(selector) => {
            pieces.push(format!("{{\"type\":\"vectorSelector\",{}}}", series(selector)).into());
        }
        ExprKind::Range { selector, range } => {
            // The parser puts a selector there; see `ExprKind::Range`.
            if let ExprKind::Selector(selector) = &ast.get(*selector).kind {
                let (range, series) = (length("range", Some(range)), series(selector));
                pieces.push(format!("{{\"type\":\"matrixSelector\",{range},{series}}}").into());
            }
        }
        ExprKind::Subquery(subquery) => push_subquery(subquery, pieces),
    }
}

fn end() -> Piece {
    "}".into()
}

fn push_binary(binary: &Binary, pieces: &mut Vec<Piece>) {
    let matching = binary.matching.as_ref().map_or("null".to_owned(), matching);
    let tail = format!(",\"matching\":{matching},\"bool\":{}}}", binary.return_bool);
    let head = format!("{{\"type\":\"binaryExpr\",\"op\":\"{}\",\"lhs\":", binary.op);
    pieces.extend([head.into(), binary.left.into(), ",\"rhs\":".into()]);
    pieces.extend([binary.right.into(), tail.into()]);
}

fn matching(matching: &Matching) -> String {
    let cardinality = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    format!(
        "{{\"card\":\"{cardinality}\",\"labels\":{},\"on\":{},\"include\":{},\
         \"fillValues\":{{\"lhs\":{},\"rhs\":{}}}}}",
        strings(&matching.labels.labels),
        matching.labels.on,
        strings(&matching.include),
        fill(matching.fill.left),
        fill(matching.fill.right)
    )
}

/// A fill value: a number as far as JSON has one. Prometheus answers no JSON for the others.
fn fill(value: Option<f64>) -> String {
    match value {
        None => "null".to_owned(),
        Some(value) if value.is_finite() => value.to_string(),
        Some(value) => string(&format_f(value)),
    }
}

fn push_aggregate(aggregate: &Aggregate, pieces: &mut Vec<Piece>) {
    let head = format!("{{\"type\":\"aggregation\",\"op\":\"{}\",\"expr\":", aggregate.op.as_str());
    pieces.extend([head.into(), aggregate.operand.into(), ",\"param\":".into()]);
    pieces.push(aggregate.parameter.map_or("null".into(), Piece::from));
    let grouping = &aggregate.grouping;
    let labels = strings(&grouping.labels);
    pieces.push(format!(",\"grouping\":{labels},\"without\":{}}}", grouping.without).into());
}

fn push_call(function: Function, arguments: &[ExprId], pieces: &mut Vec<Piece>) {
    let signature = function.signature();
    let types: Vec<String> =
        signature.arguments.iter().map(|t| format!("\"{}\"", type_name(*t))).collect();
    // Prometheus says how many arguments may follow all but the last, or -1 for any number.
    let most = signature.arguments_max;
    let variadic = if most == usize::MAX {
        "-1".to_owned()
    } else if signature.arguments_min == most {
        "0".to_owned()
    } else {
        (most + 1 - signature.arguments.len()).to_string()
    };
    let head = format!(
        "{{\"type\":\"call\",\"func\":{{\"name\":\"{}\",\"argTypes\":[{}],\"variadic\":{variadic},\
         \"returnType\":\"{}\"}},\"args\":[",
        signature.name,
        types.join(","),
        type_name(signature.returns)
    );
    pieces.push(head.into());
    for (index, argument) in arguments.iter().enumerate() {
        if index > 0 {
            pieces.push(",".into());
        }
        pieces.push((*argument).into());
    }
    pieces.push("]}".into());
}

fn type_name(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Scalar => "scalar",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
        ValueType::String => "string",
    }
}

fn push_subquery(subquery: &Subquery, pieces: &mut Vec<Piece>) {
    let tail = format!(
        ",{},{},{}}}",
        length("range", Some(&subquery.range)),
        length("step", subquery.step.as_ref()),
        shift(&subquery.shift)
    );
    let head = "{\"type\":\"subquery\",\"expr\":".into();
    pieces.extend([head, subquery.operand.into(), tail.into()]);
}

/// The members that a selector has with a range and without.
fn series(selector: &Selector) -> String {
    format!(
        "\"name\":{},\"matchers\":{},{},\"anchored\":{},\"smoothed\":{}",
        string(selector_name(selector)),
        matchers(selector),
        shift(&selector.shift),
        selector.mode == RangeMode::Anchored,
        selector.mode == RangeMode::Smoothed
    )
}

fn selector_name(selector: &Selector) -> &str {
    selector.name.as_deref().unwrap_or("")
}

/// As Prometheus lists them: that of the name before the braces is the last.
fn matchers(selector: &Selector) -> String {
    let named = usize::from(selector.name.is_some());
    let (name, braces) = selector.matchers.split_at(named.min(selector.matchers.len()));
    let matcher = |m: &Matcher| {
        let (name, value) = (string(m.name()), string(m.value()));
        format!("{{\"name\":{name},\"value\":{value},\"type\":\"{}\"}}", m.op().as_str())
    };
    let all: Vec<String> = braces.iter().chain(name).map(matcher).collect();
    format!("[{}]", all.join(","))
}

/// The members that move a window in time.
fn shift(shift: &TimeShift) -> String {
    let (time, name) = match shift.at {
        None => ("null".to_owned(), "null"),
        Some(At::Time(ms)) => (ms.to_string(), "null"),
        Some(At::Start) => ("null".to_owned(), "\"start\""),
        Some(At::End) => ("null".to_owned(), "\"end\""),
    };
    let offset = length("offset", shift.offset.as_ref());
    format!("{offset},\"timestamp\":{time},\"startOrEnd\":{name}")
}

/// The members `name`, in milliseconds, and `nameExpr`.
fn length(name: &str, length: Option<&Length>) -> String {
    match length {
        None => format!("\"{name}\":0,\"{name}Expr\":null"),
        Some(Length::Fixed(ms)) => format!("\"{name}\":{ms},\"{name}Expr\":null"),
        Some(Length::Expression(expression)) => {
            format!("\"{name}\":0,\"{name}Expr\":{}", duration(expression))
        }
    }
}

/// What of an expression of durations is still to be written.
enum DurationPiece {
    Text(&'static str),
    Node { id: ExprId, wrapped: bool },
}

fn duration(expression: &DurationExpr) -> String {
    let nodes = expression.nodes();
    let mut out = String::new();
    let Some(root) = nodes.len().checked_sub(1) else { return "null".to_owned() };
    let mut at = Some((root, false));
    let mut pieces: Vec<DurationPiece> = Vec::new();
    loop {
        let (index, wrapped) = match at.take() {
            Some(node) => node,
            None => match pieces.pop() {
                None => return out,
                Some(DurationPiece::Text(text)) => {
                    out.push_str(text);
                    continue;
                }
                Some(DurationPiece::Node { id, wrapped }) => (id.index(), wrapped),
            },
        };
        let (op, left, right) = match nodes[index].op {
            // Parentheses are a property of what they hold.
            DurationOp::Paren(inner) => {
                pieces.push(DurationPiece::Node { id: inner, wrapped: true });
                continue;
            }
            DurationOp::Number { seconds, is_duration } => {
                // A String takes everything.
                let _ = write!(
                    out,
                    "{{\"type\":\"numberLiteral\",\"val\":\"{}\",\"duration\":{is_duration}}}",
                    format_f(seconds)
                );
                continue;
            }
            DurationOp::Step => ("step", None, None),
            DurationOp::Range => ("range", None, None),
            DurationOp::Minus(operand) => ("-", None, Some(operand)),
            DurationOp::Min(a, b) => ("min_of", Some(a), Some(b)),
            DurationOp::Max(a, b) => ("max_of", Some(a), Some(b)),
            DurationOp::Binary(op, a, b) => (op.as_str(), Some(a), Some(b)),
        };
        let operand = |id: Option<ExprId>| match id {
            Some(id) => DurationPiece::Node { id, wrapped: false },
            None => DurationPiece::Text("null"),
        };
        let _ = write!(out, "{{\"type\":\"durationExpr\",\"op\":\"{op}\",\"lhs\":");
        let tail = if wrapped { ",\"wrapped\":true}" } else { ",\"wrapped\":false}" };
        pieces.extend([DurationPiece::Text(tail), operand(right)]);
        pieces.extend([DurationPiece::Text(",\"rhs\":"), operand(left)]);
    }
}

fn number(value: f64) -> String {
    format!("{{\"type\":\"numberLiteral\",\"val\":\"{}\"}}", format_f(value))
}

fn strings(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| string(text)).collect();
    format!("[{}]", texts.join(","))
}
