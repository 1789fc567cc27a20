//! The steps of the machine, and how they are read from an input.

use siltstone::sys::{CrashPlan, DataSurvival, DirectorySurvival};
use siltstone::{MatchOp, Matcher, TimeRange};

use crate::input::Input;

/// The label sets that are written.
pub(crate) const SERIES: &[&[(&str, &str)]] = &[
    &[("__name__", "up"), ("job", "node")],
    &[("__name__", "up"), ("job", "db")],
    &[("__name__", "up"), ("job", "node"), ("instance", "a:9100")],
    &[("__name__", "cpu"), ("job", "node"), ("mode", "idle")],
    &[("__name__", "cpu"), ("job", "node"), ("mode", "idle2")],
    &[("__name__", "دما"), ("شهر", "میدان")],
    &[("__name__", "دما"), ("شهر", "می\u{200c}دان")],
    &[("__name__", "темп")],
];
const NAMES: &[&str] = &["__name__", "job", "instance", "mode", "شهر", "absent"];
const VALUES: &[&str] = &["", "up", "cpu", "node", "db", "idle", "دما", "میدان"];
const PATTERNS: &[&str] = &["", ".*", ".+", "node|db", "up|", "idle.?", "c.*", "[^x]*", "می.*"];

/// Milliseconds of the window of the stores: times meet its edges.
pub(crate) const WINDOW_MS: i64 = 60_000;
/// Most rows of a regular batch.
const BULK_ROWS_MAX: usize = 256;

/// What happens to the store next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Batches of (series, timestamp), committed together.
    Write(Vec<Vec<(usize, i64)>>),
    /// Regular samples of one series.
    Bulk {
        series: usize,
        start: i64,
        interval: i64,
        rows: usize,
    },
    Delete(Vec<Matcher>, TimeRange),
    Flush,
    /// Milliseconds pass, then the background work that is due is done.
    Tick(u64),
    /// Merges; given up after so many steps.
    Compact(TimeRange, usize),
    /// The timer's sync.
    WaitDurable,
    /// A snapshot that is compared again at every later check.
    Snapshot,
    CheckSnapshots,
    /// With the ticks of a bucket.
    Query(Vec<Matcher>, TimeRange, i64),
    /// A copy of the store, which is opened and kept.
    Checkpoint,
    /// A reader beside the writer; one that is kept is refreshed.
    Reader {
        keep: bool,
    },
    /// Merging in the background is stopped, or goes on.
    Pause(bool),
    Reopen(Ending),
    /// One of the next operations fails, for once.
    Fault {
        after: u64,
        kind: std::io::ErrorKind,
    },
    /// Power is cut at one of the next operations; later it comes back.
    CutDuring {
        after: u64,
    },
    /// Bytes that are left on the disk.
    Fill(u64),
    /// The disk has room, and no fault is to come.
    Heal,
    /// One of the reads of a call fails.
    ReadFault {
        after: u64,
        call: Call,
    },
    /// Time passes, hours of it.
    Hours(u64),
    /// The wall clock is set, by so many days.
    Jump(i64),
}

/// What is asked of a store of which something cannot be read for a moment.
#[derive(Debug)]
pub(crate) enum Call {
    Query(Vec<Matcher>, TimeRange),
    Flush,
    Tick,
    Compact(TimeRange),
    Reader,
    Digest,
}

/// How a process ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    Close,
    Kill,
    PowerCut(CrashPlan),
}

