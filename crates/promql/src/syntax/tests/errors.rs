//! Errors: places and words are those of Prometheus.

use super::{error, features};
use crate::{Features, parse};

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let (place, message) = expected.split_once(' ').unwrap();
        assert_eq!(error(text), format!("{place} parse error: {message}"), "{text}");
    }
}

#[test]
fn of_characters() {
    check(&[
        ("foo $", "1:5: unexpected character: '$'"),
        ("دما", "1:1: unexpected character: 'د'"),
        ("a ! b", "1:3: unexpected character after '!': ' '"),
        ("a !", "1:3: unexpected character after '!': '\u{fffd}'"),
        ("a =~ b", "1:3: unexpected character after '=': '~'"),
        ("a)", "1:3: unexpected right parenthesis ')'"),
        ("a]", "1:2: unexpected right bracket ']'"),
        ("(a", "1:3: unclosed left parenthesis"),
        ("a[5m", "1:5: unclosed left bracket"),
        ("a[", "1:3: unexpected end of input in duration expression"),
        ("a[x]", "1:3: unexpected character in duration expression: 'x'"),
        ("a[#\n5m]", "1:3: unexpected character in duration expression: '#'"),
        ("a[5m x]", "1:6: unexpected character: 'x', expected ':'"),
        ("a[5m:1m:1m]", "1:8: unexpected colon ':'"),
        ("a[:1m]", "1:4: unexpected colon before duration in duration expression"),
        ("a[5m[", "1:5: unexpected left bracket '['"),
        ("a{", "1:3: unexpected end of input inside braces"),
        ("a{5=\"\"}", "1:3: unexpected character inside braces: '5'"),
        ("a{b:c=\"\"}", "1:4: unexpected character inside braces: ':'"),
        ("a{b!\"c\"}", "1:4: unexpected character after '!' inside braces: '\"'"),
        ("a{{", "1:3: unexpected left brace '{'"),
        ("a\n +\n  \u{a0}", "3:3: unexpected character: '\\u00a0'"),
    ]);
}

#[test]
fn of_literals() {
    let number = "error parsing number: strconv.ParseFloat: parsing";
    check(&[
        ("1.2.3", "1:1: bad number or duration syntax: \"1.2.\""),
        ("1ee5", "1:1: bad number or duration syntax: \"1ee\""),
        ("1_", "1:1: bad number or duration syntax: \"1_\""),
        ("1a", "1:1: bad number or duration syntax: \"1\""),
        ("0x1g", "1:1: bad number or duration syntax: \"0x1\""),
        ("5mm", "1:1: bad number or duration syntax: \"5mm\""),
        ("1e400", &format!("1:1: {number} \"1e400\": value out of range")),
        ("a * 0x1e+2", &format!("1:5: {number} \"0x1e+2\": invalid syntax")),
        ("5m5h", "1:1: not a valid duration string: \"5m5h\""),
        ("a[1.5h]", "1:3: unknown unit \".\" in duration \"1.5h\""),
        ("a offset 400y", "1:10: duration out of range"),
        ("\"a", "1:1: unterminated quoted string"),
        ("'a\n'", "1:1: unterminated quoted string"),
        ("`a", "1:1: unterminated raw string"),
        ("a == \"\\d\"", "1:6: unknown escape sequence U+0064 'd'"),
        ("\"\\'\"", "1:1: unknown escape sequence U+0027 '''"),
        ("\"\\xg\"", "1:1: illegal character U+0067 'g' in escape sequence"),
        ("\"\\400\"", "1:1: escape sequence is an invalid Unicode code point"),
        ("\"\\ud800\"", "1:1: escape sequence is an invalid Unicode code point"),
        ("\"\\U00110000\"", "1:1: escape sequence is an invalid Unicode code point"),
        ("\"\\UFFFFFFFF\"", "1:1: escape sequence is an invalid Unicode code point"),
        ("\"\\", "1:1: escape sequence not terminated"),
        ("\"\\u12", "1:1: escape sequence not terminated"),
        ("a{b=\"\\xc5\"}", "1:5: invalid UTF-8 in \"\\xc5\""),
    ]);
    assert_eq!(error(""), "unknown position: parse error: no expression found in input");
    assert_eq!(error(" # x"), "1:1: parse error: no expression found in input");
}

