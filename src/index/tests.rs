//! The index as a whole, against a plain filter over the label sets, and against hostile bytes.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::types::{Labels, MatchOp, Matcher};

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
    let mut builder = IndexBuilder::new();
    for (i, labels) in series.iter().enumerate() {
        assert_eq!(builder.push(labels), i as u32);
    }
    let parts = builder.finish();
    let index = Index::from_top(&parts.top).unwrap();
    assert_eq!(index.series_count() as usize, series.len());
    (index, Memory { blocks: parts.blocks.clone(), verify: true }, parts)
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
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

/// Labels like those of the TSBS "cpu" workload: ten labels of each host, shared by its metrics.
fn tsbs_like(hosts: u32, metrics: u32) -> Vec<Labels> {
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
#[ignore = "prints sizes and times; run by hand in release"]
fn measure() {
    use std::time::Duration;
    let time = |what: &str, n: usize, mut work: Box<dyn FnMut() -> usize + '_>| {
        #[expect(clippy::disallowed_methods, reason = "a measurement by hand")]
        let start = std::time::Instant::now();
        let (mut runs, mut found) = (0u32, 0);
        while start.elapsed() < Duration::from_millis(300) {
            found = work();
            runs += 1;
        }
        let each = start.elapsed() / runs;
        println!("  {what}: {each:?} ({found} found), {:?} per series", each / n.max(1) as u32);
    };
    for (hosts, metrics) in [(1000, 10), (10_000, 10), (100_000, 10)] {
        let series = tsbs_like(hosts, metrics);
        let n = series.len();
        let (index, source, parts) = build(&series);
        let bytes = parts.blocks.len() + parts.top.len();
        println!("{n} series: {:.2} bytes each, top {}", bytes as f64 / n as f64, parts.top.len());
        time("build", n, Box::new(|| build(&series).2.blocks.len()));
        let select = |m: Vec<Matcher>| {
            let (index, source) = (&index, &source);
            Box::new(move || index.select(source, &m).unwrap().len())
        };
        time("hostname=", 0, select(vec![Matcher::equal("hostname", "host_77")]));
        let metric = Matcher::equal("__name__", "cpu_usage_3");
        let host = Matcher::regex("hostname", "host_(1|22|333|444|55|666|77|888)").unwrap();
        time("metric, 8 hosts", 0, select(vec![metric.clone(), host]));
        time("metric", 0, select(vec![metric.clone()]));
        let team = Matcher::equal("team", "SF");
        time("metric, team", 0, select(vec![metric, team]));
        time("host regex", 0, select(vec![Matcher::regex("hostname", ".*7.*").unwrap()]));
        let every: Vec<u32> = (0..n as u32).collect();
        time("labels of all", n, Box::new(|| all_labels(&index, &source, &every).unwrap().len()));
        let ten: Vec<u32> = (0..10).map(|i| i * (n as u32 / 10)).collect();
        time("labels of ten", 10, Box::new(|| all_labels(&index, &source, &ten).unwrap().len()));
        let values = |among: Option<&[u32]>| {
            index.label_values(&source, "hostname", among, usize::MAX).unwrap().len()
        };
        time("host values", 0, Box::new(|| values(None)));
        time("host values among all", n, Box::new(|| values(Some(&every))));
    }
}
