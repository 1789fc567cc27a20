//! What the command says beside its result: lines on stderr.

use std::io::{self, Write};

use crate::table::printable;

/// Prints one line of trouble.
pub(crate) fn error(message: &str) {
    line("error", message);
}

/// Prints what the user should know and that stops nothing.
pub(crate) fn warning(message: &str) {
    line("warning", message);
}

/// Prints lines that belong to the error before.
pub(crate) fn place(lines: &str) {
    // If stderr is closed there is nobody to tell.
    let _ = io::stderr().lock().write_all(lines.as_bytes());
}

/// Prints what somebody else has already called a warning or an info, or what only helps.
pub(crate) fn note(message: &str) {
    line("note", message);
}

fn line(kind: &str, message: &str) {
    // If stderr is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{kind}: {}", printable(message));
}
