//! Tables for people: columns aligned by the width that a terminal gives the characters.

use unicode_width::UnicodeWidthStr;

/// Where the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows under headings. A long table is rendered page by page.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    /// Those that are not rendered yet.
    rows: Vec<Vec<String>>,
    /// How wide each column has got; no page makes it narrower.
    widths: Vec<usize>,
    headed: bool,
}

impl Table {
    pub(crate) fn new(columns: &[(&'static str, Align)]) -> Self {
        let widths = columns.iter().map(|(head, _)| head.width()).collect();
        Self { columns: columns.to_vec(), rows: Vec::new(), widths, headed: false }
    }

    /// Adds a row; cells may hold anything.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<String> = cells.into_iter().map(|cell| printable(&cell)).collect();
        assert_eq!(row.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(row);
    }

    /// The number of rows that the next page has.
    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The rows since the last page, each line with its end and without blanks before it; headings
    /// stand above the first page.
    pub(crate) fn page(&mut self) -> String {
        let rows = std::mem::take(&mut self.rows);
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = cell.width().max(*width);
            }
        }
        let mut out = String::new();
        if !self.headed {
            self.headed = true;
            let heads: Vec<String> = self.columns.iter().map(|(h, _)| (*h).to_owned()).collect();
            self.line(&heads, &mut out);
        }
        rows.iter().for_each(|row| self.line(row, &mut out));
        out
    }

    fn line(&self, row: &[String], out: &mut String) {
        let start = out.len();
        for (i, cell) in row.iter().enumerate() {
            let blanks = " ".repeat(self.widths[i] - cell.width());
            let gap = if i > 0 { "  " } else { "" };
            match self.columns[i].1 {
                Align::Left => out.extend([gap, cell, &blanks]),
                Align::Right => out.extend([gap, &blanks, cell]),
            }
        }
        let end = out[start..].trim_end().len();
        out.truncate(start + end);
        out.push('\n');
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

/// The start of `text` that fits in so many columns, with an ellipsis where something is left out.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let fits = |end: &usize| text[..*end].width() < columns;
    let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    // Widths do not shrink much with more text: a joined character may, by a few columns.
    let end = ends[..ends.partition_point(fits)].last().copied().unwrap_or(0);
    format!("{}…", &text[..end])
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
        let page = table.page();
        let widths: Vec<usize> = page.lines().map(|line| line.width()).collect();
        assert!(widths.len() == 4 && widths.iter().all(|w| *w == widths[0]), "{widths:?}\n{page}");
        assert!(page.starts_with("NAME") && page.lines().next().unwrap().ends_with(" N"));
    }

    #[test]
    fn pages_keep_the_widths_of_those_before() {
        let mut table = Table::new(&[("A", Align::Left), ("B", Align::Left)]);
        assert_eq!(table.page(), "A  B\n");
        table.row(["тепло".to_owned(), "x".to_owned()]);
        assert_eq!((table.rows(), table.page()), (1, "тепло  x\n".to_owned()));
        table.row(["1".to_owned(), "y".to_owned()]);
        table.row(["222222".to_owned(), String::new()]);
        assert_eq!(table.page(), "1       y\n222222\n");
        assert_eq!((table.rows(), table.page()), (0, String::new()));
    }

    #[test]
    fn nothing_steers_the_terminal() {
        let shown = printable("a\u{1b}[2J\r\n\u{9b}b\u{202e}c\u{7f}");
        assert_eq!(shown, "a\\u{1b}[2J\\r\\n\\u{9b}b\\u{202e}c\\u{7f}");
        let persian = "می\u{200c}رود é";
        assert_eq!(printable(persian), persian);
    }

    #[test]
    fn texts_are_cut_by_columns() {
        for (text, columns, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("漢字かな", 5, "漢字…"),
            ("漢字かな", 4, "漢…"),
            ("شهر تبریز", 4, "شهر…"),
            ("abc", 0, "…"),
        ] {
            assert_eq!(cut(text, columns), expected, "{text} {columns}");
        }
    }
}