impl Step {
    pub(crate) fn read(input: &mut Input<'_>) -> Self {
        let head = input.byte();
        match head {
            // Whatever came before these decodes as it did.
            224..=231 => return Self::ReadFault { after: input.byte().into(), call: call(input) },
            232..=235 => return Self::Hours(1 + input.below(30) as u64),
            236..=239 => return Self::Jump(input.one_of(&[30, -30, 2, -2])),
            _ => {}
        }
        match head % 32 {
            0..=7 => Self::Write((0..1 + input.below(64) / 48).map(|_| rows(input)).collect()),
            8 => Self::Bulk {
                series: input.below(SERIES.len()),
                start: timestamp(input).clamp(-(1 << 60), 1 << 60),
                interval: input.one_of(&[1, 1000, 15_000]),
                rows: 1 + input.below(BULK_ROWS_MAX),
            },
            9..=11 => Self::Delete(matchers(input), range(input)),
            12 | 13 => Self::Flush,
            14 | 15 => Self::Tick(input.one_of(&[10, 300, 2000, 60_000])),
            16 | 17 => Self::Compact(range(input), usize::from(input.byte()).wrapping_sub(1)),
            18 => Self::WaitDurable,
            19 => Self::Snapshot,
            20 => Self::CheckSnapshots,
            21 => Self::Query(
                matchers(input),
                range(input),
                input.one_of(&[1, 7, 15_000, WINDOW_MS, i64::MAX]),
            ),
            22 => Self::Checkpoint,
            23 => Self::Reader { keep: input.below(2) == 1 },
            24 => Self::Pause(input.below(2) == 1),
            25 => Self::Reopen(Ending::Close),
            26 => Self::Reopen(Ending::Kill),
            27 => Self::Reopen(Ending::PowerCut(crash_plan(input))),
            28 => Self::Fault {
                after: input.byte().into(),
                kind: input.one_of(&[
                    std::io::ErrorKind::Other,
                    std::io::ErrorKind::StorageFull,
                    std::io::ErrorKind::PermissionDenied,
                ]),
            },
            29 => Self::CutDuring { after: input.byte().into() },
            30 => Self::Fill(u64::from(input.u16()) / 4),
            _ => Self::Heal,
        }
    }
}

fn call(input: &mut Input<'_>) -> Call {
    match input.below(8) {
        0..=2 => Call::Query(matchers(input), range(input)),
        3 => Call::Flush,
        4 => Call::Tick,
        5 => Call::Compact(range(input)),
        6 => Call::Reader,
        _ => Call::Digest,
    }
}

pub(crate) fn crash_plan(input: &mut Input<'_>) -> CrashPlan {
    let seed = input.byte().into();
    let (kept, names_kept) = (DataSurvival::Kept, DirectorySurvival::Kept);
    match input.below(8) {
        0 => CrashPlan::ALL_LOST,
        1 => CrashPlan::ALL_KEPT,
        2 => CrashPlan { data: DataSurvival::Lost, directories: names_kept },
        3 => CrashPlan { data: kept, directories: DirectorySurvival::Lost },
        4 => CrashPlan { data: DataSurvival::LengthOnly, directories: names_kept },
        5 => CrashPlan { data: DataSurvival::BytesOnly, directories: names_kept },
        6 => CrashPlan { data: DataSurvival::Torn { seed }, directories: names_kept },
        _ => CrashPlan::torn(seed),
    }
}

fn rows(input: &mut Input<'_>) -> Vec<(usize, i64)> {
    (0..1 + input.below(6)).map(|_| (input.below(SERIES.len()), timestamp(input))).collect()
}

/// Few, so that they meet: in three neighbouring windows, and at the ends of time.
fn timestamp(input: &mut Input<'_>) -> i64 {
    let choice = i64::from(input.byte());
    match choice {
        0..200 => (choice % 12) * WINDOW_MS / 4 - WINDOW_MS + choice / 100,
        200..240 => 1_700_000_000_000 + choice * 1000,
        240..248 => (choice - 244) * 86_400_000,
        248 => i64::MIN,
        249 => i64::MAX,
        _ => i64::MAX >> (choice - 250 + 1),
    }
}

fn range(input: &mut Input<'_>) -> TimeRange {
    match input.below(4) {
        0 => TimeRange::ALL,
        1 => {
            let only = timestamp(input);
            TimeRange::closed(only, only)
        }
        _ => {
            let (a, b) = (timestamp(input), timestamp(input));
            TimeRange::new(a.min(b), a.max(b))
        }
    }
}

fn matchers(input: &mut Input<'_>) -> Vec<Matcher> {
    (0..input.below(3)).filter_map(|_| matcher(input)).collect()
}

fn matcher(input: &mut Input<'_>) -> Option<Matcher> {
    let name = input.one_of(NAMES);
    match input.below(4) {
        0 => Some(Matcher::equal(name, input.one_of(VALUES))),
        1 => Some(Matcher::not_equal(name, input.one_of(VALUES))),
        2 => Matcher::new(MatchOp::Regex, name, input.one_of(PATTERNS)).ok(),
        _ => Matcher::new(MatchOp::NotRegex, name, input.one_of(PATTERNS)).ok(),
    }
}
