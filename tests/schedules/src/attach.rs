//! Attaching, beside deletes that hide what is attached and merges that carry deletes out.
//!
//! What must hold in every order: an attach has one seq; a delete with a higher seq hides what it brought, for
//! good, one with a lower seq does not; an attach that fails leaves nothing, in answers and on disk.

use std::io::ErrorKind;

use siltstone::Db;
use siltstone::sys::{SimFs, SyncPoint};

use crate::explore::explore;
use crate::store::{STORE, compact, delete, open, open_at, read_now, segments, spawn, write};

/// Where the foreign store lies.
const OTHER: &str = "/other";

/// The store, with a sample, beside one that has a sample of the same series.
fn pair(fs: &SimFs) -> Db {
    let other = open_at(fs, OTHER);
    write(&other, &[("a", 5, 5)]);
    other.close().unwrap();
    let db = open(fs);
    write(&db, &[("a", 1, 1)]);
    db
}

fn attach_beside_a_delete() {
    let fs = SimFs::new();
    let db = pair(&fs);
    let attacher = spawn(&db, |db| db.attach(OTHER).unwrap().seq);
    let deleter = spawn(&db, |db| {
        let seq = delete(&db, "a").seq;
        // What hides nothing that is listed would leave the manifest with these, were it not held.
        db.flush().unwrap();
        db.tick().unwrap();
        seq
    });
    let merger = spawn(&db, |db| compact(&db));
    let (attached, deleted) = (attacher.join().unwrap(), deleter.join().unwrap());
    merger.join().unwrap();
    let expected = match deleted < attached {
        true => vec![("a".to_owned(), 5, 5)],
        false => Vec::new(),
    };
    assert_eq!(read_now(&db), expected, "attached as {attached}, deleted as {deleted}");
    compact(&db);
    db.tick().unwrap();
    assert_eq!(read_now(&db), expected, "after a merge");
    db.close().unwrap();
    drop(db);
    assert_eq!(read_now(&open(&fs)), expected, "after opening it again");
}

#[test]
fn a_delete_hides_what_was_attached_before_it() {
    explore("attach beside a delete", attach_beside_a_delete);
}

fn attach_that_fails() {
    let fs = SimFs::new();
    let db = pair(&fs);
    db.flush().unwrap();
    // The sync of the first output, or of the edit: whatever the order makes the next one.
    let point = match shuttle::rand::RngCore::next_u32(&mut shuttle::rand::thread_rng()) % 2 {
        0 => SyncPoint::SegmentData,
        _ => SyncPoint::ManifestEdit,
    };
    fs.fail_sync(point, 0, ErrorKind::Other);
    let attacher = spawn(&db, |db| db.attach(OTHER).is_ok());
    let writer = spawn(&db, |db| {
        write(&db, &[("b", 1, 1)]);
        // This may be the one that fails; the next one tries again.
        let _ = db.flush();
    });
    let attached = attacher.join().unwrap();
    writer.join().unwrap();
    fs.heal();
    let samples = |db: &Db| read_now(db).iter().map(|s| s.2).collect::<Vec<_>>();
    let expected = if attached { vec![1, 5, 1] } else { vec![1, 1] };
    assert_eq!(samples(&db), expected, "attached: {attached}");
    db.flush().unwrap();
    db.tick().unwrap();
    assert_eq!(segments(&fs, STORE).len() as u64, db.stats().segments, "a file is left");
    db.close().unwrap();
    drop(db);
    assert_eq!(samples(&open(&fs)), expected, "after opening it again");
}

#[test]
fn an_attach_that_fails_leaves_nothing() {
    explore("attach that fails", attach_that_fails);
}
