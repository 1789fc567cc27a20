//! Sets of characters with a name: Perl's `\d`, `\s`, `\w`, POSIX' `[:alpha:]`, all of them ASCII.

use super::input::{Fault, Input};

/// Ranges of characters, sorted.
pub(super) type Ranges = &'static [(char, char)];

const DIGIT: Ranges = &[('0', '9')];
const WORD: Ranges = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];

/// Reads `\d`, `\s`, `\w` and their opposites: the set, and whether the opposite is meant.
pub(super) fn read_perl(input: &mut Input<'_>) -> Option<(Ranges, bool)> {
    let letter = input.rest().strip_prefix('\\')?.chars().next()?;
    let set: Ranges = match letter.to_ascii_lowercase() {
        'd' => DIGIT,
        's' => &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')],
        'w' => WORD,
        _ => return None,
    };
    input.take(2);
    Some((set, letter.is_ascii_uppercase()))
}

/// Reads `[:name:]` and `[:^name:]`: the set, and whether the opposite is meant; `None` if what comes
/// does not look like it.
pub(super) fn read_posix(input: &mut Input<'_>) -> Result<Option<(Ranges, bool)>, Fault> {
    let start = input.at();
    let Some(name) = input.posix_name() else { return Ok(None) };
    let (name, negated) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
    let set: Ranges = match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7f')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "digit" => DIGIT,
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => WORD,
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return Err(input.fault(start, "invalid character class range")),
    };
    Ok(Some((set, negated)))
}
