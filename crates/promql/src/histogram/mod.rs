//! Native histograms as values of the query language.
//!
//! A [`Histogram`] counts observations in buckets: exponential ones of a schema, around a zero
//! bucket, or custom ones with the bounds that the series brings (of classic histograms that were
//! converted). The semantics throughout are those of Prometheus 3.14, whose documentation names
//! the kinds `exponential` and `NHCB`; where a rule looks odd, it is kept for the same results and
//! said to be so.
//!
//! | file | topic |
//! |---|---|
//! | `layout` | schemas and bounds of buckets |
//! | `buckets` | the columns of one side, merging and reducing them |
//! | `value` | the histogram, building it from untrusted parts, equality |
//! | `count` | plain and compensated numbers |
//! | `arithmetic`, `custom` | `+`, `-`, `*`, `/` |
//! | `sum`, `summary` | sums and means of many |
//! | `reset` | counter resets |
//! | `iterate` | the buckets with their bounds |
//! | `interpolate` | where in a bucket observations are taken to be |
//! | `quantile`, `fraction`, `moments` | `histogram_quantile`, `_fraction`, `_avg`, `_stdvar` |
//! | `trim` | `</` and `>/` |
//! | `classic` | quantiles and fractions of classic histograms |
//! | `display` | the text form |

mod arithmetic;
mod buckets;
mod classic;
mod count;
mod custom;
mod display;
mod error;
mod fraction;
mod interpolate;
mod iterate;
mod layout;
mod moments;
mod quantile;
mod reset;
mod sum;
mod summary;
mod trim;
mod value;

pub use arithmetic::Combined;
pub use buckets::{BUCKETS_MAX, Buckets, Span};
pub use classic::{
    ClassicBucket, ClassicQuantile, ForcedMonotonicity, classic_fraction, classic_quantile,
};
pub use count::{Count, Kahan};
pub use error::{HistogramError, MixedLayouts};
pub use iterate::{AllBuckets, Bucket};
pub use layout::{CUSTOM_SCHEMA, SCHEMA_MAX, SCHEMA_MIN, SCHEMA_READ_MAX};
pub use quantile::NanObservations;
pub use sum::{HistogramMean, HistogramSum};
pub(crate) use summary::Summary;
pub use value::{CounterResetHint, Histogram, HistogramOf, HistogramParts};

/// The NaN that functions return: the one of Go, whose lowest bit tells it from the hardware's.
const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

#[cfg(test)]
mod tests;
