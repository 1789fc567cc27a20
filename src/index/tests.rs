//! The index as a whole, against a plain filter over the label sets, and against hostile bytes.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::sys::Bytes;
use crate::types::{Labels, MatchOp, Matcher};

/// An encoded index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexParts {
    pub(super) blocks: Vec<u8>,
    pub(super) top: Vec<u8>,
}

/// What a builder must not need.
struct NoSpill;

impl Spill for NoSpill {
    type Error = Infallible;

    fn append(&mut self, _: &[u8]) -> Result<(), Infallible> {
        panic!("nothing is spilled below the budget");
    }

    fn read(&self, _: u64, _: usize) -> Result<Bytes, Infallible> {
        panic!("nothing was spilled");
    }

    fn damaged(&self, _: u64, e: DecodeError) -> Infallible {
        panic!("{e}");
    }
}

/// Builds in memory.
pub(super) fn parts_of(series: &[Labels]) -> IndexParts {
    let mut builder = IndexBuilder::new(usize::MAX, NoSpill);
    for (i, labels) in series.iter().enumerate() {
        assert_eq!(builder.push(labels), Ok(i as u32));
    }
    let Ok(built) = builder.finish();
    let mut blocks = Vec::new();
    let Ok(()) = built.write_blocks(|bytes| {
        blocks.extend_from_slice(bytes);
        Ok(())
    });
    assert_eq!(built.blocks_len(), blocks.len() as u64);
    IndexParts { blocks, top: built.top().to_vec() }
}

/// Blocks in memory.
struct Memory {
    blocks: Vec<u8>,
    verify: bool,
}

impl BlockSource for Memory {
    type Error = DecodeError;

    fn block(&self, place: BlockRef) -> Result<Arc<[u8]>, DecodeError> {
        let start = usize::try_from(place.offset).map_err(|_| DecodeError::Truncated("blocks"))?;
        let end = start.checked_add(place.len as usize);
        let bytes = end.and_then(|end| self.blocks.get(start..end));
        let bytes = bytes.ok_or(DecodeError::Truncated("blocks"))?;
        if self.verify {
            verify_block(bytes)?;
        }
        Ok(bytes.into())
    }
}

fn build(series: &[Labels]) -> (Index, Memory, IndexParts) {
    let parts = parts_of(series);
    let index = Index::from_top(&parts.top).unwrap();
    assert_eq!(index.series_count() as usize, series.len());
    (index, Memory { blocks: parts.blocks.clone(), verify: true }, parts)
}

pub(super) fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

