//! Folds the samples of one series into buckets.

use super::exact_sum::ExactSum;
use super::{Bucket, BucketValues};
use crate::cursor::{Columns, Summary};
use crate::error::{Error, Result};
use crate::segment::DecimalSum;
use crate::types::{STALE_MARKER_BITS, Sample, Timestamp};

/// Buckets of `step` ticks from `start`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    pub(super) start: Timestamp,
    /// At least 1.
    step: u64,
}

impl Steps {
    /// Buckets of `step` ticks from `start`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if `step` is below 1.
    pub(crate) fn new(start: Timestamp, step: i64) -> Result<Self> {
        match u64::try_from(step) {
            Ok(step) if step > 0 => Ok(Self { start, step }),
            _ => Err(Error::InvalidArgument(format!("a step of {step} ticks is below 1"))),
        }
    }

    /// The number of the bucket of a tick at or after `start`.
    fn index(self, at: Timestamp) -> u64 {
        at.wrapping_sub(self.start) as u64 / self.step
    }

    /// The first tick of a bucket that has a tick.
    fn first(self, index: u64) -> Timestamp {
        self.start.wrapping_add((index * self.step) as i64)
    }

    /// The last tick of a bucket that has a tick.
    fn last(self, index: u64) -> Timestamp {
        let ticks = u128::from(self.step) * (u128::from(index) + 1) - 1;
        let last = i128::from(self.start).saturating_add_unsigned(ticks);
        last.min(i128::from(i64::MAX)) as Timestamp
    }

    /// The last tick of the bucket that starts at `first`.
    pub(super) fn last_of(self, first: Timestamp) -> Timestamp {
        self.last(self.index(first))
    }
}

/// A bucket that is being filled.
struct Open {
    index: u64,
    last_tick: Timestamp,
    stale_markers: u64,
    count: u64,
    nans: u64,
    first: Sample,
    last: Sample,
    min: f64,
    max: f64,
    /// `None` once the values have no common decimal exponent.
    decimal: Option<DecimalSum>,
    /// Some values are not in the exact sum of floats.
    missing: bool,
}

/// The fold of one series after the other.
///
/// A sum of decimals is kept as such. Once a series has had a bucket whose values are no decimals,
/// what is decoded of it is added to an exact sum of floats as well; the sums of buckets that lack
/// values there are left to be computed again.
pub(super) struct Fold {
    steps: Steps,
    open: Option<Open>,
    exact: ExactSum,
    /// Whether what is decoded is added to `exact`.
    floats: bool,
    live: Vec<f64>,
    pub(super) buckets: Vec<Bucket>,
    /// Which of `buckets` have no sum yet.
    pub(super) unsummed: Vec<usize>,
}

impl Fold {
    pub(super) fn new(steps: Steps) -> Self {
        Self {
            steps,
            open: None,
            exact: ExactSum::new(),
            floats: false,
            live: Vec::new(),
            buckets: Vec::new(),
            unsummed: Vec::new(),
        }
    }

    /// Forgets the present series.
    pub(super) fn start(&mut self) {
        self.open = None;
        self.floats = false;
        self.buckets.clear();
        self.unsummed.clear();
    }

    /// Whether a batch need not be decoded: it lies in one bucket, and its summary says all of it.
    pub(super) fn takes(&self, summary: &Summary) -> bool {
        let index = self.steps.index(summary.first);
        if index != self.steps.index(summary.last) {
            return false;
        }
        if summary.stale_markers > 0 {
            return summary.stale_markers == summary.rows;
        }
        let open = self.open.as_ref().filter(|open| open.index == index);
        let decimal = !self.floats && open.is_none_or(|open| open.decimal.is_some());
        // Integers are their own exact sum, whatever they are added to.
        let total = summary.values.and_then(|values| values.sum);
        total.is_some_and(|total| total.exponent == 0 || decimal)
    }

    /// Adds a batch that [`takes`](Self::takes) was true for.
    pub(super) fn add_summary(&mut self, summary: &Summary) {
        let mut open = self.enter(summary.first);
        open.stale_markers += u64::from(summary.stale_markers);
        if let Some((values, total)) = summary.values.and_then(|v| Some((v, v.sum?))) {
            open.cover(values.min, values.max);
            let first = Sample { timestamp: summary.first, value: values.first };
            let last = Sample { timestamp: summary.last, value: values.last };
            open.enclose(first, last, u64::from(summary.rows));
            let adds = |sum: &mut DecimalSum| {
                sum.add_sum(total.exponent, total.sum, values.min, values.max)
            };
            open.decimal = open.decimal.and_then(|mut sum| adds(&mut sum).then_some(sum));
            if total.exponent == 0 {
                self.exact.add(total.sum as f64);
            } else {
                open.missing = true;
            }
        }
        self.open = Some(open);
    }

