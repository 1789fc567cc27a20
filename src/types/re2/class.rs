//! Classes in brackets.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::escape::read_escape;
use super::fold;
use super::input::{Fault, Input};
use super::sets::{Ranges, read_perl, read_posix};
use super::unicode;

/// Characters that are gathered for one class.
#[derive(Debug)]
pub(super) struct CharSet {
    /// Whether upper and lower case are the same.
    fold: bool,
    /// What is folded in the end.
    plain: Vec<ClassUnicodeRange>,
    /// What is not: RE2 folds a set before it takes its opposite.
    exact: Vec<ClassUnicodeRange>,
    /// How many characters folding yielded.
    folded: usize,
}

impl CharSet {
    pub(super) fn new(fold: bool) -> Self {
        Self { fold, plain: Vec::new(), exact: Vec::new(), folded: 0 }
    }

    /// The characters with numbers from `start` to `end`, except surrogates, which no text holds.
    fn add_range(&mut self, start: u32, end: u32) {
        let start = char::from_u32(start).unwrap_or('\u{e000}');
        let end = char::from_u32(end).unwrap_or('\u{d7ff}');
        if start <= end {
            self.plain.push(ClassUnicodeRange::new(start, end));
        }
    }

    pub(super) fn add_named(&mut self, (ranges, negated): (Ranges, bool)) {
        let ranges = ranges.iter().map(|&(start, end)| ClassUnicodeRange::new(start, end));
        match negated {
            false => self.plain.extend(ranges),
            true => self.add_class((ClassUnicode::new(ranges), true)),
        }
    }

    pub(super) fn add_class(&mut self, (mut class, negated): (ClassUnicode, bool)) {
        if !negated {
            self.plain.extend(class.ranges());
            return;
        }
        if self.fold {
            self.folded += fold::fold(&mut class);
        }
        class.negate();
        self.exact.extend(class.ranges());
    }

    /// The class, and the work that it took: ranges, and characters that were folded.
    pub(super) fn finish(self) -> (ClassUnicode, usize) {
        let mut class = ClassUnicode::new(self.plain);
        let mut work = self.folded;
        if self.fold {
            work += fold::fold(&mut class);
        }
        class.union(&ClassUnicode::new(self.exact));
        work += class.ranges().len();
        (class, work)
    }
}

/// Reads a class, which begins with `[`. `charge` is told how much work it and the Unicode classes in
/// it take, in ranges, and may refuse.
pub(super) fn read_bracketed(
    input: &mut Input<'_>,
    fold: bool,
    mut charge: impl FnMut(&Input<'_>, usize) -> Result<(), Fault>,
) -> Result<ClassUnicode, Fault> {
    let open = input.at();
    input.eat("[");
    let negated = input.eat("^");
    let mut set = CharSet::new(fold);
    let mut first = true;
    // A bracket that comes first is a character.
    while first || !input.eat("]") {
        first = false;
        if let Some(named) = read_posix(input)? {
            set.add_named(named);
        } else if let Some((class, negated)) = unicode::read_class(input)? {
            charge(input, class.ranges().len())?;
            set.add_class((class, negated));
        } else if let Some(named) = read_perl(input) {
            set.add_named(named);
        } else {
            let (start, end) = read_range(input, open)?;
            set.add_range(start, end);
        }
    }
    let (mut class, work) = set.finish();
    charge(input, work)?;
    if negated {
        class.negate();
    }
    Ok(class)
}

/// A character, or two with `-` between them.
fn read_range(input: &mut Input<'_>, open: usize) -> Result<(u32, u32), Fault> {
    let at = input.at();
    let start = read_char(input, open)?;
    let rest = input.rest();
    // Before the bracket that closes the class, `-` is a character.
    if !rest.starts_with('-') || rest == "-" || rest.starts_with("-]") {
        return Ok((start, start));
    }
    input.take(1);
    let end = read_char(input, open)?;
    match start <= end {
        true => Ok((start, end)),
        false => Err(input.fault(at, "invalid character class range")),
    }
}

fn read_char(input: &mut Input<'_>, open: usize) -> Result<u32, Fault> {
    match input.peek() {
        Some('\\') => read_escape(input),
        Some(c) => {
            input.next();
            Ok(u32::from(c))
        }
        None => Err(input.fault(open, "missing closing ]")),
    }
}