#[test]
fn of_expressions() {
    check(&[
        ("a +", "1:4: unexpected end of input"),
        ("a b", "1:3: unexpected identifier \"b\""),
        ("a b:c", "1:3: unexpected metric identifier \"b:c\""),
        ("a \"0123456789\"", "1:3: unexpected string \"\\\"012345678\"..."),
        ("a 5m", "1:3: unexpected duration \"5m\""),
        ("a = b", "1:3: unexpected \"=\""),
        ("a + * b", "1:5: unexpected <op:*>"),
        ("on", "1:1: unexpected <on>"),
        ("a == bool", "1:10: unexpected end of input"),
        ("a atan2 ATAN2", "1:9: unexpected <op:ATAN2>"),
        ("a:b(c)", "1:4: unexpected \"(\""),
        ("by(a)", "1:3: unexpected \"(\""),
        ("sum a", "1:5: unexpected identifier \"a\""),
        ("sum(a b)", "1:7: unexpected identifier \"b\" in aggregation"),
        ("sum(abs(a b))", "1:11: unexpected identifier \"b\" in aggregation"),
        ("sum(a) + abs(b c)", "1:16: unexpected identifier \"c\""),
        ("sum by (a) b", "1:12: unexpected identifier \"b\" in aggregation"),
        ("sum by a", "1:8: unexpected identifier \"a\" in grouping opts, expected \"(\""),
        (
            "sum by (a b)",
            "1:11: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"",
        ),
        ("sum by (a,,)", "1:11: unexpected \",\" in grouping opts, expected label"),
        ("sum by (1)(a)", "1:9: unexpected number \"1\" in grouping opts, expected label"),
        ("sum by (without)(a)", "1:9: unexpected <without> in grouping opts, expected label"),
        ("sum by ('')(a)", "1:9: invalid label name for grouping: \"\""),
        ("sum by ('\\xff')(a)", "1:9: invalid label name for grouping: \"\\xff\""),
        ("sum (a) by (b) by (c)", "1:16: unexpected <by>"),
        ("abs(a,)", "1:6: trailing commas not allowed in function call args"),
        ("abs(,)", "1:5: unexpected \",\""),
        ("foo()", "1:1: unknown function with name \"foo\""),
        ("a + RATE(b[5m])", "1:5: unknown function with name \"RATE\""),
        ("sum()", "1:1: no arguments for aggregate expression provided"),
        (
            "1 + topk(a)",
            "1:5: wrong number of arguments for aggregate expression provided, expected 2, got 1",
        ),
        (
            "sum(a, b)",
            "1:1: wrong number of arguments for aggregate expression provided, expected 1, got 2",
        ),
    ]);
}

#[test]
fn of_matchers() {
    check(&[
        ("a{b}", "1:4: unexpected \"}\" in label matching, expected label matching operator"),
        ("a{b=}", "1:5: unexpected \"}\" in label matching, expected string"),
        ("a{b=c}", "1:5: unexpected identifier \"c\" in label matching, expected string"),
        ("a{,}", "1:3: unexpected \",\" in label matching, expected identifier or \"}\""),
        ("a{b='c',,}", "1:9: unexpected \",\" in label matching, expected identifier or \"}\""),
        (
            "a{b='c' d='e'}",
            "1:9: unexpected identifier \"d\" in label matching, expected \",\" or \"}\"",
        ),
        ("{'a' 'b'}", "1:6: unexpected string \"'b'\" in label matching, expected \",\" or \"}\""),
        ("{}", "1:1: vector selector must contain at least one non-empty matcher"),
        (
            "b + {a=~'.*',c!~'.+',d=''}",
            "1:5: vector selector must contain at least one non-empty matcher",
        ),
        ("{''}", "1:1: vector selector must contain at least one non-empty matcher"),
        ("a{__name__='b'}", "1:1: metric name must not be set twice: \"a\" or \"b\""),
        ("a{'b c'}", "1:1: metric name must not be set twice: \"a\" or \"b c\""),
    ]);
}

