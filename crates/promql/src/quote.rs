//! Quoting as Go does it: in error messages and in printed queries.
//!
//! A printed string must read back as the same bytes, whatever they are, and error messages must be
//! those of Prometheus, which writes them with Go's `%q`.

use std::fmt::Write;

/// `bytes` in double quotes, as Go's `strconv.Quote` writes them: printable characters as they are,
/// others and invalid UTF-8 as escapes.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        chunk.valid().chars().for_each(|c| push_escaped(&mut out, c, '"'));
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

/// `c` in single quotes, as Go's `strconv.QuoteRune` writes it.
pub(crate) fn quoted_char(c: char) -> String {
    let mut out = String::from("'");
    push_escaped(&mut out, c, '\'');
    out.push('\'');
    out
}

/// `c` as Go's `%#U` writes it: `U+0064 'd'`, without the character if it is not printable.
pub(crate) fn code_point(c: char) -> String {
    let number = format!("U+{:04X}", u32::from(c));
    if is_printable(c) { format!("{number} '{c}'") } else { number }
}

fn push_escaped(out: &mut String, c: char, quote: char) {
    let short = match c {
        '\x07' => "\\a",
        '\x08' => "\\b",
        '\x0c' => "\\f",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\x0b' => "\\v",
        '\\' => "\\\\",
        _ => "",
    };
    let code = u32::from(c);
    let _ = match c {
        _ if !short.is_empty() => out.write_str(short),
        _ if c == quote => write!(out, "\\{c}"),
        _ if is_printable(c) => out.write_char(c),
        _ if code < 0x80 => write!(out, "\\x{code:02x}"),
        _ if code < 0x1_0000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// Whether `c` is a letter, mark, number, punctuation, symbol or the ASCII space.
///
/// The standard library has the table for `Debug` only. It shows a printable character as itself,
/// a mark only behind another character.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    let mut buffer = [b'x'; 5];
    let len = c.encode_utf8(&mut buffer[1..]).len();
    let text = str::from_utf8(&buffer[..=len]).unwrap_or_default();
    text.escape_debug().count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_go_does() {
        for (bytes, expected) in [
            (&b"a\"b'c\\"[..], r#""a\"b'c\\""#),
            (b"\x07\x08\x0c\n\r\t\x0b\0\x7f", r#""\a\b\f\n\r\t\v\x00\x7f""#),
            (b"a\xc5z\xff", r#""a\xc5z\xff""#),
            ("دما é\u{301} 😀".as_bytes(), "\"دما é\u{301} 😀\""),
            ("\u{200c}\u{a0}\u{e0001}".as_bytes(), r#""\u200c\u00a0\U000e0001""#),
        ] {
            assert_eq!(quoted(bytes), expected);
        }
        assert_eq!(quoted_char('\''), r"'\''");
        assert_eq!(quoted_char('"'), "'\"'");
        assert_eq!(code_point('d'), "U+0064 'd'");
        assert_eq!(code_point('\u{200c}'), "U+200C");
    }
}
