//! Selectors alone, and labels of series descriptions.

use proptest::collection::vec;
use proptest::prelude::*;
use siltstone::{MatchOp, Matcher};

use crate::syntax::INPUT_BYTES_MAX;
use crate::{parse_selector, parse_series_labels};

/// The matchers as `name op value`, joined by a space.
fn parsed(input: &str) -> Result<String, String> {
    let matchers = parse_selector(input).map_err(|e| format!("{:?} {e}", e.span.range()))?;
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
        assert_eq!(parsed(input), Ok(expected.to_string()), "{input}");
    }
}

#[test]
fn what_is_no_selector_is_an_error() {
    for (input, error) in [
        ("", "0..0 unknown position: parse error: unexpected end of input"),
        ("\"up\"", "0..4 1:1: parse error: unexpected string \"\\\"up\\\"\""),
        ("up down", "3..7 1:4: parse error: unexpected identifier \"down\""),
        ("up{a=\"b\"}{}", "9..10 1:10: parse error: unexpected \"{\""),
        ("up[5m]", "2..3 1:3: parse error: unexpected \"[\""),
        ("up offset 5m", "3..9 1:4: parse error: unexpected <offset>"),
        ("Inf", "0..3 1:1: parse error: unexpected number \"Inf\""),
        (
            " {a=~\".*\",b=\"\"} ",
            "1..15 1:2: parse error: vector selector must contain at least one non-empty matcher",
        ),
        ("up{\n\"شهر\"=5}", "13..14 2:10: parse error: unexpected character inside braces: '5'"),
    ] {
        assert_eq!(parsed(input), Err(error.to_string()), "{input}");
    }
    let error = parse_selector("up{a=~\"b(\"}").unwrap_err();
    assert_eq!(error.span.range(), 3..10);
    let mut input = "up".to_owned() + &" ".repeat(INPUT_BYTES_MAX - 2);
    assert!(parse_selector(&input).is_ok());
    input.push(' ');
    let error = parse_selector(&input).unwrap_err();
    assert_eq!(error.message, "the selector is longer than the limit of 262144 bytes");
}

#[test]
fn labels_of_series_end_where_their_values_begin() {
    let labels = |text: &str| {
        let (labels, rest) = parse_series_labels(text).map_err(|e| e.to_string())?;
        let shown: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
        Ok::<_, String>((shown.join(" "), text[rest..].to_owned()))
    };
    for (text, expected, rest) in [
        ("up 1 2 _ $", "__name__=up", " 1 2 _ $"),
        ("up", "__name__=up", ""),
        ("up {a='b'}", "__name__=up", " {a='b'}"),
        ("up{a='b',c=\"\",}{{schema:0}}", "__name__=up a=b c=", "{{schema:0}}"),
        ("{} 5", "", " 5"),
        ("{'a b', \"c d\"='e', c=`f`} 1+1x5", "__name__=a b c d=e c=f", " 1+1x5"),
        ("sum{by='x'} 1", "__name__=sum by=x", " 1"),
    ] {
        assert_eq!(labels(text), Ok((expected.to_owned(), rest.to_owned())), "{text}");
    }
    for (text, error) in [
        ("5", "1:1: parse error: unexpected number \"5\""),
        ("a{b!='c'}", "1:4: parse error: unexpected <op:!=> in label set, expected \"=\""),
        ("a{b=c}", "1:5: parse error: unexpected identifier \"c\" in label set, expected string"),
        (
            "a{='c'}",
            "1:3: parse error: unexpected \"=\" in label set, expected identifier or \"}\"",
        ),
        (
            "a{b='c' d}",
            "1:9: parse error: unexpected identifier \"d\" in label set, expected \",\" or \"}\"",
        ),
    ] {
        assert_eq!(labels(text), Err(error.to_owned()), "{text}");
    }
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
        let mut expected = vec![("__name__".to_owned(), MatchOp::Equal, metric)];
        for (name, value, equal, style) in labels {
            let op = if equal { MatchOp::Equal } else { MatchOp::NotEqual };
            let (name_text, value_text) = (quoted(&name, style), quoted(&value, style / 3));
            input += &format!(" , {name_text}{}{value_text}", op.as_str());
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
}
