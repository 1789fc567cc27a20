//! What a case expects: the lines below an `eval`.

use std::sync::LazyLock;

use regex::Regex;

use crate::model::{Labels, Times};
use crate::scan::{Scanner, whole_number};
use crate::series::{Slot, read_series};
use crate::times::read_range;

/// A query, when it is evaluated, and what must come of it.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) query: String,
    pub(crate) times: Times,
    pub(crate) expectations: Expectations,
}

/// What must come of a query.
#[derive(Debug, Default)]
pub(crate) struct Expectations {
    /// Whether the series stand in the order of the answer.
    pub(crate) ordered: bool,
    /// That the query fails, and with what text.
    pub(crate) failure: Option<TextMatch>,
    pub(crate) warnings: Notes,
    pub(crate) infos: Notes,
    pub(crate) value: Expected,
    /// The times of the matrix that an instant query answers, where it is said.
    pub(crate) window: Option<Times>,
    /// Whether `eval_fail` was written, which takes the old lines for the text.
    old_failure: bool,
}

/// The value that is expected.
#[derive(Debug)]
pub(crate) enum Expected {
    Scalar(f64),
    Text(Vec<u8>),
    Series(Vec<(Labels, Vec<Slot>)>),
}

impl Default for Expected {
    fn default() -> Self {
        Self::Series(Vec::new())
    }
}

/// Which annotations of one severity are expected.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Each must be found, and none may be found that none of these describes; unless empty.
    pub(crate) matches: Vec<TextMatch>,
    pub(crate) at_least_one: bool,
    pub(crate) none: bool,
}

/// How a text must be.
#[derive(Debug)]
pub(crate) enum TextMatch {
    Anything,
    Equal(String),
    Pattern(Regex),
}

impl TextMatch {
    pub(crate) fn accepts(&self, text: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::Equal(expected) => expected == text,
            Self::Pattern(pattern) => pattern.is_match(text),
        }
    }

    fn pattern(text: &str) -> Result<Self, String> {
        Regex::new(text.trim()).map(Self::Pattern).map_err(|e| e.to_string())
    }
}

impl Expectations {
    /// Expects a failure in the old form, `eval_fail`.
    pub(crate) fn may_fail_old(&mut self) {
        self.failure = Some(TextMatch::Anything);
        self.old_failure = true;
    }
}

static EXPECT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$")
        .expect("the pattern is a constant")
});
static WINDOW: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$")
        .expect("the pattern is a constant")
});

/// Reads the lines of a body and returns how many belong to it: some end it.
pub(crate) fn read_expectations(
    body: &[&str],
    is_instant: bool,
    expectations: &mut Expectations,
) -> Result<usize, String> {
    let mut series: Vec<(Labels, Vec<Slot>)> = Vec::new();
    for (at, line) in body.iter().enumerate() {
        if expectations.old_failure
            && let Some(text) = read_old_failure(line)
        {
            expectations.failure = Some(text?);
            return Ok(at + 1);
        }
        if line.starts_with("expect range vector") {
            let parts = WINDOW.captures(line).ok_or_else(|| format!("cannot read {line:?}"))?;
            expectations.window = Some(read_range(&parts[1], &parts[2], &parts[3])?);
        } else if let Some(text) = line.strip_prefix("expect string") {
            expectations.value = Expected::Text(read_string(text)?);
        } else if line.split(' ').next() == Some("expect") {
            read_expect(line, expectations)?;
        } else if let Some(value) = whole_number(line) {
            expectations.value = Expected::Scalar(value);
            return Ok(at + 1);
        } else {
            let read = read_series(line)?;
            let many = read.slots.len() != 1;
            if is_instant && expectations.window.is_none() && many {
                return Err(format!("an instant query has one value in each series: {line:?}"));
            }
            series.retain(|(labels, _)| *labels != read.labels);
            series.push((read.labels, read.slots));
        }
    }
    if !series.is_empty() {
        expectations.value = Expected::Series(series);
    }
    Ok(body.len())
}

fn read_old_failure(line: &str) -> Option<Result<TextMatch, String>> {
    if let Some(text) = line.strip_prefix("expected_fail_message") {
        return Some(Ok(TextMatch::Equal(text.trim().to_owned())));
    }
    line.strip_prefix("expected_fail_regexp").map(TextMatch::pattern)
}

fn read_string(text: &str) -> Result<Vec<u8>, String> {
    let mut scanner = Scanner::new(text);
    scanner.blanks();
    let bytes = scanner.quoted()?;
    if scanner.is_at_end() { Ok(bytes) } else { Err(format!("cannot read {:?}", scanner.rest())) }
}

/// Reads `expect warn msg: ...` and the like.
fn read_expect(line: &str, expectations: &mut Expectations) -> Result<(), String> {
    let parts = EXPECT.captures(line).ok_or_else(|| format!("cannot read {line:?}"))?;
    let text = match parts.get(2).map(|kind| kind.as_str()) {
        Some("regex") => TextMatch::pattern(&parts[3])?,
        Some(_) => TextMatch::Equal(parts[3].trim().to_owned()),
        None => TextMatch::Anything,
    };
    match &parts[1] {
        "ordered" => expectations.ordered = true,
        "fail" if expectations.failure.is_some() && !expectations.old_failure => {
            return Err("two lines expect a failure".to_owned());
        }
        "fail" => expectations.failure = Some(text),
        "warn" => expectations.warnings.matches.push(text),
        "no_warn" => expectations.warnings.none = true,
        "info" => expectations.infos.matches.push(text),
        _ => expectations.infos.none = true,
    }
    for notes in [&expectations.warnings, &expectations.infos] {
        if notes.none && !notes.matches.is_empty() {
            return Err("annotations are expected, and none".to_owned());
        }
    }
    Ok(())
}
