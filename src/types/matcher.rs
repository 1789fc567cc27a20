//! Label matchers: the four comparisons by which series are selected.
//!
//! Pure values, used by every index and by the query languages above the engine. A matcher sees an
//! absent label as the empty string, as Prometheus does.

use std::fmt;
use std::sync::Arc;

use super::labels::{is_bare, write_quoted};
use super::matcher_error::MatcherError;
use super::pattern::Pattern;

/// How a matcher compares the value of its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`: the value is equal.
    Equal,
    /// `!=`: the value differs.
    NotEqual,
    /// `=~`: the whole value matches the regular expression.
    Regex,
    /// `!~`: the whole value does not match the regular expression.
    NotRegex,
}

impl MatchOp {
    /// The operator as Prometheus writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }

    /// Whether the matcher selects what its value denotes (`=`, `=~`) rather than the opposite.
    #[must_use]
    pub fn is_positive(self) -> bool {
        matches!(self, Self::Equal | Self::Regex)
    }
}

/// A condition on one label. Cheap to clone.
///
/// Regular expressions are RE2's, as Prometheus reads them, and must match the whole value: `.`
/// matches a newline, braces that are no repetition are literal, `\d`, `\s`, `\w` and `\b` are ASCII.
/// Matching takes time linear in the value.
///
/// ```
/// # use siltstone::Matcher;
/// let matcher = Matcher::regex("شهر", "تهران|تبریز")?;
/// assert!(matcher.matches("تبریز") && !matcher.matches("شهر تبریز"));
/// assert_eq!(matcher.to_string(), r#""شهر"=~"تهران|تبریز""#);
/// # Ok::<(), siltstone::MatcherError>(())
/// ```
#[derive(Clone)]
pub struct Matcher {
    inner: Arc<Inner>,
}

struct Inner {
    op: MatchOp,
    name: String,
    /// The value as written; one element, so that it can be handed out as a set of literals.
    value: [String; 1],
    /// Present for `=~` and `!~`.
    pattern: Option<Pattern>,
}

