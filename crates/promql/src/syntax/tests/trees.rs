//! Trees: what binds to what, which names are names, and where nodes stand.

use super::features;
use crate::ast::{At, ExprKind, Length, Span};
use crate::{parse, print};

/// The query with parentheses around every operator, and its canonical form.
fn grouped(text: &str) -> String {
    let ast = parse(text, &features()).unwrap_or_else(|e| panic!("{text}: {e}"));
    let mut texts: Vec<String> = Vec::new();
    for node in ast.nodes() {
        let of = |id: crate::ast::ExprId| texts[id.index()].clone();
        texts.push(match &node.kind {
            ExprKind::Unary { operand, .. } => format!("(-{})", of(*operand)),
            ExprKind::Binary(b) => format!("({} {} {})", of(b.left), b.op, of(b.right)),
            ExprKind::Paren(inner) => of(*inner),
            _ => text[node.span.range()].to_owned(),
        });
    }
    texts.pop().unwrap()
}

#[test]
fn operators_bind_by_their_powers() {
    for (text, expected) in [
        ("a or b and c == d + e * f ^ g", "(a or (b and (c == (d + (e * (f ^ g))))))"),
        ("a ^ b * c + d > e unless f or g", "((((((a ^ b) * c) + d) > e) unless f) or g)"),
        ("a - b - c", "((a - b) - c)"),
        ("a / b % c atan2 d", "(((a / b) % c) atan2 d)"),
        ("a ^ b ^ c", "(a ^ (b ^ c))"),
        ("a == b </ c >/ d", "(((a == b) </ c) >/ d)"),
        ("a and b unless c", "((a and b) unless c)"),
        ("-a ^ b", "(-(a ^ b))"),
        ("-a * b", "((-a) * b)"),
        ("a ^ -b ^ c * d", "((a ^ (-(b ^ c))) * d)"),
        ("a * - -b + c", "((a * (-(-b))) + c)"),
        ("-a offset 5m", "(-a offset 5m)"),
        ("(a + b) * c", "((a + b) * c)"),
        ("a - -1 ^ 2", "(a - (-(1 ^ 2)))"),
        ("a offset 2 ^ b", "(a offset 2 ^ b)"),
        ("a offset -(2) ^ b", "(a offset -(2) ^ b)"),
        ("a offset (2) ^ 2", "a offset (2) ^ 2"),
        ("a offset - -2 * 2", "a offset - -2 * 2"),
        ("a offset step() + b", "(a offset step() + b)"),
    ] {
        assert_eq!(grouped(text), expected, "{text}");
    }
}

#[test]
fn keywords_are_names_where_the_grammar_can_tell() {
    for text in [
        "sum",
        "sum + sum",
        "and and and",
        "offset offset 5m",
        "by",
        "start",
        "step{step=\"1\"}",
        "anchored[5m] anchored",
        "fill + fill",
        "min_of",
        "limitk",
        "sum by (sum, by, on, bool, atan2, offset, start, fill, group_left) (a)",
        "{inf=\"1\",sum=\"2\",with=\"3\"}",
        "start() + end() + step() + range()",
        "a @ start() + start()",
    ] {
        let ast = parse(text, &features()).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(print(&ast), text);
    }
}

#[test]
fn nodes_stand_where_prometheus_says() {
    let spans = |text: &str| -> Vec<String> {
        let ast = parse(text, &features()).unwrap_or_else(|e| panic!("{text}: {e}"));
        ast.nodes().iter().map(|node| text[node.span.range()].to_owned()).collect()
    };
    assert_eq!(
        spans("sum(rate(a{b='c'}[5m] offset 1m)) by (d) > - 5"),
        [
            "a{b='c'}",
            "a{b='c'}[5m] offset 1m",
            "rate(a{b='c'}[5m] offset 1m)",
            "sum(rate(a{b='c'}[5m] offset 1m)) by (d)",
            "- 5",
            "sum(rate(a{b='c'}[5m] offset 1m)) by (d) > - 5",
        ]
    );
    assert_eq!(
        spans(" ( -a @ 5 smoothed )[1m : ] @ end( ) # x"),
        ["a @ 5", "-a @ 5", "( -a @ 5 smoothed )", "( -a @ 5 smoothed )[1m : ] @ end( )",]
    );
    assert_eq!(spans("topk without() (1,b)"), ["1", "b", "topk without() (1,b)"]);
    let two_lines = "a +\n  rate(b[5m])";
    let ast = parse(two_lines, &features()).unwrap();
    let call = ast.nodes()[3].span;
    assert_eq!(call.line_and_column(two_lines), (2, 3));
}

#[test]
fn literals_have_their_values() {
    let ast = parse("a[90] offset -1.0005 @ -1.0005", &features()).unwrap();
    let ExprKind::Range { range, .. } = &ast.nodes()[1].kind else { panic!() };
    assert_eq!(*range, Length::Fixed(90_000));
    let ExprKind::Selector(selector) = &ast.nodes()[0].kind else { panic!() };
    // Offsets are cut to milliseconds, times are rounded, halves away from zero.
    assert_eq!(selector.shift.offset, Some(Length::Fixed(-1000)));
    assert_eq!(selector.shift.at, Some(At::Time(-1001)));
    let ast = parse("a offset 0s offset 5m", &features()).unwrap();
    let ExprKind::Selector(selector) = &ast.nodes()[0].kind else { panic!() };
    assert_eq!(selector.shift.offset, Some(Length::Fixed(300_000)));
    let ast = parse("count_values('a\\xc5z', -- 5m)", &features());
    assert!(ast.is_err());
    let ast = parse("'a\\xc5z'", &features()).unwrap();
    let ExprKind::String(bytes) = &ast.nodes()[0].kind else { panic!() };
    assert_eq!(&**bytes, b"a\xc5z");
    let ast = parse("- -5m", &features()).unwrap();
    let number = &ast.nodes()[0];
    assert_eq!(number.kind, ExprKind::Number { value: 300.0, is_duration: true });
    assert_eq!(number.span, Span::new(0, 5));
}
