//! Stores and segments that are reached through links, and copies of stores that share segments, on the real file
//! system: a store is known by what it is, not by the path that leads to it.

#![allow(clippy::disallowed_methods, reason = "links and moves that no store makes")]

use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use siltstone::{
    AcceptOptions, AttachOptions, Background, Db, Error, Labels, Matcher, Options, QueryOptions,
    TimeRange, Verify, WriteBatch,
};

fn open(dir: &Path) -> Db {
    let options =
        Options { background: Background::Manual, query_threads: 0, ..Options::default() };
    Db::open(dir, options).unwrap()
}

fn write(db: &Db, timestamp: i64, value: f64) {
    let series = db.series(&Labels::from_pairs([("__name__", "a")]).unwrap()).unwrap();
    let mut batch = WriteBatch::new();
    batch.push(series, timestamp, value).unwrap();
    db.write(&batch).unwrap();
}

fn read(db: &Db) -> Vec<(i64, f64)> {
    let snapshot = db.snapshot().unwrap();
    let matchers = [Matcher::equal("__name__", "a")];
    let found = snapshot.select(&matchers, TimeRange::ALL, &QueryOptions::default()).unwrap();
    found.flat_map(|series| series.unwrap().columns.iter().collect::<Vec<_>>()).collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == "seg")).collect();
    found.sort();
    found
}

fn refuse(db: &Db, path: &Path, says: &str) {
    match db.attach(path) {
        Err(Error::InvalidArgument(why)) => assert!(why.contains(says), "{path:?}: {why}"),
        other => panic!("{path:?}: {other:?}"),
    }
}

#[test]
fn a_store_is_not_attached_to_itself_whatever_path_leads_to_it() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let own = root.join("own");
    let db = open(&own);
    write(&db, 1, 1.0);
    db.flush().unwrap();
    symlink(&own, root.join("link")).unwrap();
    let name = segments(&own)[0].file_name().unwrap().to_owned();
    for path in [own.clone(), root.join("link"), own.join("quarantine/../../own"), own.join(".")] {
        // The way through a directory needs that directory.
        std::fs::create_dir_all(own.join("quarantine")).unwrap();
        refuse(&db, &path, "belongs to this store already");
        refuse(&db, &path.join(&name), "belongs to this store already");
    }
    // Before anything is read: what is damaged there is not found.
    std::fs::write(own.join("CURRENT"), "x").unwrap();
    refuse(&db, &root.join("link"), "belongs to this store already");
    assert_eq!(db.stats().segments, 1);
}

#[test]
fn a_checkpoint_takes_no_name_of_the_store_whatever_path_leads_there() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let own = root.join("own");
    let db = open(&own);
    write(&db, 1, 1.0);
    symlink(&own, root.join("link")).unwrap();
    for name in ["000900.seg", "quarantine", "MANIFEST-000009", "copy.tmp"] {
        for folder in [own.clone(), root.join("link"), own.join(".")] {
            let refused = db.checkpoint(folder.join(name));
            let is_refused =
                matches!(&refused, Err(Error::InvalidArgument(why)) if why.contains(name));
            assert!(is_refused, "{folder:?}, {name}: {refused:?}");
            assert!(!own.join(name).exists());
        }
    }
}

#[test]
fn a_copy_of_the_store_is_attached_only_if_that_is_meant() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let db = open(&root.join("own"));
    write(&db, 1, 1.0);
    write(&db, 2, 1.0);
    let copy = root.join("copy");
    db.checkpoint(&copy).unwrap();
    write(&db, 2, 2.0);
    refuse(&db, &copy, "is a copy of this store");
    // A segment of its own, too: beside a manifest, alone, and by a link.
    let segment = segments(&copy)[0].clone();
    refuse(&db, &segment, "is a copy of this store");
    let alone = root.join("alone");
    std::fs::create_dir(&alone).unwrap();
    let own = segments(&root.join("own")).remove(0);
    let link = alone.join(own.file_name().unwrap());
    symlink(&own, &link).unwrap();
    refuse(&db, &link, "is a copy of this store");
    assert_eq!(read(&db), [(1, 1.0), (2, 2.0)]);
    // Meant, it is the late write that every attach is.
    let report = db.attach_with(&copy, AttachOptions { allow_copy: true }).unwrap();
    assert_eq!(report.samples, 2);
    assert_eq!(read(&db), [(1, 1.0), (2, 1.0)]);
    let itself = db.attach_with(root.join("own"), AttachOptions { allow_copy: true });
    assert!(matches!(itself, Err(Error::InvalidArgument(_))), "{itself:?}");
}

