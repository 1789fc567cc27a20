//! `siltstone repair`: manifests made again, losses accepted; and the commands that read on where samples are
//! lost.

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
        "1 sample is lost; with --accept queries succeed without them\n"
    );

    let accepted = run(&["repair", "--data", &data, "--accept"]);
    assert_eq!(
        accepted.out,
        "1 lost sample is accepted; written anew: 1 segment; given up: 0 segments\n"
    );
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
fn a_damaged_index_is_named_and_given_up_on_demand() {
    let (_dir, data) = place();
    // The labels are stored once, in the index.
    let label = "تبریز".as_bytes();
    damaged(&data, |bytes| bytes.windows(label.len()).position(|w| w == label).unwrap());
    for _ in 0..2 {
        let ran = run(&["repair", "--data", &data, "--accept"]);
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (1, "1 damaged place is not mended by this command\n")
        );
        assert!(ran.err.contains("label block"), "{}", ran.err);
        assert_eq!(run(&["export", "--data", &data]).code, 1);
    }
    let ran = run(&["repair", "--data", &data, "--accept", "--give-up-unreadable"]);
    assert_eq!(
        ran.out,
        "1 lost sample is accepted; written anew: 0 segments; given up: 1 segment\n"
    );
    let export = run(&["export", "--data", &data]);
    assert_eq!((export.code, &*export.err), (0, ""));
    assert!(export.out.contains("[2000]") && !export.out.contains("1000"), "{}", export.out);
    assert_eq!(run(&["repair", "--data", &data]).code, 0);
}

#[expect(clippy::disallowed_methods, reason = "an input of the test, not a store in use")]
#[test]
fn a_store_without_its_manifest_is_made_to_open_again() {
    let (_dir, data) = place();
    let city = "\"__name__\":\"دما\",\"city\":\"تبریز\"";
    import(&data, &line(city, "1", 1000));
    import(&data, &line(city, "2", 2000));
    let nothing = run(&["repair", "--data", &data, "--apply"]);
    assert_eq!((nothing.code, &*nothing.out), (0, "no samples are lost\n"), "{}", nothing.err);
    let before = run(&["export", "--data", &data]).out;
    let manifest = names(&data).into_iter().find(|name| name.starts_with("MANIFEST-")).unwrap();
    let path = Path::new(&data).join(&manifest);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[90] ^= 1;
    std::fs::write(&path, &bytes).unwrap();

    // One wrong bit: known exactly.
    for command in [&["export"][..], &["ls"], &["stats"], &["flush"]] {
        let refused = run(&[command, &["--data", &data]].concat());
        assert_eq!((refused.code, &*refused.out), (1, ""), "{command:?}: {}", refused.err);
        assert!(refused.err.contains("siltstone repair"), "{command:?}: {}", refused.err);
    }
    let looked = run(&["repair", "--data", &data]);
    assert_eq!(looked.code, 1);
    assert!(looked.err.contains("a single wrong bit, which is set right"), "{}", looked.err);
    assert!(looked.out.contains("known exactly: 2 segments with 2 samples"), "{}", looked.out);
    assert!(looked.out.contains("nothing was changed: --apply does it"), "{}", looked.out);
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "looking changes nothing");

    // A sector of zeros: from the other files.
    bytes[56..].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    let plan = run(&["repair", "--data", &data, "--json"]);
    let plan: Value = serde_json::from_str(&plan.out).unwrap();
    let manifest = &plan["manifest"];
    assert_eq!((&manifest["exact"], &manifest["repaired"]), (&false.into(), &false.into()));
    assert_eq!(manifest["segments"].as_array().unwrap().len(), 2, "{plan}");
    let done = run(&["repair", "--data", &data, "--apply"]);
    assert_eq!(done.code, 1, "{}", done.err);
    assert!(done.out.contains("done: the store can be opened"), "{}", done.out);
    let after = run(&["export", "--data", &data]);
    assert_eq!((after.code, &after.out), (0, &before), "{}", after.err);
    assert_eq!(run(&["repair", "--data", &data]).code, 0);

    // All of it, and the time scale with it.
    std::fs::remove_file(Path::new(&data).join("CURRENT")).unwrap();
    for name in names(&data).iter().filter(|name| name.starts_with("MANIFEST-")) {
        std::fs::remove_file(Path::new(&data).join(name)).unwrap();
    }
    let lost = run(&["export", "--data", &data]);
    assert!(lost.code == 2 && lost.err.contains("siltstone repair"), "{}", lost.err);
    let asked = run(&["repair", "--data", &data, "--apply"]);
    assert!(asked.code == 2 && asked.err.contains("ticks"), "{}", asked.err);
    let done = run(&["repair", "--data", &data, "--apply", "--ticks-per-second", "1000"]);
    assert_eq!(done.code, 1, "{}", done.err);
    assert_eq!(run(&["export", "--data", &data]).out, before);
}
