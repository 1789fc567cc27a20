//! The selector parser against hand-written and random text.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The matchers as `name op value`, joined by a space.
fn parse(input: &str) -> Result<String, String> {
    let matchers = parse_selector(input).map_err(|e| format!("{:?} {e}", e.span))?;
    let show = |m: &Matcher| format!("{}{}{}", m.name(), m.op().as_str(), m.value());
    Ok(matchers.iter().map(show).collect::<Vec<_>>().join(" "))
}

#[test]
fn selectors_in_every_shape() {
    for (input, expected) in [
        ("up", "__name__=up"),
        (" a:b_9:c { } # all of it", "__name__=a:b_9:c"),
        ("metric{a=\"b\",c=~'d.*',}", "__name__=metric a=b c=~d.*"),
        ("{__name__=\"x\"}", "__name__=x"),
        ("{a!=\"\",b!~`c\\d`}", "a!= b!~c\\d"),
        ("{\"metric.with.dots\", \"label name\"=\"v\"}", "__name__=metric.with.dots label name=v"),
        ("{a=\"b\",'m'}", "a=b __name__=m"),
        ("up{a=\"\",}", "__name__=up a="),
        ("{__name__=~\"a.*\",__name__!=\"ab\"}", "__name__=~a.* __name__!=ab"),
        ("sum{on=\"1\",by=\"2\",offset=\"3\",inf=\"4\"}", "__name__=sum on=1 by=2 offset=3 inf=4"),
        ("up{\n  # which\n  a = \"b\"\n}", "__name__=up a=b"),
        (
            "{\"دما\",\"شهر\"=~\"می\u{200c}خواهم|Йошкар-Ола\"}",
            "__name__=دما شهر=~می\u{200c}خواهم|Йошкар-Ола",
        ),
        ("{\"a\\u0645\"=\"\\xd8\\xaf\"}", "aم=د"),
    ] {
        assert_eq!(parse(input), Ok(expected.to_string()), "{input}");
    }
}

#[test]
fn errors_show_place_and_reason() {
    for (input, error) in [
        ("", "0..0 1:1: expected a metric name or '{', found the end of the selector"),
        ("\"up\"", "0..4 1:1: expected a metric name or '{', found a string"),
        ("up down", "3..7 1:4: expected '{' or the end of the selector, found a name"),
        ("up{a=\"b\"} x", "10..11 1:11: expected the end of the selector, found a name"),
        ("up{a=\"b\"}{}", "9..10 1:10: expected the end of the selector, found '{'"),
        ("up{", "3..3 1:4: expected a label name or '}', found the end of the selector"),
        ("up{,}", "3..4 1:4: expected a label name or '}', found ','"),
        ("up{a}", "4..5 1:5: expected '=', '!=', '=~' or '!~', found '}'"),
        ("up{a=b}", "5..6 1:6: expected a string, the value of the label, found a name"),
        ("up{a=\"b\" c=\"d\"}", "9..10 1:10: expected ',' or '}', found a name"),
        ("up{a=\"b\",,}", "9..10 1:10: expected a label name or '}', found ','"),
        ("up{\n\"شهر\"=5}", "13..14 2:7: unexpected character '5'"),
        ("up{a=\"b\\d\"}", "7..9 1:8: unknown escape sequence"),
        ("up{a=\"b}", "5..8 1:6: the string is not closed"),
        ("{\"\"=\"a\"}", "1..3 1:2: a name must not be empty"),
        ("دما", "0..2 1:1: unexpected character 'د'; such names are quoted, inside braces"),
        ("Inf", "0..3 1:1: Inf is a number; as a metric name write {\"Inf\"}"),
        ("up{\"down\"}", "3..9 1:4: the metric name is set already, before the braces"),
        ("up{__name__=\"down\"}", "3..11 1:4: the metric name is set already, before the braces"),
        ("{}", "0..2 1:1: a selector needs at least one matcher that excludes the empty value"),
        (
            " {a=~\".*\",b=\"\"} ",
            "1..15 1:2: a selector needs at least one matcher that excludes the empty value",
        ),
        ("up[5m]", "2..3 1:3: unexpected character '['"),
    ] {
        assert_eq!(parse(input), Err(error.to_string()), "{input}");
    }
    let error = parse_selector("up{a=~\"b(\"}").unwrap_err();
    assert_eq!(error.span, 6..10);
    assert!(error.message.contains("regular expression"), "{error}");
}

