//! Tables for people: columns aligned by the width that a terminal gives the characters.

use unicode_width::UnicodeWidthStr;

/// Where the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows under headings.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; cells may hold anything.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<String> = cells.into_iter().map(|cell| printable(&cell)).collect();
        assert_eq!(row.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(row);
    }

    /// The table, each line with its end and without blanks before it.
    pub(crate) fn render(&self) -> String {
        let heads: Vec<String> = self.columns.iter().map(|(head, _)| (*head).to_owned()).collect();
        let lines = || std::iter::once(&heads).chain(&self.rows);
        let width = |column: usize| lines().map(|row| row[column].width()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut out = String::new();
        for row in lines() {
            let start = out.len();
            for (i, cell) in row.iter().enumerate() {
                let blanks = " ".repeat(widths[i] - cell.width());
                let gap = if i > 0 { "  " } else { "" };
                match self.columns[i].1 {
                    Align::Left => out.extend([gap, cell, &blanks]),
                    Align::Right => out.extend([gap, &blanks, cell]),
                }
            }
            let end = out.trim_end().len().max(start);
            out.truncate(end);
            out.push('\n');
        }
        out
    }
}

/// The text with what steers a terminal made visible: control characters, and the marks that reorder
/// lines. Joiners, which Persian and Arabic words need, stay.
pub(crate) fn printable(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_by_display_width() {
        let mut table = Table::new(&[("NAME", Align::Left), ("N", Align::Right)]);
        table.row(["دمای‌هوا".to_owned(), "5".to_owned()]);
        table.row(["й\u{306}".to_owned(), "12".to_owned()]);
        table.row(["界".to_owned(), "1".to_owned()]);
        let lines: Vec<String> = table.render().lines().map(str::to_owned).collect();
        let widths: Vec<usize> = lines.iter().map(|line| line.as_str().width()).collect();
        assert!(widths.iter().all(|w| *w == widths[0]), "{widths:?}\n{}", table.render());
        assert!(lines[0].starts_with("NAME") && lines[0].ends_with(" N"));
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let shown = printable("a\u{1b}[2J\r\n\u{9b}b\u{202e}c\u{7f}");
        assert_eq!(shown, "a\\u{1b}[2J\\r\\n\\u{9b}b\\u{202e}c\\u{7f}");
        let persian = "می\u{200c}رود é";
        assert_eq!(printable(persian), persian);
    }
}
