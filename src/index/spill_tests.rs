//! Builds in bounded memory: the bytes are those of a build in memory, whatever the budget, and
//! damaged or failing scratch is an error.

use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;

use super::tests::{IndexParts, labels, labels_of_long_values, parts_of, tsbs_like, varied};
use super::*;
use crate::sys::Bytes;
use crate::types::Labels;

/// Scratch in memory, with faults.
#[derive(Debug, Default)]
struct Memory {
    bytes: Vec<u8>,
    /// The bytes that there is room for.
    room: Option<usize>,
    /// A bit to be flipped in what is read.
    flip: Option<usize>,
    /// Bytes appended, for who no longer holds this.
    appended: Rc<Cell<usize>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Full,
    Damaged(DecodeError),
}

impl Spill for Memory {
    type Error = Fault;

    fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        assert!(bytes.len().is_multiple_of(4096) && !bytes.is_empty(), "whole blocks");
        if self.room.is_some_and(|room| self.bytes.len() + bytes.len() > room) {
            return Err(Fault::Full);
        }
        self.bytes.extend_from_slice(bytes);
        self.appended.set(self.bytes.len());
        Ok(())
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Fault> {
        let offset = offset as usize;
        let mut bytes = self.bytes[offset..offset + len].to_vec();
        if let Some(bit) = self.flip
            && let Some(byte) = (bit / 8).checked_sub(offset).and_then(|at| bytes.get_mut(at))
        {
            *byte ^= 1 << (bit % 8);
        }
        Ok(bytes.into())
    }

    fn damaged(&self, _: u64, e: DecodeError) -> Fault {
        Fault::Damaged(e)
    }
}

fn build(series: &[Labels], budget: usize, spill: Memory) -> Result<IndexParts, Fault> {
    let mut builder = IndexBuilder::new(budget, spill);
    for (i, labels) in series.iter().enumerate() {
        assert_eq!(builder.push(labels)?, i as u32);
    }
    let built = builder.finish()?;
    let mut blocks = Vec::new();
    built.write_blocks(|bytes| {
        blocks.extend_from_slice(bytes);
        Ok(())
    })?;
    assert_eq!(built.blocks_len(), blocks.len() as u64);
    Ok(IndexParts { blocks, top: built.top().to_vec() })
}

/// Bytes spilled by a build whose bytes are as expected.
fn spilled(series: &[Labels], budget: usize, expected: &IndexParts) -> usize {
    let spill = Memory::default();
    let appended = Rc::clone(&spill.appended);
    let parts = build(series, budget, spill).unwrap();
    assert_eq!(parts.top, expected.top, "budget {budget}");
    assert!(parts.blocks == expected.blocks, "blocks differ with budget {budget}");
    appended.get()
}

fn sorted(mut series: Vec<Labels>) -> Vec<Labels> {
    series.sort();
    series.dedup();
    series
}

/// The checksum of what the first builder, which held everything, made of the same labels.
#[test]
fn the_bytes_are_those_of_the_first_builder() {
    for (series, crc) in [
        (varied(), 0xf375_5462),
        (tsbs_like(2000, 5), 0x5958_ccec),
        (sorted(labels_of_long_values(&|i| format!("{i:0>999}"))), 0x3bac_08d5),
    ] {
        let parts = parts_of(&series);
        let top = &parts.top[..parts.top.len() - 4];
        assert_eq!(crc32c::crc32c(&[&parts.blocks[..], top].concat()), crc);
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_budget() {
    let series = tsbs_like(2000, 5);
    let expected = parts_of(&series);
    assert_eq!(spilled(&series, 8 << 20, &expected), 0, "it fits");
    let mut last = 0;
    // From three runs to hundreds, and merges in one pass to many.
    for budget in [200_000, 40_000, 8_000, 3_000] {
        let spilled = spilled(&series, budget, &expected);
        assert!(spilled > last, "{spilled} bytes with {budget}");
        last = spilled;
    }
    let long = sorted(labels_of_long_values(&|i| format!("{i:0>999}")));
    let expected = parts_of(&long);
    assert!(spilled(&long, 30_000, &expected) > 0);
}

/// Lists of every encoding that span many runs and blocks, and long gaps within a bitmap.
#[test]
fn long_lists_are_streamed() {
    let mut random = 1u64;
    let mut series = Vec::new();
    for i in 0..60_000u32 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let coin = random >> 63 == 1;
        let id = format!("{i:05}");
        let dense = if i % 30_000 < 9_000 && coin { "1" } else { "" };
        let rare = if i % 997 == 0 { "r" } else { "" };
        let pairs = [("a", &id[..]), ("b", dense), ("c", "all"), ("d", rare), ("e", &id[..1])];
        series.push(labels(&pairs));
    }
    let expected = parts_of(&series);
    assert!(spilled(&series, 64 << 10, &expected) > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_labels_at_any_budget(
        sets in proptest::collection::btree_set(
            proptest::collection::btree_map("[a-c]{1,2}", "[a-d]{1,3}", 1..5), 1..400),
        budget in 0usize..40_000,
    ) {
        let of = |set: &std::collections::BTreeMap<String, String>| {
            Labels::from_pairs(set.iter().map(|(n, v)| (n.as_str(), v.as_str()))).unwrap()
        };
        let series = sorted(sets.iter().map(of).collect());
        spilled(&series, budget, &parts_of(&series));
    }
}

#[test]
fn every_damaged_block_is_an_error() {
    let series = tsbs_like(60, 5);
    let total = spilled(&series, 4_000, &parts_of(&series));
    assert!(total > 30 * 4096, "{total} bytes: several merges");
    for block in 0..total / 4096 {
        // A bit of the payload, or of its checksum; also where zeros fill the block up.
        for at in [0, 2000, 4090, 4095] {
            let flip = Some((block * 4096 + at) * 8 + at % 8);
            let damaged = build(&series, 4_000, Memory { flip, ..Memory::default() });
            let expected = Fault::Damaged(DecodeError::Checksum("spilled block"));
            assert_eq!(damaged.err(), Some(expected), "block {block}, byte {at}");
        }
    }
}

#[test]
fn a_full_disk_is_an_error_wherever_it_strikes() {
    let series = tsbs_like(60, 5);
    let expected = parts_of(&series);
    let total = spilled(&series, 4_000, &expected);
    for room in (0..total).step_by(4096) {
        let full = build(&series, 4_000, Memory { room: Some(room), ..Memory::default() });
        assert_eq!(full, Err(Fault::Full), "{room} of {total} bytes");
    }
    let enough = Memory { room: Some(total), ..Memory::default() };
    assert_eq!(build(&series, 4_000, enough), Ok(expected));
}
