//! The histogram itself: what it holds, how it is built from untrusted parts, and when two are the
//! same.

use std::sync::Arc;

use super::buckets::Buckets;
use super::count::{Count, Kahan};
use super::error::HistogramError;
use super::layout::{CUSTOM_SCHEMA, Layout, SCHEMA_MAX, SCHEMA_MIN, SCHEMA_READ_MAX};

/// What is known about whether the counter behind a histogram started anew before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CounterResetHint {
    /// Nothing: it takes a comparison with the previous histogram to find out.
    #[default]
    Unknown,
    /// It started anew between the previous histogram and this one.
    Reset,
    /// It did not.
    NotReset,
    /// It is no counter: its counts go up and down.
    Gauge,
}

impl CounterResetHint {
    /// The hint of a sum or difference, and whether the two hints contradict each other (a reset and
    /// no reset), of which a query warns.
    ///
    /// A gauge makes the result a gauge; else, two different hints leave it unknown.
    #[must_use]
    pub fn combined(self, other: Self) -> (Self, bool) {
        match (self, other) {
            (own, other) if own == other => (own, false),
            (Self::Gauge, _) | (_, Self::Gauge) => (Self::Gauge, false),
            (Self::Unknown, _) | (_, Self::Unknown) => (Self::Unknown, false),
            _ => (Self::Unknown, true),
        }
    }
}

/// A native histogram: counts of observations in buckets of a known layout, their total and sum.
///
/// Counts are floats and may be anything after arithmetic, negative and NaN included. Readers share
/// a histogram by `Arc`; what changes one works on a copy of its own.
pub type Histogram = HistogramOf<f64>;

/// A histogram whose numbers are plain floats ([`Histogram`]) or compensated ones
/// (while many are summed up).
#[derive(Debug, Clone)]
pub struct HistogramOf<C> {
    /// What is known about counter resets.
    pub hint: CounterResetHint,
    /// Number of observations. Above the sum of the buckets if there were NaN observations.
    pub count: C,
    /// Sum of the observations; NaN if there were NaN observations, or both infinities.
    pub sum: C,
    /// Number of observations in the zero bucket, which reaches from `-zero_threshold` to
    /// `zero_threshold`, both inclusive.
    pub zero_count: C,
    pub(super) zero_threshold: f64,
    pub(super) layout: Layout,
    pub(super) positive: Buckets<C>,
    pub(super) negative: Buckets<C>,
}

/// What a histogram is made of, before it is checked. Everything is zero or empty by default.
#[derive(Debug, Clone, Default)]
pub struct HistogramParts {
    /// -9 to 52 for exponential buckets, -53 for custom ones.
    pub schema: i32,
    /// The upper bounds of custom buckets, without the last one, +Inf.
    pub custom_bounds: Arc<[f64]>,
    /// See [`HistogramOf::hint`].
    pub hint: CounterResetHint,
    /// See [`HistogramOf::count`].
    pub count: f64,
    /// See [`HistogramOf::sum`].
    pub sum: f64,
    /// See [`HistogramOf::zero_count`].
    pub zero_count: f64,
    /// Half the width of the zero bucket.
    pub zero_threshold: f64,
    /// The buckets above zero, or all custom ones.
    pub positive: Buckets,
    /// The buckets below zero, mirrored.
    pub negative: Buckets,
}

impl TryFrom<HistogramParts> for Histogram {
    type Error = HistogramError;

    /// Checks the parts. Schemas above 8 are reduced to 8, as Prometheus does when it reads them.
    /// The counts are not compared with each other, nor is their sign looked at: an expected result
    /// of arithmetic is built in this way as well as a sample.
    fn try_from(parts: HistogramParts) -> Result<Self, HistogramError> {
        let layout = match parts.schema {
            CUSTOM_SCHEMA => checked_custom(&parts)?,
            SCHEMA_MIN..=SCHEMA_READ_MAX if parts.custom_bounds.is_empty() => {
                Layout::Exponential(parts.schema)
            }
            SCHEMA_MIN..=SCHEMA_READ_MAX => return Err(HistogramError::BoundsOfExponential),
            schema => return Err(HistogramError::UnknownSchema(schema)),
        };
        if parts.zero_threshold.is_nan() || parts.zero_threshold < 0.0 {
            return Err(HistogramError::ZeroThreshold(parts.zero_threshold));
        }
        let mut histogram = Self {
            hint: parts.hint,
            count: parts.count,
            sum: parts.sum,
            zero_count: parts.zero_count,
            zero_threshold: parts.zero_threshold,
            layout,
            positive: parts.positive,
            negative: parts.negative,
        };
        histogram.reduce_to(SCHEMA_MAX);
        Ok(histogram)
    }
}

