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
//! | `iterate` | the buckets with their bounds |

mod arithmetic;
mod buckets;
mod count;
mod custom;
mod error;
mod iterate;
mod layout;
mod value;

pub use arithmetic::Combined;
pub use buckets::{BUCKETS_MAX, Buckets, Span};
pub use count::{Count, Kahan};
pub use error::{HistogramError, MixedLayouts};
pub use iterate::{AllBuckets, Bucket};
pub use layout::{CUSTOM_SCHEMA, SCHEMA_MAX, SCHEMA_MIN, SCHEMA_READ_MAX};
pub use value::{CounterResetHint, Histogram, HistogramOf, HistogramParts};
