//! Regular expressions: a pattern, a newline that parts them, and a value.

#![no_main]

use libfuzzer_sys::fuzz_target;
use siltstone::{AnchoredRegex, Matcher, MatcherError};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (value, pattern) = text.split_once('\n').unwrap_or(("", text));
    let matcher = match Matcher::regex("a", pattern) {
        Ok(matcher) => matcher,
        Err(MatcherError::Syntax { start, end, .. }) => {
            assert!(pattern.get(start..end).is_some());
            return;
        }
        Err(error) => return drop(error.to_string()),
    };
    let matches = matcher.matches(value);
    assert!(!matches || value.starts_with(matcher.prefix()));
    for literal in matcher.literals().unwrap_or_default() {
        assert!(matcher.matches(literal));
    }
    // Its automaton has captures and is larger.
    if let Ok(regex) = AnchoredRegex::new(pattern) {
        assert_eq!(regex.is_match(value), matches);
        let template = regex.expand(pattern, value);
        assert_eq!(template.is_some(), matches);
        assert_eq!(regex.expand("$0", value).is_some_and(|whole| whole == value), matches);
    }
});
