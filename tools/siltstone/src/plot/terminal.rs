//! A plot as lines of text: the values' axis, the canvas, the times' axis, and a legend.
//!
//! ```text
//! 1.0 ┤   ⡠⠒⠢⡀
//! 0.5 ┤ ⢠⠃    ⠱⡀
//! 0.0 ┤⡠⠃       ⠈⢢⡀
//!     └┬────────┬───
//!      21:00    22:00
//!      2026-11-27 UTC
//! ━━  0.25  up{job="node"}
//! ```
//!
//! Labels of series come last on their line, so that a text from right to left moves nothing else.

use unicode_width::UnicodeWidthStr;

use super::canvas::{Canvas, Dot};
use super::time_axis::TimeAxis;
use super::value_axis::ValueAxis;
use super::{Figure, Line};
use crate::table::{cut, printable};

/// ANSI colours of series: those first that differ most, on light and on dark ground.
const COLOURS: [u8; 12] = [36, 33, 35, 32, 34, 31, 96, 93, 95, 92, 94, 91];
/// Marks of series where there are no colours.
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Fewest columns and rows of the canvas, whatever the terminal.
const COLUMNS_MIN: usize = 10;
const ROWS_MIN: usize = 3;
/// The axis of times and the days.
const AXIS_ROWS: usize = 3;
/// Rows between two ticks, about.
const TICK_ROWS: usize = 3;

/// How much room there is, and whether colours may be used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    pub(crate) colours: bool,
}

/// The plot; its lines are at most as wide as the screen, if that is wide enough for a plot at all.
pub(crate) fn render(figure: &Figure, screen: Screen) -> String {
    let listed = figure.lines.len().min(legend_rows_max(screen.rows)).max(1);
    let unlisted = figure.lines.len().saturating_sub(listed);
    let legend_rows = listed + usize::from(unlisted > 0);
    let rows = screen.rows.saturating_sub(AXIS_ROWS + legend_rows).max(ROWS_MIN);
    let values =
        ValueAxis::new(figure.extent().unwrap_or((0.0, 1.0)), figure.unit, rows / TICK_ROWS);
    let labels = row_labels(&values, rows);
    let margin = labels.iter().map(|label| label.width()).max().unwrap_or(0) + 2;
    let columns = screen.columns.saturating_sub(margin).max(COLUMNS_MIN);
    let times = TimeAxis::new(figure.times, columns);
    let mut plot =
        Plot { figure, values: &values, times: &times, canvas: Canvas::new(columns, rows) };
    figure.lines.iter().enumerate().for_each(|(number, line)| plot.draw(line, number));
    let ink = Ink { colours: screen.colours, letters: !screen.colours && figure.lines.len() > 1 };
    if ink.letters {
        figure.lines.iter().enumerate().for_each(|(number, line)| plot.letter(line, number));
    }
    let mut out = String::new();
    for (row, label) in labels.iter().enumerate() {
        let blanks = " ".repeat(margin - 2 - label.width());
        let axis = if label.is_empty() { "│" } else { "┤" };
        out += &format!("{blanks}{label} {axis}");
        push_row(&mut out, plot.canvas.row(row), ink);
    }
    push_times(&mut out, &times, margin, columns);
    push_legend(&mut out, figure, (listed, unlisted), ink, screen.columns);
    out
}

/// A third of the screen at the most.
fn legend_rows_max(rows: usize) -> usize {
    (rows / 3).saturating_sub(1).max(1)
}

/// The label of each row of cells; empty where there is no tick.
fn row_labels(values: &ValueAxis, rows: usize) -> Vec<String> {
    let mut labels = vec![String::new(); rows];
    for (fraction, label) in values.ticks() {
        let row = down(fraction, rows * 4) / 4;
        if labels[row].is_empty() {
            labels[row] = label;
        }
    }
    labels
}

/// The place among `count` places from the left.
fn along(fraction: f64, count: usize) -> usize {
    (fraction * (count - 1) as f64).round() as usize
}