fn all_labels(
    index: &Index,
    source: &Memory,
    ordinals: &[u32],
) -> Result<Vec<(u32, Labels)>, DecodeError> {
    let mut found = Vec::new();
    index.labels(source, ordinals, |ordinal, labels| {
        found.push((ordinal, labels));
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

fn model_select(series: &[Labels], matchers: &[Matcher]) -> Vec<u32> {
    let selects = |labels: &Labels| {
        matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or_default()))
    };
    (0u32..).zip(series).filter(|(_, labels)| selects(labels)).map(|(i, _)| i).collect()
}

fn model_names(series: &[Labels], among: &[u32]) -> BTreeSet<String> {
    let names = among.iter().flat_map(|&i| series[i as usize].iter());
    names.map(|(name, _)| name.to_owned()).collect()
}

fn model_values(series: &[Labels], name: &str, among: &[u32], limit: usize) -> Vec<String> {
    let values = among.iter().filter_map(|&i| series[i as usize].get(name));
    values.collect::<BTreeSet<_>>().into_iter().take(limit).map(str::to_owned).collect()
}

/// Asks the index everything that the model can answer.
fn check_against_model(series: &[Labels], matchers: &[Matcher], limit: usize) {
    let (index, source, _) = build(series);
    let selected = index.select(&source, matchers).unwrap();
    assert_eq!(selected, model_select(series, matchers), "{matchers:?} of {series:?}");
    let expected: Vec<_> = selected.iter().map(|&i| (i, series[i as usize].clone())).collect();
    assert_eq!(all_labels(&index, &source, &selected).unwrap(), expected);
    let all: Vec<u32> = (0..index.series_count()).collect();
    assert_eq!(index.label_names(&source, None).unwrap(), model_names(series, &all));
    let names = index.label_names(&source, Some(&selected)).unwrap();
    assert_eq!(names, model_names(series, &selected));
    for name in model_names(series, &all).iter().map(String::as_str).chain(["", "absent"]) {
        let values = index.label_values(&source, name, None, limit).unwrap();
        assert_eq!(values, model_values(series, name, &all, limit), "{name} of {series:?}");
        let values = index.label_values(&source, name, Some(&selected), limit).unwrap();
        assert_eq!(values, model_values(series, name, &selected, limit), "{name} in {selected:?}");
    }
}

/// Names of which some are prefixes of others; scripts that combine and join.
const NAMES: &[&str] = &["a", "ab", "abc", "b", "__name__", "شهر", "شهر_بزرگ", "город", "a\u{0}"];
const VALUES: &[&str] = &[
    "a",
    "ab",
    "b",
    "0",
    "تهران",
    "می\u{200c}خواهم",
    "میخواهم",
    "كَتَبَ",
    "كتب",
    "Москва",
    "Мос",
    "é",
    "e\u{301}",
    "\u{10ffff}",
    "x\ny",
];
const PATTERNS: &[&str] = &[
    "",
    ".*",
    ".+",
    "a|b",
    "(a|ab)?",
    "a.*",
    "ab?",
    "ته.*",
    "می.خواهم",
    "(?i)МОСКВА",
    "Мос.*",
    "[^a]+",
    "|0",
    "x.y",
    "каза|нь",
    ".*b.*",
    "v1[0-9]?",
    "a{0}",
    "[^\\x00-\\x{10FFFF}]",
];

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(VALUES).prop_map(str::to_owned),
        2 => (0..200u32).prop_map(|i| format!("v{i}")),
        1 => "\\PC{1,4}",
    ]
}

fn any_series() -> impl Strategy<Value = Vec<Labels>> {
    let set = proptest::collection::btree_map(proptest::sample::select(NAMES), any_value(), 1..5);
    proptest::collection::btree_set(set.prop_map(|m| Labels::from_pairs(m).unwrap()), 0..60)
        .prop_map(|set| set.into_iter().collect())
}

