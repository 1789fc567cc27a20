//! `siltstone attach`: what it adds, what it says, and what it refuses.

use std::path::Path;

use crate::harness::{
    Serving, digest, filled, line, names, place, run, run_with_input, write_file,
};

fn import(data: &str, lines: &str) {
    let ran = run_with_input(&["import", "--data", data, "-"], lines.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.err);
}

fn segments(data: &str) -> Vec<String> {
    let mut names = names(data);
    names.retain(|name| name.ends_with(".seg"));
    names
}

#[expect(clippy::disallowed_methods, reason = "an input of the test, not a store in use")]
fn flip(path: &Path, offset: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset] ^= 1;
    write_file(path, &bytes);
}

#[test]
fn what_another_store_holds_is_added_and_wins() {
    let (_dir, data) = filled();
    let (_other_dir, other) = place();
    let up = "\"__name__\":\"a\"";
    import(&other, &(line(up, "7", 1000) + &line(up, "8", 5000)));
    import(&other, &line(up, "9", 5000));
    let ran = run(&["attach", &other, "--data", &data, "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let number = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(["segments_in", "samples", "superseded", "deleted"].map(number), [2, 2, 1, 0]);
    assert_eq!(report["path"], other);
    assert!(number("seq") > 0 && number("bytes_in") > 0 && number("bytes_out") > 0);
    // The same by writing it.
    let (_third_dir, third) = filled();
    import(&third, &(line(up, "7", 1000) + &line(up, "9", 5000)));
    assert_eq!(digest(&data), digest(&third));
    let ran = run(&["attach", &other, "--data", &third]);
    assert!(ran.out.starts_with("attached 2 samples of 2 segments, "), "{}", ran.out);
    assert!(ran.out.ends_with("left out: 1 superseded, 0 deleted\n"), "{}", ran.out);
    assert_eq!(digest(&data), digest(&third), "once more is the same");
}

#[test]
fn a_segment_file_is_added() {
    let (_dir, data) = place();
    import(&data, "");
    let (other_dir, other) = filled();
    let name = segments(&other).remove(0);
    let copy = other_dir.path().join(&name);
    std::fs::copy(Path::new(&other).join(&name), &copy).unwrap();
    for path in [Path::new(&other).join(&name), copy] {
        let ran = run(&["attach", path.to_str().unwrap(), "--data", &data]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
        assert_eq!(digest(&data), digest(&other));
    }
}

#[test]
fn what_cannot_be_attached_is_refused_by_one_line() {
    let (dir, data) = filled();
    let before = (digest(&data), segments(&data));
    let own = format!("{data}/{}", before.1[0]);
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    write_file(Path::new(&at("000009.seg")), b"no segment");
    write_file(Path::new(&at("notes.txt")), b"no store");
    std::fs::create_dir(at("empty")).unwrap();
    let (_other_dir, other) = filled();
    let damaged = format!("{other}/{}", segments(&other)[0]);
    flip(Path::new(&damaged), 80);
    for (path, code, says) in [
        (data.clone(), 2, "belongs to this store"),
        (own, 2, "belongs to this store"),
        (at("000009.seg"), 1, "000009.seg is damaged: footer"),
        (at("000010.seg"), 4, "000010.seg"),
        (at("nothing"), 2, "nothing is not a siltstone store"),
        (at("empty"), 2, "empty is not a siltstone store"),
        (format!("{other}/099999.seg"), 2, "does not list its segment 99999"),
        (other, 1, &damaged),
    ] {
        let ran = run(&["attach", &path, "--data", &data]);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{path}: {}", ran.err);
        assert!(ran.err.starts_with("error: ") && ran.err.contains(says), "{path}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    }
    assert_eq!(run(&["attach", "--data", &data]).code, 2);
    let file = run(&["attach", &at("notes.txt"), "--data", &data]);
    assert_ne!(file.code, 0, "{}", file.out);
    assert_eq!((digest(&data), segments(&data)), before);
}

#[test]
fn a_log_that_holds_samples_and_a_store_in_use_are_refused() {
    let (_dir, data) = filled();
    let (_other_dir, other) = place();
    let server = Serving::start_with(&other, &["--enable-admin"]);
    assert!(server.post("/api/v1/import/prometheus", "a 1 1000").starts_with("HTTP/1.1 204"));
    let ran = run(&["attach", &other, "--data", &data]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("has 1 samples in its log alone: flush it first"), "{}", ran.err);
    let ran = run(&["attach", &data, "--data", &other]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(!ran.err.contains("--url"), "a server cannot be asked: {}", ran.err);
    // Flushed, it may stay open.
    assert_eq!(run(&["flush", "--url", &server.url()]).code, 0);
    assert_eq!(run(&["attach", &other, "--data", &data]).code, 0);
    assert_eq!(server.end("-TERM"), Some(0));
}

#[test]
fn the_store_itself_and_a_copy_of_it_are_refused_unless_a_copy_is_meant() {
    let (dir, data) = filled();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::os::unix::fs::symlink(&data, at("link")).unwrap();
    let refused = |path: &str, flags: &[&str], says: &str| {
        let ran = run(&[&["attach", path, "--data", &data], flags].concat());
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{path}: {}", ran.err);
        assert!(ran.err.contains(says), "{path}: {}", ran.err);
    };
    for path in [at("link"), format!("{data}/../store/.")] {
        refused(&path, &[], "belongs to this store already");
        refused(&path, &["--allow-copy"], "belongs to this store already");
    }
    let before = digest(&data);
    assert_eq!(run(&["snapshot", &at("copy"), "--data", &data]).code, 0);
    refused(&at("copy"), &[], "copy is a copy of this store");
    refused(&at("copy"), &[], "--allow-copy");
    let ran = run(&["attach", &at("copy"), "--data", &data, "--allow-copy"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(ran.out.starts_with("attached 3 samples"), "{}", ran.out);
    assert_eq!(digest(&data), before);
}