impl Matcher {
    /// A matcher of the label `name`. An empty name is the name of no label.
    ///
    /// # Errors
    /// [`MatcherError`] if `op` is `=~` or `!~` and `value` is not a regular expression within the
    /// limits: 64 KiB, 250 levels of nesting, repetitions of at most 1,000 (with those around them),
    /// about 1 MiB compiled.
    pub fn new(
        op: MatchOp,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, MatcherError> {
        let value = value.into();
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Pattern::new(&value)?),
        };
        Ok(Self::from_parts(op, name.into(), value, pattern))
    }

    pub(crate) fn from_parts(
        op: MatchOp,
        name: String,
        value: String,
        pattern: Option<Pattern>,
    ) -> Self {
        Self { inner: Arc::new(Inner { op, name, value: [value], pattern }) }
    }

    /// `name="value"`.
    #[must_use]
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::from_parts(MatchOp::Equal, name.into(), value.into(), None)
    }

    /// `name!="value"`.
    #[must_use]
    pub fn not_equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::from_parts(MatchOp::NotEqual, name.into(), value.into(), None)
    }

    /// `name=~"pattern"`.
    ///
    /// # Errors
    /// As [`Matcher::new`].
    pub fn regex(
        name: impl Into<String>,
        pattern: impl Into<String>,
    ) -> Result<Self, MatcherError> {
        Self::new(MatchOp::Regex, name, pattern)
    }

    /// `name!~"pattern"`.
    ///
    /// # Errors
    /// As [`Matcher::new`].
    pub fn not_regex(
        name: impl Into<String>,
        pattern: impl Into<String>,
    ) -> Result<Self, MatcherError> {
        Self::new(MatchOp::NotRegex, name, pattern)
    }

    /// The matcher that selects exactly what this one does not. Nothing is compiled.
    #[must_use]
    pub fn negated(&self) -> Self {
        let op = match self.op() {
            MatchOp::Equal => MatchOp::NotEqual,
            MatchOp::NotEqual => MatchOp::Equal,
            MatchOp::Regex => MatchOp::NotRegex,
            MatchOp::NotRegex => MatchOp::Regex,
        };
        let Inner { name, value: [value], pattern, .. } = &*self.inner;
        Self::from_parts(op, name.clone(), value.clone(), pattern.clone())
    }

    /// How the value is compared.
    #[must_use]
    pub fn op(&self) -> MatchOp {
        self.inner.op
    }

    /// The name of the label.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The value or regular expression as written.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.inner.value[0]
    }

    /// Whether a series with this value of the label is selected; an absent label is `""`.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let denoted = match &self.inner.pattern {
            Some(pattern) => pattern.matches(value),
            None => self.value() == value,
        };
        denoted == self.op().is_positive()
    }

    /// Whether series without the label are selected.
    #[must_use]
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// The memory that its compiled regular expression holds, in bytes; 0 for `=` and `!=`. See
    /// [`PatternBudget`](super::PatternBudget).
    #[must_use]
    pub fn compiled_bytes(&self) -> usize {
        self.inner.pattern.as_ref().map_or(0, Pattern::bytes)
    }

    /// The values that `=` or the regular expression *denotes*, sorted, where they are a finite set:
    /// at most 64, or as many as a long pattern spells out. A positive matcher selects exactly these, a negative one all others.
    #[must_use]
    pub fn literals(&self) -> Option<&[String]> {
        match &self.inner.pattern {
            Some(pattern) => pattern.literals(),
            None => Some(&self.inner.value),
        }
    }

    /// What every value that `=` or the regular expression *denotes* starts with; possibly empty.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match &self.inner.pattern {
            Some(pattern) => pattern.prefix(),
            None => self.value(),
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (self.op(), self.name(), self.value()) == (other.op(), other.name(), other.value())
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    /// As Prometheus writes it, `name=~"value"`; a name that is not an identifier is quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_bare(self.name(), false) {
            f.write_str(self.name())?;
        } else {
            write_quoted(f, self.name())?;
        }
        f.write_str(self.op().as_str())?;
        write_quoted(f, self.value())
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn regex(pattern: &str) -> Matcher {
        Matcher::regex("a", pattern).unwrap()
    }

    #[test]
    fn the_whole_value_must_match_and_dot_matches_newlines() {
        assert!(regex("a|ab").matches("ab") && !regex("a|ab").matches("abc"));
        assert!(regex("x.*y").matches("x\ny") && regex(".+").matches("\n"));
        assert!(regex("^x[0-9]+$").matches("x12") && !regex("^x[0-9]+$").matches("x12\n"));
        assert!(regex("b?").matches_empty() && !regex("b+").matches_empty());
        assert!(regex("(?i)straße[0-9]*").matches("STRAßE7"));
        assert!(!regex("(?-s:x.y)").matches("x\ny"));
    }

    #[test]
    fn absent_labels_are_empty_values() {
        assert!(Matcher::equal("a", "").matches_empty());
        assert!(!Matcher::not_equal("a", "").matches_empty());
        assert!(Matcher::not_equal("a", "x").matches_empty());
        assert!(Matcher::not_regex("a", ".+").unwrap().matches_empty());
        assert!(!Matcher::not_regex("a", ".*").unwrap().matches_empty());
    }

    #[test]
    fn perl_classes_are_ascii_as_in_re2() {
        assert!(regex(r"\d+").matches("19") && !regex(r"\d+").matches("۱۹"));
        assert!(regex(r"\D+").matches("۱۹") && regex(r"[^\d]+").matches("۱۹"));
        assert!(regex(r"\W+").matches("سلام") && !regex(r"[\w.]+").matches("سلام"));
        assert!(regex(r"x\sy").matches("x\ty") && !regex(r"x\sy").matches("x\u{b}y"));
        assert!(!regex(r"x\sy").matches("x\u{a0}y"));
        assert!(regex(r".*\bgo.*").matches("دgo") && !regex(r".*\Bgo.*").matches("دgo"));
        assert!(regex(r"\p{Arabic}+").matches("سلام"));
    }

    #[test]
    fn finite_patterns_are_literals() {
        let literals = |pattern| regex(pattern).literals().map(<[String]>::to_vec);
        let of = |all: &[&str]| Some(all.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(literals("b|a|c"), of(&["a", "b", "c"]));
        assert_eq!(literals("^(a|b)x$"), of(&["ax", "bx"]));
        assert_eq!(literals("(^ab?$)"), of(&["a", "ab"]));
        assert_eq!(literals("a{2,3}|aa"), of(&["aa", "aaa"]));
        assert_eq!(literals("(?i)no"), of(&["NO", "No", "nO", "no"]));
        assert_eq!(literals("تهران|قم"), of(&["تهران", "قم"]));
        assert_eq!(literals(""), of(&[""]));
        assert_eq!(literals("[^\\x00-\\x{10FFFF}]"), of(&[]));
        assert_eq!(literals("[a-z0-9]{2}"), None);
        assert_eq!(literals("a*"), None);
        assert_eq!(literals("a|^b"), None, "an anchor inside is left to the automaton");
        assert_eq!(Matcher::not_equal("a", "x").literals(), Some(&["x".to_owned()][..]));
    }

    #[test]
    fn prefixes_are_found() {
        let prefix = |pattern| regex(pattern).prefix().to_owned();
        assert_eq!(prefix("node_.*"), "node_");
        assert_eq!(prefix("node_(cpu|cp).+"), "node_cp");
        assert_eq!(prefix("(ab)+c"), "ab");
        assert_eq!(prefix("a?b.*"), "");
        assert_eq!(prefix("abx|aby"), "ab");
        assert_eq!(prefix("(سلام|سم).*"), "س");
        assert_eq!(prefix("(?i)ab.*"), "");
        assert_eq!(prefix(".*"), "");
    }

    #[test]
    fn errors_say_where() {
        let error = |pattern: &str| Matcher::regex("a", pattern).unwrap_err();
        let shown = error("شهر(b").to_string();
        assert_eq!(
            shown,
            "invalid regular expression \"شهر(b\": missing closing ) at character 4 (\"(\")"
        );
        let shown = error("شهر**").to_string();
        assert!(shown.ends_with("invalid nested repetition operator at character 4 (\"**\")"));
        assert!(matches!(error(r"(?=a)"), MatcherError::Syntax { start: 0, end: 3, .. }));
        let long = error(&format!("{}[z-a]", "é".repeat(5000))).to_string();
        assert!(long.ends_with("é…\": invalid character class range at character 5002 (\"z-a\")"));
        assert!(long.len() < 600, "{long}");
    }

    #[test]
    fn patterns_are_limited() {
        let error = |pattern: &str| Matcher::regex("a", pattern).unwrap_err();
        let long = |bytes| "x".repeat(bytes) + ".y";
        assert!(matches!(error(&long(65_535)), MatcherError::TooLong { bytes: 65_537, .. }));
        assert!(Matcher::regex("a", "x".repeat(65_536)).is_ok());
        assert!(matches!(error(r"(?:\pL{31}\pN){31}"), MatcherError::TooLarge { .. }));
        for (open, close) in [("(", ")"), ("(?:", ")"), ("(?:", ")?"), ("(a|", ")"), ("(?:a", ")*")]
        {
            let nested =
                |levels: usize| format!("{}x{}", open.repeat(levels), close.repeat(levels));
            assert!(Matcher::regex("a", nested(83)).is_ok(), "{open} {close}");
            for levels in [251, 8000] {
                let message = error(&nested(levels)).to_string();
                assert!(message.contains("expression nests too deeply"), "{open}: {message}");
            }
        }
        let classes = error(&r"[\PL]".repeat(2000)).to_string();
        assert!(classes.contains("expression too large"), "{classes}");
    }

    #[test]
    fn the_deepest_patterns_need_little_stack() {
        let build = || {
            for (open, close) in [("(", ")"), ("(a", ")"), ("(?:a|", "b)"), ("(?:a", ")+")] {
                let levels = (0..250).rev();
                let nested = |n: usize| format!("{}x{}", open.repeat(n), close.repeat(n));
                let deepest = levels.map(nested).find_map(|p| Matcher::regex("a", p).ok()).unwrap();
                assert!(!deepest.matches("y"));
            }
        };
        let small = std::thread::Builder::new().stack_size(512 << 10);
        small.spawn(build).unwrap().join().unwrap();
    }

    #[test]
    fn what_spells_thousands_of_values_out_is_a_set() {
        let names: Vec<String> = (0..3000).map(|n| format!("web.{n:05}")).collect();
        let spelled = names.join("|").replace('.', r"\.");
        for pattern in [spelled.clone(), format!("^(?:{spelled})$"), format!("({spelled}|)")] {
            let matcher = regex(&pattern);
            assert!(matcher.literals().is_some_and(|all| all.len() >= 3000));
            assert!(names.iter().all(|name| matcher.matches(name)));
            assert!(!matcher.matches("web.03000") && !matcher.matches("webx00001"));
            assert!((48_000..300_000).contains(&matcher.compiled_bytes()));
        }
        let few = names[..200].join("|");
        assert_eq!(regex(&format!("({few}).*")).literals(), None);
        assert_eq!(Matcher::equal("a", "x").compiled_bytes(), 0);
        assert!(regex("a.*").compiled_bytes() < 100 && regex("a.*b").compiled_bytes() > 1000);
    }

    #[test]
    fn hostile_patterns_stay_bounded() {
        for pattern in [
            "(((a{30}){30}){30}){30}".to_owned(),
            "((a|b){30}|(c?){30}){30}".to_owned(),
            "a{1000}".repeat(9000),
            "(){1000}".repeat(8000),
            "(|".repeat(200) + &"|".repeat(60_000) + &")".repeat(200),
            format!("({})", (0..9000).map(|n| format!("{n:x}|")).collect::<String>())
                + &"()".repeat(9000),
            format!("({}){{60}}", "|".repeat(60_000)),
            r"\pL".repeat(21_000),
            r"(?i)[\x{0}-\x{10FFFF}]".to_owned() + &r"[\x{0}-\x{10FFFF}]".repeat(3200),
            format!("(?i)[{}]", r"\W\x{0}-\x{10FFFF}".repeat(3200)),
            format!("[{}]", "[:".repeat(30_000)),
            "(?i)".to_owned() + &"k".repeat(60_000),
            "[^a]?".repeat(13_000),
            "[".repeat(65_536),
        ] {
            let _ = Matcher::regex("a", pattern);
        }
        let slow = regex("(x+x+)+y");
        assert!(!slow.matches(&"x".repeat(8192)));
    }

    #[test]
    fn prints_as_prometheus_does() {
        assert_eq!(Matcher::equal("a", "x\"\\\n").to_string(), r#"a="x\"\\\n""#);
        assert_eq!(Matcher::not_regex("a", "b.c").unwrap().to_string(), r#"a!~"b.c""#);
        assert_eq!(Matcher::not_equal("a.b", "").to_string(), r#""a.b"!="""#);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        /// The short cuts (literals, prefixes) answer as the plain automaton does.
        #[test]
        fn short_cuts_agree_with_the_automaton(
            pattern in "(\\^|\\(\\?i\\))?[ab](b|\\.\\*|\\?|\\(a\\|bc\\)|\\{1,2\\}|[ab\u{633}]){0,4}(\\.\\+|\\.\\*|\\$)?",
            values in proptest::collection::vec("[abc\u{633}]{0,5}", 1..20),
        ) {
            let Ok(matcher) = Matcher::regex("n", pattern.clone()) else { return Ok(()) };
            let plain = regex_automata::meta::Regex::new(&format!("^(?s:{pattern})$")).unwrap();
            for value in &values {
                prop_assert_eq!(matcher.matches(value), plain.is_match(value), "{} {}", pattern, value);
                if matcher.matches(value) {
                    prop_assert!(value.starts_with(matcher.prefix()));
                }
            }
        }
    }
}
