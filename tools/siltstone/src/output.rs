//! What the command hands over: results on stdout and in files. What else it says: `messages`.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use siltstone::OpenReport;

use crate::failure::{Failure, Outcome, Result};
use crate::messages;

/// Writes a whole result.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output(&error))
}

/// Writes a JSON value and a line end.
pub(crate) fn print_json(value: &serde_json::Value) -> Result<()> {
    print(&format!("{value:#}\n"))
}

/// Whether stdout is read by a person.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether stdout shows colours: on a terminal that has them, unless `NO_COLOR` is set
/// (<https://no-color.org>).
pub(crate) fn has_colours() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

/// The columns and rows of the terminal that stdout is, if it is one and tells.
pub(crate) fn terminal_size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row));
    (columns > 0 && rows > 0).then_some((columns, rows))
}

/// Writes a file that the user named; one that is there is replaced.
#[expect(clippy::disallowed_methods, reason = "the user's file, not one of a store")]
pub(crate) fn write_file(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| Failure::io("write", path, &error))
}

/// Says what opening the store found wrong.
pub(crate) fn report_findings(report: &OpenReport) -> Outcome {
    for finding in report.findings.iter().chain(&report.warnings) {
        messages::warning(&finding.to_string());
    }
    if report.findings.is_empty() { Outcome::Good } else { Outcome::Found }
}
