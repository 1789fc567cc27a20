//! `siltstone serve --read-only` as a process: beside the owner of a directory, over one that it may not write
//! to, and what it refuses to start with.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::harness::{Serving, comes, filled, line, names, place, run, write_file};

const READ_ONLY: &[&str] = &["--read-only", "--refresh-interval", "100ms"];
const EXPORT: &str = "/api/v1/export?match[]=%7B__name__!%3D%22%22%7D";

/// Every file with its bytes.
#[expect(clippy::disallowed_methods, reason = "a test looks into a store from outside")]
fn files(dir: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let path = |name: String| Path::new(dir).join(name);
    names(dir)
        .into_iter()
        .map(path)
        .map(|path| (path.clone(), std::fs::read(&path).unwrap()))
        .collect()
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The body of an answer that has to be good.
fn body(answer: String) -> String {
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[test]
fn a_second_server_follows_the_first() {
    let (_dir, data) = place();
    let owner = Serving::start_with(&data, &["--enable-admin"]);
    let reader = Serving::start_with(&data, READ_ONLY);
    assert!(
        reader.greeting.contains("read-only      refreshed every 100ms"),
        "{}",
        reader.greeting
    );
    assert!(!reader.greeting.contains("import"), "{}", reader.greeting);
    for number in 1..=3 {
        let sample = line("\"__name__\":\"up\"", &number.to_string(), number * 1000);
        let stored = owner.post("/api/v1/import", &sample);
        assert!(stored.starts_with("HTTP/1.1 204"), "{stored}");
        let time = format!("{number}000]");
        assert!(comes(|| body(reader.get(EXPORT)).contains(&time)), "{}", reader.get(EXPORT));
        let flushed = owner.post("/api/v1/admin/tsdb/flush", "");
        assert!(flushed.starts_with("HTTP/1.1 204"), "{flushed}");
    }
    assert_eq!(body(reader.get(EXPORT)), body(owner.get(EXPORT)));
    let refused = reader.post("/api/v1/import", &line("\"__name__\":\"up\"", "4", 4000));
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    assert_eq!(owner.end("-TERM"), Some(0));
    // Who follows goes on without it.
    assert!(body(reader.get(EXPORT)).contains("up"));
    assert_eq!(reader.end("-TERM"), Some(0));
}

/// For root the rights are no hindrance; the bytes are compared all the same.
#[test]
fn a_directory_without_rights_to_write_is_served_as_it_is() {
    let (_dir, data) = filled();
    let before = files(&data);
    before.keys().for_each(|path| set_mode(path, 0o444));
    set_mode(Path::new(&data), 0o555);
    let reader = Serving::start_with(&data, READ_ONLY);
    let exported = body(reader.get(EXPORT));
    assert_eq!(reader.end("-TERM"), Some(0));
    set_mode(Path::new(&data), 0o755);
    assert_eq!(exported.lines().count(), 3, "{exported}");
    assert_eq!(files(&data), before);
}

#[test]
fn what_makes_no_sense_is_refused_at_the_start() {
    let (dir, data) = filled();
    let serve = |flags: &[&str]| run(&[&["serve", "--listen", "127.0.0.1:0"], flags].concat());
    for (flags, says) in [
        (&["--durability", "1s"][..], "'--durability <POLICY>'"),
        (&["--retention", "90d"], "'--retention <TIME>'"),
        (&["--series-max", "5"], "'--series-max <N>'"),
        (&["--refresh-interval", "0s"], "at least 100ms"),
    ] {
        let refused = serve(&[&["--read-only", "--data", &data], flags].concat());
        assert_eq!(refused.code, 2, "{flags:?}: {}", refused.err);
        assert!(refused.err.contains(says), "{flags:?}: {}", refused.err);
    }
    let refused = serve(&["--data", &data, "--refresh-interval", "1s"]);
    assert!(refused.code == 2 && refused.err.contains("--read-only"), "{}", refused.err);
    let none = dir.path().join("none");
    let refused = serve(&["--read-only", "--data", none.to_str().unwrap()]);
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("not a siltstone store"), "{}", refused.err);
    assert!(!none.exists(), "nothing is created");
    let manifest = names(&data).into_iter().find(|name| name.starts_with("MANIFEST-"));
    let manifest = Path::new(&data).join(manifest.unwrap());
    write_file(&manifest, b"damaged");
    let refused = serve(&["--read-only", "--data", &data]);
    let as_ever = serve(&["--data", &data]);
    assert_eq!((refused.code, refused.err), (as_ever.code, as_ever.err));
    assert_ne!(refused.code, 0);
}
