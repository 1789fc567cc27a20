//! What the machine may do, and the strategies that choose it.

use proptest::collection::vec;
use proptest::prelude::*;
use siltstone::{MatchOp, Matcher, TimeRange};

/// The label sets that are written: shared names, absent labels, three scripts, one label only.
pub(crate) const SERIES: &[&[(&str, &str)]] = &[
    &[("__name__", "up"), ("job", "node"), ("instance", "a:9100")],
    &[("__name__", "up"), ("job", "node"), ("instance", "b:9100")],
    &[("__name__", "up"), ("job", "db")],
    &[("__name__", "cpu_seconds_total"), ("job", "node"), ("mode", "idle")],
    &[("__name__", "cpu_seconds_total"), ("job", "node"), ("mode", "idle2")],
    &[("__name__", "حرارة"), ("مدينة", "القاهرة")],
    // Persian with a zero-width non-joiner in the value, and the same word without it.
    &[("__name__", "دما"), ("شهر", "می\u{200c}دان")],
    &[("__name__", "دما"), ("شهر", "میدان")],
    // Cyrillic with a combining breve, and the precomposed letter: two series.
    &[("__name__", "темп"), ("город", "и\u{306}ошкар")],
    &[("__name__", "темп"), ("город", "йошкар")],
    &[("only", "x")],
    &[("job", "node")],
];

/// One sample: (which of [`SERIES`], timestamp, bits).
pub(crate) type Row = (usize, i64, u64);

/// A query: matchers and a range, with a limit for lists.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) range: TimeRange,
    pub(crate) limit: usize,
}

/// How the store is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Config {
    pub(crate) query_threads: usize,
    pub(crate) mapped: bool,
    pub(crate) small: bool,
    /// 0 always, 1 at intervals, 2 never.
    pub(crate) durability: u8,
}

/// One step.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// One batch, its series by labels or by handles that were kept.
    Write {
        rows: Vec<Row>,
        by_handles: bool,
    },
    /// Several batches, submitted and committed together.
    Group(Vec<Vec<Row>>),
    /// Many regular samples of one series, from a time on, at a step.
    Bulk {
        series: usize,
        start: i64,
        step: i64,
        rows: usize,
    },
    /// Deletes what the query selects.
    Delete(Query),
    Flush,
    /// Merges what overlaps the range, or gives up after so many steps.
    Compact(TimeRange, usize),
    /// Milliseconds pass, then the background work that is due.
    Tick(u64),
    /// A snapshot that is compared at the end, and when another takes its place.
    Snapshot,
    CheckSnapshots,
    /// Ends the store, properly or not, and opens it again.
    Reopen {
        kill: bool,
        config: Config,
    },
    /// Opens a reader beside the writer.
    ReadOnly(Query, Config),
    Query(Query),
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (rows(), any::<bool>()).prop_map(|(rows, by_handles)| Op::Write { rows, by_handles }),
        3 => vec(rows(), 1..5).prop_map(Op::Group),
        1 => bulk(),
        3 => query().prop_map(Op::Delete),
        3 => Just(Op::Flush),
        2 => (range(), 1..40usize).prop_map(|(range, steps)| Op::Compact(range, steps)),
        2 => prop_oneof![Just(300u64), Just(600), Just(12_000)].prop_map(Op::Tick),
        2 => Just(Op::Snapshot),
        1 => Just(Op::CheckSnapshots),
        2 => (any::<bool>(), config()).prop_map(|(kill, config)| Op::Reopen { kill, config }),
        1 => (query(), config()).prop_map(|(query, config)| Op::ReadOnly(query, config)),
        4 => query().prop_map(Op::Query),
    ]
}

pub(crate) fn config() -> impl Strategy<Value = Config> {
    (any::<bool>(), any::<bool>(), any::<bool>(), 0..3u8).prop_map(
        |(threads, mapped, small, durability)| Config {
            query_threads: if threads { 2 } else { 0 },
            mapped,
            small,
            durability,
        },
    )
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    vec((0..SERIES.len(), timestamp(), bits()), 1..30)
}

