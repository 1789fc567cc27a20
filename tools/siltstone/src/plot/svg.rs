//! A plot as an SVG file, by `plotters`.
//!
//! The legend is drawn below the axes as lines of text: the width of a text is not known without its
//! font, so that nothing may stand behind one.

use std::fmt::Display;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::{
    ChartBuilder, Circle, Color, DrawingArea, IntoDrawingArea, IntoFont, PathElement, RGBColor,
    Rectangle, SVGBackend, Text, TriangleMarker,
};

use unicode_width::UnicodeWidthStr;

use super::Figure;
use super::time_axis::TimeAxis;
use super::value_axis::ValueAxis;
use crate::failure::{Failure, Result};
use crate::table::{cut, printable};

/// Pixels.
const WIDTH: u32 = 1000;
const CHART_HEIGHT: u32 = 480;
const LEGEND_LINE: u32 = 20;
/// Most series that the legend lists.
const LISTED_MAX: usize = 30;
/// Characters that labels of times, a title and a line of the legend have room for.
const TIMES_ROOM: usize = 100;
const TITLE_ROOM: usize = 100;
const LABEL_ROOM: usize = 130;
/// Ticks of the values, about.
const TICKS: usize = 8;
/// Where the texts of the legend begin, and about the width of a character, in pixels.
const VALUE_LEFT: i32 = 58;
const CHARACTER: i32 = 8;
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(60, 60, 60);
const GRID: RGBColor = RGBColor(225, 225, 225);

/// Colours that stay apart for most eyes, on white.
const COLOURS: [RGBColor; 10] = [
    RGBColor(31, 119, 180),
    RGBColor(255, 127, 14),
    RGBColor(44, 160, 44),
    RGBColor(214, 39, 40),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(227, 119, 194),
    RGBColor(110, 110, 110),
    RGBColor(160, 160, 20),
    RGBColor(23, 170, 190),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The text of the file.
///
/// # Errors
/// `plotters` could not lay it out.
pub(crate) fn render(figure: &Figure) -> Result<String> {
    let listed = figure.lines.len().min(LISTED_MAX);
    let unlisted = figure.lines.len() - listed;
    let legend_lines = listed + usize::from(unlisted > 0);
    // At most LISTED_MAX + 1 lines.
    let legend_height = LEGEND_LINE * legend_lines as u32 + LEGEND_LINE;
    let mut text = String::new();
    {
        let size = (WIDTH, CHART_HEIGHT + legend_height);
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&RGBColor(255, 255, 255)).map_err(failed)?;
        let (chart, legend) = root.split_vertically(CHART_HEIGHT);
        draw_chart(figure, &chart)?;
        draw_legend(figure, (listed, unlisted), &legend)?;
        root.present().map_err(failed)?;
    }
    Ok(text)
}

fn failed(error: impl Display) -> Failure {
    Failure::unreachable(format!("cannot draw the plot: {error}"))
}

fn colour(number: usize) -> RGBColor {
    COLOURS[number % COLOURS.len()]
}

/// An axis from 0 to 1 with ticks at these places.
struct Axis(Vec<f64>);

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        low + (f64::from(high - low) * value).round() as i32
    }

    fn key_points<H: KeyPointHint>(&self, _: H) -> Vec<f64> {
        self.0.clone()
    }

    fn range(&self) -> Range<f64> {
        0.0..1.0
    }
}

