//! Label sets, indexed in little memory, and questions about them. What is spilled may be damaged on
//! the way back: then building fails, or the index is the same. The answers are those of a filter over
//! the label sets.

#![no_main]

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use siltstone::index::{BlockRef, BlockSource, Index, IndexBuilder, Spill, verify_block};
use siltstone::sys::Bytes;
use siltstone::types::DecodeError;
use siltstone::{Labels, MatchOp, Matcher};

#[path = "../input.rs"]
mod input;

use input::Input;

const QUESTIONS_MAX: usize = 6;
const SERIES_MAX: usize = 600;

/// Names of which some are prefixes of others.
const NAMES: &[&str] = &["__name__", "a", "ab", "a\u{0}", "b", "город", "شهر"];
/// Values of which some are prefixes of others; the same word in two spellings.
const VALUES: &[&str] =
    &["", "a", "ab", "b", "0", "x\ny", "Мос", "Москва", "می\u{200c}دان", "میدان", "\u{10ffff}"];
const PATTERNS: &[&str] = &[
    "",
    ".*",
    ".+",
    "a|b",
    "(a|ab)?",
    "a.*",
    "ab?",
    "(?i)МОСКВА",
    "Мос.*",
    "[^a]+",
    "|0",
    "x.y",
    ".*b.*",
    "v1[0-9]?",
    "v[0-9]*7",
    "می.دان",
];

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let budget = usize::from(input.u16());
    let damage = input.u16();
    let series = label_sets(&mut input);
    let whole = build(&series, usize::MAX, Memory::default()).expect("nothing is spilled");
    let spilled = build(&series, budget, Memory::default()).expect("nothing is damaged");
    assert!(whole == spilled, "the bytes do not depend on the budget");
    let damaged = Memory { damage: Some(damage.into()), ..Memory::default() };
    assert!(build(&series, budget, damaged).is_none_or(|built| built == whole));
    let index = Index::from_top(&whole.top).expect("just written");
    assert_eq!(index.series_count() as usize, series.len());
    ask(&index, &whole, &series, &[]);
    for _ in 0..QUESTIONS_MAX {
        if input.is_empty() {
            break;
        }
        let matchers: Vec<Matcher> =
            (0..1 + input.below(3)).filter_map(|_| matcher(&mut input)).collect();
        ask(&index, &whole, &series, &matchers);
    }
});

/// Label sets in label order: single ones, and families that differ in one value.
fn label_sets(input: &mut Input<'_>) -> Vec<Labels> {
    let mut sets = BTreeSet::new();
    for _ in 0..input.byte() {
        if input.is_empty() || sets.len() > SERIES_MAX {
            break;
        }
        let is_family = input.byte() & 3 == 0;
        let members = if is_family { usize::from(input.byte()) } else { 1 };
        let pairs: Vec<(String, String)> =
            (0..1 + input.below(4)).map(|_| (name(input), value(input))).collect();
        for member in 0..members {
            let mut pairs = pairs.clone();
            if members > 1 {
                pairs[0].1 = format!("v{member}");
            }
            sets.extend(Labels::from_pairs(pairs));
        }
    }
    sets.into_iter().collect()
}

fn name(input: &mut Input<'_>) -> String {
    if input.byte() == 255 { text(input) } else { input.one_of(NAMES).to_owned() }
}

fn value(input: &mut Input<'_>) -> String {
    match input.byte() {
        choice @ 128..255 => format!("v{choice}"),
        255 => text(input),
        _ => input.one_of(VALUES).to_owned(),
    }
}

