//! An answer as a plot.

use siltstone::Timestamp;

use super::PlotFlags;
use super::answer::{Data, Series, Shown, Value, label_text};
use crate::failure::Result;
use crate::plot::terminal::{self, Screen};
use crate::plot::unit::Unit;
use crate::plot::{Figure, LINES_MAX, Line, svg};
use crate::{messages, output, units};

/// The size of a plot that goes nowhere with a size.
const SIZE: (usize, usize) = (80, 24);

/// Draws the answer to `query` at `times`, `step` apart.
pub(super) fn draw(
    answer: Shown,
    (query, times, step): (&str, (Timestamp, Timestamp), i64),
    flags: &PlotFlags,
) -> Result<()> {
    // A range query answers with nothing else.
    let Data::Matrix(series) = answer.data else {
        return super::show::print(answer, super::Format::Table);
    };
    let unit = flags.unit.unwrap_or_else(|| unit_of(&series));
    let count = series.len();
    let lines: Vec<Line> = series.into_iter().take(LINES_MAX).map(line).collect();
    if count > lines.len() {
        messages::note(&format!(
            "the plot shows the first {LINES_MAX} of {} series: topk() or sum by () make fewer",
            units::grouped(count as u64)
        ));
    }
    let figure = Figure { title: query.to_owned(), times, step, unit, lines };
    if let Some(path) = &flags.svg {
        output::write_file(path, &svg::render(&figure)?)?;
    }
    if flags.plot {
        let terminal = output::terminal_size();
        // The prompt comes behind it.
        let (columns, rows) = terminal.map_or(SIZE, |(columns, rows)| (columns, rows.max(2) - 1));
        let screen = Screen {
            columns: flags.width.map_or(columns, usize::from),
            rows: flags.height.map_or(rows, usize::from),
            colours: output::has_colours(),
        };
        output::print(&terminal::render(&figure, screen))?;
    }
    Ok(())
}

/// The unit that the names of all series tell, if one does.
fn unit_of(series: &[Series]) -> Unit {
    let mut units = series.iter().map(|series| Unit::of_metric(series.labels.metric_name()));
    let first = units.next().unwrap_or(Unit::None);
    if units.all(|unit| unit == first) { first } else { Unit::None }
}

fn line(series: Series) -> Line {
    let label = label_text(&series.labels);
    let all = series.points.len();
    let float = |(time, value)| match value {
        Value::Float(value) => Some((time, value)),
        Value::Histogram(_) => None,
    };
    let points: Vec<(Timestamp, f64)> = series.points.into_iter().filter_map(float).collect();
    if points.len() < all {
        messages::note(&format!(
            "native histograms of {label} are not drawn: histogram_quantile() makes numbers of them"
        ));
    }
    Line { label, points }
}
