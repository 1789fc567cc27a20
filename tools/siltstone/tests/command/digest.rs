//! `digest`: equal for equal content, whatever its layout.

use serde_json::Value;

use crate::harness::{Serving, filled, line, lines, place, run, run_with_input};

fn digest(args: &[&str]) -> Value {
    let ran = run(&[&["digest", "--json"][..], args].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn what_is_exported_and_imported_is_equal() {
    let (_dir, data) = filled();
    let one = digest(&["--data", &data]);
    assert_eq!((&one["series"], &one["samples"]), (&3.into(), &3.into()));
    assert_eq!(one["digest"].as_str().unwrap().len(), 32);
    // The lines the other way round, in two batches: other segments, the same content.
    let (_other, copy) = place();
    for line in lines().lines().rev() {
        assert_eq!(run_with_input(&["import", "--data", &copy, "-"], line.as_bytes()).code, 0);
    }
    let equal = run(&["digest", "--data", &data, "--compare", &copy]);
    assert_eq!(equal.code, 0, "{}", equal.err);
    assert!(equal.out.ends_with("\nequal\n") && equal.out.contains(&data), "{}", equal.out);
    // One bit of one value.
    let changed = line("\"__name__\":\"b\",\"x\":\"\\u001b[31m\"", "NaN:7ff0000000000003", 2000);
    assert_eq!(run_with_input(&["import", "--data", &copy, "-"], changed.as_bytes()).code, 0);
    let different = run(&["digest", "--data", &data, "--compare", &copy, "--json"]);
    let both: Value = serde_json::from_str(&different.out).unwrap();
    assert_eq!((different.code, &both["equal"]), (1, &false.into()));
    assert_eq!(both["stores"][0], one);
    // What is left out does not count.
    assert_eq!(run(&["digest", "--data", &data, "--compare", &copy, "--match", "a"]).code, 0);
    let until = ["digest", "--data", &data, "--compare", &copy, "--end", "1.999"];
    assert_eq!(run(&until).code, 0);
    assert_eq!(run(&["digest", "--data", &data, "--compare", &copy, "--start", "2"]).code, 1);
}

#[test]
fn a_server_and_the_store_it_leaves_are_equal() {
    let (_dir, data) = place();
    let server = Serving::start(&data);
    for (n, part) in ["a 1 1000\nb 2 1000", "a 3 2000", "a 4 1000"].iter().enumerate() {
        let answer = server.post("/api/v1/import/prometheus", part);
        assert!(answer.starts_with("HTTP/1.1 204"), "{n}: {answer}");
    }
    let live = digest(&["--data", &data]);
    assert_eq!((&live["series"], &live["samples"]), (&2.into(), &3.into()), "4 replaced 1");
    assert_eq!(server.end("-TERM"), Some(0));
    assert_eq!(digest(&["--data", &data]), live);
}

#[test]
fn stores_with_other_ticks_differ() {
    let stores = ["1000", "1000000"].map(|ticks| {
        let (dir, data) = place();
        let server = Serving::start_with(&data, &["--ticks-per-second", ticks]);
        assert_eq!(server.end("-TERM"), Some(0));
        (dir, data)
    });
    let ran = run(&["digest", "--data", &stores[0].1, "--compare", &stores[1].1]);
    assert_eq!(ran.code, 1, "empty both, but one tick is not the other: {}", ran.out);
}