/// Any text.
fn text(input: &mut Input<'_>) -> String {
    let bytes: Vec<u8> = (0..input.below(40)).map(|_| input.byte()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn matcher(input: &mut Input<'_>) -> Option<Matcher> {
    let name = name(input);
    let pattern = |input: &mut Input<'_>| match input.byte() {
        255 => text(input),
        _ => input.one_of(PATTERNS).to_owned(),
    };
    match input.below(4) {
        0 => Some(Matcher::equal(name, value(input))),
        1 => Some(Matcher::not_equal(name, value(input))),
        2 => Matcher::new(MatchOp::Regex, name, pattern(input)).ok(),
        _ => Matcher::new(MatchOp::NotRegex, name, pattern(input)).ok(),
    }
}

#[derive(PartialEq, Eq)]
struct Built {
    top: Vec<u8>,
    blocks: Vec<u8>,
}

impl BlockSource for Built {
    type Error = DecodeError;

    fn block(&self, place: BlockRef) -> Result<Arc<[u8]>, DecodeError> {
        let bytes = &self.blocks[place.offset as usize..][..place.len as usize];
        verify_block(bytes)?;
        Ok(bytes.into())
    }
}

/// Scratch in memory.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    /// A bit that is read wrongly.
    damage: Option<usize>,
}

impl Spill for Memory {
    type Error = DecodeError;

    fn append(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        assert!(!bytes.is_empty() && bytes.len().is_multiple_of(4096), "whole blocks");
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn read(&self, offset: u64, len: usize) -> Result<Bytes, DecodeError> {
        let offset = offset as usize;
        let mut bytes = self.bytes[offset..offset + len].to_vec();
        let damaged = self.damage.and_then(|bit| (bit / 8).checked_sub(offset));
        if let Some(byte) = damaged.and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1 << (self.damage.unwrap_or(0) % 8);
        }
        Ok(bytes.into())
    }

    fn damaged(&self, _: u64, e: DecodeError) -> DecodeError {
        e
    }
}

/// The index of `series`; `None` if what was spilled came back damaged.
fn build(series: &[Labels], budget: usize, spill: Memory) -> Option<Built> {
    let mut builder = IndexBuilder::new(budget, spill);
    for (i, labels) in series.iter().enumerate() {
        assert_eq!(builder.push(labels).ok()?, i as u32);
    }
    let built = builder.finish().ok()?;
    let mut blocks = Vec::new();
    let put = |bytes: &[u8]| {
        blocks.extend_from_slice(bytes);
        Ok(())
    };
    built.write_blocks(put).ok()?;
    assert_eq!(built.blocks_len(), blocks.len() as u64);
    Some(Built { top: built.top().to_vec(), blocks })
}

/// Asks everything about the series that the matchers select.
fn ask(index: &Index, source: &Built, series: &[Labels], matchers: &[Matcher]) {
    let is_selected = |labels: &Labels| {
        matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or_default()))
    };
    let expected: Vec<u32> =
        (0u32..).zip(series).filter(|(_, labels)| is_selected(labels)).map(|(i, _)| i).collect();
    let selected = index.select(source, matchers).expect("undamaged");
    assert_eq!(selected, expected, "{matchers:?}");
    let mut labels = Vec::new();
    let visit = |ordinal: u32, found: Labels| {
        assert_eq!(found, series[ordinal as usize]);
        labels.push(ordinal);
        ControlFlow::Continue(())
    };
    index.labels(source, &selected, visit).expect("undamaged");
    assert_eq!(labels, selected);
    let of_selected = || selected.iter().flat_map(|&ordinal| series[ordinal as usize].iter());
    let names: BTreeSet<String> = of_selected().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(index.label_names(source, Some(&selected)).expect("undamaged"), names);
    for name in names.iter().map(String::as_str).chain(["", "absent"]) {
        let values = of_selected().filter(|(n, _)| *n == name).map(|(_, value)| value.to_owned());
        let values: Vec<String> = values.collect::<BTreeSet<_>>().into_iter().collect();
        let found = index.label_values(source, name, Some(&selected), usize::MAX);
        assert_eq!(found.expect("undamaged"), values);
        let first = index.label_values(source, name, Some(&selected), 2).expect("undamaged");
        assert_eq!(first, values[..values.len().min(2)]);
        if matchers.is_empty() {
            let found = index.label_values(source, name, None, usize::MAX);
            assert_eq!(found.expect("undamaged"), values);
        }
    }
    if matchers.is_empty() {
        assert_eq!(index.label_names(source, None).expect("undamaged"), names);
    }
}
