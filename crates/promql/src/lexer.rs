//! Splits a selector into tokens with byte spans.
//!
//! The lexer knows whether it is inside braces, where a colon is not part of a name. White space
//! and comments (`#` to the end of the line) stand between any two tokens. Tokens borrow from the
//! input; escapes in strings are resolved by the parser, which knows what the string is for.

use std::ops::Range;

use siltstone::MatchOp;

use crate::error::Fault;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    LeftBrace,
    RightBrace,
    Comma,
    /// `=`, `!=`, `=~` or `!~`.
    MatchOp(MatchOp),
    /// A bare name; outside braces it may hold colons.
    Identifier,
    /// A quoted text, quotes included.
    String,
    /// The end of the input.
    End,
}

impl TokenKind {
    /// How messages name it.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::LeftBrace => "'{'",
            Self::RightBrace => "'}'",
            Self::Comma => "','",
            Self::MatchOp(op) => match op {
                MatchOp::Equal => "'='",
                MatchOp::NotEqual => "'!='",
                MatchOp::Regex => "'=~'",
                MatchOp::NotRegex => "'!~'",
            },
            Self::Identifier => "a name",
            Self::String => "a string",
            Self::End => "the end of the selector",
        }
    }
}

/// A token and where it is in the input, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) span: Range<usize>,
}

/// Yields the tokens of `input`, at last [`TokenKind::End`], again and again.
#[derive(Debug)]
pub(crate) struct Lexer<'a> {
    input: &'a str,
    /// A byte offset, always at the start of a character.
    at: usize,
    in_braces: bool,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(input: &'a str) -> Self {
        Self { input, at: 0, in_braces: false }
    }

    pub(crate) fn next(&mut self) -> Result<Token, Fault> {
        self.skip_blanks_and_comments();
        let start = self.at;
        let bytes = &self.input.as_bytes()[start..];
        let (kind, len) = match bytes {
            [] => (TokenKind::End, 0),
            [b'{', ..] => (TokenKind::LeftBrace, 1),
            [b'}', ..] => (TokenKind::RightBrace, 1),
            [b',', ..] => (TokenKind::Comma, 1),
            [b'=', b'~', ..] => (TokenKind::MatchOp(MatchOp::Regex), 2),
            [b'=', ..] => (TokenKind::MatchOp(MatchOp::Equal), 1),
            [b'!', b'=', ..] => (TokenKind::MatchOp(MatchOp::NotEqual), 2),
            [b'!', b'~', ..] => (TokenKind::MatchOp(MatchOp::NotRegex), 2),
            [quote @ (b'"' | b'\'' | b'`'), ..] => (TokenKind::String, self.string_len(*quote)?),
            [first, ..] if self.in_name(*first) && !first.is_ascii_digit() => {
                let end = bytes.iter().position(|b| !self.in_name(*b));
                (TokenKind::Identifier, end.unwrap_or(bytes.len()))
            }
            _ => return Err(self.unexpected_character()),
        };
        match kind {
            TokenKind::LeftBrace => self.in_braces = true,
            TokenKind::RightBrace => self.in_braces = false,
            _ => {}
        }
        self.at += len;
        Ok(Token { kind, span: start..self.at })
    }

    fn in_name(&self, byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || byte == b'_' || (byte == b':' && !self.in_braces)
    }

    fn skip_blanks_and_comments(&mut self) {
        loop {
            let rest = &self.input[self.at..];
            let text = rest.trim_start_matches([' ', '\t', '\n', '\r']);
            self.at += rest.len() - text.len();
            if !text.starts_with('#') {
                return;
            }
            self.at += text.find('\n').unwrap_or(text.len());
        }
    }

    /// The length of the string that starts here, quotes included.
    fn string_len(&self, quote: u8) -> Result<usize, Fault> {
        let bytes = &self.input.as_bytes()[self.at..];
        let raw = quote == b'`';
        let mut len = 1;
        loop {
            match bytes.get(len) {
                Some(b) if *b == quote => return Ok(len + 1),
                // The escaped byte may be the quote or a backslash; what else it is decides the parser.
                Some(b'\\') if !raw && bytes.get(len + 1) != Some(&b'\n') => len += 2,
                Some(b'\n') if !raw => break,
                Some(_) => len += 1,
                None => break,
            }
        }
        let end = self.at + len.min(bytes.len());
        Err(Fault::new(self.at..end, "the string is not closed"))
    }

    fn unexpected_character(&self) -> Fault {
        let c = self.input[self.at..].chars().next().unwrap_or_default();
        let hint = if c.is_ascii() { "" } else { "; such names are quoted, inside braces" };
        Fault::new(self.at..self.at + c.len_utf8(), format!("unexpected character {c:?}{hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(input: &str) -> Vec<(TokenKind, &str)> {
        let mut lexer = Lexer::new(input);
        let mut all = Vec::new();
        loop {
            let token = lexer.next().unwrap();
            if token.kind == TokenKind::End {
                return all;
            }
            all.push((token.kind, &input[token.span]));
        }
    }

    #[test]
    fn every_token() {
        use TokenKind::{Comma, Identifier, LeftBrace, RightBrace, String};
        let op = TokenKind::MatchOp;
        assert_eq!(
            tokens(":a:1 {b!=\"\\\"\",c=~'x',\t# no, \"comment\"\n d!~`\\`, e = \"\"}"),
            [
                (Identifier, ":a:1"),
                (LeftBrace, "{"),
                (Identifier, "b"),
                (op(MatchOp::NotEqual), "!="),
                (String, "\"\\\"\""),
                (Comma, ","),
                (Identifier, "c"),
                (op(MatchOp::Regex), "=~"),
                (String, "'x'"),
                (Comma, ","),
                (Identifier, "d"),
                (op(MatchOp::NotRegex), "!~"),
                (String, "`\\`"),
                (Comma, ","),
                (Identifier, "e"),
                (op(MatchOp::Equal), "="),
                (String, "\"\""),
                (RightBrace, "}"),
            ]
        );
    }

    #[test]
    fn what_is_no_token_is_shown() {
        for (input, span) in [
            ("1a", 0..1),
            ("!", 0..1),
            (" ;", 1..2),
            ("{:", 1..2),
            ("دما", 0..2),
            ("\"abc", 0..4),
            ("\"ab\\", 0..4),
            ("'a\nb'", 0..2),
            ("'a\\\nb'", 0..3),
            ("`a\nb", 0..4),
        ] {
            let mut lexer = Lexer::new(input);
            let fault = loop {
                match lexer.next() {
                    Ok(token) => assert_ne!(token.kind, TokenKind::End, "{input}"),
                    Err(fault) => break fault,
                }
            };
            assert_eq!(fault.span, span, "{input}");
        }
    }
}
