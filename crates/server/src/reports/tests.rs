//! The exact texts of reports, and that the values say the same.

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use siltstone::{Db, Labels, Matcher, Options, TimeRange, WriteBatch};

use super::*;

/// Writes `rows` samples of a series whose name must be escaped.
fn write(db: &Db, rows: i64) {
    let labels = Labels::from_pairs([("__name__", "m"), ("path", "\"دما\n")]).unwrap();
    let series = db.series(&labels).unwrap();
    let mut batch = WriteBatch::new();
    for row in 0..rows {
        let bits = (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2;
        batch.push_bits(series, row, bits).unwrap();
    }
    db.write(&batch).unwrap();
}

fn open(dir: &Path) -> Db {
    Db::open(dir.join("store"), Options::default()).unwrap()
}

/// Flips a bit of the only segment, among its chunks.
#[expect(clippy::disallowed_methods, reason = "damages a file from outside of the store")]
fn damage_segment(db: &Db) {
    let mut paths = std::fs::read_dir(db.dir()).unwrap().map(|entry| entry.unwrap().path());
    let path: PathBuf = paths.find(|p| p.extension().is_some_and(|e| e == "seg")).unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let at = file.metadata().unwrap().len() / 50;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// Asserts that the text, read, is the value, and that the value has the members of the text.
fn assert_agree<T>(text: &str, value: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    assert_eq!(&serde_json::from_str::<T>(text).unwrap(), value);
    assert_eq!(
        serde_json::to_value(value).unwrap(),
        serde_json::from_str::<Value>(text).unwrap(),
        "{text}"
    );
}

#[test]
fn compactions() {
    let mut report = CompactReport::default();
    (report.merges, report.segments_in, report.segments_out) = (1, 2, 3);
    (report.bytes_in, report.bytes_out, report.samples) = (4, 5, u64::MAX);
    (report.superseded, report.deleted, report.expired) = (6, 7, 8);
    for (nanos, seconds) in [
        (1_500_000_000, "1.5"),
        (2_000_000_000, "2"),
        (0, "0"),
        (1_000, "0.000001"),
        (86_400_000_000_000, "86400"),
    ] {
        report.elapsed = Duration::from_nanos(nanos);
        let text = compact_report(&report);
        let expected = format!(
            "{{\"merges\":1,\"segments_in\":2,\"segments_out\":3,\"bytes_in\":4,\"bytes_out\":5,\
             \"samples\":18446744073709551615,\"superseded\":6,\"deleted\":7,\"expired\":8,\
             \"damaged_samples\":0,\"damage\":[],\"findings\":[],\"cancelled\":false,\
             \"seconds\":{seconds}}}"
        );
        assert_eq!(text, expected);
        assert_agree(&text, &CompactAnswer::from(&report));
    }
}

#[test]
fn damage_and_progress() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    // As many as one chunk holds.
    write(&db, 8000);
    db.flush().unwrap();
    db.close().unwrap();
    drop(db);
    let db = open(dir.path());
    damage_segment(&db);
    let mut seen = None;
    let mut report = db
        .compact(TimeRange::ALL, &mut |now| {
            seen = Some(*now);
            ControlFlow::Continue(())
        })
        .unwrap();
    report.elapsed = Duration::from_millis(1500);
    let [range] = &report.damage[..] else { panic!("one damaged chunk: {report:?}") };
    let text = compact_report(&report);
    let damage = format!(
        "\"damaged_samples\":{rows},\"damage\":[{{\"file\":\"{}\",\"offset\":{},\"error\":\"{}\",\
         \"series\":{{\"__name__\":\"m\",\"path\":\"\\\"دما\\u000a\"}},\"first\":{},\"last\":{},\
         \"samples\":{rows}}}],\"findings\":[],\"cancelled\":false,\"seconds\":1.5}}",
        range.path.display(),
        range.offset,
        range.message,
        range.first,
        range.last,
        rows = range.rows,
    );
    assert!(text.ends_with(&damage), "{text}\n{damage}");
    assert_agree(&text, &CompactAnswer::from(&report));
    let mut progress = seen.unwrap();
    progress.elapsed = Duration::from_millis(250);
    let text = compact_progress(&progress);
    let expected = format!(
        "{{\"merges\":0,\"reason\":\"range\",\"samples_read\":{},\"samples_total\":8000,\
         \"bytes_written\":{},\"bytes_total\":{},\"seconds\":0.25}}",
        progress.samples_read, progress.bytes_written, progress.bytes_total
    );
    assert_eq!(text, expected);
    assert_agree(&text, &ProgressAnswer::from(&progress));
    db.close().unwrap();
}

#[test]
fn deletes() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    write(&db, 10);
    db.flush().unwrap();
    write(&db, 3);
    let matchers = [Matcher::equal("__name__", "m")];
    let receipt = db.preview_delete(&matchers, TimeRange::ALL).unwrap();
    let text = delete_receipt("{a=\"\n\u{8}دما\"}", &receipt);
    let [share] = &receipt.segments[..] else { panic!("one segment: {receipt:?}") };
    let expected = format!(
        "{{\"selector\":\"{{a=\\\"\\n\\u0008دما\\\"}}\",\"seq\":0,\"durable\":{},\"series\":1,\
         \"samples\":13,\"memtable_samples\":3,\"bytes\":{},\"segments\":[{{\"file_number\":{},\
         \"samples\":10,\"bytes\":{}}}],\"complete\":true}}",
        receipt.durable, receipt.bytes, share.file_number, share.bytes
    );
    assert_eq!(text, expected);
    assert_agree(&text, &DeleteAnswer::new("{a=\"\n\u{8}دما\"}", &receipt));
    db.close().unwrap();
}

#[test]
fn what_an_older_server_leaves_out_is_empty() {
    let read: DeleteAnswer = serde_json::from_str("{\"samples\":3,\"newer\":[1]}").unwrap();
    assert_eq!(read, DeleteAnswer { samples: 3, ..DeleteAnswer::default() });
    assert_eq!(serde_json::from_str::<CompactAnswer>("{}").unwrap(), CompactAnswer::default());
}
