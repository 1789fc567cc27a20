//! The values of one series at the steps of an evaluation.

use std::sync::Arc;

use crate::histogram::Histogram;

/// The bits that say that there is no value at a step: the stale marker. No value of a result has
/// these bits: selectors take a stale marker for an absent sample, and arithmetic makes quiet NaNs
/// only, of which this is none.
const ABSENT_BITS: u64 = siltstone::types::STALE_MARKER_BITS;

/// Steps that a column may have room for beside twice those that it has, when it is taken.
const SPARE_STEPS: usize = 64;

/// What stands at a step without a float.
pub(crate) const ABSENT: f64 = f64::from_bits(ABSENT_BITS);

/// Whether `value` says that there is none.
#[inline]
pub(crate) fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT_BITS
}

/// A value at a step.
///
/// Two are equal if they are of one kind and the same bit for bit, so that NaN equals NaN.
#[derive(Debug, Clone)]
pub enum Point {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Histogram(a), Self::Histogram(b)) => a.same(b) && a.hint == b.hint,
            _ => false,
        }
    }
}

/// The values of one series at the steps of an evaluation: at each step none, a float or a native
/// histogram.
///
/// # Invariants
/// - `floats` has an entry for each step, the bits of the stale marker where there is no float.
/// - `histograms` is in order of steps, and at its steps there is no float.
#[derive(Debug, Clone, Default)]
pub struct StepColumn {
    floats: Vec<f64>,
    histograms: Vec<(u32, Arc<Histogram>)>,
}

impl StepColumn {
    /// A column of `steps` steps without values.
    #[must_use]
    pub fn absent(steps: usize) -> Self {
        Self { floats: vec![ABSENT; steps], histograms: Vec::new() }
    }

    /// A column of floats, [`ABSENT`] where there are none.
    pub(crate) fn from_floats(floats: Vec<f64>) -> Self {
        Self { floats, histograms: Vec::new() }
    }

    /// Forgets all values, for `steps` steps, and keeps the memory.
    pub fn reset(&mut self, steps: usize) {
        self.floats.clear();
        self.floats.resize(steps, ABSENT);
        self.histograms.clear();
    }

