//! The parser against hand-written texts.
