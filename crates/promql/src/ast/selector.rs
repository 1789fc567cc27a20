//! Selectors of series, and what moves their windows in time.

use siltstone::{Matcher, Timestamp};

use super::Length;

/// `name{matchers} offset .. @ ..`.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    /// The metric name before the braces, which also stands in `matchers`.
    pub name: Option<String>,
    /// All matchers in the order written; that of `name` is the first.
    pub matchers: Vec<Matcher>,
    /// Where the window lies.
    pub shift: TimeShift,
    /// Which samples the window holds.
    pub mode: RangeMode,
}

/// Where a selector or a subquery looks, seen from the time of a step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TimeShift {
    /// `offset`: how far back; negative looks ahead.
    pub offset: Option<Length>,
    /// `@`: a fixed time in place of that of the step; the offset counts from it.
    pub at: Option<At>,
}

/// The fixed time of an `@` modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    /// Milliseconds since the Unix epoch.
    Time(Timestamp),
    /// `start()`: the first step of the query.
    Start,
    /// `end()`: the last step of the query.
    End,
}

/// Which samples a window holds at its two boundaries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum RangeMode {
    /// Those in the window.
    #[default]
    Inside,
    /// `anchored`: also the last one at or before the start, taken as one at the start.
    Anchored,
    /// `smoothed`: values at both boundaries are interpolated between their neighbours.
    Smoothed,
}
