//! The place in a query that an error is about: its line, and a caret under the place.

use unicode_width::UnicodeWidthStr;

use crate::table::printable;

/// Most columns of the query that are shown before and behind the place.
const AROUND: usize = 60;

/// Two lines: the one of `text` that the place is in, and carets under `bytes` of it, at least one.
/// The place is a line and a column in bytes, both from 1. Nothing where there is no such place.
pub(crate) fn show(text: &str, (line, column): (usize, usize), bytes: usize) -> String {
    let Some(line) = line.checked_sub(1).and_then(|number| text.split('\n').nth(number)) else {
        return String::new();
    };
    let start = floor(line, column.saturating_sub(1));
    let end = floor(line, start.saturating_add(bytes)).max(start);
    let before = printable(&line[..start]);
    let place = printable(&line[start..end]);
    let behind = printable(&line[end..]);
    let before = last_columns(&before, AROUND);
    let place_shown = first_columns(&place, AROUND);
    let behind = if place_shown.len() < place.len() {
        String::new()
    } else {
        first_columns(&behind, AROUND)
    };
    let carets = "^".repeat(place_shown.width().max(1));
    format!("  {before}{place_shown}{behind}\n  {}{carets}\n", " ".repeat(before.width()))
}

/// The last start of a character up to `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn first_columns(text: &str, columns: usize) -> String {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| text[..*end].width() <= columns).last().unwrap_or(0);
    if end == text.len() { text.to_owned() } else { format!("{}…", &text[..end]) }
}

fn last_columns(text: &str, columns: usize) -> String {
    let starts = text.char_indices().rev().map(|(at, _)| at);
    let start = starts.take_while(|start| text[*start..].width() <= columns).last();
    let start = start.unwrap_or(text.len());
    if start == 0 { text.to_owned() } else { format!("…{}", &text[start..]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place() {
        for (text, place, bytes, shown) in [
            ("sum(up))", (1, 8), 1, "  sum(up))\n         ^\n"),
            ("up{job=", (1, 8), 0, "  up{job=\n         ^\n"),
            ("up +\n  nope()\n", (2, 3), 4, "    nope()\n    ^^^^\n"),
            // Columns are bytes, carets are columns of the terminal.
            ("{\"دما\"} !", (1, 12), 1, "  {\"دما\"} !\n          ^\n"),
            ("a{x=\"字\"} !", (1, 12), 1, "  a{x=\"字\"} !\n            ^\n"),
            ("\t!", (1, 2), 1, "  \\t!\n    ^\n"),
            ("", (0, 0), 0, ""),
            ("a", (3, 1), 1, ""),
            ("a", (1, 99), 9, "  a\n   ^\n"),
            ("é", (1, 2), 1, "  é\n  ^\n"),
        ] {
            assert_eq!(show(text, place, bytes), shown, "{text:?}");
        }
    }

    #[test]
    fn of_a_long_line_the_part_around_the_place_is_shown() {
        let text = format!("{}!{}", "a".repeat(1000), "b".repeat(1000));
        let shown = show(&text, (1, 1001), 1);
        let (query, carets) = shown.split_once('\n').unwrap();
        assert_eq!(query, format!("  …{}!{}…", "a".repeat(60), "b".repeat(60)));
        assert_eq!(carets, format!("{}^\n", " ".repeat(63)));
        let whole = show(&text, (1, 1), 2001);
        assert!(whole.lines().all(|line| line.width() < 130), "{whole}");
    }
}
