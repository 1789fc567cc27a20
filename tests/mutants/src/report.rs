//! The tables of RELIABILITY.md, made from those of the mutants.

use std::path::Path;

use crate::Result;
use crate::table::{Expected, Mutant, Table};

/// All of them, as Markdown.
pub(crate) fn markdown(tables: &[Table]) -> String {
    let mut out = String::new();
    for table in tables {
        out += &format!(
            "\n{}\n\n| mutant | what was taken away | test that turns red |\n|---|---|---|\n",
            table.heading
        );
        table.mutants.iter().for_each(|mutant| out += &format!("{}\n", row(mutant)));
    }
    out
}

/// The rows that RELIABILITY.md does not have.
pub(crate) fn missing_rows(root: &Path, tables: &[Table]) -> Result<Vec<String>> {
    let path = root.join("RELIABILITY.md");
    let page = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let rows = tables.iter().flat_map(|table| &table.mutants).map(row);
    Ok(rows.filter(|row| !page.lines().any(|line| line == row)).collect())
}

fn row(mutant: &Mutant) -> String {
    let Mutant { name, why, ci, expected, .. } = mutant;
    let ci = if *ci { " (CI)" } else { "" };
    let said = match expected {
        Expected::Red(test) => format!("`{test}`"),
        Expected::Green { because, without: None, shown, .. } => {
            format!("none: {because} (`{shown}`)")
        }
        Expected::Green { because, without: Some(other), shown, .. } => {
            format!("none: {because} (without `{other}` too: `{shown}`)")
        }
    };
    format!("| `{name}`{ci} | {} | {} |", why.replace('|', "\\|"), said.replace('|', "\\|"))
}
