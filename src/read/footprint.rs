//! What a delete would hide, counted by the indexes: the receipt of a delete before and after it.

use std::sync::Arc;

use super::{QueryOptions, Sources};
use crate::cursor::{Footprint, HiddenRanges, SeriesCursor};
use crate::error::Result;
use crate::types::{Matcher, TimeRange};

/// What a selection takes up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Footprints {
    /// Series with a sample.
    pub series: u64,
    /// For each source, in the order in which they were given, what the series take up there.
    pub sources: Vec<Footprint>,
}

impl Sources {
    /// What the samples take up that were written before `seq`, lie in `range`, belong to series
    /// that satisfy every matcher, and are not hidden by a tombstone older than `seq`. A sample that
    /// was overwritten counts wherever it is stored still. Values are not decoded; timestamps are,
    /// of chunks that lie partly within the range.
    ///
    /// # Errors
    /// Those of reading the sources, and of the limits.
    pub(crate) fn footprints(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        seq: u64,
        options: &QueryOptions,
    ) -> Result<Footprints> {
        let meter = self.meter(options);
        let mut list = self.list(matchers, range, &meter)?;
        let mut filter = self.filter(range);
        let mut cursors: Vec<Option<Box<dyn SeriesCursor>>> = Vec::new();
        cursors.resize_with(self.ranks(), || None);
        let mut hidden = HiddenRanges::default();
        let mut found = Footprints { series: 0, sources: self.no_footprints() };
        while let Some(series) = list.next()? {
            meter.check()?;
            let filter = filter.as_mut();
            let filter = filter.and_then(|f| f.start(&series.labels).then_some(&*f));
            let mut rows = 0;
            for &(source, key) in &series.parts {
                for (number, (layer, rank)) in self.ranks_of(source).enumerate() {
                    if layer.min_seq >= seq || layer.tombstone_seq >= seq {
                        continue;
                    }
                    if let Some(filter) = filter {
                        filter.hidden_before(seq, layer, &mut hidden);
                    }
                    let cursor =
                        cursors[rank].get_or_insert_with(|| self.cursor(source, number, range));
                    let opened = cursor.open(key);
                    let counted = opened.and_then(|extent| match extent {
                        Some(_) => cursor.footprint(&hidden),
                        None => Ok(Footprint::default()),
                    });
                    match counted {
                        Ok(there) => {
                            rows += there.rows;
                            found.sources[source].rows += there.rows;
                            found.sources[source].bytes += there.bytes;
                        }
                        Err(e) => meter.skip(e)?,
                    }
                }
            }
            hidden.clear();
            found.series += u64::from(rows > 0);
        }
        Ok(found)
    }
}