    /// The number of steps.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.floats.len()
    }

    /// The floats, one for each step; `crate::value::is_absent` tells which are none.
    pub(crate) fn floats(&self) -> &[f64] {
        &self.floats
    }

    /// The floats, to be changed in place.
    pub(crate) fn floats_mut(&mut self) -> &mut [f64] {
        &mut self.floats
    }

    /// The histograms with their steps, in order.
    #[must_use]
    pub fn histograms(&self) -> &[(u32, Arc<Histogram>)] {
        &self.histograms
    }

    /// The histograms, to be replaced one for one.
    pub(crate) fn histograms_mut(&mut self) -> &mut Vec<(u32, Arc<Histogram>)> {
        &mut self.histograms
    }

    /// Sets a float at a step without a histogram.
    #[inline]
    pub fn set_float(&mut self, step: usize, value: f64) {
        debug_assert!(!is_absent(value), "a stale marker is no result");
        self.floats[step] = value;
    }

    /// Appends a histogram at a step without a float, behind all other histograms.
    pub fn push_histogram(&mut self, step: usize, histogram: Arc<Histogram>) {
        let step = u32::try_from(step).unwrap_or(u32::MAX);
        debug_assert!(self.histograms.last().is_none_or(|(last, _)| *last < step), "in order");
        debug_assert!(is_absent(self.floats[step as usize]), "one value at a step");
        self.histograms.push((step, histogram));
    }

    /// Removes all histograms.
    pub fn clear_histograms(&mut self) {
        self.histograms.clear();
    }

    /// The histogram at `step`.
    #[must_use]
    pub fn histogram(&self, step: usize) -> Option<&Arc<Histogram>> {
        if self.histograms.is_empty() {
            return None;
        }
        let found = self.histograms.binary_search_by_key(&step, |(at, _)| *at as usize);
        found.ok().map(|at| &self.histograms[at].1)
    }

    /// Takes the values, in `spare` if the own memory is much larger than they need: it was made for more
    /// steps, and would be held, and not counted, as long as the values. `spare` is left here then.
    pub(crate) fn take(&mut self, mut spare: Self) -> Self {
        if self.floats.capacity() <= 2 * self.floats.len() + SPARE_STEPS {
            std::mem::swap(self, &mut spare);
            return spare;
        }
        spare.floats.clear();
        spare.floats.reserve_exact(self.floats.len());
        spare.floats.extend_from_slice(&self.floats);
        spare.histograms = std::mem::take(&mut self.histograms);
        spare
    }

    /// The value at `step`.
    #[must_use]
    pub fn get(&self, step: usize) -> Option<Point> {
        match self.floats[step] {
            value if !is_absent(value) => Some(Point::Float(value)),
            _ => self.histogram(step).cloned().map(Point::Histogram),
        }
    }

    /// Whether there is a value at `step`.
    #[must_use]
    pub fn is_present(&self, step: usize) -> bool {
        !is_absent(self.floats[step]) || self.histogram(step).is_some()
    }

    /// Whether there is no value at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.histograms.is_empty() && self.floats.iter().all(|value| is_absent(*value))
    }

    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.histograms.len() + self.floats.iter().filter(|value| !is_absent(**value)).count()
    }

    /// The values in order of steps.
    pub fn iter(&self) -> impl Iterator<Item = (usize, Point)> {
        let mut histograms = self.histograms.iter().peekable();
        self.floats.iter().enumerate().filter_map(move |(step, value)| {
            if !is_absent(*value) {
                return Some((step, Point::Float(*value)));
            }
            let (_, histogram) = histograms.next_if(|(at, _)| *at as usize == step)?;
            Some((step, Point::Histogram(histogram.clone())))
        })
    }

    /// Sets the value at each step to that of the first, which is the only one.
    pub(crate) fn repeat(&mut self, steps: usize) {
        debug_assert_eq!(self.steps(), 1, "one step is repeated");
        let value = self.floats[0];
        self.floats.resize(steps, value);
        if let Some((_, histogram)) = self.histograms.pop() {
            let end = u32::try_from(steps).unwrap_or(u32::MAX);
            self.histograms.extend((0..end).map(|step| (step, histogram.clone())));
        }
    }

    /// About how many bytes of heap the column holds. A histogram that neighbouring values share
    /// counts once. A clone has the same, so that what is held for one is what it gives back.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let entries = self.histograms.len() * size_of::<(u32, Arc<Histogram>)>();
        let distinct = self.histograms.chunk_by(|(_, a), (_, b)| Arc::ptr_eq(a, b));
        let histograms: usize = distinct.map(|same| same[0].1.heap_bytes()).sum();
        self.floats.len() * size_of::<f64>() + entries + histograms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_is_no_value_of_arithmetic() {
        assert!(is_absent(ABSENT) && !is_absent(f64::NAN) && !is_absent(-f64::NAN));
        assert!(!is_absent(std::hint::black_box(ABSENT) + 1.0), "arithmetic makes it quiet");
    }

    #[test]
    fn a_column_is_taken_without_room_that_it_does_not_need() {
        let mut column = StepColumn::absent(10_000);
        column.reset(3);
        column.set_float(1, 5.0);
        column.push_histogram(2, Arc::default());
        let taken = column.take(StepColumn::default());
        assert!(taken.floats.capacity() < 100 && column.floats.capacity() >= 10_000);
        assert_eq!((taken.len(), taken.get(1)), (2, Some(Point::Float(5.0))));
        let mut small = StepColumn::absent(3);
        let place = small.floats.as_ptr();
        assert_eq!(small.take(StepColumn::default()).floats.as_ptr(), place, "not copied");
    }

    #[test]
    fn a_shared_histogram_counts_once() {
        let mut shared = StepColumn::absent(1);
        shared.push_histogram(0, Arc::default());
        let one = shared.heap_bytes();
        shared.repeat(1000);
        let floats_and_entries = 999 * (8 + 16);
        assert!(
            (one + floats_and_entries..one + 2 * floats_and_entries).contains(&shared.heap_bytes())
        );
        assert_eq!(shared.clone().heap_bytes(), shared.heap_bytes());
        let mut distinct = StepColumn::absent(1000);
        (0..1000).for_each(|step| distinct.push_histogram(step, Arc::default()));
        assert!(distinct.heap_bytes() > 1000 * size_of::<Histogram>());
    }

    #[test]
    fn values_are_found_by_step() {
        let mut column = StepColumn::absent(4);
        assert!(column.is_empty());
        column.set_float(1, 5.0);
        column.push_histogram(2, Arc::new(Histogram::default()));
        assert_eq!(column.len(), 2);
        assert_eq!(column.get(1), Some(Point::Float(5.0)));
        assert!(column.get(0).is_none() && column.histogram(2).is_some());
        let steps: Vec<usize> = column.iter().map(|(step, _)| step).collect();
        assert_eq!(steps, [1, 2]);
    }
}
