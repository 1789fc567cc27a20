//! Commands that change a store: on a directory, and through the server that holds it.

use std::path::Path;

use siltstone::sys::checksum::crc32c;

use crate::harness::{Serving, digest, filled, line, names, place, run, run_with_input};

#[test]
fn a_snapshot_is_a_store_of_its_own() {
    let (dir, data) = filled();
    let copy = dir.path().join("monday").to_str().unwrap().to_owned();
    let ran = run(&["snapshot", &copy, "--data", &data]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("shared with the store"), "{}", ran.out);
    assert_eq!(digest(&copy), digest(&data));
    // What comes later is not in it, and it can be written to by itself.
    let later = line("\"__name__\":\"later\"", "1", 1);
    assert_eq!(run_with_input(&["import", "--data", &data, "-"], later.as_bytes()).code, 0);
    assert_ne!(digest(&copy), digest(&data));
    assert_eq!(run_with_input(&["import", "--data", &copy, "-"], later.as_bytes()).code, 0);
    assert_eq!(digest(&copy), digest(&data));
}

#[test]
fn a_snapshot_never_touches_what_exists() {
    let (dir, data) = filled();
    let existing = dir.path().join("existing").to_str().unwrap().to_owned();
    assert_eq!(run(&["snapshot", &existing, "--data", &data]).code, 0);
    let before = (digest(&existing), names(&existing));
    for target in [&existing, &data] {
        let ran = run(&["snapshot", target, "--data", &data]);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.starts_with("error: ") && ran.err.contains("exists"), "{}", ran.err);
    }
    assert_eq!((digest(&existing), names(&existing)), before);
    let nowhere = dir.path().join("no/such/parent");
    assert_eq!(run(&["snapshot", nowhere.to_str().unwrap(), "--data", &data]).code, 4);
    for bad in [&["snapshot", "--data", &data][..], &["snapshot", "x", "--url", "http://x:1"]] {
        assert_eq!(run(bad).code, 2, "{bad:?}");
    }
}

#[test]
fn what_a_server_holds_is_changed_by_asking_it() {
    let (_dir, data) = place();
    let server = Serving::start_with(&data, &["--enable-admin"]);
    assert!(server.post("/api/v1/import/prometheus", "a 1 1000").starts_with("HTTP/1.1 204"));
    let copy = format!("{data}-copy");
    for args in [&["flush", "--data", &data][..], &["snapshot", &copy, "--data", &data]] {
        let ran = run(args);
        assert_eq!(ran.code, 3, "{args:?}: {}", ran.err);
        assert!(ran.err.contains("--url http://127.0.0.1:7480"), "{}", ran.err);
        assert!(ran.err.contains("in use by another process"), "{}", ran.err);
    }
    assert!(!Path::new(&copy).exists());
    let segments = || names(&data).iter().filter(|name| name.ends_with(".seg")).count();
    assert_eq!(segments(), 0);
    let flushed = run(&["flush", "--url", &server.url()]);
    assert_eq!((flushed.code, flushed.out.as_str()), (0, "flushed\n"), "{}", flushed.err);
    assert_eq!(segments(), 1);
    // What is not flushed yet is in a snapshot as well.
    assert!(server.post("/api/v1/import/prometheus", "b 2 2000").starts_with("HTTP/1.1 204"));
    let live = digest(&data);
    let taken = run(&["snapshot", "--json", "--url", &server.url()]);
    assert_eq!(taken.code, 0, "{}", taken.err);
    let taken: serde_json::Value = serde_json::from_str(&taken.out).unwrap();
    let name = taken["name"].as_str().unwrap();
    assert_eq!(names(&format!("{data}/snapshots")), [name]);
    assert_eq!(digest(&format!("{data}/snapshots/{name}")), live);
    assert_eq!(server.end("-TERM"), Some(0));
    // The directory of snapshots is none of the store's business.
    assert_eq!(digest(&data), live);
    assert_eq!(run(&["flush", "--data", &data]).code, 0);
    assert_eq!(digest(&data), live);
    assert_eq!(digest(&format!("{data}/snapshots/{name}")), live);
}

#[test]
fn a_server_without_the_flag_says_so() {
    let (_dir, data) = place();
    let server = Serving::start(&data);
    for command in ["flush", "snapshot"] {
        let ran = run(&[command, "--url", &server.url()]);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains("403") && ran.err.contains("--enable-admin"), "{}", ran.err);
    }
    assert_eq!(server.end("-TERM"), Some(0));
}

#[test]
fn a_server_that_is_not_there_is_said() {
    let (_dir, data) = place();
    let server = Serving::start(&data);
    let gone = server.url();
    assert_eq!(server.end("-TERM"), Some(0));
    let ran = run(&["flush", "--url", &gone]);
    assert_eq!((ran.code, ran.err.lines().count()), (4, 1), "{}", ran.err);
    assert!(ran.err.contains(&gone) && ran.err.contains("is it running?"), "{}", ran.err);
    for bad in ["ftp://x", "127.0.0.1:7480", "http://x:y"] {
        assert_eq!(run(&["flush", "--url", bad]).code, 2, "{bad}");
    }
    let both = run(&["flush", "--url", &gone, "--data", &data]);
    assert_eq!(both.code, 2, "one of them");
}

#[test]
fn what_is_no_store_is_not_made_one() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("absent").to_str().unwrap().to_owned();
    for args in [&["flush", "--data", &data][..], &["snapshot", "copy", "--data", &data]] {
        let ran = run(args);
        assert!(matches!(ran.code, 2 | 4), "{args:?}: {} {}", ran.code, ran.err);
        assert!(!Path::new(&data).exists());
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test changes a store from outside")]
fn a_store_of_a_newer_version_is_left_alone() {
    let (_dir, data) = filled();
    let manifest = names(&data).into_iter().find(|name| name.starts_with("MANIFEST")).unwrap();
    let path = format!("{data}/{manifest}");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 99;
    let crc = crc32c(0, &bytes[..52]);
    bytes[52..56].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let before = names(&data);
    let copy = format!("{data}-copy");
    for args in [
        &["ls"][..],
        &["digest"],
        &["samples", "a"],
        &["query", "a"],
        &["explain", "a"],
        &["verify"],
        &["flush"],
        &["compact"],
        &["compact", "--plan"],
        &["delete", "--match", "a"],
        &["snapshot", &copy],
    ] {
        let ran = run(&[args, &["--data", &data]].concat());
        assert_eq!(ran.code, 2, "{args:?}: {}{}", ran.out, ran.err);
        let said = ran.err.contains("format version 99") && ran.err.contains("newer siltstone");
        assert!(said, "{args:?}: {}", ran.err);
    }
    assert_eq!((names(&data), std::fs::read(&path).unwrap()), (before, bytes));
}
