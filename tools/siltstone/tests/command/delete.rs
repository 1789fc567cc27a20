//! `delete`: what it takes to delete, what it says, and that it is gone.

use crate::harness::{Serving, digest, import, json, line, names, place, run};

/// Three series of ten samples in two segments, one of them in Persian.
fn store() -> (tempfile::TempDir, String) {
    let (dir, data) = place();
    for half in 0..2 {
        let mut lines = String::new();
        for (name, job) in [("up", "old"), ("up", "new"), ("دما", "می\u{200c}رود")] {
            for n in half * 5..half * 5 + 5 {
                let metric = format!("\"__name__\":\"{name}\",\"job\":\"{job}\"");
                lines += &line(&metric, "1", n * 1000);
            }
        }
        import(&data, &lines);
    }
    (dir, data)
}

fn samples(data: &str, selector: &str) -> usize {
    let ran = run(&["samples", selector, "--format", "csv", "--data", data]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out.lines().count() - 1
}

const ALL: &str = "{__name__!=\"\"}";

#[test]
fn a_dry_run_says_what_a_delete_then_does() {
    let (_dir, data) = store();
    let before = digest(&data);
    let delete = ["delete", "--match", "{job=\"old\"}", "--end", "6", "--data", &data];
    let would = json(&[&delete[..], &["--dry-run"]].concat());
    assert_eq!(would["dry_run"], true);
    let receipt = &would["receipts"][0];
    assert_eq!((&receipt["series"], &receipt["samples"]), (&1.into(), &7.into()), "{would}");
    assert_eq!(receipt["segments"].as_array().unwrap().len(), 2);
    let text = run(&[&delete[..], &["--dry-run"]].concat());
    assert!(
        text.out.starts_with("{job=\"old\"} would hide 7 samples of 1 series\n"),
        "{}",
        text.out
    );
    assert_eq!(digest(&data), before, "nothing was deleted");
    let did = run(&delete);
    assert_eq!(did.code, 0, "{}", did.err);
    assert!(did.out.contains(" hides 7 samples of 1 series\n"), "{}", did.out);
    assert!(did.out.contains("freed by merging 2 segments"), "{}", did.out);
    assert_eq!((samples(&data, "{job=\"old\"}"), samples(&data, ALL)), (3, 23));
    // Until it is erased, the segments say so.
    let listed = json(&["ls", "--data", &data]);
    for segment in listed["segments"].as_array().unwrap() {
        assert_eq!(segment["deletes"], 1, "{listed}");
        let number = segment["file_number"].to_string();
        let shown = json(&["show", &number, "--data", &data]);
        assert_eq!(shown["deletes"][0]["selector"], "{job=\"old\"}", "{shown}");
        assert_eq!(shown["deletes"][0]["last"], 6000);
        let text = run(&["show", &number, "--data", &data]);
        assert!(text.out.contains("1970-01-01T00:00:06.000Z"), "{}", text.out);
    }
    // Again: nothing is left to hide.
    assert_eq!(json(&delete)["receipts"][0]["samples"], 0);
    // A compaction erases it, and no answer changes.
    let deleted = digest(&data);
    assert_eq!(json(&["compact", "--data", &data])["deleted"], 7);
    assert_eq!(digest(&data), deleted);
    assert!(!names(&data).iter().any(|name| name.ends_with(".tomb")), "{:?}", names(&data));
    // What is written later stays.
    import(&data, &line("\"__name__\":\"up\",\"job\":\"old\"", "2", 1000));
    assert_eq!(samples(&data, "{job=\"old\"}"), 4);
}

#[test]
fn what_is_deleted_is_planned_and_erased() {
    let (_dir, data) = store();
    assert_eq!(run(&["compact", "--data", &data]).code, 0);
    assert_eq!(run(&["compact", "--plan", "--data", &data]).out, "nothing to merge\n");
    // Of something else, at another time: nothing is to be erased.
    for miss in [&["--match", "down"][..], &["--match", "up", "--start", "1e6"]] {
        assert_eq!(run(&[&["delete", "--data", &data][..], miss].concat()).code, 0);
        assert_eq!(run(&["compact", "--plan", "--data", &data]).out, "nothing to merge\n");
    }
    assert_eq!(run(&["delete", "--match", "up{job=\"old\"}", "--data", &data]).code, 0);
    let plan = json(&["compact", "--plan", "--data", &data]);
    assert_eq!(plan["merges"].as_array().unwrap().len(), 1, "{plan}");
    assert_eq!(json(&["compact", "--data", &data])["deleted"], 10);
    let left = json(&["ls", "--data", &data]);
    assert_eq!(
        (&left["segments"][0]["samples"], &left["segments"][0]["series"]),
        (&20.into(), &2.into())
    );
    assert_eq!(run(&["compact", "--plan", "--data", &data]).out, "nothing to merge\n");
    // Whole segments go.
    assert_eq!(run(&["delete", "--match", ALL, "--all", "--data", &data]).code, 0);
    assert_eq!(run(&["compact", "--data", &data]).code, 0);
    assert_eq!(json(&["ls", "--data", &data])["segments"].as_array().unwrap().len(), 0);
    assert!(!names(&data).iter().any(|name| name.ends_with(".seg") || name.ends_with(".tomb")));
}

#[test]
fn slips_delete_nothing() {
    let (_dir, data) = store();
    let before = digest(&data);
    for (args, said) in [
        (&[][..], "needs --match"),
        (&["--all"], "needs --match"),
        (&["--match", ""], "--match"),
        (&["--match", "{}"], "--match {}"),
        (&["--match", "up{"], "--match up{"),
        (&["--match", ALL], "add --all"),
        (&["--match", "{job=~\".+\"}", "--dry-run"], "add --all"),
        (&["--match", "up", "--match", "{__name__=~\".*o.*|.+\",job!=\"x\"}"], "add --all"),
        (&["--match", "up", "--start", "5", "--end", "4.999"], "--end is before --start"),
        (&["--match", "up", "--start", "yesterday"], "not a time"),
    ] {
        let ran = run(&[&["delete", "--data", &data][..], args].concat());
        assert_eq!(ran.code, 2, "{args:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(said), "{args:?}: {}", ran.err);
    }
    assert_eq!(digest(&data), before);
    let all = run(&["delete", "--match", ALL, "--all", "--data", &data]);
    assert_eq!(all.code, 0, "{}", all.err);
    assert_eq!(samples(&data, ALL), 0);
}

#[test]
fn names_in_any_script_are_deleted_by_name() {
    let (_dir, data) = store();
    let receipts = json(&[
        "delete",
        "--match",
        "{\"دما\", job=\"می\u{200c}رود\"}",
        "--match",
        "up{job=\"new\"}",
        "--start",
        "1970-01-01T00:00:08Z",
        "--data",
        &data,
    ]);
    let receipts = receipts["receipts"].as_array().unwrap();
    assert_eq!(receipts.len(), 2);
    assert!(receipts.iter().all(|receipt| receipt["samples"] == 2), "{receipts:?}");
    assert_eq!((samples(&data, "{\"دما\"}"), samples(&data, ALL)), (8, 26));
}

#[test]
fn a_server_deletes_when_asked() {
    let (_dir, data) = store();
    let server = Serving::start_with(&data, &["--enable-admin"]);
    let locked = run(&["delete", "--match", "{job=\"old\"}", "--data", &data]);
    assert_eq!(locked.code, 3, "{}", locked.err);
    assert!(locked.err.contains("--url http://127.0.0.1:7480"), "{}", locked.err);
    let url = server.url();
    for slip in [&["--match", ALL][..], &["--match", "up{"], &[]] {
        let ran = run(&[&["delete", "--url", &url][..], slip].concat());
        assert_eq!(ran.code, 2, "{slip:?}: {}", ran.err);
    }
    let ask =
        ["delete", "--match", "{job=\"می\u{200c}رود\"}", "--start", "2", "--end", "3", "--url"];
    let would = json(&[&ask[..], &[&url, "--dry-run"]].concat());
    assert_eq!(would["receipts"][0]["samples"], 2, "{would}");
    assert_eq!(samples(&data, ALL), 30);
    let did = json(&[&ask[..], &[&url]].concat());
    assert_eq!(did["receipts"][0]["samples"], 2, "{did}");
    assert_eq!(samples(&data, ALL), 28);
    let all = run(&["delete", "--match", ALL, "--all", "--url", &url]);
    assert_eq!(all.code, 0, "{}", all.err);
    assert_eq!(samples(&data, ALL), 0);
    assert_eq!(server.end("-TERM"), Some(0));
    assert_eq!(samples(&data, ALL), 0);
}