#[test]
fn a_checkpoint_of_a_linked_segment_has_the_segment() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let own = root.join("own");
    let db = open(&own);
    for timestamp in [1, 2] {
        write(&db, timestamp, 1.0);
        db.flush().unwrap();
    }
    db.close().unwrap();
    // One is moved to another folder and linked by a relative path, one by an absolute one.
    let found = segments(&own);
    std::fs::create_dir(root.join("far")).unwrap();
    for (i, segment) in found.iter().enumerate() {
        let name = segment.file_name().unwrap();
        let far = root.join("far").join(name);
        std::fs::rename(segment, &far).unwrap();
        let target = if i == 0 { Path::new("../far").join(name) } else { far };
        symlink(target, segment).unwrap();
    }
    let db = open(&own);
    std::fs::create_dir(root.join("deep")).unwrap();
    let copy = root.join("deep/copy");
    assert_eq!(db.checkpoint(&copy).unwrap().segments, 2);
    for segment in segments(&copy) {
        assert!(std::fs::symlink_metadata(&segment).unwrap().is_file(), "{segment:?} is a link");
    }
    // The copy does not need the store.
    drop(db);
    std::fs::remove_dir_all(&own).unwrap();
    std::fs::remove_dir_all(root.join("far")).unwrap();
    let verified = Verify::new(&copy).on_finding(|finding| panic!("{finding}")).run().unwrap();
    assert_eq!(verified.segments, 2);
    assert_eq!(read(&open(&copy)), [(1, 1.0), (2, 1.0)]);
}

#[test]
fn a_checkpoint_of_a_dangling_link_is_refused_and_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let own = root.path().join("own");
    let db = open(&own);
    write(&db, 1, 1.0);
    db.flush().unwrap();
    let segment = segments(&own).remove(0);
    std::fs::remove_file(&segment).unwrap();
    symlink("nowhere.seg", &segment).unwrap();
    let copy = root.path().join("copy");
    let error = db.checkpoint(&copy).unwrap_err().to_string();
    assert!(error.contains(segment.to_str().unwrap()), "{error}");
    assert!(!copy.exists());
}

/// A store, a copy, another copy, a copy of the first copy; each with a write of its own.
fn family(root: &Path) -> Vec<PathBuf> {
    let paths = ["own", "copy", "sibling", "of copy"].map(|name| root.join(name));
    let db = open(&paths[0]);
    write(&db, 1, 1.0);
    db.flush().unwrap();
    db.checkpoint(&paths[1]).unwrap();
    db.checkpoint(&paths[2]).unwrap();
    db.close().unwrap();
    let copy = open(&paths[1]);
    copy.checkpoint(&paths[3]).unwrap();
    copy.close().unwrap();
    for (i, path) in paths.iter().enumerate() {
        let db = open(path);
        write(&db, 10 + i as i64, 1.0);
        db.flush().unwrap();
        db.close().unwrap();
    }
    paths.into()
}