/// The layout of custom buckets, if all of the other parts fit it.
fn checked_custom(parts: &HistogramParts) -> Result<Layout, HistogramError> {
    if parts.zero_count != 0.0 || parts.zero_threshold != 0.0 {
        return Err(HistogramError::ZeroBucketOfCustom);
    }
    if !parts.negative.is_empty() {
        return Err(HistogramError::NegativeBucketsOfCustom);
    }
    let (indices, bounds) = (parts.positive.indices(), parts.custom_bounds.len());
    for index in indices.first().into_iter().chain(indices.last()) {
        if usize::try_from(*index).map_or(true, |index| index > bounds) {
            return Err(HistogramError::BoundsTooFew { bounds, index: *index });
        }
    }
    Layout::custom(parts.custom_bounds.clone())
}

impl Default for Histogram {
    /// A histogram without observations, of schema 0.
    fn default() -> Self {
        Self {
            hint: CounterResetHint::Unknown,
            count: 0.0,
            sum: 0.0,
            zero_count: 0.0,
            zero_threshold: 0.0,
            layout: Layout::Exponential(0),
            positive: Buckets::default(),
            negative: Buckets::default(),
        }
    }
}

impl Histogram {
    /// A histogram without observations or buckets that can be added to and subtracted from any
    /// histogram of the layout of `other`.
    #[must_use]
    pub fn empty_like(other: &Self) -> Self {
        Self { layout: other.layout.clone(), ..Self::default() }
    }

    /// Whether this is the marker that a series ended: the sum has the bits of the stale marker
    /// (other NaNs are ordinary sums).
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.sum.to_bits() == siltstone::types::STALE_MARKER_BITS
    }

    /// Whether both hold the same data, as `==`, `!=` and `changes` compare histograms: the same
    /// layout, the same buckets (empty ones count) and the same bits in every number, so that NaN
    /// equals NaN and 0 differs from -0. Only widths and custom bounds are compared as numbers. The
    /// hint does not matter.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.layout.same(&other.layout)
            && self.zero_threshold == other.zero_threshold
            && self.count.to_bits() == other.count.to_bits()
            && self.sum.to_bits() == other.sum.to_bits()
            && self.zero_count.to_bits() == other.zero_count.to_bits()
            && same_buckets(&self.positive, &other.positive)
            && same_buckets(&self.negative, &other.negative)
    }
}

fn same_buckets(left: &Buckets, right: &Buckets) -> bool {
    left.indices() == right.indices()
        && left.counts().iter().zip(right.counts()).all(|(a, b)| a.to_bits() == b.to_bits())
}

impl<C: Count> HistogramOf<C> {
    /// The schema: -9 to 8 for exponential buckets, -53 for custom ones.
    #[must_use]
    pub fn schema(&self) -> i32 {
        self.layout.schema()
    }

    /// The bounds of custom buckets without +Inf; `None` if the buckets are exponential.
    #[must_use]
    pub fn custom_bounds(&self) -> Option<&Arc<[f64]>> {
        match &self.layout {
            Layout::Exponential(_) => None,
            Layout::Custom(bounds) => Some(bounds),
        }
    }

    /// Whether the buckets have custom bounds.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        matches!(self.layout, Layout::Custom(_))
    }

    /// Half the width of the zero bucket.
    #[must_use]
    pub fn zero_threshold(&self) -> f64 {
        self.zero_threshold
    }

    /// The buckets above zero, or all custom ones.
    #[must_use]
    pub fn positive(&self) -> &Buckets<C> {
        &self.positive
    }

    /// The buckets below zero, mirrored: their indices count away from zero.
    #[must_use]
    pub fn negative(&self) -> &Buckets<C> {
        &self.negative
    }

    /// About how many bytes it takes to hold it behind an `Arc` or a `Box`: itself, its buckets and its
    /// custom bounds, which may be shared but count in full.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        /// The two counts of an `Arc`.
        const SHARED: usize = 2 * size_of::<usize>();
        let bounds = self.custom_bounds().map_or(0, |bounds| SHARED + 8 * bounds.len());
        let buckets = self.positive.heap_bytes() + self.negative.heap_bytes();
        SHARED + size_of::<Self>() + buckets + bounds
    }

    /// Removes empty buckets. The result of every arithmetic operator of a query is compacted.
    pub fn compact(&mut self) {
        self.positive.compact();
        self.negative.compact();
    }

    /// Lowers the resolution of exponential buckets to `schema`, at least -9; nothing happens if it
    /// is not finer now, or if the buckets are custom. The counts stay: buckets are merged whole.
    pub fn reduce_to(&mut self, schema: i32) {
        let Layout::Exponential(own) = &mut self.layout else { return };
        let target = schema.max(SCHEMA_MIN);
        if let Ok(finer @ 1..) = u32::try_from(*own - target) {
            *own = target;
            self.positive.reduce(finer);
            self.negative.reduce(finer);
        }
    }
}

impl From<&Histogram> for HistogramOf<Kahan> {
    fn from(histogram: &Histogram) -> Self {
        Self {
            hint: histogram.hint,
            count: histogram.count.into(),
            sum: histogram.sum.into(),
            zero_count: histogram.zero_count.into(),
            zero_threshold: histogram.zero_threshold,
            layout: histogram.layout.clone(),
            positive: histogram.positive.map(Kahan::from),
            negative: histogram.negative.map(Kahan::from),
        }
    }
}

#[cfg(test)]
mod tests;
