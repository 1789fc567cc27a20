//! Functions of range vectors, evaluated over one series at all steps.
//!
//! The caller prepares a [`RangeCall`] once for all series, asks [`RangeCall::check`] whether the
//! function takes the windows that were written, and calls [`evaluate`] for each series, which makes
//! one pass over the samples: the two ends of the window move over the columns by index as the steps
//! go on. No sample is copied per step, and memory is kept in a [`RangeScratch`] from series to
//! series.
//!
//! # Invariants
//!
//! - Stale markers are no samples: the caller has removed them. All other NaNs are values.
//! - The columns hold at least the samples of `Windows::needed`; others do no harm. Where
//!   `eval::outline` says that it is enough, one sample may stand for several.
//! - A result depends on the samples of its window, and for `anchored` and `smoothed` on those within
//!   the lookback beside it, and on nothing else. What leaves a window is never subtracted from a
//!   float, which would leave rounding errors, and NaN once there was an infinity.
//!
//! # Files
//!
//! `window` moves windows, `two_stacks` combines the samples of windows that overlap, `sorted_window`
//! keeps theirs in order, `notes` adds annotations. `call` is what a family gets. Then one file for
//! each family: `rates` (with `rate_kind`, `counter_resets` and `extrapolation`), `histogram_rates`,
//! `instant_rates`, `extended` and `extended_histograms` (`anchored` and `smoothed`, with
//! `extended_ends`), `sums`, `histogram_sums`, `extrema`, `deviation`, `quantiles`, `regression`,
//! `smoothing`, `positions`, `transitions`. `dispatch` calls them.

mod call;
mod counter_resets;
mod deviation;
mod dispatch;
mod exact_sums;
mod extended;
mod extended_ends;
mod extended_histograms;
mod extrapolation;
mod extrema;
mod histogram_rates;
mod histogram_sums;
mod instant_rates;
mod notes;
mod positions;
mod quantiles;
mod rate_kind;
mod rates;
mod regression;
mod sample_counts;
mod smoothing;
mod sorted_window;
mod sums;
#[cfg(test)]
mod tests;
mod transitions;
mod two_stacks;
mod window;

pub(crate) use call::{RangeCall, RangeSeries};
pub(crate) use dispatch::{RangeScratch, evaluate};
pub(crate) use exact_sums::are_added_exactly_without;
