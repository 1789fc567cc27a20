//! Regular expressions against what Prometheus says of them: `testdata/regex/expected.jsonl`, which
//! `testdata/regex/generate.py` writes.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;
use siltstone::{AnchoredRegex, Matcher, MatcherError};

const EXPECTED: &str = include_str!("../../testdata/regex/expected.jsonl");

/// Faults of which we show another part of the pattern than Prometheus, which shows all of it.
const OTHER_SPAN: [&str; 3] =
    ["missing closing )", "unexpected )", "trailing backslash at end of expression"];

/// The lines of the file by what they hold.
struct Corpus {
    /// Values that were matched, by the name of their set.
    values: BTreeMap<String, Vec<String>>,
    lines: Vec<Value>,
}

impl Corpus {
    fn read() -> Self {
        let lines: Vec<Value> =
            EXPECTED.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let texts = |line: &Value| serde_json::from_value(line["texts"].clone()).unwrap();
        let sets = lines.iter().filter(|line| !line["texts"].is_null());
        let values = sets.map(|line| (text(line, "values"), texts(line))).collect();
        Self { values, lines }
    }

    /// The lines that have `key`, with the values that they are about; none for lines about errors.
    fn with(&self, key: &str) -> impl Iterator<Item = (&Value, &[String])> {
        let with = self.lines.iter().filter(move |line| !line[key].is_null());
        with.map(|line| {
            let set = line["values"].as_str().unwrap_or_default();
            (line, if line["error"].is_null() { &self.values[set] } else { &[][..] })
        })
    }
}

fn text(line: &Value, key: &str) -> String {
    line[key].as_str().unwrap().to_owned()
}

/// Fails with every line that `check` complains of.
fn hold<'a>(
    lines: impl Iterator<Item = (&'a Value, &'a [String])>,
    least: usize,
    check: impl Fn(&Value, &[String]) -> Result<(), String>,
) {
    let (mut count, mut wrong) = (0, Vec::new());
    for (line, values) in lines {
        count += 1;
        let pattern = line["pattern"].as_str().unwrap();
        wrong.extend(check(line, values).err().map(|what| format!("{pattern:?}: {what}")));
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= least, "only {count} lines");
}

#[test]
fn patterns_match_what_they_match_in_prometheus() {
    let corpus = Corpus::read();
    hold(corpus.with("matches"), 900, |line, values| {
        let pattern = text(line, "pattern");
        let matcher = Matcher::regex("v", &pattern).map_err(|e| e.to_string())?;
        let captures = AnchoredRegex::new(&pattern).map_err(|e| e.to_string())?;
        for value in values {
            let expected = line["matches"].as_array().unwrap().iter().any(|v| v == value);
            if matcher.matches(value) != expected {
                return Err(format!("{value:?} {expected}"));
            }
            if captures.is_match(value) != expected {
                return Err(format!("{value:?} {expected} with captures"));
            }
        }
        Ok(())
    });
}

#[test]
fn patterns_are_refused_for_what_they_are_refused_in_prometheus() {
    let corpus = Corpus::read();
    hold(corpus.with("error"), 300, |line, _| {
        let (pattern, expected) = (text(line, "pattern"), text(line, "error"));
        let (expected, part) = expected.split_once(": `").unwrap();
        let part = part.strip_suffix('`').unwrap();
        match Matcher::regex("v", &pattern) {
            Err(MatcherError::Syntax { start, end, message, .. }) => {
                let shown = pattern.get(start..end).ok_or("a span that is no part")?;
                if message != expected {
                    return Err(format!("{message}, not {expected}"));
                }
                if shown != part && !OTHER_SPAN.contains(&expected) {
                    return Err(format!("{message} at {shown:?}, not at {part:?}"));
                }
                Ok(())
            }
            Err(other) => Err(format!("{other}, not {expected}")),
            Ok(_) => Err(format!("accepted, not {expected}")),
        }
    });
}

#[test]
fn captures_expand_as_in_prometheus() {
    let corpus = Corpus::read();
    hold(corpus.with("expanded"), 200, |line, values| {
        let (pattern, template) = (text(line, "pattern"), text(line, "template"));
        let regex = AnchoredRegex::new(&pattern).map_err(|e| e.to_string())?;
        for value in values {
            let expected = line["expanded"].get(value).map(|v| v.as_str().unwrap().to_owned());
            let expanded = regex.expand(&template, value);
            if expanded != expected {
                return Err(format!("{template:?} {value:?}: {expanded:?}, not {expected:?}"));
            }
        }
        Ok(())
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// A matcher is reduced to literals or a prefix where it can be; captures never are.
    #[test]
    fn short_cuts_agree_with_the_automaton(
        parts in vec(select(vec![
            "a", "b", "ab", "س", "K", "|", "|", "(", ")", "(?:", "(?i)", "[ab]", "[^a]", ".", ".*",
            ".+", "*", "?", "{2}", "{1,2}", "{0}", "^", "$", "\\b", "\\Qa.\\E", "\\d", "", "{x}",
        ]), 1..9),
        values in vec("[ab]{0,4}|[abkKA\u{633}\u{212a}.{}x1\n]{0,4}", 16..32),
    ) {
        let pattern = parts.concat();
        let Ok(matcher) = Matcher::regex("v", &pattern) else { return Ok(()) };
        let automaton = AnchoredRegex::new(&pattern).unwrap();
        let literals = matcher.literals();
        for value in values.iter().chain(literals.unwrap_or_default()) {
            let expected = automaton.is_match(value);
            prop_assert_eq!(matcher.matches(value), expected, "{:?} {:?}", pattern, value);
            prop_assert!(!expected || value.starts_with(matcher.prefix()), "{:?}", pattern);
            let listed = literals.is_none_or(|all| all.contains(value) == expected);
            prop_assert!(listed, "{:?} {:?}", pattern, value);
        }
    }
}