fn bulk() -> impl Strategy<Value = Op> {
    let step = prop_oneof![Just(1), Just(1_000), Just(15_000), Just(3_600_000)];
    (0..SERIES.len(), timestamp(), step, 1..3000usize).prop_map(|(series, start, step, rows)| {
        Op::Bulk { series, start: start.min(1 << 60), step, rows }
    })
}

/// Few enough that they meet, around zero and the windows' edges, and the ends of i64.
fn timestamp() -> impl Strategy<Value = i64> {
    const DAY: i64 = 86_400_000;
    prop_oneof![
        10 => (0..40i64).prop_map(|i| i * 15_000),
        4 => -3..4i64,
        3 => (-3..4i64, -1..2i64).prop_map(|(day, off)| day * DAY + off),
        2 => 1_700_000_000_000..1_700_000_000_100i64,
        1 => prop_oneof![
            Just(i64::MIN), Just(i64::MIN + 1), Just(i64::MAX - 1), Just(i64::MAX)
        ],
        1 => any::<i64>(),
    ]
}

fn bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => (-1000..1000i32).prop_map(|v| (f64::from(v) / 10.0).to_bits()),
        3 => (0..1_000_000u32).prop_map(|v| f64::from(v).to_bits()),
        1 => any::<u64>(),
        3 => prop_oneof![
            Just(0x7ff0_0000_0000_0002), // the stale marker
            Just(0x7ff8_0000_0000_0000), // the usual NaN
            Just(0xfff8_0000_0000_0000), // its negative
            Just(0x7ff0_0000_0000_0001), // a signalling one
            Just(0xffff_ffff_ffff_ffff),
            Just((-0.0f64).to_bits()),
            Just(f64::INFINITY.to_bits()),
            Just(f64::NEG_INFINITY.to_bits()),
            Just(1),                      // the smallest subnormal
            Just(f64::MAX.to_bits()),
        ],
    ]
}

pub(crate) fn query() -> impl Strategy<Value = Query> {
    let limit = prop_oneof![Just(usize::MAX), 0..5usize];
    (vec(matcher(), 0..4), range(), limit).prop_map(|(matchers, range, limit)| Query {
        matchers,
        range,
        limit,
    })
}

fn range() -> impl Strategy<Value = TimeRange> {
    prop_oneof![
        2 => Just(TimeRange::ALL),
        3 => (timestamp(), timestamp()).prop_map(|(a, b)| TimeRange::new(a.min(b), a.max(b))),
        1 => (timestamp(), timestamp()).prop_map(|(a, b)| TimeRange::new(a, b)),
        1 => timestamp().prop_map(|t| TimeRange::closed(t, t)),
    ]
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let name = prop::sample::select(vec![
        "__name__",
        "job",
        "instance",
        "mode",
        "مدينة",
        "شهر",
        "город",
        "only",
        "absent",
        "",
    ]);
    let value = prop::sample::select(vec![
        "",
        "up",
        "node",
        "db",
        "idle",
        "x",
        "دما",
        "می\u{200c}دان",
        "йошкар",
        "и\u{306}ошкар",
        "cpu_seconds_total",
    ]);
    let pattern = prop::sample::select(vec![
        "",
        ".*",
        ".+",
        "node|db",
        "up|",
        "idle.?",
        "cpu.*",
        "(?i)NODE",
        "и.*",
        "й.*",
        "می.*",
        ".*دان",
        "[ا-ی]+",
        "a:9100|b:9100",
        "[^x]*",
        "(up|темп)",
    ]);
    (name, value, pattern, 0..4u8).prop_map(|(name, value, pattern, op)| match op {
        0 => Matcher::equal(name, value),
        1 => Matcher::not_equal(name, value),
        2 => Matcher::new(MatchOp::Regex, name, pattern).unwrap(),
        _ => Matcher::new(MatchOp::NotRegex, name, pattern).unwrap(),
    })
}
