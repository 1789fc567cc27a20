//! The lexer against hand-written texts.
