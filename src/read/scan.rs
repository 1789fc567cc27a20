//! The result of a query as visits of column batches: bounded memory whatever the length of a series.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::waves::{Ahead, Decoded, Waves};
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
    pub fn scan(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
        visit: Visit<'_>,
    ) -> Result<()> {
        let mut waves = self.waves(matchers, range, options)?;
        waves.set_ahead(Ahead::Rows(VISIT_ROWS_MAX));
        while let Some(series) = waves.next()? {
            if scan_series(&mut waves, series, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn scan_series(waves: &mut Waves, decoded: Decoded, visit: Visit<'_>) -> Result<ControlFlow<()>> {
    let Decoded { series, mut columns, rest } = decoded;
    waves.meter().add_series()?;
    waves.meter().add_samples(columns.len())?;
    if visit(&series.labels, &columns).is_break() {
        return Ok(ControlFlow::Break(()));
    }
    let Some(mut reader) = rest else { return Ok(ControlFlow::Continue(())) };
    loop {
        columns.clear();
        if reader.append(&mut columns)? == 0 {
            break;
        }
        waves.meter().add_samples(columns.len())?;
        if visit(&series.labels, &columns).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    waves.reuse(reader);
    Ok(ControlFlow::Continue(()))
}
