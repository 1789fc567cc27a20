//! Stores written by format version 1, as they lie in `testdata/`, are opened forever.
//!
//! `cargo test -p siltstone --test engine golden -- --ignored` writes them anew: see
//! `testdata/README.md` for when that is allowed.

#![allow(clippy::disallowed_methods, reason = "copies stores behind the engine's back")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::SimClock;
use siltstone::{Background, Db, Labels, Options, ReadOnlyDb, WriteBatch};
use siltstone_testing::answers::{self, everything, labels, sim_clock};

/// Batches that the golden store holds in its log alone.
const LOGGED_BATCHES: u64 = 2;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/v1")
}

fn options() -> Options {
    Options {
        background: Background::Manual,
        query_threads: 0,
        create: false,
        ..Options::default()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A line for each series, then one for each of its samples: tick and bits.
fn listing(series: &[answers::Series]) -> String {
    let mut text = String::new();
    for (labels, samples) in series {
        writeln!(text, "{labels}").unwrap();
        for (timestamp, bits) in samples {
            writeln!(text, "    {timestamp} {bits:016x}").unwrap();
        }
    }
    text
}

#[test]
fn version_1_is_read_as_it_was_written() {
    let expected = fs::read_to_string(golden().join("expected.txt")).unwrap();
    let reader = ReadOnlyDb::open(golden().join("store"), options()).unwrap();
    assert!(reader.open_report().findings.is_empty(), "{:?}", reader.open_report().findings);
    assert_eq!(reader.segments().len(), 2);
    assert_eq!(listing(&everything(&reader.snapshot())), expected);

    let dir = tempfile::tempdir().unwrap();
    copy(&golden().join("store"), dir.path());
    let db = Db::open(dir.path(), options()).unwrap();
    let report = db.open_report();
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!((report.recovered_batches, report.torn_bytes), (LOGGED_BATCHES, 0));
    assert_eq!(listing(&everything(&db.snapshot().unwrap())), expected);
    // And goes on from there.
    answers::write(&db, &labels(&[("zz", "new")]), &[(7, 7)]);
    db.close().unwrap();
    drop(db);
    let db = Db::open(dir.path(), options()).unwrap();
    let more = format!("{expected}{{zz=\"new\"}}\n    7 0000000000000007\n");
    assert_eq!(listing(&everything(&db.snapshot().unwrap())), more);
}

#[test]
fn version_1_passes_verification() {
    let mut findings = Vec::new();
    let found = |finding: &siltstone::Finding| findings.push(finding.to_string());
    let store = golden().join("store");
    let check = siltstone::Verify::new(&store).options(options()).on_finding(found);
    let report = check.run().unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!((report.segments, report.batches), (2, LOGGED_BATCHES));
}

/// The same samples, written by a build that names durable edits in the log.
#[test]
fn a_log_that_names_edits_is_read_and_proves_the_manifest() {
    let expected = fs::read_to_string(golden().join("expected.txt")).unwrap();
    let store = golden().join("store-naming-edits");
    let reader = ReadOnlyDb::open(&store, options()).unwrap();
    assert!(reader.open_report().findings.is_empty(), "{:?}", reader.open_report().findings);
    assert_eq!(listing(&everything(&reader.snapshot())), expected);
    let dir = tempfile::tempdir().unwrap();
    copy(&store, dir.path());
    let manifest = dir.path().join("MANIFEST-000001");
    let good = fs::read(&manifest).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(&manifest, &bad).unwrap();
    let refused = Db::open(dir.path(), options()).unwrap_err();
    assert!(refused.to_string().contains("MANIFEST-000001 is damaged"), "{refused}");
    fs::write(&manifest, &good).unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    assert!(db.open_report().findings.is_empty(), "{:?}", db.open_report());
    assert_eq!(listing(&everything(&db.snapshot().unwrap())), expected);
}

/// What the golden store is made of: each kind of value and of time, several scripts.
fn parts() -> Vec<Vec<answers::Series>> {
    let regular = |series: i64, start: i64, rows: i64, value: &dyn Fn(i64) -> f64| {
        let at = move |i: i64| 1_700_000_000_000 + (start + i) * 15_000 + series % 2;
        (0..rows).map(|i| (at(i), value(start + i).to_bits())).collect::<Vec<_>>()
    };
    let specials = vec![
        (i64::MIN, 0x7ff0_0000_0000_0002),
        (-1, 0x7ff8_0000_0000_0000),
        (0, 0xfff8_0000_0000_0001),
        (1, 0x7ff0_0000_0000_0001),
        (2, (-0.0f64).to_bits()),
        (3, f64::INFINITY.to_bits()),
        (4, f64::NEG_INFINITY.to_bits()),
        (5, 1),
        (6, f64::MAX.to_bits()),
        (i64::MAX, std::f64::consts::PI.to_bits()),
    ];
    let counter = labels(&[("__name__", "requests_total"), ("job", "node")]);
    let gauge = labels(&[("__name__", "دما"), ("شهر", "می\u{200c}دان")]);
    let cyrillic = labels(&[("__name__", "темп"), ("город", "и\u{306}ошкар")]);
    let arabic = labels(&[("__name__", "حرارة"), ("مدينة", "القاهرة")]);
    let special = labels(&[("__name__", "special")]);
    vec![
        vec![
            (counter.clone(), regular(0, 0, 300, &|i| (i * i) as f64)),
            (gauge.clone(), regular(1, 0, 300, &|i| ((i * 7) % 50) as f64 / 10.0)),
            (special.clone(), specials),
        ],
        // Late, over what is there, and new series.
        vec![
            (counter.clone(), regular(0, 200, 200, &|i| (i * i + 1) as f64)),
            (cyrillic, regular(2, 0, 40, &|i| (i as f64).sqrt())),
            (arabic, regular(3, 0, 40, &|_| 36.6)),
        ],
        vec![
            (counter, regular(0, 390, 20, &|i| (i * i + 2) as f64)),
            (special, vec![(0, 1.5f64.to_bits()), (7, 0x7ff0_0000_0000_0002)]),
        ],
        vec![(gauge, regular(1, 299, 3, &|i| i as f64 / 100.0))],
    ]
}

fn write_part(db: &Db, part: &[answers::Series]) {
    let mut batch = WriteBatch::new();
    for (labels, samples) in part {
        let handle = db.series(labels).unwrap();
        samples.iter().for_each(|&(t, bits)| batch.push_bits(handle, t, bits).unwrap());
    }
    db.write(&batch).unwrap();
}

#[test]
#[ignore = "writes testdata/v1 anew"]
fn regenerate() {
    let expected = generate("store");
    fs::write(golden().join("expected.txt"), listing(&expected)).unwrap();
}

#[test]
#[ignore = "writes testdata/v1/store-naming-edits anew"]
fn regenerate_naming_edits() {
    generate("store-naming-edits");
}

/// Writes the golden store to the directory `name`; what it holds.
fn generate(name: &str) -> Vec<answers::Series> {
    let clock: Arc<SimClock> = sim_clock();
    let dir = tempfile::tempdir().unwrap();
    let options = Options { create: true, clock: Arc::clone(&clock) as _, ..options() };
    let db = Db::open(dir.path(), options).unwrap();
    let mut expected: BTreeMap<Labels, BTreeMap<i64, u64>> = BTreeMap::new();
    for (i, part) in parts().iter().enumerate() {
        write_part(&db, part);
        for (labels, samples) in part {
            expected.entry(labels.clone()).or_default().extend(samples.iter().copied());
        }
        if i < 2 {
            db.flush().unwrap();
        }
    }
    clock.advance(Duration::from_secs(1));
    db.tick().unwrap();
    let store = golden().join(name);
    let _ = fs::remove_dir_all(&store);
    copy(dir.path(), &store);
    expected.into_iter().map(|(l, samples)| (l, samples.into_iter().collect())).collect()
}