/// The place among `count` places from the top.
fn down(fraction: f64, count: usize) -> usize {
    along(1.0 - fraction, count)
}

/// How a series is told from others.
#[derive(Debug, Clone, Copy)]
struct Ink {
    colours: bool,
    letters: bool,
}

impl Ink {
    fn letter(number: usize) -> char {
        LETTERS.as_bytes().get(number).map_or('*', |letter| char::from(*letter))
    }

    /// `text` in the colour of a series.
    fn paint(self, text: &str, series: usize) -> String {
        if self.colours {
            format!("\u{1b}[{}m{text}\u{1b}[0m", COLOURS[series % COLOURS.len()])
        } else {
            text.to_owned()
        }
    }
}

/// A canvas between its axes.
struct Plot<'a> {
    figure: &'a Figure,
    values: &'a ValueAxis,
    times: &'a TimeAxis,
    canvas: Canvas,
}

impl Plot<'_> {
    fn place(&self, (time, value): (i64, f64)) -> Dot {
        let (columns, rows) = self.canvas.dots();
        (along(self.times.fraction(time), columns), down(self.values.fraction(value), rows))
    }

    fn draw(&mut self, line: &Line, number: usize) {
        for run in line.runs(self.figure.step) {
            let dots: Vec<Dot> = run.iter().map(|point| self.place(*point)).collect();
            dots.windows(2).for_each(|pair| self.canvas.line(pair[0], pair[1], number));
            if let [(x, y)] = dots[..] {
                // A single dot is easily overlooked.
                for dot in [(x, y), (x ^ 1, y), (x, y ^ 1), (x ^ 1, y ^ 1)] {
                    self.canvas.dot(dot, number);
                }
            }
        }
        let (columns, rows) = self.canvas.dots();
        for (time, is_positive) in line.infinities() {
            let x = along(self.times.fraction(time), columns);
            let (y, mark) = if is_positive { (0, '↑') } else { (rows - 1, '↓') };
            self.canvas.mark((x, y), mark, number);
        }
    }

    /// Marks the newest point of a series whose cell is free with its letter.
    fn letter(&mut self, line: &Line, number: usize) {
        let finite = line.points.iter().rev().filter(|(_, value)| value.is_finite());
        for point in finite {
            if self.canvas.mark(self.place(*point), Ink::letter(number), number) {
                return;
            }
        }
    }
}

/// Appends the cells of a row; neighbours of one colour share an escape sequence.
fn push_row(out: &mut String, cells: impl Iterator<Item = (char, Option<usize>)>, ink: Ink) {
    let cells: Vec<(char, Option<usize>)> = cells.collect();
    let end = cells.iter().rposition(|(_, colour)| colour.is_some()).map_or(0, |last| last + 1);
    for part in cells[..end].chunk_by(|a, b| a.1 == b.1) {
        let text: String = part.iter().map(|(cell, _)| *cell).collect();
        match part[0].1 {
            Some(series) => out.push_str(&ink.paint(&text, series)),
            None => out.push_str(&text),
        }
    }
    out.push('\n');
}

/// Appends the axis of times, its labels and its days.
fn push_times(out: &mut String, times: &TimeAxis, margin: usize, columns: usize) {
    let mut axis: Vec<char> = vec!['─'; columns];
    let mut labels = String::new();
    for (fraction, label) in &times.ticks {
        let at = along(*fraction, columns);
        axis[at] = '┬';
        // Under its tick, but not beyond the end.
        let start = at.min(columns.saturating_sub(label.len()));
        let free = labels.is_empty() || start > labels.len();
        if free {
            labels += &" ".repeat(start - labels.len());
            labels += label;
        }
    }
    let (blanks, axis) = (" ".repeat(margin), axis.into_iter().collect::<String>());
    *out += &format!("{}└{axis}\n", &blanks[1..]);
    *out += format!("{blanks}{labels}").trim_end();
    *out += &format!("\n{blanks}{}\n", times.days);
}