#[test]
fn of_modifiers() {
    let preceded = "modifier must be preceded by an instant vector selector or range vector \
                    selector or a subquery";
    check(&[
        ("(a) offset 5m", &format!("1:1: offset {preceded}")),
        ("1 offset 5m", &format!("1:1: offset {preceded}")),
        ("b + (a) @ 5", &format!("1:5: @ {preceded}")),
        ("a offset 5m offset 5m", "1:1: offset may not be set multiple times"),
        ("a[5m] @ 5 @ end()", "1:1: @ <timestamp> may not be set multiple times"),
        (
            "a offset b",
            "1:10: unexpected identifier \"b\" in offset, expected number, duration, step(), or range()",
        ),
        (
            "a offset step",
            "1:14: unexpected end of input in offset, expected number, duration, step(), or range()",
        ),
        ("a @ b", "1:5: unexpected identifier \"b\" in @, expected timestamp"),
        ("a @ start(5)", "1:11: unexpected number \"5\" in @, expected timestamp"),
        ("a @ Inf", "1:1: timestamp out of bounds for @ modifier: +Inf"),
        (
            "a @ -1e30",
            "1:1: timestamp out of bounds for @ modifier: -1000000000000000019884624838656.000000",
        ),
        ("a @ NaN", "1:1: timestamp out of bounds for @ modifier: NaN"),
        ("a @ 1e17", "1:1: timestamp out of bounds for @ modifier: 100000000000000000.000000"),
        ("a offset 1e30", "1:10: duration out of range"),
        ("a offset Inf", "1:10: duration out of range"),
        ("(a)[5m]", "1:4: ranges only allowed for vector selectors"),
        ("a[5m][5m]", "1:6: ranges only allowed for vector selectors"),
        ("a offset 5m [5m]", "1:13: no offset modifiers allowed before range"),
        ("a @ 5 [5m]", "1:7: no @ modifiers allowed before range"),
        (
            "a[]",
            "1:3: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
        ),
        (
            "a[5m 5m]",
            "1:6: unexpected duration \"5m\" in subquery or range, expected \":\" or \"]\"",
        ),
        ("a[5m:1m 1m]", "1:9: unexpected duration \"1m\" in subquery selector, expected \"]\""),
        (
            "a[5m:\"\"]",
            "1:6: unexpected string \"\\\"\\\"\" in subquery selector, expected number, duration, step(), range(), or \"]\"",
        ),
        ("a[0]", "1:3: duration must be greater than 0"),
        ("a[-5m]", "1:3: duration must be greater than 0"),
        ("a[5m:0]", "1:6: duration must be greater than 0"),
        ("a[9.5e10]", "1:3: duration out of range"),
        ("a[5m/0]", "1:5: division by zero"),
        ("a[5m%0s]", "1:5: modulo by zero"),
        ("a[5m] anchored smoothed", "1:1: anchored and smoothed modifiers cannot be used together"),
        ("a[5m:] anchored", "1:1: anchored modifier is not supported for subqueries"),
        ("abs(a) smoothed", "1:1: smoothed modifier not implemented"),
    ]);
}

