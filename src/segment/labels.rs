//! The label index of an open segment: its questions, and its blocks through the cache.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::footer::SectionTag;
use super::loaded::Loaded;
use super::open::Segment;
use crate::error::{Error, Result};
use crate::index::{BlockRef, BlockSource, Index, verify_block};
use crate::types::{DecodeError, Labels, Matcher};

impl Segment {
    /// The sorted ordinals of the series that all `matchers` match.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Corrupt`] naming the damaged part.
    pub fn select(&self, matchers: &[Matcher]) -> Result<Vec<u32>> {
        self.with_index(|index, source| index.select(source, matchers))
    }

    /// Hands the labels of each of `ordinals`, which rise strictly, to `visit` until it breaks.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn labels(
        &self,
        ordinals: &[u32],
        visit: impl FnMut(u32, Labels) -> ControlFlow<()>,
    ) -> Result<()> {
        self.with_index(|index, source| index.labels(source, ordinals, visit))
    }

    /// The label names of the series `among`, which rise strictly, or of all.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_names(&self, among: Option<&[u32]>) -> Result<BTreeSet<String>> {
        self.with_index(|index, source| index.label_names(source, among))
    }

    /// The first `limit` values, in order, of the label `name` among the series `among`, which rise
    /// strictly, or among all.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_values(
        &self,
        name: &str,
        among: Option<&[u32]>,
        limit: usize,
    ) -> Result<Vec<String>> {
        self.with_index(|index, source| index.label_values(source, name, among, limit))
    }

    fn with_index<T>(
        &self,
        ask: impl FnOnce(&Index, &LabelBlocks<'_>) -> Result<T, LabelFault>,
    ) -> Result<T> {
        let loaded = self.loaded()?;
        ask(&loaded.index, &LabelBlocks { segment: self, loaded: &loaded })
            .map_err(|fault| self.label_error(&loaded, fault))
    }

    /// An error for labels that decode to what no index holds.
    pub(crate) fn damaged_labels(&self, e: DecodeError) -> Error {
        let section = |loaded: Arc<Loaded>| loaded.footer.section(SectionTag::LabelBlocks).offset;
        self.damaged("label blocks", self.loaded().map_or(0, section), e)
    }

    pub(super) fn label_error(&self, loaded: &Loaded, fault: LabelFault) -> Error {
        let offset = loaded.footer.section(SectionTag::LabelBlocks).offset;
        match fault {
            LabelFault::Damaged(e) => self.damaged("label blocks", offset, e),
            LabelFault::Other(e) => e,
        }
    }
}

/// The label blocks of a segment, through the cache.
pub(super) struct LabelBlocks<'a> {
    pub(super) segment: &'a Segment,
    pub(super) loaded: &'a Loaded,
}

impl LabelBlocks<'_> {
    /// Where a block is in the file.
    pub(super) fn offset(&self, place: BlockRef) -> u64 {
        self.loaded.footer.section(SectionTag::LabelBlocks).offset + place.offset
    }
}

/// Why the index could not answer: its bytes are damaged, or the file layer says why.
pub(super) enum LabelFault {
    Damaged(DecodeError),
    Other(Error),
}

impl From<DecodeError> for LabelFault {
    fn from(e: DecodeError) -> Self {
        Self::Damaged(e)
    }
}

impl BlockSource for LabelBlocks<'_> {
    type Error = LabelFault;

    fn block(&self, place: BlockRef) -> Result<Arc<[u8]>, LabelFault> {
        let Self { segment, loaded } = *self;
        let section = loaded.footer.section(SectionTag::LabelBlocks);
        let len = u64::from(place.len);
        if place.offset.checked_add(len).is_none_or(|end| end > section.len) {
            return Err(LabelFault::Damaged(DecodeError::Invalid("place of a label block")));
        }
        let offset = self.offset(place);
        let load = || {
            segment.read_decoded(&loaded.file, (offset, len), "label block", |bytes| {
                verify_block(bytes)?;
                Ok(bytes.to_vec().into())
            })
        };
        segment
            .cache
            .get_or_load(segment.meta().file_number, offset, load)
            .map_err(LabelFault::Other)
    }
}