fn any_matcher() -> impl Strategy<Value = Matcher> {
    let name = prop_oneof![
        8 => proptest::sample::select(NAMES).prop_map(str::to_owned),
        1 => Just("absent".to_owned()),
        1 => Just(String::new()),
    ];
    let literal = prop_oneof![4 => any_value(), 1 => Just(String::new())];
    let op = proptest::sample::select(&[MatchOp::Equal, MatchOp::NotEqual][..]);
    let regex_op = proptest::sample::select(&[MatchOp::Regex, MatchOp::NotRegex][..]);
    prop_oneof![
        (op, name.clone(), literal).prop_map(|(op, n, v)| Matcher::new(op, n, v).unwrap()),
        (regex_op, name, proptest::sample::select(PATTERNS))
            .prop_map(|(op, n, p)| Matcher::new(op, n, p).unwrap()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn answers_as_a_plain_filter_does(
        series in any_series(),
        matchers in proptest::collection::vec(any_matcher(), 0..4),
        limit in prop_oneof![Just(usize::MAX), 0..5usize],
    ) {
        check_against_model(&series, &matchers, limit);
    }
}

/// The bytes of a fenced block of `FORMAT.md`: hex digits up to `;` in each line.
fn example(heading: &str) -> Vec<u8> {
    let text = include_str!("FORMAT.md");
    let after = text.split(&format!("\n{heading}:\n\n```text\n")).nth(1).unwrap();
    let lines = after.split("```").next().unwrap().lines();
    let digits = lines.flat_map(|line| line.split(';').next().unwrap().split_whitespace());
    digits.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn the_example_of_the_format_is_what_the_builder_writes() {
    let series = [
        labels(&[("__name__", "up"), ("job", "a")]),
        labels(&[("__name__", "up"), ("job", "b")]),
        labels(&[("__name__", "دما")]),
    ];
    let (_, _, parts) = build(&series);
    assert_eq!(parts.blocks, example("Blocks"), "{:02x?}", parts.blocks);
    assert_eq!(parts.top, example("Top"), "{:02x?}", parts.top);
    check_against_model(&series, &[Matcher::equal("__name__", "دما")], usize::MAX);
}

/// A small index with several shapes, encodings and restarts.
pub(super) fn varied() -> Vec<Labels> {
    let mut series = BTreeSet::new();
    for i in 0..40u32 {
        let id = format!("v{i}");
        let mut pairs = vec![("__name__", if i % 7 == 0 { "up" } else { "دما" }), ("id", &id)];
        if i % 2 == 0 {
            pairs.push(("job", "می\u{200c}خواهم"));
        }
        if i % 3 == 0 {
            pairs.push(("jobs", "كَتَبَ"));
        }
        series.insert(labels(&pairs));
    }
    series.into_iter().collect()
}

type Answers = (Vec<u32>, Vec<u32>, Vec<(u32, Labels)>, BTreeSet<String>, Vec<String>, Vec<String>);

/// Everything a reader can ask, from bytes that may be anything.
fn ask_all(parts: &IndexParts, verify: bool) -> Result<Answers, DecodeError> {
    let index = Index::from_top(&parts.top)?;
    let source = Memory { blocks: parts.blocks.clone(), verify };
    let up = [Matcher::equal("__name__", "up"), Matcher::not_equal("job", "x")];
    let regex = [Matcher::regex("id", "v[12].*").unwrap(), Matcher::equal("jobs", "")];
    let all = index.select(&source, &[])?;
    Ok((
        index.select(&source, &up)?,
        index.select(&source, &regex)?,
        all_labels(&index, &source, &all)?,
        index.label_names(&source, Some(&all))?,
        index.label_values(&source, "id", None, usize::MAX)?,
        index.label_values(&source, "job", Some(&all), usize::MAX)?,
    ))
}

#[test]
fn damage_is_an_error_or_changes_nothing() {
    let (_, _, parts) = build(&varied());
    let good = ask_all(&parts, true).unwrap();
    for i in 0..(parts.top.len() + parts.blocks.len()) * 8 {
        let mut bad = parts.clone();
        match i / 8 {
            at if at < bad.top.len() => bad.top[at] ^= 1 << (i % 8),
            at => bad.blocks[at - parts.top.len()] ^= 1 << (i % 8),
        }
        assert!(ask_all(&bad, true).is_err(), "bit {i}: every byte is used and checked");
    }
    for len in 0..parts.top.len() {
        let bad = IndexParts { top: parts.top[..len].to_vec(), ..parts.clone() };
        assert!(ask_all(&bad, true).is_err(), "top of {len} bytes");
    }
    for len in 0..parts.blocks.len() {
        let bad = IndexParts { blocks: parts.blocks[..len].to_vec(), ..parts.clone() };
        assert!(ask_all(&bad, true).is_err(), "blocks of {len} bytes");
    }
    assert_eq!(ask_all(&parts, true).unwrap(), good);
}

/// Damage under a right checksum: a wrong answer is possible, a panic or a flood of memory is not.
#[test]
fn hostile_bytes_under_a_right_checksum_do_no_harm() {
    let (_, _, parts) = build(&varied());
    for at in 0..parts.blocks.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff, parts.blocks[at] ^ 1, parts.blocks[at] ^ 0x10] {
            let mut bad = parts.clone();
            bad.blocks[at] = byte;
            let _ = ask_all(&bad, false);
        }
    }
    let body = parts.top.len() - 4;
    for at in 0..body {
        for byte in [0, 1, 0x7f, 0x80, 0xff, parts.top[at] ^ 1, parts.top[at] ^ 0x10] {
            let mut bad = parts.clone();
            bad.top[at] = byte;
            let crc = crc32c::crc32c(&bad.top[..body]).to_le_bytes();
            bad.top[body..].copy_from_slice(&crc);
            let _ = ask_all(&bad, false);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn random_bytes_in_the_blocks_do_no_harm(
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let (_, _, mut parts) = build(&varied());
        for (at, byte) in edits {
            let at = at.index(parts.blocks.len());
            parts.blocks[at] = byte;
        }
        let _ = ask_all(&parts, false);
    }
}

#[test]
fn the_top_names_its_version() {
    let (_, _, mut parts) = build(&varied());
    parts.top[4] = 2;
    let newer = DecodeError::Newer { found: 2, supported: 1 };
    assert_eq!(Index::from_top(&parts.top).unwrap_err(), newer);
}

#[test]
fn no_series_is_an_index_too() {
    check_against_model(&[], &[], 3);
    check_against_model(&[], &[Matcher::equal("a", "")], 3);
    check_against_model(&[], &[Matcher::not_equal("a", "")], 3);
}

#[test]
fn long_labels_stay_in_bounded_blocks() {
    let long = |i: usize| "ی".repeat(4000) + &format!("{i:03}");
    let mut series: Vec<Labels> = (0..60).map(|i| labels(&[("a", &long(i)), ("b", "x")])).collect();
    let wide: Vec<(String, String)> =
        (0..64).map(|i| (format!("n{i:02}"), i.to_string())).collect();
    series.extend((0..300).map(|i| {
        let own = [("k".to_owned(), format!("{i:03}"))];
        Labels::from_pairs(wide[i % 20..i % 20 + 40].iter().cloned().chain(own)).unwrap()
    }));
    series.sort();
    check_against_model(&series, &[Matcher::not_equal("b", "")], 7);
    check_against_model(&series, &[Matcher::regex("k", "1.*").unwrap()], usize::MAX);
    let (index, ..) = build(&series);
    let several = labels_of_long_values(&long);
    check_against_model(&several, &[], 1);
    assert!(index.block_lens().all(|len| len <= 64 * 1024));
}

/// More bytes of distinct values in one block of series than are assembled at once.
pub(super) fn labels_of_long_values(long: &dyn Fn(usize) -> String) -> Vec<Labels> {
    let of = |i: usize| labels(&[("a", &long(i)), ("b", &long(999 - i)), ("c", &long(i))]);
    (0..400).map(of).collect()
}

#[test]
#[should_panic(expected = "label order")]
fn series_out_of_order_are_a_programmer_error() {
    parts_of(&[labels(&[("a", "1")]), labels(&[("a", "1")])]);
}

/// Labels like those of the TSBS "cpu" workload: ten labels of each host, shared by its metrics.
pub(super) fn tsbs_like(hosts: u32, metrics: u32) -> Vec<Labels> {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut pick = |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    let mut all = Vec::new();
    for host in 0..hosts {
        let region = ["us-east-1", "eu-west-1", "ap-southeast-2", "sa-east-1"][pick(4) as usize];
        let pairs = [
            ("hostname", format!("host_{host}")),
            ("region", region.to_owned()),
            ("datacenter", format!("{region}{}", ["a", "b", "c"][pick(3) as usize])),
            ("rack", pick(100).to_string()),
            ("os", ["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"][pick(3) as usize].to_owned()),
            ("arch", ["x64", "x86"][pick(2) as usize].to_owned()),
            ("team", ["SF", "NYC", "LON", "CHI"][pick(4) as usize].to_owned()),
            ("service", pick(20).to_string()),
            ("service_version", pick(2).to_string()),
            ("service_environment", ["production", "staging", "test"][pick(3) as usize].to_owned()),
        ];
        for metric in 0..metrics {
            let name = [("__name__", format!("cpu_usage_{metric}"))];
            all.push(Labels::from_pairs(name.into_iter().chain(pairs.clone())).unwrap());
        }
    }
    all.sort();
    all
}

#[test]
fn many_blocks_answer_as_one() {
    let series = tsbs_like(2000, 5);
    for matchers in [
        vec![],
        vec![Matcher::equal("hostname", "host_1234")],
        vec![Matcher::equal("os", "Ubuntu15.10"), Matcher::not_equal("__name__", "cpu_usage_3")],
        vec![Matcher::regex("hostname", "host_1.*7").unwrap(), Matcher::equal("team", "SF")],
        vec![Matcher::not_regex("rack", "[1-9]|1.*").unwrap()],
        vec![Matcher::regex("hostname", "host_(1|20|300|1999)").unwrap()],
    ] {
        check_against_model(&series, &matchers, usize::MAX);
    }
}

#[test]
fn an_index_of_tsbs_labels_is_small() {
    let series = tsbs_like(1000, 10);
    let (_, _, parts) = build(&series);
    let bytes = parts.blocks.len() + parts.top.len();
    assert!(bytes <= 12 * series.len(), "{bytes} bytes of {} series", series.len());
}
