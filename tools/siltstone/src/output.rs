//! What the command prints: results on stdout, everything else on stderr.

use std::io::{self, IsTerminal, Write};

use siltstone::OpenReport;

use crate::failure::{Failure, Outcome, Result};
use crate::table::printable;

/// Prints one line of trouble.
pub(crate) fn error(message: &str) {
    line("error", message);
}

/// Prints what the user should know and that stops nothing.
pub(crate) fn warning(message: &str) {
    line("warning", message);
}

fn line(kind: &str, message: &str) {
    // If stderr is closed there is nobody to tell.
    let _ = writeln!(io::stderr().lock(), "{kind}: {}", printable(message));
}

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

/// Says what opening the store found wrong.
pub(crate) fn report_findings(report: &OpenReport) -> Outcome {
    for finding in &report.findings {
        warning(&finding.to_string());
    }
    if report.findings.is_empty() { Outcome::Good } else { Outcome::Found }
}
