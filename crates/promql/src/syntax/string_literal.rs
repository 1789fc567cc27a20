//! The content of string literals: the escapes of Go in `"` and `'`, none in backticks.

use std::borrow::Cow;

/// The bytes that `literal`, quotes included, stands for.
///
/// The lexer has made sure that it begins and ends with the same quote and that its escapes are
/// valid. The bytes need not be UTF-8: `"\xc5"` is one byte.
pub(super) fn unquote(literal: &str) -> Cow<'_, [u8]> {
    let content = &literal[1..literal.len() - 1];
    if literal.starts_with('`') || !content.contains('\\') {
        return content.as_bytes().into();
    }
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(len) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..len]);
        rest = push_escape(&rest[len + 1..], &mut out);
    }
    out.extend_from_slice(rest.as_bytes());
    out.into()
}

/// Appends what the escape at the start of `text` stands for; returns what follows it.
fn push_escape<'a>(text: &'a str, out: &mut Vec<u8>) -> &'a str {
    let kind = text.as_bytes().first().copied().unwrap_or(b'\\');
    let (skip, digits, radix) = match kind {
        b'0'..=b'7' => (0, 3, 8),
        b'x' => (1, 2, 16),
        b'u' => (1, 4, 16),
        b'U' => (1, 8, 16),
        _ => {
            out.push(match kind {
                b'a' => 7,
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 11,
                quote_or_backslash => quote_or_backslash,
            });
            return text.get(1..).unwrap_or_default();
        }
    };
    let (digits, rest) = text.split_at(skip + digits);
    let value = u32::from_str_radix(&digits[skip..], radix)
        .expect("the lexer has checked the digits of the escape");
    match u8::try_from(value) {
        Ok(byte) if matches!(kind, b'0'..=b'7' | b'x') => out.push(byte),
        _ => {
            let c = char::from_u32(value).expect("the lexer has checked the code point");
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_go() {
        for (literal, bytes) in [
            (r#""""#, &b""[..]),
            (r#""\a\b\f\n\r\t\v\\\"'""#, b"\x07\x08\x0c\n\r\t\x0b\\\"'"),
            (r#"'\'"`'"#, b"'\"`"),
            (r#""\x41\101\u0645\U0001F600\000\u00e9""#, "AAم😀\0é".as_bytes()),
            (r#""\xd8\xaf\330\xa7""#, "دا".as_bytes()),
            (r#""a\xc5z""#, b"a\xc5z"),
            ("`\\d+\\n`", b"\\d+\\n"),
            ("`a\nb`", b"a\nb"),
            ("\"می\u{200c}خواهم \\t Йошкар\"", "می\u{200c}خواهم \t Йошкар".as_bytes()),
        ] {
            assert_eq!(&*unquote(literal), bytes, "{literal}");
        }
    }
}
