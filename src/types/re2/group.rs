//! What follows `(?`: names of groups, and flags.

use super::input::{Fault, Input};

/// How the text that follows is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags {
    /// `i`: upper and lower case are the same.
    pub(super) fold: bool,
    /// `m`: `^` and `$` match at lines.
    pub(super) multi_line: bool,
    /// `s`: `.` matches a newline.
    pub(super) dot_newline: bool,
    /// `U`: `x*` is lazy and `x*?` greedy.
    pub(super) ungreedy: bool,
}

impl Flags {
    /// What Prometheus begins with: `(?s:`.
    pub(super) const START: Self =
        Self { fold: false, multi_line: false, dot_newline: true, ungreedy: false };

    /// Sets or clears the flag with this letter; false if there is none.
    fn set(&mut self, letter: char, on: bool) -> bool {
        match letter {
            'i' => self.fold = on,
            'm' => self.multi_line = on,
            's' => self.dot_newline = on,
            'U' => self.ungreedy = on,
            _ => return false,
        }
        true
    }
}

/// What an opening parenthesis begins.
pub(super) enum Opening<'p> {
    /// `(` and `(?P<name>`.
    Capture(Option<&'p str>),
    /// `(?flags:`.
    Plain(Flags),
    /// `(?flags)`, no group at all.
    Switch(Flags),
}

/// Reads what begins with `(`, under the flags in force.
pub(super) fn read_opening<'p>(input: &mut Input<'p>, flags: Flags) -> Result<Opening<'p>, Fault> {
    let start = input.at();
    input.eat("(");
    if !input.eat("?") {
        return Ok(Opening::Capture(None));
    }
    let rest = input.rest();
    // Go looks for a name only where something follows the `<`.
    let is_named = |prefix: &&str| rest.starts_with(prefix) && rest.len() > prefix.len();
    match ["P<", "<"].into_iter().find(is_named) {
        Some(prefix) => {
            input.eat(prefix);
            read_name(input, start).map(|name| Opening::Capture(Some(name)))
        }
        None => read_flags(input, start, flags),
    }
}

fn read_name<'p>(input: &mut Input<'p>, start: usize) -> Result<&'p str, Fault> {
    const INVALID: &str = "invalid named capture";
    let Some(end) = input.rest().find('>') else {
        return Err(input.fault_to_end(start, INVALID));
    };
    let name = input.take(end);
    input.eat(">");
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match !name.is_empty() && name.chars().all(valid) {
        true => Ok(name),
        false => Err(input.fault(start, INVALID)),
    }
}

fn read_flags<'p>(
    input: &mut Input<'p>,
    start: usize,
    mut flags: Flags,
) -> Result<Opening<'p>, Fault> {
    let (mut on, mut seen) = (true, false);
    loop {
        match input.next() {
            Some('-') if on => (on, seen) = (false, false),
            Some(end @ (':' | ')')) if on || seen => {
                return Ok(if end == ':' { Opening::Plain(flags) } else { Opening::Switch(flags) });
            }
            Some(letter) if flags.set(letter, on) => seen = true,
            _ => return Err(input.fault(start, "invalid or unsupported Perl syntax")),
        }
    }
}
