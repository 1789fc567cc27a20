//! The parser against hand-written texts.

mod bad_input;
mod errors;
mod selectors;
mod trees;

use crate::{Features, parse};

/// Everything that flags switch on.
pub(super) fn features() -> Features {
    Features::experimental()
}

/// The error of `text` as it prints.
pub(super) fn error(text: &str) -> String {
    match parse(text, &features()) {
        Ok(ast) => panic!("{text} parses as {}", crate::print(&ast)),
        Err(error) => error.to_string(),
    }
}