/// They share samples, whichever was made of which, and whatever uuid each has.
#[test]
fn copies_of_each_other_or_of_one_store_are_attached_only_if_that_is_meant() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let family = family(root);
    let unrelated = root.join("unrelated");
    let db = open(&unrelated);
    write(&db, 99, 9.0);
    db.close().unwrap();
    for (i, one) in family.iter().enumerate() {
        let db = open(one);
        for other in family.iter().filter(|other| *other != one) {
            refuse(&db, other, "is a copy of this store");
            for segment in segments(other) {
                refuse(&db, &segment, "is a copy of this store");
            }
        }
        assert_eq!(read(&db), [(1, 1.0), (10 + i as i64, 1.0)]);
        assert_eq!(db.attach(&unrelated).unwrap().samples, 1);
        db.close().unwrap();
    }
    // Without a manifest beside it, a segment says only which store wrote it.
    let alone = root.join("alone");
    std::fs::create_dir(&alone).unwrap();
    let of_first = segments(&family[0]).remove(0);
    let link = alone.join(of_first.file_name().unwrap());
    symlink(&of_first, &link).unwrap();
    for one in &family {
        refuse(&open(one), &link, "is a copy of this store");
    }
    let meant = AttachOptions { allow_copy: true };
    assert_eq!(open(&family[2]).attach_with(&family[3], meant).unwrap().samples, 3);
    assert_eq!(open(&unrelated).attach(&family[1]).unwrap().samples, 3);
}

/// What a copy has of its store are the segments that its manifest lists. Another one, of later writes, is not taken
/// for what the copy's own log or merges explain, though its seqs and its number are below those of the copy.
#[test]
fn a_later_segment_of_the_store_in_its_copy_is_set_aside_and_reported() {
    let root = tempfile::tempdir().unwrap();
    let (own, copy) = (root.path().join("own"), root.path().join("copy"));
    let db = open(&own);
    write(&db, 1, 1.0);
    db.checkpoint(&copy).unwrap();
    write(&db, 2, 2.0);
    db.flush().unwrap();
    let later = segments(&own).pop().unwrap();
    let name = later.file_name().unwrap();
    let of_copy = open(&copy);
    for timestamp in 3..8 {
        write(&of_copy, timestamp, 3.0);
        of_copy.flush().unwrap();
    }
    let held = read(&of_copy);
    assert!(of_copy.stats().last_seq > db.stats().last_seq && !copy.join(name).exists());
    of_copy.close().unwrap();
    std::fs::copy(&later, copy.join(name)).unwrap();
    for _ in 0..2 {
        let of_copy = open(&copy);
        let findings = &of_copy.open_report().findings;
        let named = copy.join("quarantine").join(name);
        assert!(findings.len() == 1 && findings[0].path == named, "{findings:?}");
        assert_eq!(read(&of_copy), held);
        of_copy.close().unwrap();
        assert!(named.exists());
    }
}

/// What cannot be opened for now, here since its name leads in a circle, may be opened the next time: it is not given
/// up, whatever somebody accepts.
#[test]
fn a_segment_that_cannot_be_opened_for_now_is_not_given_up() {
    let root = tempfile::tempdir().unwrap();
    let (dir, aside) = (root.path().join("store"), root.path().join("aside"));
    let db = open(&dir);
    write(&db, 1, 1.0);
    write(&db, 2, 2.0);
    db.flush().unwrap();
    db.close().unwrap();
    let segment = segments(&dir).pop().unwrap();
    std::fs::rename(&segment, &aside).unwrap();
    symlink(&segment, &segment).unwrap();
    let db = open(&dir);
    let options = AcceptOptions { give_up_unreadable: true };
    let report = db.accept_losses(options, |_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!((report.given_up, report.findings.len()), (0, 1), "{report:?}");
    // Nor is a newer one that is gone: what takes its place depends on the series of the older one.
    write(&db, 1, 3.0);
    write(&db, 2, 3.0);
    db.flush().unwrap();
    db.close().unwrap();
    std::fs::remove_file(segments(&dir).pop().unwrap()).unwrap();
    let db = open(&dir);
    let report = db.accept_losses(options, |_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!((report.given_up, report.findings.len()), (0, 2), "{report:?}");
    let advice = format!("it can be given up once {}", segment.display());
    assert!(report.findings[1].message.contains(&advice), "{report:?}");
    db.close().unwrap();
    std::fs::remove_file(&segment).unwrap();
    std::fs::rename(&aside, &segment).unwrap();
    let db = open(&dir);
    assert_eq!(db.open_report().findings.len(), 1);
    let report = db.accept_losses(options, |_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!((report.given_up, report.findings.len()), (1, 0), "{report:?}");
    assert_eq!(read(&db), [], "what it had may have been in the place of both");
}
