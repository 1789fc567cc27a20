//! Histograms of which only count and sum matter.
//!
//! Prometheus reads such histograms without their buckets (`HistogramStatsIterator`), and so finds
//! counter resets while it still has them: each histogram gets the hint that it follows a reset, or
//! that it does not. Buckets stay here, but the hints are visible: in annotations of sums of
//! histograms whose hints collide.

use std::sync::Arc;

use crate::histogram::{CounterResetHint, Histogram};
use crate::source::SampleColumns;

/// Memory for the histograms of a series with hints, used again for each series of a thread.
#[derive(Default)]
pub(super) struct ResetHints {
    hinted: Vec<Arc<Histogram>>,
}

impl ResetHints {
    /// The samples, with hints if `wanted`: a histogram that has none gets the hint that the one
    /// before it in the column gives reason to. The first has none to follow.
    pub(super) fn applied<'a>(
        &'a mut self,
        columns: &SampleColumns<'a>,
        wanted: bool,
    ) -> SampleColumns<'a> {
        if !wanted || columns.histograms.is_empty() {
            return *columns;
        }
        self.hinted.clear();
        let mut before: Option<&Arc<Histogram>> = None;
        for histogram in columns.histograms.values {
            if histogram.is_stale() {
                self.hinted.push(histogram.clone());
                continue;
            }
            self.hinted.push(hinted(histogram, before));
            before = Some(histogram);
        }
        let mut columns = *columns;
        columns.histograms.values = &self.hinted;
        columns
    }
}

fn hinted(histogram: &Arc<Histogram>, before: Option<&Arc<Histogram>>) -> Arc<Histogram> {
    let Some(before) = before.filter(|_| histogram.hint == CounterResetHint::Unknown) else {
        return histogram.clone();
    };
    let mut hinted = Histogram::clone(histogram);
    hinted.hint = match histogram.is_reset_after(before) {
        true => CounterResetHint::Reset,
        false => CounterResetHint::NotReset,
    };
    Arc::new(hinted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::KindColumn;

    #[test]
    fn unknown_hints_are_found_out() {
        let counts = [5.0, 7.0, 3.0, 4.0];
        let histograms = counts.map(|count| {
            let hint =
                if count == 4.0 { CounterResetHint::Gauge } else { CounterResetHint::Unknown };
            let mut histogram = Histogram::default();
            (histogram.count, histogram.hint) = (count, hint);
            Arc::new(histogram)
        });
        let timestamps = [1, 2, 3, 4];
        let column =
            KindColumn { timestamps: &timestamps, values: &histograms, start_timestamps: &[] };
        let columns = SampleColumns { histograms: column, ..SampleColumns::default() };
        let mut hints = ResetHints::default();
        let hint = |columns: SampleColumns<'_>| -> Vec<CounterResetHint> {
            columns.histograms.values.iter().map(|h| h.hint).collect()
        };
        use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
        assert_eq!(hint(hints.applied(&columns, true)), [Unknown, NotReset, Reset, Gauge]);
        assert_eq!(hint(hints.applied(&columns, false)), [Unknown, Unknown, Unknown, Gauge]);
    }
}
