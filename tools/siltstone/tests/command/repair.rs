//! `siltstone repair`, and the commands that read on where samples are lost.

use std::path::Path;

use serde_json::Value;

use crate::harness::{line, names, place, run, run_with_input, write_file};

fn import(data: &str, lines: &str) {
    let ran = run_with_input(&["import", "--data", data, "-"], lines.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.err);
}

/// A store in which the newer of two segments has replaced the first of two values, and is damaged at the
/// place that `at` finds in its bytes.
#[expect(clippy::disallowed_methods, reason = "an input of the test, not a store in use")]
fn damaged(data: &str, at: impl Fn(&[u8]) -> usize) {
    let city = "\"__name__\":\"دما\",\"city\":\"تبریز\"";
    import(data, &(line(city, "1", 1000) + &line(city, "1", 2000)));
    import(data, &line(city, "2", 1000));
    let mut segments = names(data);
    segments.retain(|name| name.ends_with(".seg"));
    segments.sort();
    let newest = Path::new(data).join(segments.pop().unwrap());
    let mut bytes = std::fs::read(&newest).unwrap();
    let place = at(&bytes);
    bytes[place] ^= 1;
    write_file(&newest, &bytes);
}

const SERIES: &str = "{\"دما\",city=\"تبریز\"}";

#[test]
fn a_loss_is_said_skipped_and_accepted() {
    let (_dir, data) = place();
    damaged(&data, |_| 64);
    let export = run(&["export", "--data", &data]);
    assert_eq!((export.code, export.out.as_str()), (1, ""), "{}", export.err);
    assert!(
        export.err.contains("1 samples of") && export.err.contains(".seg is damaged"),
        "{}",
        export.err
    );
    for command in [
        &["export"][..],
        &["samples", SERIES, "--json"],
        &["samples", SERIES, "--json", "--step", "1s"],
    ] {
        let strict = run(&[command, &["--data", &data]].concat());
        assert_eq!((strict.code, strict.out.as_str()), (1, ""), "{command:?}");
        let rest = run(&[command, &["--data", &data, "--skip-damaged"]].concat());
        assert_eq!(rest.code, 1, "{command:?}");
        assert_eq!(rest.err.lines().count(), 1, "a line for the block: {}", rest.err);
        assert!(
            rest.err.contains("left out: 1 samples of {__name__=\"دما\", city=\"تبریز\"}"),
            "{}",
            rest.err
        );
        assert!(rest.out.contains("2000") && !rest.out.contains("1000"), "{}", rest.out);
    }
    let looked = run(&["repair", "--data", &data, "--json"]);
    assert_eq!(looked.code, 1, "{}", looked.err);
    let report: Value = serde_json::from_str(&looked.out).unwrap();
    assert_eq!(
        (&report["lost_samples"], &report["accepted"]),
        (&Value::from(1), &Value::from(false))
    );
    assert_eq!(report["lost"][0]["series"]["city"], "تبریز");
    let verified = run(&["verify", "--data", &data, "--json"]);
    let verify: Value = serde_json::from_str(&verified.out).unwrap();
    assert_eq!((verified.code, &verify["lost_samples"]), (1, &Value::from(1)));
    assert_eq!(verify["lost"][0], report["lost"][0]);
    assert_eq!(
        run(&["repair", "--data", &data]).out,
        "1 samples are lost; with --accept queries succeed without them\n"
    );

    let accepted = run(&["repair", "--data", &data, "--accept"]);
    assert_eq!(accepted.out, "1 lost samples are accepted; 1 segments were written anew\n");
    assert_eq!(accepted.code, 1, "{}", accepted.err);
    for again in [&["repair"][..], &["repair", "--accept"]] {
        let nothing = run(&[again, &["--data", &data]].concat());
        assert_eq!(
            (nothing.code, nothing.out.as_str()),
            (0, "no samples are lost\n"),
            "{}",
            nothing.err
        );
    }
    let export = run(&["export", "--data", &data]);
    assert_eq!((export.code, export.err.as_str()), (0, ""));
    assert!(export.out.contains("[2000]") && !export.out.contains("1000"), "{}", export.out);
    let verified = run(&["verify", "--data", &data, "--json"]);
    let verify: Value = serde_json::from_str(&verified.out).unwrap();
    assert_eq!((verified.code, &verify["accepted_samples"]), (0, &Value::from(1)));
}

#[test]
fn a_damaged_index_is_named_and_not_accepted() {
    let (_dir, data) = place();
    // The labels are stored once, in the index.
    let label = "تبریز".as_bytes();
    damaged(&data, |bytes| bytes.windows(label.len()).position(|w| w == label).unwrap());
    for _ in 0..2 {
        let ran = run(&["repair", "--data", &data, "--accept"]);
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (1, "1 damaged places are not mended by this command\n")
        );
        assert!(ran.err.contains("label block"), "{}", ran.err);
        assert_eq!(run(&["export", "--data", &data]).code, 1);
    }
}
