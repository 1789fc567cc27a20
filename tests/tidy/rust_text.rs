//! Rust source as text: what is left of a file when comments, literals and tests are taken out.
//!
//! `imports` reads what is left. Everything works on the shapes that rustfmt leaves; there is no
//! parser here and none is wanted.

/// The text without comments, and with every string and character literal empty.
pub(crate) fn without_comments_and_literals(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_word = kept.chars().next_back().is_some_and(is_word);
        let taken = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            kept.push_str("\"\"");
            string_length(rest)
        } else if let Some(length) = raw_string_length(rest).filter(|_| !after_word) {
            kept.push_str("\"\"");
            length
        } else if let Some(length) = character_length(rest) {
            kept.push_str("' '");
            length
        } else {
            kept.push(first);
            first.len_utf8()
        };
        rest = &rest[taken..];
    }
    kept
}

/// Whether a name may contain this character.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The bytes of the string literal that `text` starts with.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The bytes of the raw string literal that `text` starts with, with its `r` and `#`s.
fn raw_string_length(text: &str) -> Option<usize> {
    let marks = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let opening = marks.find(|c| c != '#').filter(|at| marks[*at..].starts_with('"'))?;
    let end = format!("\"{}", &marks[..opening]);
    let body = text.len() - marks.len() + opening + 1;
    text[body..].find(&end).map(|at| body + at + end.len())
}

/// The bytes of the character literal that `text` starts with; a lifetime is none.
fn character_length(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let closing = if inside.starts_with('\\') {
        2 + inside.get(2..)?.find('\'')?
    } else {
        inside.chars().next()?.len_utf8()
    };
    inside[closing..].starts_with('\'').then_some(closing + 2)
}

/// The text without the items under `#[cfg(test)]`; takes what `without_comments_and_literals` left.
pub(crate) fn without_tests(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, item)) = rest.split_once("#[cfg(test)]") {
        kept.push_str(before);
        rest = &item[item_length(item)..];
    }
    kept + rest
}

/// The bytes up to the end of the item that `text` starts with: its `;` or its closing brace.
fn item_length(text: &str) -> usize {
    let is_use = text.trim_start().split(' ').take(2).any(|word| word == "use");
    let mut open = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' | '(' | '[' => open += 1,
            '}' | ')' | ']' => open = open.saturating_sub(1),
            _ => {}
        }
        if open == 0 && (c == ';' || (c == '}' && !is_use)) {
            return at + 1;
        }
    }
    text.len()
}

#[test]
fn only_code_is_left() {
    let text = "a // b\nc /* d */ e \"f\\\"g\" r#\"h\"i\"# '\\'' 'j' &'k l for \"\" m";
    let left = without_comments_and_literals(text);
    assert_eq!(left, "a \nc  e \"\" \"\" ' ' ' ' &'k l for \"\" m");
}

#[test]
fn tests_are_left_out() {
    let text = "#[cfg(test)]\nmod tests;\nmod a;\n#[cfg(test)]\nuse b::{c, d};\nfn e() {}\n\
                #[cfg(test)]\nmod f {\n    fn g() { h(); }\n}\nfn i() {}";
    assert_eq!(without_tests(text), "\nmod a;\n\nfn e() {}\n\nfn i() {}");
}
