//! The compiled form of a matcher's regular expression, and what an index can use of it.
//!
//! Built only for a [`Matcher`](super::Matcher). The syntax and its meaning are RE2's (see
//! [`re2`](super::re2)); the whole value must match. Matching takes time linear in the value. A
//! pattern is reduced, where it can be, to a finite set of literals or to a literal prefix; neither
//! then runs an automaton.

use std::sync::Arc;

use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use super::automaton::{self, compile};
use super::literal_set;
use super::matcher_error::MatcherError;

/// A compiled pattern. A clone shares what was compiled, and has working memory of its own.
#[derive(Clone)]
pub(crate) struct Pattern {
    /// Every matching value starts with this.
    prefix: Arc<str>,
    program: Program,
}

#[derive(Clone)]
enum Program {
    /// Exactly these values, sorted.
    Literals(Arc<[String]>),
    /// Every value that starts with the prefix.
    Prefix,
    /// Every value that starts with the prefix and goes on.
    LongerThanPrefix,
    /// What the automaton says; it is anchored at both ends.
    Automaton(Box<Regex>),
}

impl Pattern {
    /// Compiles `pattern`.
    pub(crate) fn new(pattern: &str) -> Result<Self, MatcherError> {
        let hir = automaton::parse(pattern)?.hir;
        if let Some(literals) = literal_set::expand(strip_anchors(&hir), pattern.len()) {
            let prefix = common_prefix(&literals).into();
            return Ok(Self { prefix, program: Program::Literals(literals.into()) });
        }
        let mut prefix = Vec::new();
        let rest = match strip_anchors(&hir) {
            [parts @ .., last] if append_prefixes(parts, &mut prefix) => open_end(last),
            _ => None,
        };
        if let Some(program) = rest {
            return Ok(Self { prefix: utf8_prefix(prefix).into(), program });
        }
        prefix.clear();
        append_prefixes(strip_anchors(&hir), &mut prefix);
        let program = Program::Automaton(Box::new(compile(pattern, hir, WhichCaptures::Implicit)?));
        Ok(Self { prefix: utf8_prefix(prefix).into(), program })
    }

    /// Whether the whole of `value` matches.
    pub(super) fn matches(&self, value: &str) -> bool {
        match &self.program {
            Program::Literals(literals) => {
                literals.binary_search_by(|literal| literal.as_str().cmp(value)).is_ok()
            }
            Program::Prefix => value.starts_with(&*self.prefix),
            Program::LongerThanPrefix => {
                value.len() > self.prefix.len() && value.starts_with(&*self.prefix)
            }
            Program::Automaton(regex) => value.starts_with(&*self.prefix) && regex.is_match(value),
        }
    }

    /// All values that match, sorted, if they are few.
    pub(super) fn literals(&self) -> Option<&[String]> {
        match &self.program {
            Program::Literals(literals) => Some(literals),
            _ => None,
        }
    }

    /// The memory that it holds, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let program = match &self.program {
            Program::Literals(literals) => {
                literals.iter().map(|literal| size_of::<String>() + literal.len()).sum()
            }
            Program::Prefix | Program::LongerThanPrefix => 0,
            Program::Automaton(regex) => automaton::bytes(regex),
        };
        self.prefix.len() + program
    }

    /// What every matching value starts with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// The parts of a pattern in sequence, without a leading `^` and a trailing `$`, which say what
/// holds anyway.
fn strip_anchors(hir: &Hir) -> &[Hir] {
    let mut parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        HirKind::Capture(capture) => return strip_anchors(&capture.sub),
        _ => std::slice::from_ref(hir),
    };
    while let [first, rest @ ..] = parts
        && matches!(first.kind(), HirKind::Look(Look::Start))
    {
        parts = rest;
    }
    while let [rest @ .., last] = parts
        && matches!(last.kind(), HirKind::Look(Look::End))
    {
        parts = rest;
    }
    parts
}

/// The longest common prefix of sorted strings: that of the first and the last.
fn common_prefix(sorted: &[String]) -> String {
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return String::new();
    };
    utf8_prefix(common_bytes(first.as_bytes(), last.as_bytes()).to_vec())
}

fn common_bytes<'a>(a: &'a [u8], b: &[u8]) -> &'a [u8] {
    let shared = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    &a[..shared]
}

/// Drops the bytes of a character that was cut.
fn utf8_prefix(mut bytes: Vec<u8>) -> String {
    let valid = match std::str::from_utf8(&bytes) {
        Ok(text) => text.len(),
        Err(e) => e.valid_up_to(),
    };
    bytes.truncate(valid);
    String::from_utf8(bytes).expect("cut where the bytes stop being UTF-8")
}

/// Appends what every match of `hir` starts with; true if that is all that `hir` matches.
fn append_prefix(hir: &Hir, prefix: &mut Vec<u8>) -> bool {
    match hir.kind() {
        HirKind::Empty => true,
        HirKind::Literal(literal) => {
            prefix.extend_from_slice(&literal.0);
            true
        }
        HirKind::Class(_) | HirKind::Look(_) => false,
        HirKind::Repetition(repetition) => {
            if repetition.min > 0 {
                append_prefix(&repetition.sub, prefix);
            }
            false
        }
        HirKind::Capture(capture) => append_prefix(&capture.sub, prefix),
        HirKind::Concat(parts) => append_prefixes(parts, prefix),
        HirKind::Alternation(branches) => {
            let mut shared: Option<Vec<u8>> = None;
            for branch in branches {
                let mut own = Vec::new();
                append_prefix(branch, &mut own);
                shared =
                    Some(shared.map_or_else(|| own.clone(), |s| common_bytes(&s, &own).to_vec()));
            }
            prefix.extend(shared.unwrap_or_default());
            false
        }
    }
}

/// The same of parts that follow each other.
fn append_prefixes(parts: &[Hir], prefix: &mut Vec<u8>) -> bool {
    parts.iter().all(|part| append_prefix(part, prefix))
}

/// Recognises `.*` and `.+` at the end of a pattern.
fn open_end(hir: &Hir) -> Option<Program> {
    match hir.kind() {
        HirKind::Capture(capture) => open_end(&capture.sub),
        HirKind::Repetition(repetition) if repetition.max.is_none() => {
            let HirKind::Class(Class::Unicode(class)) = repetition.sub.kind() else { return None };
            let [all] = class.ranges() else { return None };
            match (all.start(), all.end(), repetition.min) {
                ('\0', char::MAX, 0) => Some(Program::Prefix),
                ('\0', char::MAX, 1) => Some(Program::LongerThanPrefix),
                _ => None,
            }
        }
        _ => None,
    }
}
