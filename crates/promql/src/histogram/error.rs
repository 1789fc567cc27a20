//! Why a histogram could not be built, or why two of them could not be combined.

use std::fmt;

/// Why parts do not make a histogram. The wording follows Prometheus's, whose users know it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum HistogramError {
    /// The schema is neither one of -9 to 52 nor -53.
    UnknownSchema(i32),
    /// The spans cover another number of buckets than there are counts.
    SpansMismatch {
        /// Buckets covered by the spans.
        spans: u64,
        /// Counts given.
        counts: usize,
    },
    /// A span other than the first has a negative offset: its position, from 1, and the offset.
    NegativeOffset(usize, i32),
    /// The index of a bucket does not fit in 32 bits.
    IndexOverflow,
    /// More buckets on one side than the limit, which the number gives.
    TooManyBuckets(usize),
    /// A width of the zero bucket that is negative or NaN.
    ZeroThreshold(f64),
    /// Custom bounds beside an exponential schema.
    BoundsOfExponential,
    /// A custom bound that is NaN.
    BoundNan,
    /// A custom bound that is not above the one before it: first that one, then this one.
    BoundsNotIncreasing(f64, f64),
    /// A custom bound of +Inf; the last bucket has it without being told.
    BoundInfinite,
    /// A bucket beyond the last one that the custom bounds define.
    BoundsTooFew {
        /// Number of custom bounds.
        bounds: usize,
        /// Index of the bucket, which must be between 0 and `bounds`.
        index: i32,
    },
    /// A zero bucket beside custom bounds.
    ZeroBucketOfCustom,
    /// Negative buckets beside custom bounds.
    NegativeBucketsOfCustom,
}

impl fmt::Display for HistogramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::UnknownSchema(schema) => write!(
                f,
                "histogram has an unknown schema, which must be between -9 and 52 for exponential \
                 buckets, or -53 for custom buckets, got schema {schema}"
            ),
            Self::SpansMismatch { spans, counts } => {
                write!(f, "spans need {spans} buckets, have {counts} buckets")
            }
            Self::NegativeOffset(at, offset) => {
                write!(f, "span number {at} has the negative offset {offset}")
            }
            Self::IndexOverflow => f.write_str("histogram has a bucket index beyond 32 bits"),
            Self::TooManyBuckets(max) => {
                write!(f, "histogram has more than {max} buckets on one side")
            }
            Self::ZeroThreshold(width) => {
                write!(f, "histogram's zero threshold must be zero or positive, got {width}")
            }
            Self::BoundsOfExponential => {
                f.write_str("histogram with exponential schema must not have custom bounds")
            }
            Self::BoundNan => f.write_str("histogram custom bounds must not be NaN"),
            Self::BoundsNotIncreasing(previous, bound) => write!(
                f,
                "histogram custom bounds must be in strictly increasing order: previous bound is \
                 {previous} and current is {bound}"
            ),
            Self::BoundInfinite => f.write_str("last +Inf bound must not be explicitly defined"),
            Self::BoundsTooFew { bounds, index } => write!(
                f,
                "only {bounds} custom bounds defined, which is insufficient for bucket {index}"
            ),
            Self::ZeroBucketOfCustom => {
                f.write_str("custom buckets: must have zero count and zero threshold of 0")
            }
            Self::NegativeBucketsOfCustom => {
                f.write_str("custom buckets: must not have negative buckets")
            }
        }
    }
}

impl std::error::Error for HistogramError {}

/// Two histograms that cannot be combined: one has exponential buckets, the other custom ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MixedLayouts;

impl fmt::Display for MixedLayouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "cannot apply this operation on histograms with a mix of exponential and custom bucket \
             schemas",
        )
    }
}

impl std::error::Error for MixedLayouts {}