    /// Adds samples, which follow those before.
    pub(super) fn add_columns(&mut self, columns: &Columns) {
        let (times, values) = (&columns.timestamps[..], columns.values.f64());
        let mut from = 0;
        while from < times.len() {
            let mut open = self.enter(times[from]);
            let until = from + rows_until(&times[from..], open.last_tick);
            self.add_rows(&mut open, &times[from..until], &values[from..until]);
            self.open = Some(open);
            from = until;
        }
    }

    /// Adds samples of one bucket, at least one.
    fn add_rows(&mut self, open: &mut Open, times: &[Timestamp], values: &[f64]) {
        self.live.clear();
        let mut ends: Option<(usize, usize)> = None;
        let mut nans = 0;
        for (row, &value) in values.iter().enumerate() {
            if value.is_nan() {
                if value.to_bits() == STALE_MARKER_BITS {
                    open.stale_markers += 1;
                    continue;
                }
                nans += 1;
            } else {
                self.live.push(value);
            }
            ends = Some((ends.map_or(row, |(first, _)| first), row));
        }
        let Some((first, last)) = ends else { return };
        let sample = |row: usize| Sample { timestamp: times[row], value: values[row] };
        open.nans += nans;
        open.enclose(sample(first), sample(last), self.live.len() as u64 + nans);
        for &value in &self.live {
            open.cover(value, value);
        }
        if open.nans > 0 || self.live.is_empty() {
            return;
        }
        let live = &self.live;
        open.decimal = open.decimal.and_then(|mut sum| sum.add(live).then_some(sum));
        if self.floats {
            live.iter().for_each(|&value| self.exact.add(value));
        } else {
            open.missing = true;
        }
    }

    /// Ends the present series.
    pub(super) fn finish(&mut self) {
        if let Some(open) = self.open.take() {
            self.close(&open);
        }
    }

    /// The bucket of `at`; the one before is closed if that is another.
    fn enter(&mut self, at: Timestamp) -> Open {
        let index = self.steps.index(at);
        match self.open.take() {
            Some(open) if open.index == index => return open,
            Some(open) => self.close(&open),
            None => {}
        }
        self.exact.clear();
        Open::new(index, self.steps.last(index))
    }

    fn close(&mut self, open: &Open) {
        let sum = match open.decimal {
            _ if open.nans > 0 => f64::NAN,
            Some(decimal) => decimal.value(),
            None => {
                self.floats = true;
                if open.missing {
                    self.unsummed.push(self.buckets.len());
                }
                self.exact.value()
            }
        };
        self.buckets.push(Bucket {
            start: self.steps.first(open.index),
            stale_markers: open.stale_markers,
            values: (open.count > 0).then_some(BucketValues {
                count: open.count,
                sum,
                min: open.min,
                max: open.max,
                first: open.first,
                last: open.last,
            }),
        });
    }
}

impl Open {
    fn new(index: u64, last_tick: Timestamp) -> Self {
        let none = Sample { timestamp: last_tick, value: f64::NAN };
        Self {
            index,
            last_tick,
            stale_markers: 0,
            count: 0,
            nans: 0,
            first: none,
            last: none,
            min: f64::NAN,
            max: f64::NAN,
            decimal: Some(DecimalSum::default()),
            missing: false,
        }
    }

    /// Adds `count` values from `first` to `last`, which follow those before.
    fn enclose(&mut self, first: Sample, last: Sample, count: u64) {
        if self.count == 0 {
            self.first = first;
        }
        self.last = last;
        self.count += count;
    }

    /// Widens the extremes to values that are no NaNs.
    fn cover(&mut self, min: f64, max: f64) {
        if self.min.is_nan() || min.total_cmp(&self.min).is_lt() {
            self.min = min;
        }
        if self.max.is_nan() || max.total_cmp(&self.max).is_gt() {
            self.max = max;
        }
    }
}

/// How many of `times`, whose first is at most `last`, are: found in steps that double.
fn rows_until(times: &[Timestamp], last: Timestamp) -> usize {
    let mut step = 1;
    while step < times.len() && times[step] <= last {
        step *= 2;
    }
    let (from, until) = (step / 2, step.min(times.len()));
    from + times[from..until].partition_point(|&t| t <= last)
}