/// Both axes go from 0 to 1; what stands at their ticks comes from [`ValueAxis`] and [`TimeAxis`].
fn draw_chart(figure: &Figure, area: &Area<'_>) -> Result<()> {
    let values = ValueAxis::new(figure.extent().unwrap_or((0.0, 1.0)), figure.unit, TICKS);
    let times = TimeAxis::new(figure.times, TIMES_ROOM);
    let value_ticks = values.ticks();
    let axis = |ticks: &[(f64, String)]| Axis(ticks.iter().map(|(place, _)| *place).collect());
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .caption(cut(&printable(&figure.title), TITLE_ROOM), (FONT, 17).into_font().color(&INK))
        .x_label_area_size(48)
        .y_label_area_size(84)
        .build_cartesian_2d(axis(&times.ticks), axis(&value_ticks))
        .map_err(failed)?;
    let label = |ticks: &[(f64, String)], place: f64| {
        let found = ticks.iter().find(|tick| tick.0 == place);
        found.map_or_else(String::new, |(_, label)| label.clone())
    };
    chart
        .configure_mesh()
        .light_line_style(RGBColor(0, 0, 0).mix(0.0))
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_label_formatter(&|place| label(&times.ticks, *place))
        .y_label_formatter(&|place| label(&value_ticks, *place))
        .x_labels(times.ticks.len().max(1))
        .y_labels(value_ticks.len())
        .x_desc(times.days.as_str())
        .label_style((FONT, 15).into_font().color(&INK))
        .axis_desc_style((FONT, 15).into_font().color(&INK))
        .draw()
        .map_err(failed)?;
    for (number, line) in figure.lines.iter().enumerate() {
        let colour = colour(number);
        let place = |(time, value): &(i64, f64)| (times.fraction(*time), values.fraction(*value));
        for run in line.runs(figure.step) {
            let places: Vec<(f64, f64)> = run.iter().map(place).collect();
            if let [one] = places[..] {
                chart
                    .plotting_area()
                    .draw(&Circle::new(one, 3, colour.filled()))
                    .map_err(failed)?;
            } else {
                let path = PathElement::new(places, colour.stroke_width(2));
                chart.plotting_area().draw(&path).map_err(failed)?;
            }
        }
        for (time, is_positive) in line.infinities() {
            let (at, size) = if is_positive { (1.0, 7) } else { (0.0, -7) };
            let mark = TriangleMarker::new((times.fraction(time), at), size, colour.filled());
            chart.plotting_area().draw(&mark).map_err(failed)?;
        }
    }
    Ok(())
}

/// A line for each listed series: its colour, its newest value, its labels. Both are texts of their
/// own, so that one from right to left does not move the other.
fn draw_legend(figure: &Figure, (listed, unlisted): (usize, usize), area: &Area<'_>) -> Result<()> {
    let lines = &figure.lines[..listed];
    let values: Vec<String> = lines.iter().map(|line| figure.unit.human(line.last())).collect();
    let digits = values.iter().map(|value| value.width()).max().unwrap_or(0);
    // At most LISTED_MAX lines and a number of a few characters.
    let label_left = VALUE_LEFT + (digits as i32 + 2) * CHARACTER;
    let text = |text: String, left: i32, number: usize| {
        let style = (FONT, 15).into_font().color(&INK);
        let top = LEGEND_LINE as i32 * number as i32 + 4;
        area.draw(&Text::new(text, (left, top), style)).map_err(failed)
    };
    for (number, (line, value)) in lines.iter().zip(values).enumerate() {
        let middle = LEGEND_LINE as i32 * number as i32 + 11;
        let swatch = [(24, middle - 2), (48, middle + 2)];
        area.draw(&Rectangle::new(swatch, colour(number).filled())).map_err(failed)?;
        text(value, VALUE_LEFT, number)?;
        text(cut(&printable(&line.label), LABEL_ROOM), label_left, number)?;
    }
    if unlisted > 0 {
        text(format!("and {unlisted} more series"), VALUE_LEFT, listed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Line;
    use crate::plot::unit::Unit;

    fn figure(count: usize) -> Figure {
        let points =
            vec![(0, 1.0), (10, 3.0), (20, 2.0), (30, f64::NAN), (40, 2.0), (50, f64::INFINITY)];
        let line = |n| Line { label: format!("up{{n=\"<{n}&>\"}}"), points: points.clone() };
        Figure {
            title: "sum(up) > 1 & \u{1b}".to_owned(),
            times: (0, 50),
            step: 10,
            unit: Unit::Bytes,
            lines: (0..count).map(line).collect(),
        }
    }

    #[test]
    fn a_run_is_a_path_a_point_a_dot_and_infinity_a_mark() {
        let text = render(&figure(1)).unwrap();
        let count = |what: &str| text.matches(what).count();
        let colour = "#1F77B4";
        assert_eq!(count(&format!("<polyline fill=\"none\" opacity=\"1\" stroke=\"{colour}\"")), 1);
        assert_eq!((count("<circle"), count("<polygon")), (1, 1), "{text}");
        assert!(text.starts_with("<svg ") && text.trim_end().ends_with("</svg>"), "{text}");
        for part in
            ["up{n=&quot;&lt;0&amp;&gt;&quot;}", "1970-01-01 UTC", "+Inf", "2.0 B", "\\u{1b}"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn the_legend_ends_somewhere() {
        let text = render(&figure(100)).unwrap();
        assert!(text.contains("and 70 more series"), "{text}");
        assert!(!text.contains("&lt;30&amp;"), "the thirty-first is not listed");
        assert!(render(&figure(0)).unwrap().contains("1970-01-01 UTC"));
    }
}
