//! From text to syntax tree: lexer, parser, type checker.
//!
//! # Grammar
//!
//! ```text
//! expression  = unary { operator modifiers unary }            binding powers below
//! unary       = { "+" | "-" } postfix
//! postfix     = primary { "[" length "]" | "[" length ":" [ length ] "]"
//!                       | "offset" offset | "@" time | "anchored" | "smoothed" }
//! primary     = number | duration | string | "(" expression ")"
//!             | aggregation [ grouping ] arguments | aggregation arguments [ grouping ]
//!             | function arguments | selector
//! arguments   = "(" [ expression { "," expression } ] ")"
//! grouping    = ( "by" | "without" ) labels
//! labels      = "(" [ label { "," label } [ "," ] ] ")"       label: name, keyword or string
//! modifiers   = [ "bool" ] [ ( "on" | "ignoring" ) labels
//!                            [ ( "group_left" | "group_right" ) [ labels ] ] ]
//!               [ fill ]                   "fill" value, or "fill_left" and "fill_right" values
//! selector    = name [ matchers ] | matchers
//! matchers    = "{" [ matcher { "," matcher } [ "," ] ] "}"
//! matcher     = ( name | string ) ( "=" | "!=" | "=~" | "!~" ) string | string
//! length      = length ( "+" | "-" | "*" | "/" | "%" | "^" ) length | ( "+" | "-" ) length
//!             | number | duration | "(" length ")" | "step" "(" ")" | "range" "(" ")"
//!             | ( "min_of" | "max_of" ) "(" length "," length ")"
//! offset      = [ "+" | "-" ] ( number | duration | function of lengths | "(" length ")" )
//! time        = [ "+" | "-" ] ( number | duration ) | ( "start" | "end" ) "(" ")"
//! ```
//!
//! # Binding powers
//!
//! | power | operators | associates |
//! |---|---|---|
//! | 1 | `or` | left |
//! | 2 | `and` `unless` | left |
//! | 3 | `==` `!=` `<` `<=` `>` `>=` `</` `>/` | left |
//! | 4 | `+` `-` | left |
//! | 5 | `*` `/` `%` `atan2`, and signs before an operand | left |
//! | 6 | `^` | right |
//! | 7 | everything behind an operand: `[..]` `offset` `@` `anchored` `smoothed` | |
//!
//! So `-a ^ 2` is `-(a ^ 2)`, `-a * b` is `(-a) * b`, and `-a offset 5m` is `-(a offset 5m)`.
//!
//! # Where context matters
//!
//! - Words are keywords in any case of letters, but names where the grammar can tell: `sum` alone is a
//!   metric, `{by="x"}` a label, and `fill` is a keyword before a parenthesis only.
//! - An offset takes one operand and leaves operators to the expression: `a offset 2 ^ 2` squares
//!   `a offset 2`. But an offset that begins with a parenthesis goes on: `a offset (2) ^ 2` is an
//!   offset of four seconds.
//! - A number is a length of time in seconds, and a length of time is a number.
//! - A minus before a number is a part of it, so `-5m` is one literal, but `-2 ^ 2` is not.
//!
//! # Passes and limits
//!
//! One pass over the text builds the tree in post-order; operators wait on a stack, so a chain of
//! thousands of terms neither recurses nor takes more than linear time. What nests (parentheses, calls,
//! aggregations) recurses, at most [`DEPTH_MAX`] deep. A second pass checks types, because an error of
//! syntax anywhere comes before one of types. A text has at most [`QUERY_BYTES_MAX`] bytes, a tree at
//! most [`NODES_MAX`] nodes, a selector at most [`MATCHERS_MAX`] matchers, and a query at most
//! [`REGEXES_MAX`] different regular expressions. [`tree_bytes_max`] says beforehand how much memory the tree of
//! a text may take.
//!
//! The limits are those of memory and stack, not of taste. Prometheus has none of them; dashboards send regular
//! expressions of tens of KiB, so a text may be long, and what it costs is bounded by its nodes. The deepest nesting
//! is parsed, checked, planned, evaluated, printed and dropped on a stack of 2 MiB, which is what threads of Rust
//! have, and so is a chain of as many nodes as there may be (`syntax/tests/bad_input.rs`, `tests/bad_input.rs`; over
//! HTTP `tests/http/query_limits.rs` of the server). Who raises one of them runs these first, without optimisation
//! too.
//!
//! Errors are worded and placed as Prometheus does where it has the same error. Prometheus's grammar
//! says which of its rules an unexpected token breaks; here each rule names itself
//! ([`Rule`](parser::Rule)).

mod aggregate;
mod call;
mod check;
pub(crate) mod duration;
mod duration_expr;
mod expression;
mod lexeme;
mod lexer;
mod modifiers;
mod number;
mod parser;
mod postfix;
mod selector;
mod series;
mod string_literal;
mod token;

#[cfg(test)]
mod tests;

pub use duration::{format_duration, parse_duration};
pub use parser::{DEPTH_MAX, NODES_MAX, QUERY_BYTES_MAX, parse, parse_with, tree_bytes_max};
pub use selector::{
    INPUT_BYTES_MAX, MATCHERS_MAX, REGEXES_MAX, parse_selector, parse_selector_with,
};
pub use series::parse_series_labels;
