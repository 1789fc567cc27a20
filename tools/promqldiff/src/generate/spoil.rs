//! Breaks a query, so that both sides have something to refuse.

use crate::random::Random;
use crate::tokens;

const INSERTED: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    "+",
    "by",
    "on(job)",
    "offset",
    "@",
    "bool",
    "5m",
    "[5m]",
    "\"x\"",
    "1",
    "x",
    "==",
    "and",
    "group_left",
    ":",
    "offset 1m",
    "ignoring",
    "=~",
    "sum",
    "rate",
    "'",
    "#",
    "\\",
    "$",
    "!",
    "[5m:]",
    "é",
    "NaN",
    "start()",
    "1.2.3",
    "0x",
    "5mm",
];

/// The text with one or two tokens removed, doubled, exchanged or put in.
pub(crate) fn spoil(text: &str, random: &mut Random) -> String {
    let mut parts: Vec<String> = tokens::split(text).into_iter().map(Into::into).collect();
    for _ in 0..=random.below(2) {
        if parts.is_empty() {
            break;
        }
        let at = random.below(parts.len());
        match random.below(4) {
            0 => {
                parts.remove(at);
            }
            1 => parts.insert(at, parts[at].clone()),
            2 => {
                let other = random.below(parts.len());
                parts.swap(at, other);
            }
            _ => parts.insert(at, format!(" {} ", random.pick(INSERTED))),
        }
    }
    parts.concat()
}