/// Appends a line for each series that is listed: its mark, its newest value, its labels.
fn push_legend(
    out: &mut String,
    figure: &Figure,
    (listed, unlisted): (usize, usize),
    ink: Ink,
    columns: usize,
) {
    let lines = &figure.lines[..listed.min(figure.lines.len())];
    let values: Vec<String> = lines.iter().map(|line| figure.unit.human(line.last())).collect();
    let width = values.iter().map(|value| value.width()).max().unwrap_or(0);
    for (number, (line, value)) in lines.iter().zip(&values).enumerate() {
        let mark = if ink.letters { Ink::letter(number).to_string() } else { "━━".to_owned() };
        let blanks = " ".repeat(width - value.width());
        let room = columns.saturating_sub(mark.width() + width + 4);
        let label = cut(&printable(&line.label), room);
        *out += &format!("{}  {blanks}{value}  {label}\n", ink.paint(&mark, number));
    }
    if unlisted > 0 {
        *out += &format!("and {unlisted} more series\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::unit::Unit;

    const PLAIN: Screen = Screen { columns: 40, rows: 14, colours: false };

    fn figure(lines: Vec<(&str, Vec<(i64, f64)>)>) -> Figure {
        let line =
            |(label, points): (&str, Vec<(i64, f64)>)| Line { label: label.to_owned(), points };
        Figure {
            title: "q".to_owned(),
            times: (0, 3_600_000),
            step: 60_000,
            unit: Unit::None,
            lines: lines.into_iter().map(line).collect(),
        }
    }

    fn minutes(value: impl Fn(i64) -> f64) -> Vec<(i64, f64)> {
        (0..=60).map(|minute| (minute * 60_000, value(minute))).collect()
    }

    #[test]
    fn a_ramp_from_corner_to_corner() {
        let text = render(&figure(vec![("up", minutes(|minute| minute as f64))]), PLAIN);
        let expected = "\
60 ┤                                ⢀⡠⠒⠊
   │                             ⡠⠔⠒⠁
   │                         ⢀⠤⠊⠉
40 ┤                      ⡠⠔⠉⠁
   │                  ⢀⠤⠊⠉
   │              ⣀⡠⠒⠉⠁
20 ┤          ⢀⡠⠔⠊
   │       ⣀⠤⠒⠁
   │   ⢀⠤⠒⠊
 0 ┤⡠⠔⠊⠁
   └┬─────────────────┬────────────────┬
    Jan 1             00:30        01:00
    1970-01-01 UTC
━━  60  up
";
        assert_eq!(text, expected, "\n{text}");
    }

    /// The part of each row that is drawn, up to the axis of times.
    fn canvas(text: &str) -> Vec<String> {
        let rows = text.lines().take_while(|line| !line.contains('└'));
        rows.map(|row| row.split(['│', '┤']).nth(1).unwrap().to_owned()).collect()
    }

    /// The columns of a row that hold something.
    fn drawn(row: &str) -> Vec<usize> {
        let cells = row.chars().enumerate().filter(|(_, cell)| *cell != ' ');
        cells.map(|(column, _)| column).collect()
    }

    #[test]
    fn nan_and_missing_steps_are_gaps() {
        let points = minutes(|minute| if (20..40).contains(&minute) { f64::NAN } else { 1.0 });
        let missing: Vec<(i64, f64)> =
            points.iter().filter(|(_, value)| value.is_finite()).copied().collect();
        for points in [points, missing] {
            let rows = canvas(&render(&figure(vec![("up", points)]), PLAIN));
            let drawn: Vec<usize> = rows.iter().flat_map(|row| drawn(row)).collect();
            let (before, behind): (Vec<usize>, Vec<usize>) =
                drawn.iter().partition(|column| **column < 15);
            // A third of the columns is empty, and what is left is one line each.
            assert_eq!((before.first(), behind.last()), (Some(&0), Some(&34)), "{rows:?}");
            assert!(before.len() == 12 && behind.len() == 12, "{rows:?}");
        }
    }

    #[test]
    fn constants_points_and_infinities() {
        let constant = canvas(&render(&figure(vec![("c", minutes(|_| -7.5))]), PLAIN));
        let filled: Vec<usize> =
            (0..constant.len()).filter(|row| !constant[*row].is_empty()).collect();
        assert!(filled.len() == 1 && (3..7).contains(&filled[0]), "{constant:?}");
        let point = canvas(&render(&figure(vec![("p", vec![(1_800_000, 3.0)])]), PLAIN));
        assert_eq!(point.concat().trim().chars().count(), 1, "{point:?}");
        let inf = |minute| match minute {
            10 => f64::INFINITY,
            50 => f64::NEG_INFINITY,
            _ => minute as f64,
        };
        let text = render(&figure(vec![("i", minutes(inf))]), PLAIN);
        let rows = canvas(&text);
        let column = |row: &str, mark| row.chars().position(|cell| cell == mark);
        assert_eq!(column(&rows[0], '↑'), Some(6), "{text}");
        assert_eq!(column(rows.last().unwrap(), '↓'), Some(29), "{text}");
        assert!(text.contains("━━  60  i\n"), "{text}");
        let nothing = render(&figure(vec![("n", minutes(|_| f64::NAN))]), PLAIN);
        assert!(canvas(&nothing).iter().all(String::is_empty), "{nothing}");
        assert!(nothing.contains("━━  NaN  n\n") && !nothing.contains("inf"), "{nothing}");
        let none = render(&figure(Vec::new()), PLAIN);
        assert!(none.contains("1970-01-01 UTC") && !none.contains("━"), "{none}");
    }

    #[test]
    fn one_moment_is_in_the_middle() {
        let moment = Figure { times: (5, 5), ..figure(vec![("m", vec![(5, 1.0)])]) };
        let rows = canvas(&render(&moment, PLAIN));
        let columns: Vec<usize> = rows.iter().flat_map(|row| drawn(row)).collect();
        assert!(columns.len() == 1 && (14..20).contains(&columns[0]), "{rows:?}");
    }

    #[test]
    fn several_series_have_letters_or_colours() {
        let lines = vec![("up{city=\"تبریز\"}", minutes(|_| 1.0)), ("b", minutes(|m| m as f64))];
        let plain = render(&figure(lines.clone()), PLAIN);
        assert!(!plain.contains('\u{1b}'), "{plain}");
        assert!(canvas(&plain).concat().contains('A') && canvas(&plain).concat().contains('B'));
        // The label is last, and moves nothing.
        assert!(plain.ends_with("A   1  up{city=\"تبریز\"}\nB  60  b\n"), "{plain}");
        let coloured = render(&figure(lines), Screen { colours: true, ..PLAIN });
        for colour in ["\u{1b}[36m━━\u{1b}[0m   1", "\u{1b}[33m━━\u{1b}[0m  60  b"] {
            assert!(coloured.contains(colour), "{coloured:?}");
        }
        assert!(!canvas(&coloured).concat().contains('A'));
    }

    #[test]
    fn everything_fits_on_the_screen() {
        let label = format!("up{{path=\"{}\", شهر=\"تهران\"}}", "漢字".repeat(50));
        for (columns, rows) in [(20, 8), (40, 14), (80, 24), (200, 60)] {
            for count in [1, 3, 30] {
                let lines = (0..count).map(|n| (label.as_str(), minutes(|m| (m * n) as f64)));
                let screen = Screen { columns, rows, colours: false };
                let text = render(&figure(lines.collect()), screen);
                let widest = text.lines().map(|line| line.width()).max().unwrap();
                assert!(widest <= columns.max(26), "{columns}: {widest}\n{text}");
                assert!(text.lines().count() <= rows, "{rows}, {count}\n{text}");
                let listed = text.lines().filter(|line| line.contains("up{")).count();
                let more = format!("and {} more series", count - listed as i64);
                assert!(listed as i64 == count || text.contains(&more), "{text}");
            }
        }
    }
}
