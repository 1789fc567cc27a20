//! The result of a query as visits of column batches: bounded memory whatever the length of a series.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::decode_ahead::{Ahead, DecodeAhead, Decoded};
use super::{QueryOptions, Sources};
use crate::cursor::{BATCH_ROWS_MAX, Columns};
use crate::error::Result;
use crate::types::{Labels, Matcher, TimeRange};

/// Most rows of one visit: a series of up to so many is decoded ahead and in parallel.
const VISIT_ROWS_MAX: usize = 8 * BATCH_ROWS_MAX;

/// What a scan calls.
type Visit<'a> = &'a mut dyn FnMut(&Labels, &Columns) -> ControlFlow<()>;

impl Sources {
    /// Visits the samples in `range` of every series that satisfies every matcher, in label order
    /// and, within a series, in time order, up to 65,536 samples at a time, at least one. Ends when
    /// `visit` breaks.
    ///
    /// # Errors
    /// The first error of any series; what was visited before stands.
    pub(crate) fn scan(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
        visit: Visit<'_>,
    ) -> Result<()> {
        let mut decoded_ahead = self.decode_ahead(matchers, range, options)?;
        decoded_ahead.set_ahead(Ahead::Rows(VISIT_ROWS_MAX));
        while let Some(series) = decoded_ahead.next()? {
            if scan_series(&mut decoded_ahead, series, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn scan_series(
    decoded_ahead: &mut DecodeAhead,
    decoded: Decoded,
    visit: Visit<'_>,
) -> Result<ControlFlow<()>> {
    let Decoded { series, mut columns, rest } = decoded;
    decoded_ahead.meter().add_series()?;
    decoded_ahead.meter().add_samples(columns.len())?;
    if visit(&series.labels, &columns).is_break() {
        return Ok(ControlFlow::Break(()));
    }
    let Some(mut reader) = rest else { return Ok(ControlFlow::Continue(())) };
    loop {
        columns.clear();
        if reader.append(&mut columns)? == 0 {
            break;
        }
        decoded_ahead.meter().add_samples(columns.len())?;
        if visit(&series.labels, &columns).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    decoded_ahead.reuse(reader);
    Ok(ControlFlow::Continue(()))
}