#[test]
fn of_types() {
    check(&[
        (
            "rate(a)",
            "1:6: expected type range vector in call to function \"rate\", got instant vector",
        ),
        ("1 + abs(1)", "1:9: expected type instant vector in call to function \"abs\", got scalar"),
        (
            "label_join(a, 1, 'b')",
            "1:15: expected type string in call to function \"label_join\", got scalar",
        ),
        (
            "label_join(a, 'b', 'c', 'd', 1)",
            "1:30: expected type string in call to function \"label_join\", got scalar",
        ),
        (
            "sum(a[5m])",
            "1:5: expected type instant vector in aggregation expression, got range vector",
        ),
        ("topk(a, b)", "1:6: expected type scalar in aggregation parameter, got instant vector"),
        ("count_values(1, b)", "1:14: expected type string in aggregation parameter, got scalar"),
        ("topk(a, 1)", "1:9: expected type instant vector in aggregation expression, got scalar"),
        ("rate()", "1:1: expected 1 argument(s) in call to \"rate\", got 0"),
        ("pi(1)", "1:1: expected 0 argument(s) in call to \"pi\", got 1"),
        ("round()", "1:1: expected at least 1 argument(s) in call to \"round\", got 0"),
        ("round(a, 1, 2)", "1:1: expected at most 2 argument(s) in call to \"round\", got 3"),
        ("rate(a[5m], abs())", "1:1: expected 1 argument(s) in call to \"rate\", got 2"),
        ("1 == 2", "1:3: comparisons between scalars must use BOOL modifier"),
        ("a  + bool b", "1:4: bool modifier can only be used on comparison operators"),
        ("a </ bool b", "1:3: bool modifier can only be used on comparison operators"),
        ("a and 1", "1:1: set operator \"and\" not allowed in binary scalar expression"),
        ("1 or 1", "1:1: set operator \"or\" not allowed in binary scalar expression"),
        ("a + on(b) 1", "1:1: vector matching only allowed between instant vectors"),
        ("a + fill(0) 1", "1:1: filling in missing series only allowed between instant vectors"),
        ("a or fill(0) b", "1:1: filling in missing series not allowed for set operators"),
        ("a and on(b) group_left c", "1:1: no grouping allowed for \"and\" operation"),
        (
            "a + on(b,c) group_left(c) d",
            "1:3: label \"c\" must not occur in ON and GROUP clause at once",
        ),
        ("a[5m] + b", "1:1: binary expression must contain only scalar and instant vector types"),
        ("a + 'b'", "1:5: binary expression must contain only scalar and instant vector types"),
        (
            "-'a'",
            "1:1: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
        ),
        ("1[5m:]", "1:1: subquery is only allowed on instant vector, got scalar instead"),
        ("info(a, b)", "1:9: expected label selectors only, got vector selector instead"),
        ("info(a, {b='c'} + 1)", "1:9: expected label selectors only"),
        (
            "info(a, 1)",
            "1:1: expected type instant vector in call to function \"info\", got scalar",
        ),
        // Of two errors, that of syntax is reported, and of types the outer one of a count.
        ("rate(a) +", "1:10: unexpected end of input"),
        (
            "sum(a[5m]) + rate(a)",
            "1:5: expected type instant vector in aggregation expression, got range vector",
        ),
        ("topk(a, 1)", "1:9: expected type instant vector in aggregation expression, got scalar"),
    ]);
}

#[test]
fn of_what_is_not_enabled() {
    let function = "function \"info\" is not enabled";
    let aggregation = "limitk() is experimental and must be enabled with \
                       --enable-feature=promql-experimental-functions";
    let length = "experimental duration expression is not enabled";
    for (text, place, message) in [
        ("info(a)", "1:1", function),
        ("limitk(1, a)", "1:1", aggregation),
        ("a[1m+1m]", "1:3", length),
        ("a[step()]", "1:3", length),
        ("a offset -min_of(1, 2)", "1:11", length),
        ("a offset (5)", "1:11", length),
        ("a[5m] anchored", "1:1", "anchored modifier is experimental and not enabled"),
        ("a smoothed", "1:1", "smoothed modifier is experimental and not enabled"),
        ("b * (a + fill(0) b)", "1:6", "binop fill modifiers are experimental and not enabled"),
    ] {
        let error = parse(text, &Features::default()).unwrap_err().to_string();
        assert_eq!(error, format!("{place}: parse error: {message}"), "{text}");
        assert!(parse(text, &features()).is_ok(), "{text}");
    }
    assert!(parse("first_over_time(a[5m]) + fill", &Features::default()).is_ok());
}
