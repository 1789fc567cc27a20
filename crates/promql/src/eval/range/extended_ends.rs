//! Between which samples `anchored` and `smoothed` windows count: the same for floats and histograms.

use siltstone::Timestamp;

use super::window::{Run, Window};

/// The samples from which and to which a window counts: the last one up to the start of the window,
/// or the first in it; and, `smoothed`, the first one from its end on, or else the last in it.
///
/// `reach` is the window with the samples beside it, `inner` the samples in it. None if the window is
/// not touched.
pub(super) fn ends(
    window: &Window,
    (reach, inner): (Run, Run),
    timestamps: &[Timestamp],
    smoothed: bool,
) -> Option<(usize, usize)> {
    if reach.is_empty() {
        return None;
    }
    let first = if inner.first > reach.first { inner.first - 1 } else { inner.first };
    let last = if smoothed {
        before_end(window, inner, timestamps).end.min(reach.last())
    } else {
        reach.last()
    };
    // All samples lie up to the start of the window, or all behind its end.
    if timestamps[last] <= window.start || timestamps[first.min(last)] > window.end {
        return None;
    }
    Some((first, last))
}

/// The samples of the window without one right at its end.
pub(super) fn before_end(window: &Window, inner: Run, timestamps: &[Timestamp]) -> Run {
    let at_end = !inner.is_empty() && timestamps[inner.last()] == window.end;
    Run { first: inner.first, end: inner.end - usize::from(at_end) }
}