#[test]
fn the_length_is_limited() {
    let mut input = "up".to_owned() + &" ".repeat(INPUT_BYTES_MAX - 2);
    assert!(parse_selector(&input).is_ok());
    input.push(' ');
    let error = parse_selector(&input).unwrap_err();
    assert_eq!(error.message, "the selector is longer than the limit of 262144 bytes");
}

#[test]
fn regular_expressions_are_long_but_share_a_budget() {
    let long = format!("{{pod=~\"{}\"}}", "web-7d4b9c6f5d-00000|".repeat(3000));
    assert!(parse_selector(&format!("up{long}")).is_ok());
    let large = |count: usize| format!("{{{}}}", "a=~\"[^x]{900}y\",".repeat(count));
    assert!(parse_selector(&large(1)).is_ok());
    let error = parse_selector(&large(MATCHERS_MAX)).unwrap_err();
    assert!(error.message.contains("limit of 8388608 bytes together"), "{error}");
}

#[test]
fn the_number_of_matchers_is_limited() {
    let input = |n: usize| format!("{{{}}}", "a=\"b\",".repeat(n));
    assert_eq!(parse_selector(&input(MATCHERS_MAX)).unwrap().len(), MATCHERS_MAX);
    let error = parse_selector(&input(MATCHERS_MAX + 1)).unwrap_err();
    assert_eq!(error.to_string(), "1:386: more than 64 matchers");
}

/// Written so that quoting in every style is exercised.
fn quoted(text: &str, style: u8) -> String {
    match style % 3 {
        0 if !text.contains('`') => format!("`{text}`"),
        1 => text.bytes().fold("'".to_owned(), |s, b| s + &format!("\\x{b:02x}")) + "'",
        _ => {
            let escape = |c: char| format!("\\U{:08x}", u32::from(c));
            format!("\"{}\"", text.chars().map(escape).collect::<String>())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read_back(
        metric in ".{1,8}",
        labels in vec((".{1,8}", ".{0,8}", any::<bool>(), any::<u8>()), 0..5),
    ) {
        let mut input = format!("{{{}", quoted(&metric, 1));
        let mut expected = vec![(METRIC_NAME.to_owned(), MatchOp::Equal, metric)];
        for (name, value, equal, style) in labels {
            let op = if equal { MatchOp::Equal } else { MatchOp::NotEqual };
            input += &format!(" , {}{}{}", quoted(&name, style), op.as_str(), quoted(&value, style / 3));
            expected.push((name, op, value));
        }
        input += "}";
        let matchers = parse_selector(&input).unwrap();
        let read: Vec<_> =
            matchers.iter().map(|m| (m.name().to_owned(), m.op(), m.value().to_owned())).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn what_a_matcher_prints_is_read_back(name in "\\PC{1,8}", value in "\\PC{1,8}") {
        let printed = format!("{{{}}}", Matcher::new(MatchOp::Equal, &name, &value).unwrap());
        let matchers = parse_selector(&printed).unwrap();
        prop_assert_eq!((matchers[0].name(), matchers[0].value()), (&name[..], &value[..]));
    }

    #[test]
    fn any_text_is_parsed_or_refused_inside_its_bounds(
        text in "[{}=!~,\"'`\\\\ax0-9u:# \n\u{645}]{0,24}"
    ) {
        if let Err(error) = parse_selector(&text) {
            prop_assert!(text.get(error.span.clone()).is_some(), "{:?}", error);
        }
    }
}
