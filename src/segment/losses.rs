//! What a segment says is lost: its lost chunks, from its index alone.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::chunk_reader::ChunkReader;
use super::open::Segment;
use super::walk::ChunkWalk;
use crate::error::Result;
use crate::types::{Labels, LostSamples};

/// What the lost chunks of some segments add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LostTotals {
    /// Samples that are lost; at most, where their times are not known.
    pub lost_samples: u64,
    /// Samples whose loss was accepted and that still hide older ones; at most.
    pub accepted_samples: u64,
}

impl LostTotals {
    /// Adds those of something else.
    pub fn add(&mut self, other: Self) {
        self.lost_samples += other.lost_samples;
        self.accepted_samples += other.accepted_samples;
    }
}

impl Segment {
    /// Hands each lost chunk that nobody has accepted to `visit`, by series and time. Reads no value, and
    /// nothing but the footer of a segment that has none.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), or [`Error::Corrupt`](crate::Error::Corrupt) for a part of the index
    /// that is damaged: then it is not known what is lost.
    pub fn losses(self: &Arc<Self>, visit: &mut dyn FnMut(LostSamples)) -> Result<LostTotals> {
        let mut totals = LostTotals::default();
        if !self.meta().has_lost() {
            return Ok(totals);
        }
        let mut walk = ChunkWalk::new(Arc::clone(self));
        let mut reader = ChunkReader::new(Arc::clone(self));
        let mut series: Option<(u32, Labels)> = None;
        while let Some(chunk) = walk.peek()? {
            if chunk.loss().is_some() {
                let read = reader.append_or_lose(chunk, &mut Vec::new(), &mut Vec::new())?;
                let lost = read.expect("a chunk that is lost is never read");
                let rows = u64::from(lost.rows);
                if lost.is_accepted {
                    totals.accepted_samples += rows;
                } else {
                    totals.lost_samples += rows;
                    let ordinal = chunk.ordinal();
                    if series.as_ref().is_none_or(|(known, _)| *known != ordinal) {
                        self.labels(&[ordinal], |_, labels| {
                            series = Some((ordinal, labels));
                            ControlFlow::Break(())
                        })?;
                    }
                    let labels = series.as_ref().map(|(_, labels)| labels.clone());
                    visit(lost.samples(labels));
                }
            }
            walk.advance();
        }
        Ok(totals)
    }
}
