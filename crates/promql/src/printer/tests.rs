//! The printers against hand-written queries.

use crate::{Features, parse, pretty, print};

fn printed(text: &str) -> String {
    print(&parse(text, &Features::experimental()).unwrap_or_else(|e| panic!("{text}: {e}")))
}

#[test]
fn the_canonical_form_is_that_of_prometheus() {
    for (text, expected) in [
        ("sum(a)by(b,'c d')", "sum by (b, \"c d\") (a)"),
        ("sum by()(a)", "sum(a)"),
        ("sum without()(a)", "sum without () (a)"),
        ("topk(5,a)", "topk(5, a)"),
        ("a*on()b", "a * on () b"),
        ("a*ignoring()b", "a * b"),
        ("a*ignoring()group_right b", "a * ignoring () group_right () b"),
        ("a==bool on(b,'c.d')group_left(e)f", "a == bool on (b, \"c.d\") group_left (e) f"),
        ("a+fill(1)b", "a + fill (1) b"),
        ("a+fill_right(1e-7)fill_left(-Inf)b", "a + fill_left (-Inf) fill_right (1e-07) b"),
        ("a{c=~'2',b!='1'}", "a{b!=\"1\",c=~\"2\"}"),
        ("{'a b','c d'='e'}", "{\"c d\"=\"e\",__name__=\"a b\"}"),
        ("{__name__='a'}", "{__name__=\"a\"}"),
        ("a{}", "a"),
        ("info(a,{})", "info(a, {})"),
        ("a offset 90m @ 1", "a @ 1.000 offset 1h30m"),
        ("a[5400]@end()offset -5m", "a[1h30m] @ end() offset -5m"),
        ("a[5m] offset 1s @ -1.5 anchored", "a[5m] anchored @ -1.500 offset 1s"),
        ("a offset 1s anchored @ -0.0004", "a @ 0.000 anchored offset 1s"),
        ("a[5m:]", "a[5m:]"),
        ("a[5m:90]@start()offset 0.5", "a[5m:1m30s] @ start() offset 500ms"),
        ("a offset (-(1s) ^ 2)", "a offset (-1s ^ 2)"),
        ("a offset ((-1s) ^ 2)", "a offset ((-1s) ^ 2)"),
        ("a[ (1+step())*2:-(-5m) ]", "a[(1 + step()) * 2:5m]"),
        ("a offset +(RANGE()%1.50)", "a offset (range() % 1.5)"),
        ("a offset max_of(1m, MIN_OF(2 , 3))", "a offset max_of(1m, min_of(2, 3))"),
        ("a smoothed offset (+2^-1)", "a smoothed offset (2 ^ -1)"),
        ("1e30 - .1+Inf^nan", "1000000000000000000000000000000 - 0.1 + Inf ^ NaN"),
        ("inf", "+Inf"),
        ("-5m + 0x10", "-5m + 16"),
        ("- 1^2", "-1 ^ 2"),
        ("+a - -b", "+a - -b"),
        ("'\\xc5\u{645}\\n`'", "\"\\xc5\u{645}\\n`\""),
        ("((a))", "((a))"),
    ] {
        assert_eq!(printed(text), expected, "{text}");
        assert_eq!(printed(expected), expected);
    }
}

#[test]
fn long_expressions_are_split_at_their_operands() {
    let a = "a".repeat(60);
    let formatted = |text: &str| {
        let ast = parse(text, &Features::experimental()).unwrap_or_else(|e| panic!("{e}"));
        pretty(&ast)
    };
    let query = format!(
        "topk by (b) (5, -({a} offset 5m + bool_{a}) > bool 5 or label_join(rate({a}[5m]), 'x', \
         'yyyyyyyyyyyyyyyyyyyyyyyyy', 'z'))[5m:]"
    );
    let expected = format!(
        "topk by (b) (
  5,
      -(
          {a} offset 5m
        +
          bool_{a}
      )
    > bool
      5
  or
    label_join(
      rate({a}[5m]),
      \"x\",
      \"yyyyyyyyyyyyyyyyyyyyyyyyy\",
      \"z\"
    )
)[5m:]"
    );
    assert_eq!(formatted(&query), expected);
    assert_eq!(printed(&expected), printed(&query));
    assert_eq!(formatted("sum(a)"), "sum(a)");
}
