//! Tests of the functions of range vectors through [`evaluate`].

mod cases;
mod extended;
mod histograms;
mod properties;
mod start_timestamps;
mod time_limit;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use siltstone::{Cancel, Clock};

use super::{RangeCall, RangeScratch, RangeSeries, evaluate};
use crate::annotations::{Annotations, Severity};
use crate::ast::{RangeMode, Span};
use crate::eval::grid::{Grid, Shift, Windows};
use crate::eval::meter::{Limits, Meter};
use crate::flags::Features;
use crate::functions::Function;
use crate::histogram::Histogram;
use crate::query_error::QueryError;
use crate::source::{KindColumn, SampleColumns};
use crate::value::{LabelSet, StepColumn};

/// A clock that goes on by a second whenever it is looked at.
#[derive(Debug, Default)]
struct EagerClock(AtomicU64);

impl Clock for EagerClock {
    fn wall_ms(&self) -> i64 {
        0
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// A series: times in milliseconds, start timestamps (0 where unknown), values.
#[derive(Debug, Clone, Default)]
struct Data {
    floats: Column<f64>,
    histograms: Column<Arc<Histogram>>,
}

#[derive(Debug, Clone)]
struct Column<T> {
    times: Vec<i64>,
    starts: Vec<i64>,
    values: Vec<T>,
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self { times: Vec::new(), starts: Vec::new(), values: Vec::new() }
    }
}

impl<T> Column<T> {
    fn push(&mut self, time: i64, start: i64, value: T) {
        self.times.push(time);
        self.starts.push(start);
        self.values.push(value);
    }

    fn column(&self) -> KindColumn<'_, T> {
        let known = self.starts.iter().any(|start| *start != 0);
        let start_timestamps = if known { &self.starts[..] } else { &[] };
        KindColumn { timestamps: &self.times, values: &self.values, start_timestamps }
    }
}

impl Data {
    /// Floats every `interval` seconds from 0 on; `None` is a gap.
    fn floats(interval: i64, values: &[f64]) -> Self {
        let mut data = Self::default();
        for (at, value) in (0..).zip(values) {
            data.floats.push(at * interval * 1000, 0, *value);
        }
        data
    }

    fn histograms(interval: i64, values: &[Histogram]) -> Self {
        let mut data = Self::default();
        for (at, value) in (0..).zip(values) {
            data.histograms.push(at * interval * 1000, 0, Arc::new(value.clone()));
        }
        data
    }
}

/// A call to be tested: `m_total[range]` at one step, in seconds, unless changed.
#[derive(Debug)]
struct Test {
    call: RangeCall,
    labels: LabelSet,
}

impl Test {
    fn new(function: Function, range: f64, at: f64) -> Self {
        let windows = Windows {
            grid: Grid::instant(milliseconds(at)),
            shift: Shift::default(),
            range: milliseconds(range),
            mode: RangeMode::Inside,
            lookback: 300_000,
        };
        let features = Features::experimental();
        let argument_span = Span::new(0, 1);
        let call = RangeCall { function, windows, parameters: Vec::new(), features, argument_span };
        Self { call, labels: LabelSet::from_pairs([("__name__", "m_total")]) }
    }

    fn mode(mut self, mode: RangeMode) -> Self {
        self.call.windows.mode = mode;
        self
    }

    fn steps(mut self, step: f64, count: usize) -> Self {
        self.call.windows.grid.step = milliseconds(step);
        self.call.windows.grid.count = count;
        self
    }

    fn parameter(mut self, value: f64) -> Self {
        self.call.parameters.push(vec![value; self.call.windows.grid.count]);
        self
    }

    fn labels(mut self, pairs: &[(&str, &str)]) -> Self {
        self.labels = LabelSet::from_pairs(pairs.iter().copied());
        self
    }

    fn try_run(&self, data: &Data) -> Result<Answer, QueryError> {
        self.try_run_within(data, Limits { time: None, ..Limits::default() })
    }

    fn try_run_within(&self, data: &Data, limits: Limits) -> Result<Answer, QueryError> {
        self.call.check()?;
        let samples = SampleColumns {
            floats: data.floats.column(),
            histograms: data.histograms.column(),
            ..SampleColumns::default()
        };
        let meter = Meter::new(limits, Cancel::default(), Arc::new(EagerClock::default()));
        let series = RangeSeries { labels: &self.labels, samples, meter: &meter };
        let mut answer = Answer {
            column: StepColumn::absent(self.call.windows.grid.count),
            notes: Annotations::default(),
        };
        // Memory of another series must not show.
        let mut scratch = RangeScratch::default();
        scratch.quantiles.deviations.push(1.0);
        scratch.rates.resets.push(7);
        evaluate(&self.call, &series, &mut scratch, &mut answer.notes, &mut answer.column)?;
        Ok(answer)
    }

    fn run(&self, data: &Data) -> Answer {
        self.try_run(data).unwrap()
    }

    /// The float of the first step.
    fn float(&self, data: &Data) -> Option<f64> {
        self.run(data).floats()[0]
    }
}

struct Answer {
    column: StepColumn,
    notes: Annotations,
}

impl Answer {
    fn floats(&self) -> Vec<Option<f64>> {
        let float = |value: &f64| (!crate::value::is_absent(*value)).then_some(*value);
        self.column.floats().iter().map(float).collect()
    }

    fn histogram(&self) -> Option<&Histogram> {
        self.column.histograms().first().map(|(_, histogram)| histogram.as_ref())
    }

    fn warnings(&self) -> Vec<String> {
        self.notes.texts(Severity::Warning, "q")
    }

    fn infos(&self) -> Vec<String> {
        self.notes.texts(Severity::Info, "q")
    }
}

fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

/// Whether two results are the same up to rounding.
fn near(a: f64, b: f64, tolerance: f64) -> bool {
    let close = (a - b).abs() <= tolerance * a.abs().max(b.abs());
    a == b || (a.is_nan() && b.is_nan()) || (a.is_finite() && b.is_finite() && close)
}

#[track_caller]
fn assert_near(result: Option<f64>, expected: f64) {
    let found = result.expect("a result");
    assert!(near(found, expected, 1e-9), "{found} instead of {expected}");
}
