//! The compiled form of a matcher's regular expression: syntax, limits, and what an index can use.
//!
//! Built only by [`Matcher`](super::Matcher). The syntax and its meaning are RE2's as Prometheus
//! uses it: the whole value must match, `.` matches a newline, and `\d`, `\s`, `\w` and `\b` are
//! ASCII. Matching takes time linear in the value. A pattern is reduced, where it can be, to a
//! finite set of literals or to a literal prefix; neither then runs an automaton.

use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_syntax::ast::parse::ParserBuilder;
use regex_syntax::ast::{self, Ast, ClassSet, ClassSetItem};
use regex_syntax::hir::translate::TranslatorBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use super::matcher::MatcherError;

/// Longest pattern in bytes.
const PATTERN_BYTES_MAX: usize = 4096;
/// Deepest nesting of groups, repetitions and classes.
const NEST_LIMIT: u32 = 64;
/// Largest compiled automaton in bytes, roughly.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Most literals that a pattern is expanded to.
const LITERALS_MAX: usize = 64;
/// Most bytes of those literals together.
const LITERALS_BYTES_MAX: usize = 64 * 1024;

/// A compiled pattern.
pub(super) struct Pattern {
    /// Every matching value starts with this.
    prefix: String,
    program: Program,
}

enum Program {
    /// Exactly these values, sorted.
    Literals(Vec<String>),
    /// Every value that starts with the prefix.
    Prefix,
    /// Every value that starts with the prefix and goes on.
    LongerThanPrefix,
    /// What the automaton says; it is anchored at both ends.
    Automaton(Box<Regex>),
}

impl Pattern {
    /// Compiles `pattern`.
    pub(super) fn new(pattern: &str) -> Result<Self, MatcherError> {
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(MatcherError::TooLong { bytes: pattern.len(), max: PATTERN_BYTES_MAX });
        }
        let hir = parse(pattern)?;
        if let Some(literals) = expand(strip_anchors(&hir)).and_then(into_sorted_strings) {
            let prefix = common_prefix(&literals);
            return Ok(Self { prefix, program: Program::Literals(literals) });
        }
        let mut prefix = Vec::new();
        let rest = match strip_anchors(&hir) {
            [parts @ .., last] if append_all_exact(parts, &mut prefix) => open_end(last),
            _ => None,
        };
        if let Some(program) = rest {
            return Ok(Self { prefix: utf8_prefix(prefix), program });
        }
        prefix.clear();
        strip_anchors(&hir).iter().all(|part| append_prefix(part, &mut prefix));
        let program = Program::Automaton(Box::new(compile(pattern, hir)?));
        Ok(Self { prefix: utf8_prefix(prefix), program })
    }

    /// Whether the whole of `value` matches.
    pub(super) fn matches(&self, value: &str) -> bool {
        match &self.program {
            Program::Literals(literals) => {
                literals.binary_search_by(|literal| literal.as_str().cmp(value)).is_ok()
            }
            Program::Prefix => value.starts_with(&self.prefix),
            Program::LongerThanPrefix => {
                value.len() > self.prefix.len() && value.starts_with(&self.prefix)
            }
            Program::Automaton(regex) => value.starts_with(&self.prefix) && regex.is_match(value),
        }
    }

    /// All values that match, sorted, if they are few.
    pub(super) fn literals(&self) -> Option<&[String]> {
        match &self.program {
            Program::Literals(literals) => Some(literals),
            _ => None,
        }
    }

    /// What every matching value starts with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }
}

fn parse(pattern: &str) -> Result<Hir, MatcherError> {
    let mut ast = ParserBuilder::new()
        .nest_limit(NEST_LIMIT)
        .build()
        .parse(pattern)
        .map_err(|e| syntax_error(pattern, e.span(), e.kind().to_string()))?;
    make_ascii(&mut ast);
    TranslatorBuilder::new()
        .dot_matches_new_line(true)
        .build()
        .translate(pattern, &ast)
        .map_err(|e| syntax_error(pattern, e.span(), e.kind().to_string()))
}

fn syntax_error(pattern: &str, span: &ast::Span, message: String) -> MatcherError {
    let (start, end) = (span.start.offset, span.end.offset);
    MatcherError::Syntax { pattern: pattern.to_owned(), start, end, message }
}

fn compile(pattern: &str, hir: Hir) -> Result<Regex, MatcherError> {
    let anchored = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
    let config = Regex::config()
        .which_captures(WhichCaptures::Implicit)
        .nfa_size_limit(Some(COMPILED_BYTES_MAX))
        .onepass_size_limit(Some(COMPILED_BYTES_MAX))
        .hybrid_cache_capacity(COMPILED_BYTES_MAX);
    let built = Regex::builder().configure(config).build_from_hir(&anchored);
    built.map_err(|e| match e.size_limit() {
        Some(max) => MatcherError::TooLarge { pattern: pattern.to_owned(), max },
        None => MatcherError::Syntax {
            pattern: pattern.to_owned(),
            start: 0,
            end: pattern.len(),
            message: e.to_string(),
        },
    })
}

