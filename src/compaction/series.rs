//! The series of all inputs of a merge, in label order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::Result;
use crate::segment::Segment;
use crate::types::{DecodeError, Labels};

/// Series read ahead of each input: what the index decodes in one go.
const BLOCK_SERIES: u32 = 256;

/// Yields each series once, with its ordinal in every input that has it.
pub(super) struct SeriesHeads {
    lists: Vec<List>,
    /// The next series of each input that has one: (labels, input, ordinal).
    heads: BinaryHeap<Reverse<(Labels, usize, u32)>>,
}

struct List {
    segment: Arc<Segment>,
    /// The first ordinal that was not read.
    next: u32,
    /// The series read ahead, in reverse.
    block: Vec<(u32, Labels)>,
}

impl SeriesHeads {
    pub(super) fn new(inputs: &[Arc<Segment>]) -> Result<Self> {
        let list = |segment: &Arc<Segment>| List {
            segment: Arc::clone(segment),
            next: 0,
            block: Vec::new(),
        };
        let mut heads = Self { lists: inputs.iter().map(list).collect(), heads: BinaryHeap::new() };
        for input in 0..inputs.len() {
            heads.advance(input, None)?;
        }
        Ok(heads)
    }

    /// The next series; `parts` becomes its inputs, each with its ordinal there. `None` at the end.
    pub(super) fn next(&mut self, parts: &mut Vec<(usize, u32)>) -> Result<Option<Labels>> {
        parts.clear();
        let Some(Reverse((labels, input, ordinal))) = self.heads.pop() else { return Ok(None) };
        parts.push((input, ordinal));
        self.advance(input, Some(&labels))?;
        while self.heads.peek().is_some_and(|Reverse((other, ..))| *other == labels) {
            let Some(Reverse((_, input, ordinal))) = self.heads.pop() else { break };
            parts.push((input, ordinal));
            self.advance(input, Some(&labels))?;
        }
        Ok(Some(labels))
    }

    /// Puts the next series of an input, which follows `before`, among the heads.
    fn advance(&mut self, input: usize, before: Option<&Labels>) -> Result<()> {
        let list = &mut self.lists[input];
        if list.block.is_empty() && !list.read_block()? {
            return Ok(());
        }
        let Some((ordinal, labels)) = list.block.pop() else { return Ok(()) };
        if before.is_some_and(|before| labels <= *before) {
            return Err(list.segment.damaged_labels(DecodeError::Invalid("order of series")));
        }
        self.heads.push(Reverse((labels, input, ordinal)));
        Ok(())
    }
}

impl List {
    /// Reads the next series; false at the end.
    fn read_block(&mut self) -> Result<bool> {
        let end = self.next.saturating_add(BLOCK_SERIES).min(self.segment.meta().series);
        let ordinals: Vec<u32> = (self.next..end).collect();
        self.next = end;
        let block = &mut self.block;
        self.segment.labels(&ordinals, |ordinal, labels| {
            block.push((ordinal, labels));
            ControlFlow::Continue(())
        })?;
        block.reverse();
        Ok(!block.is_empty())
    }
}
