//! RE2's syntax: reads a regular expression as Prometheus reads it, into a
//! [`Hir`](regex_syntax::hir::Hir).
//!
//! Called by [`Pattern`](super::pattern::Pattern) and [`AnchoredRegex`](super::AnchoredRegex) only.
//! The syntax is that of Go's `regexp/syntax` with its Perl flags, in the state of the copy that
//! Prometheus compiles (<https://github.com/google/re2/wiki/Syntax>): `.` matches a newline unless
//! `(?-s)` says otherwise, braces that are no repetition are literal, classes have no set operations,
//! `\d`, `\s`, `\w` and `\b` are ASCII, `\Q` quotes up to `\E`, `(?i)` folds as Unicode's simple case
//! folding does. The crate `regex_syntax` reads another language, of which only the tree of the
//! outcome and the tables of Unicode are used here.
//!
//! Reading never panics, takes time linear in the pattern and recurses nowhere; how deep nests what it
//! builds is limited (`node.rs`), so that recursion over it is bounded.

mod class;
mod escape;
mod fold;
mod group;
mod input;
mod node;
mod parser;
mod repeat;
mod sets;
mod unicode;

pub(super) use input::Fault;
pub(super) use parser::{Parsed, parse};
pub(super) use unicode::is_letter_or_digit;
