//! Queries as text: Prometheus's canonical form, and its form of many lines.
//!
//! Both read back as the same tree, but for what has no meaning: the order of matchers (they are
//! printed sorted), an empty `by ()` or `ignoring ()`, and an offset of nothing. Neither recurses.

mod length;
mod pieces;
mod pretty;
mod print;

#[cfg(test)]
mod tests;

pub use pretty::pretty;
pub use print::print;
