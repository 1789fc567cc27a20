//! A plot of what a range query found: in the terminal, or as an SVG file.
//!
//! [`Figure`] is what is drawn, whatever it is drawn with. Axes ([`value_axis`], [`time_axis`]) choose
//! round numbers and write them for people; [`terminal`] draws with braille characters on a
//! [`canvas`], [`svg`] with the crate `plotters`.
//!
//! # Rules of both
//!
//! 1. NaN and steps without a point are gaps: no line crosses them.
//! 2. A point between two gaps is a dot.
//! 3. Infinite values do not stretch the axis; they are marks at its upper or lower end.
//! 4. A series that does not change is a line in the middle.
//! 5. Histograms have no place on the axis and are left out; the caller says so.

mod canvas;
pub(crate) mod svg;
pub(crate) mod terminal;
mod time_axis;
pub(crate) mod unit;
mod value_axis;

use siltstone::Timestamp;

use unit::Unit;

/// Most series that are drawn: more cannot be told apart.
pub(crate) const LINES_MAX: usize = 200;

/// What is drawn.
#[derive(Debug)]
pub(crate) struct Figure {
    /// What it shows: the query.
    pub(crate) title: String,
    /// The first and the last time, in milliseconds since 1970.
    pub(crate) times: (Timestamp, Timestamp),
    /// The distance of the points of a series that has no gaps, in milliseconds.
    pub(crate) step: i64,
    /// What the values count.
    pub(crate) unit: Unit,
    pub(crate) lines: Vec<Line>,
}

/// A series.
#[derive(Debug)]
pub(crate) struct Line {
    /// Its labels as text.
    pub(crate) label: String,
    /// Times in milliseconds since 1970, ascending, and values.
    pub(crate) points: Vec<(Timestamp, f64)>,
}

impl Figure {
    /// The smallest and the largest finite value; `None` without any.
    fn extent(&self) -> Option<(f64, f64)> {
        let values = self.lines.iter().flat_map(|line| line.points.iter().map(|(_, value)| *value));
        values.filter(|value| value.is_finite()).fold(None, |extent, value| {
            let (low, high) = extent.unwrap_or((value, value));
            Some((low.min(value), high.max(value)))
        })
    }
}

impl Line {
    /// The parts without gaps: finite values that are at most `step` apart.
    fn runs(&self, step: i64) -> impl Iterator<Item = &[(Timestamp, f64)]> {
        self.points
            .chunk_by(move |(before, a), (after, b)| {
                a.is_finite() && b.is_finite() && after.saturating_sub(*before) <= step
            })
            .filter(|run| run[0].1.is_finite())
    }

    /// The times of infinite values, and whether they are positive.
    fn infinities(&self) -> impl Iterator<Item = (Timestamp, bool)> {
        let infinite = self.points.iter().filter(|(_, value)| value.is_infinite());
        infinite.map(|(time, value)| (*time, *value > 0.0))
    }

    /// The newest value; NaN without any.
    fn last(&self) -> f64 {
        self.points.last().map_or(f64::NAN, |(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_end_a_run() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        let points = vec![
            (0, 1.0),
            (10, 2.0),
            (20, nan),
            (30, 3.0),
            // One step is missing.
            (50, 4.0),
            (60, inf),
            (70, -inf),
            (80, nan),
        ];
        let line = Line { label: String::new(), points };
        let runs: Vec<Vec<i64>> =
            line.runs(10).map(|run| run.iter().map(|(time, _)| *time).collect()).collect();
        assert_eq!(runs, [vec![0, 10], vec![30], vec![50]]);
        assert_eq!(line.infinities().collect::<Vec<_>>(), [(60, true), (70, false)]);
        let figure = Figure {
            title: String::new(),
            times: (0, 80),
            step: 10,
            unit: Unit::None,
            lines: vec![line],
        };
        assert_eq!(figure.extent(), Some((1.0, 4.0)));
        assert_eq!(Figure { lines: Vec::new(), ..figure }.extent(), None);
    }
}
