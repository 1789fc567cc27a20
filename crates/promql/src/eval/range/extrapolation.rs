//! From the increase between the first and the last sample of a window to that over the window.
//!
//! Prometheus's definition (`extrapolatedRate`): samples are taken to come about as regularly as they
//! do in the window. Where the first or the last one is about as near to the end of the window as to
//! its neighbour, the series is taken to go on up to that end; where it is farther away, the series
//! is taken to begin or to end there, half the usual distance beyond the sample.

use siltstone::Timestamp;

/// A sample at most this many times the usual distance away from an end of the window stands for it.
const NEAR: f64 = 1.1;

/// The samples of a window, as far as extrapolation looks at them. Times are in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sampled {
    /// The start of the window, exclusive.
    pub(super) window_start: Timestamp,
    /// The end of the window, inclusive.
    pub(super) window_end: Timestamp,
    /// The time of the first sample.
    pub(super) first: Timestamp,
    /// The time of the last sample.
    pub(super) last: Timestamp,
    /// The number of samples, at least 1.
    pub(super) count: usize,
}

/// How the series got to its first sample in the window.
#[derive(Debug, Clone, Copy)]
pub(super) enum Beginning {
    /// It was zero at this time within the window, and the increase since then is known.
    At(Timestamp),
    /// As by the samples; a counter that increased has also the share that its first value is of the
    /// increase, because it cannot have been below zero before.
    Extrapolated(Option<f64>),
}

/// By what the increase between the samples is multiplied to be that over the window. Of a single
/// sample, [`Beginning::At`] must be known.
#[inline]
pub(super) fn factor(sampled: &Sampled, beginning: Beginning) -> f64 {
    let mut covered = length(sampled.first, sampled.last);
    let distance = if sampled.count > 1 { covered / (sampled.count - 1) as f64 } else { 0.0 };
    let near = distance * NEAR;
    let before = match beginning {
        Beginning::At(start) => {
            covered = length(start, sampled.last);
            0.0
        }
        Beginning::Extrapolated(first_share) => {
            let gap = length(sampled.window_start, sampled.first);
            let before = if gap >= near { distance / 2.0 } else { gap };
            match first_share {
                Some(share) if covered * share < before => covered * share,
                _ => before,
            }
        }
    };
    let gap = length(sampled.last, sampled.window_end);
    let behind = if gap >= near { distance / 2.0 } else { gap };
    if covered == 0.0 { 1.0 } else { (covered + before + behind) / covered }
}

/// The milliseconds between two times. The factor is a ratio of them: seconds would only cost
/// divisions.
#[inline]
fn length(from: Timestamp, to: Timestamp) -> f64 {
    to.saturating_sub(from) as f64
}
