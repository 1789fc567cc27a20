//! The series refs of one log file, while it is replayed: which slot of the recovered registry each means.

use crate::series::Registry;
use crate::types::DecodeError;
use crate::wal::{BatchView, Record};

/// The refs of one log file.
#[derive(Default)]
pub(super) struct Refs {
    /// The slot of each ref; `None` where the definition was in a damaged frame.
    slots: Vec<Option<u32>>,
}

impl Refs {
    pub(super) fn slot(&self, series_ref: u32) -> Option<u32> {
        self.slots.get(series_ref as usize).copied().flatten()
    }

    /// Decodes a batch and takes in its definitions.
    pub(super) fn read<'a>(
        &mut self,
        batch: &'a Record,
        registry: &Registry,
    ) -> Result<BatchView<'a>, DecodeError> {
        let view = BatchView::decode(&batch.payload)?;
        self.define(&view, batch.offset, registry)?;
        Ok(view)
    }

    fn define(
        &mut self,
        view: &BatchView<'_>,
        offset: u64,
        registry: &Registry,
    ) -> Result<(), DecodeError> {
        let first = view.first_ref();
        // Each definition takes at least a byte of the file, so a number beyond is not earned.
        if (first as usize) < self.slots.len() || u64::from(first) > offset {
            return Err(DecodeError::Invalid("first ref of the batch"));
        }
        let definitions = view.definitions()?;
        if definitions.is_empty() {
            return Ok(());
        }
        self.slots.resize(first as usize, None);
        for definition in definitions {
            let handle = registry.resolve(&definition.labels);
            self.slots.push(handle.ok().map(|handle| handle.slot()));
        }
        Ok(())
    }
}
