//! Cuts a query into tokens, roughly: for spoiling and shrinking, which check what they made.

/// Words, numbers, strings, blanks and single signs, in order; together they are the text.
pub(crate) fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '"' | '\'' | '`' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            _ if is_word(first) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            ' ' => rest.find(|c| c != ' ').unwrap_or(rest.len()),
            _ => {
                let two = ["==", "!=", "<=", ">=", "=~", "!~"];
                if two.iter().any(|two| rest.starts_with(two)) { 2 } else { first.len_utf8() }
            }
        };
        let (part, behind) = rest.split_at(len);
        parts.push(part);
        rest = behind;
    }
    parts
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_.".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_the_text() {
        let text = "sum by(a.b) (x{y=~\"é)\"}[5m] ) >= 1.5'";
        let parts = split(text);
        assert_eq!(parts.concat(), text);
        assert_eq!(parts[..5], ["sum", " ", "by", "(", "a.b"]);
        assert!(parts.contains(&"\"é)\"") && parts.contains(&">="));
    }
}