/// Gives `\d`, `\s`, `\w`, `\b` and their negations RE2's meaning, which is ASCII.
fn make_ascii(ast: &mut Ast) {
    match ast {
        Ast::ClassPerl(class) => *ast = Ast::class_bracketed(ascii_class(class)),
        Ast::ClassBracketed(class) => make_set_ascii(&mut class.kind),
        Ast::Assertion(assertion) => {
            use ast::AssertionKind::{NotWordBoundary, WordBoundary};
            if matches!(assertion.kind, WordBoundary | NotWordBoundary) {
                let span = assertion.span;
                let inner = std::mem::replace(ast, Ast::empty(span));
                *ast = without_unicode(span, inner);
            }
        }
        Ast::Repetition(repetition) => make_ascii(&mut repetition.ast),
        Ast::Group(group) => make_ascii(&mut group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter_mut().for_each(make_ascii),
        Ast::Concat(concat) => concat.asts.iter_mut().for_each(make_ascii),
        Ast::Empty(_) | Ast::Flags(_) | Ast::Literal(_) | Ast::Dot(_) | Ast::ClassUnicode(_) => {}
    }
}

fn make_set_ascii(set: &mut ClassSet) {
    match set {
        ClassSet::Item(item) => make_item_ascii(item),
        ClassSet::BinaryOp(op) => {
            make_set_ascii(&mut op.lhs);
            make_set_ascii(&mut op.rhs);
        }
    }
}

fn make_item_ascii(item: &mut ClassSetItem) {
    match item {
        ClassSetItem::Perl(class) => *item = ClassSetItem::Bracketed(Box::new(ascii_class(class))),
        ClassSetItem::Bracketed(class) => make_set_ascii(&mut class.kind),
        ClassSetItem::Union(union) => union.items.iter_mut().for_each(make_item_ascii),
        _ => {}
    }
}

fn ascii_class(class: &ast::ClassPerl) -> ast::ClassBracketed {
    let ranges: &[(char, char)] = match class.kind {
        ast::ClassPerlKind::Digit => &[('0', '9')],
        ast::ClassPerlKind::Space => &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')],
        ast::ClassPerlKind::Word => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
    };
    let span = class.span;
    let literal = |c| ast::Literal { span, kind: ast::LiteralKind::Verbatim, c };
    let range = |&(start, end)| {
        ClassSetItem::Range(ast::ClassSetRange { span, start: literal(start), end: literal(end) })
    };
    let items = ranges.iter().map(range).collect();
    let kind = ClassSet::union(ast::ClassSetUnion { span, items });
    ast::ClassBracketed { span, negated: class.negated, kind }
}

fn without_unicode(span: ast::Span, inner: Ast) -> Ast {
    let item = |kind| ast::FlagsItem { span, kind };
    let items = vec![
        item(ast::FlagsItemKind::Negation),
        item(ast::FlagsItemKind::Flag(ast::Flag::Unicode)),
    ];
    let kind = ast::GroupKind::NonCapturing(ast::Flags { span, items });
    Ast::group(ast::Group { span, kind, ast: Box::new(inner) })
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

/// All byte strings that the sequence `parts` matches, or `None` if they are too many.
fn expand(parts: &[Hir]) -> Option<Vec<Vec<u8>>> {
    parts.iter().try_fold(vec![Vec::new()], |done, part| cross(&done, &expand_one(part)?))
}

fn expand_one(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![Vec::new()]),
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Class(Class::Unicode(class)) => {
            let count: usize = class.iter().map(|range| range.len()).sum();
            let chars = class.iter().flat_map(|range| range.start()..=range.end());
            (count <= LITERALS_MAX).then(|| chars.map(|c| c.to_string().into_bytes()).collect())
        }
        HirKind::Class(Class::Bytes(class)) => {
            // The class that matches nothing; every other class of a UTF-8 pattern is of characters.
            class.ranges().is_empty().then(Vec::new)
        }
        HirKind::Look(_) => None,
        HirKind::Repetition(repetition) => expand_repetition(repetition),
        HirKind::Capture(capture) => expand_one(&capture.sub),
        HirKind::Concat(parts) => expand(parts),
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(expand_one(branch)?);
                if all.len() > LITERALS_MAX {
                    return None;
                }
            }
            Some(all)
        }
    }
}

fn expand_repetition(repetition: &Repetition) -> Option<Vec<Vec<u8>>> {
    let max = repetition.max.filter(|&max| max as usize <= LITERALS_MAX)?;
    let once = expand_one(&repetition.sub)?;
    let mut done = vec![Vec::new()];
    let mut all = if repetition.min == 0 { done.clone() } else { Vec::new() };
    for times in 1..=max {
        done = cross(&done, &once)?;
        if times >= repetition.min {
            all.extend_from_slice(&done);
        }
        if all.len() > LITERALS_MAX {
            return None;
        }
    }
    Some(all)
}

fn cross(left: &[Vec<u8>], right: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let bytes = |set: &[Vec<u8>]| set.iter().map(Vec::len).sum::<usize>();
    let total = bytes(left) * right.len() + bytes(right) * left.len();
    if left.len() * right.len() > LITERALS_MAX || total > LITERALS_BYTES_MAX {
        return None;
    }
    let pairs = left.iter().flat_map(|l| right.iter().map(move |r| [&l[..], &r[..]].concat()));
    Some(pairs.collect())
}

fn into_sorted_strings(literals: Vec<Vec<u8>>) -> Option<Vec<String>> {
    let strings: Result<Vec<_>, _> = literals.into_iter().map(String::from_utf8).collect();
    let mut strings = strings.ok()?;
    strings.sort_unstable();
    strings.dedup();
    Some(strings)
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
        HirKind::Concat(parts) => parts.iter().all(|part| append_prefix(part, prefix)),
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

fn append_all_exact(parts: &[Hir], prefix: &mut Vec<u8>) -> bool {
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
