//! The result of a query as an iterator over whole series.

use std::fmt;
use std::sync::Arc;

use super::decode_ahead::{DecodeAhead, Decoded, ends_query};
use super::options::QueryOptions;
use super::sources::Sources;
use crate::cursor::Columns;
use crate::error::Result;
use crate::segment::SegmentPin;
use crate::types::{Labels, Matcher, TimeRange};

/// One series with its samples.
#[derive(Debug, Clone)]
pub struct SeriesColumns {
    /// The labels.
    pub labels: Labels,
    /// At least one sample.
    pub columns: Columns,
}

/// The selected series in label order, decoded some series ahead. Dropping it ends the query.
///
/// An error of one series, such as damage, takes its place, and the iteration goes on behind it.
/// After [`Error::Cancelled`] or [`Error::LimitExceeded`] it ends.
///
/// [`Error::Cancelled`]: crate::Error::Cancelled
/// [`Error::LimitExceeded`]: crate::Error::LimitExceeded
pub struct Selection {
    /// `None` when the query is over.
    series: Option<DecodeAhead>,
    /// What keeps the files of the query open until it is over.
    pins: Vec<SegmentPin>,
}

impl Sources {
    /// The series that satisfy every matcher and have samples in `range`, whole, in label order.
    ///
    /// # Errors
    /// Those of finding the series. Errors of reading a series are its item of the iteration.
    pub(crate) fn select(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<Selection> {
        Ok(Selection::new(self.decode_ahead(matchers, range, options)?))
    }
}

impl Selection {
    pub(super) fn new(series: DecodeAhead) -> Self {
        Self { series: Some(series), pins: Vec::new() }
    }

    /// Keeps these segments open until the query is over.
    #[must_use]
    pub(crate) fn keeping(mut self, pins: Vec<SegmentPin>) -> Self {
        self.pins = pins;
        self
    }
}

impl Iterator for Selection {
    type Item = Result<SeriesColumns>;

    fn next(&mut self) -> Option<Self::Item> {
        let series = self.series.as_mut()?;
        let next = series.next().and_then(|decoded| {
            let Some(Decoded { series: found, columns, rest }) = decoded else { return Ok(None) };
            debug_assert!(rest.is_none(), "series are decoded whole");
            series.meter().add_series()?;
            series.meter().add_samples(columns.len())?;
            Ok(Some(SeriesColumns { labels: found.labels, columns }))
        });
        let over = match &next {
            Ok(series) => series.is_none(),
            Err(e) => ends_query(e),
        };
        if over {
            self.series = None;
            self.pins.clear();
        }
        next.transpose()
    }
}

impl std::iter::FusedIterator for Selection {}

impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selection").field("over", &self.series.is_none()).finish_non_exhaustive()
    }
}
