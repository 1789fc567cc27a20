//! Splits a text into tokens that borrow from it.
//!
//! What a character means depends on where it stands, so the lexer knows whether it is inside braces
//! (names have no colon, no word is a keyword, `=` compares), inside brackets (a colon separates
//! range and step, the only words are functions of durations) or outside of both. White space and
//! comments (`#` to the end of the line) may stand between any two tokens. Called by the parser, one
//! token at a time, and never again after an error.

use super::lexeme;
use super::token::{Keyword, Token, TokenKind, minmax, word_kind};
use crate::ast::{BinaryOp, Span};
use crate::error::Fault;
use crate::quote::{quoted, quoted_char};

/// Yields the tokens of a text, at last [`TokenKind::End`], again and again.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    /// A byte offset, always at the start of a character.
    at: usize,
    place: Place,
    /// How many parentheses are open, in brackets and outside of them.
    parens: u32,
}

/// Where the lexer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Braces,
    /// Before the first number in brackets.
    BracketStart,
    /// Behind the first number in brackets.
    Brackets {
        colon: bool,
    },
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, place: Place::Outside, parens: 0 }
    }

    pub(super) fn next(&mut self) -> Result<Token, Fault> {
        self.skip_blanks_and_comments();
        let start = self.at;
        let kind = match self.place {
            Place::Outside => self.outside(),
            Place::Braces => self.in_braces(),
            Place::BracketStart => self.at_bracket_start(),
            Place::Brackets { colon } => self.in_brackets(colon),
        }?;
        Ok(Token { kind, span: Span::new(start, self.at) })
    }

    fn skip_blanks_and_comments(&mut self) {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                // Arithmetic in brackets takes no comment before its first number.
                Some(b'#') if self.place != Place::BracketStart => {
                    let rest = &bytes[self.at..];
                    let line_end = rest.iter().position(|b| matches!(b, b'\n' | b'\r'));
                    self.at += line_end.unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    /// The byte at `distance` from here; 0, which is no token, behind the end.
    fn byte(&self, distance: usize) -> u8 {
        self.text.as_bytes().get(self.at + distance).copied().unwrap_or(0)
    }

    /// The character at `distance`, as messages show it.
    fn shown_char(&self, distance: usize) -> String {
        let rest = self.text.get(self.at + distance..).unwrap_or_default();
        quoted_char(rest.chars().next().unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn take(&mut self, bytes: usize, kind: TokenKind) -> Result<TokenKind, Fault> {
        self.at += bytes;
        Ok(kind)
    }

    /// An error that starts at the token and ends `bytes` behind it.
    fn fault<T>(&self, bytes: usize, message: String) -> Result<T, Fault> {
        let end = (self.at + bytes).min(self.text.len());
        Err(Fault::new(Span::new(self.at, end), message))
    }

    fn unexpected<T>(&self, what: &str) -> Result<T, Fault> {
        let char_len = self.text[self.at..].chars().next().map_or(0, char::len_utf8);
        self.fault(char_len, format!("{what}: {}", self.shown_char(0)))
    }

    fn outside(&mut self) -> Result<TokenKind, Fault> {
        match self.byte(0) {
            0 if self.at == self.text.len() => self.end(),
            b'[' => {
                self.place = Place::BracketStart;
                self.take(1, TokenKind::LeftBracket)
            }
            b']' => self.fault(1, "unexpected right bracket ']'".to_owned()),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':' => self.word(),
            _ => self.symbol_or_literal(),
        }
    }

    fn end(&self) -> Result<TokenKind, Fault> {
        if self.parens != 0 {
            return self.fault(0, "unclosed left parenthesis".to_owned());
        }
        if self.place != Place::Outside {
            return self.fault(0, "unclosed left bracket".to_owned());
        }
        Ok(TokenKind::End)
    }

    /// A name or keyword outside of braces and brackets.
    fn word(&mut self) -> Result<TokenKind, Fault> {
        let (len, has_colon) = lexeme::metric_name(&self.text.as_bytes()[self.at..]);
        let mut kind = if has_colon {
            TokenKind::MetricIdentifier
        } else {
            word_kind(&self.text[self.at..self.at + len])
        };
        self.at += len;
        // These became keywords late: a metric of that name must go on working.
        use Keyword::{Fill, FillLeft, FillRight};
        if matches!(kind, TokenKind::Keyword(Fill | FillLeft | FillRight)) {
            let rest = self.text[self.at..].trim_start_matches([' ', '\t', '\n', '\r']);
            if !rest.starts_with('(') {
                kind = TokenKind::Identifier;
            }
        }
        Ok(kind)
    }

    /// What is the same outside of brackets and behind the first number in them.
    fn symbol_or_literal(&mut self) -> Result<TokenKind, Fault> {
        use BinaryOp::{
            Div, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual, TrimLower, TrimUpper,
        };
        let op = TokenKind::Operator;
        match (self.byte(0), self.byte(1)) {
            (b'=', b'=') => self.take(2, op(Equal)),
            (b'=', b'~') => self.fault(1, "unexpected character after '=': '~'".to_owned()),
            (b'=', _) => self.take(1, TokenKind::Assign),
            (b'!', b'=') => self.take(2, op(NotEqual)),
            (b'!', _) => {
                self.fault(1, format!("unexpected character after '!': {}", self.shown_char(1)))
            }
            (b'<', b'=') => self.take(2, op(LessOrEqual)),
            (b'<', b'/') => self.take(2, op(TrimUpper)),
            (b'<', _) => self.take(1, op(Less)),
            (b'>', b'=') => self.take(2, op(GreaterOrEqual)),
            (b'>', b'/') => self.take(2, op(TrimLower)),
            (b'>', _) => self.take(1, op(Greater)),
            (b'/', _) => self.take(1, op(Div)),
            (b'@', _) => self.take(1, TokenKind::At),
            (b'{', _) => {
                self.place = Place::Braces;
                self.take(1, TokenKind::LeftBrace)
            }
            (b'"' | b'\'' | b'`', _) => self.string(),
            (b'0'..=b'9', _) | (b'.', b'0'..=b'9') => self.number_or_duration(),
            _ => match self.arithmetic()? {
                Some(kind) => Ok(kind),
                None => self.unexpected("unexpected character"),
            },
        }
    }

    /// Parentheses, commas and operators of arithmetic, which are tokens of their own everywhere
    /// outside of braces.
    fn arithmetic(&mut self) -> Result<Option<TokenKind>, Fault> {
        let kind = match self.byte(0) {
            b'(' => {
                self.parens = self.parens.saturating_add(1);
                TokenKind::LeftParen
            }
            b')' => {
                let Some(parens) = self.parens.checked_sub(1) else {
                    // Placed behind the parenthesis, as Prometheus does.
                    self.at += 1;
                    return self.fault(0, "unexpected right parenthesis ')'".to_owned());
                };
                self.parens = parens;
                TokenKind::RightParen
            }
            b',' => TokenKind::Comma,
            b'+' => TokenKind::Operator(BinaryOp::Add),
            b'-' => TokenKind::Operator(BinaryOp::Sub),
            b'*' => TokenKind::Operator(BinaryOp::Mul),
            b'/' => TokenKind::Operator(BinaryOp::Div),
            b'%' => TokenKind::Operator(BinaryOp::Mod),
            b'^' => TokenKind::Operator(BinaryOp::Pow),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(kind))
    }

    fn in_braces(&mut self) -> Result<TokenKind, Fault> {
        match (self.byte(0), self.byte(1)) {
            (0, _) if self.at == self.text.len() => {
                self.fault(0, "unexpected end of input inside braces".to_owned())
            }
            (b'a'..=b'z' | b'A'..=b'Z' | b'_', _) => {
                let len = lexeme::name(&self.text.as_bytes()[self.at..]);
                self.take(len, TokenKind::Identifier)
            }
            (b',', _) => self.take(1, TokenKind::Comma),
            (b'"' | b'\'' | b'`', _) => self.string(),
            (b'=', b'~') => self.take(2, TokenKind::Regex),
            (b'=', _) => self.take(1, TokenKind::Assign),
            (b'!', b'~') => self.take(2, TokenKind::NotRegex),
            (b'!', b'=') => self.take(2, TokenKind::Operator(BinaryOp::NotEqual)),
            (b'!', _) => {
                let next = self.shown_char(1);
                self.fault(1, format!("unexpected character after '!' inside braces: {next}"))
            }
            (b'{', _) => self.fault(1, "unexpected left brace '{'".to_owned()),
            (b'}', _) => {
                self.place = Place::Outside;
                self.take(1, TokenKind::RightBrace)
            }
            _ => self.unexpected("unexpected character inside braces"),
        }
    }

    fn at_bracket_start(&mut self) -> Result<TokenKind, Fault> {
        const UNEXPECTED: &str = "unexpected character in duration expression";
        match (self.byte(0), self.byte(1)) {
            (0, _) if self.at == self.text.len() => {
                self.fault(0, "unexpected end of input in duration expression".to_owned())
            }
            (b']', _) => {
                self.place = Place::Outside;
                self.take(1, TokenKind::RightBracket)
            }
            (b':', _) => {
                self.at += 1;
                self.fault(0, "unexpected colon before duration in duration expression".to_owned())
            }
            (b'0'..=b'9', _) | (b'.', b'0'..=b'9') => {
                self.place = Place::Brackets { colon: false };
                self.number_or_duration()
            }
            (b'a'..=b'z' | b'A'..=b'Z' | b'_', _) => match self.duration_function() {
                Some(kind) => Ok(kind),
                None => self.unexpected(UNEXPECTED),
            },
            _ => match self.arithmetic()? {
                Some(kind) => Ok(kind),
                None => self.unexpected(UNEXPECTED),
            },
        }
    }

    fn in_brackets(&mut self, colon: bool) -> Result<TokenKind, Fault> {
        match self.byte(0) {
            0 if self.at == self.text.len() => self.end(),
            b']' => {
                self.place = Place::Outside;
                self.take(1, TokenKind::RightBracket)
            }
            b'[' => self.fault(1, "unexpected left bracket '['".to_owned()),
            b':' if colon => self.fault(1, "unexpected colon ':'".to_owned()),
            b':' => {
                self.place = Place::Brackets { colon: true };
                self.take(1, TokenKind::Colon)
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => match self.duration_function() {
                Some(kind) => Ok(kind),
                None => {
                    let shown = self.shown_char(0);
                    self.fault(1, format!("unexpected character: {shown}, expected ':'"))
                }
            },
            _ => self.symbol_or_literal(),
        }
    }

    /// The name of a function of durations, if one stands here.
    fn duration_function(&mut self) -> Option<TokenKind> {
        let bytes = &self.text.as_bytes()[self.at..];
        let in_word = |b: &u8| b.is_ascii_alphabetic() || *b == b'_';
        let len = bytes.iter().position(|b| !in_word(b)).unwrap_or(bytes.len());
        let word = &self.text[self.at..self.at + len];
        let kind = match word_kind(word) {
            kind @ TokenKind::Keyword(Keyword::Step | Keyword::Range) => kind,
            TokenKind::Identifier if minmax(word).is_some() => TokenKind::Identifier,
            _ => return None,
        };
        self.at += len;
        if self.place == Place::BracketStart {
            self.place = Place::Brackets { colon: false };
        }
        Some(kind)
    }

    fn string(&mut self) -> Result<TokenKind, Fault> {
        let len = lexeme::string(self.text, self.at)?;
        self.take(len, TokenKind::String)
    }

    fn number_or_duration(&mut self) -> Result<TokenKind, Fault> {
        let (number, end) = lexeme::number(self.text.as_bytes(), self.at);
        if number {
            self.at = end;
            return Ok(TokenKind::Number);
        }
        match lexeme::duration(self.text.as_bytes(), end) {
            Ok(end) => {
                self.at = end;
                Ok(TokenKind::Duration)
            }
            Err(end) => {
                let found = quoted(&self.text.as_bytes()[self.at..end]);
                self.fault(end - self.at, format!("bad number or duration syntax: {found}"))
            }
        }
    }
}
