//! `compact`: no answer changes, what is planned is said, and it can be stopped.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{Serving, digest, import, json, line, names, place, ran, run, siltstone};

const DAY_MS: i64 = 86_400_000;

/// Writes `imports` level-0 segments that overlap in time, series and samples, in two days.
fn layered(imports: i64) -> (tempfile::TempDir, String) {
    let (dir, data) = place();
    for n in 0..imports {
        let mut lines = String::new();
        for series in 0..20 {
            let metric = format!("\"__name__\":\"m\",\"n\":\"{series}\",\"حالت\":\"سرد\"");
            for time in [0, 1000, 2000, DAY_MS, DAY_MS + 1000] {
                // Every other import replaces samples of the one before.
                lines += &line(&metric, &format!("{n}.25"), time + n / 2 * 10_000);
            }
        }
        import(&data, &lines);
    }
    (dir, data)
}

fn segments(data: &str) -> Vec<Value> {
    json(&["ls", "--data", data])["segments"].as_array().unwrap().clone()
}

fn levels(data: &str) -> Vec<u64> {
    segments(data).iter().map(|segment| segment["level"].as_u64().unwrap()).collect()
}

#[test]
fn a_compaction_changes_no_answer_and_is_finished_when_it_returns() {
    let (_dir, data) = layered(6);
    assert_eq!(levels(&data), [0; 6]);
    let before = (digest(&data), run(&["export", "--data", &data]).out);
    let files = names(&data);
    let plan = json(&["compact", "--plan", "--data", &data]);
    let merges = plan["merges"].as_array().unwrap();
    assert!(!merges.is_empty() && merges[0]["inputs"].as_array().unwrap().len() == 6, "{plan}");
    assert!(merges[0]["bytes_in"].as_u64().unwrap() > 0 && merges[0]["why"].is_string());
    let text = run(&["compact", "--plan", "--data", &data]);
    assert!(text.out.starts_with("MERGE") && text.out.contains("writes about"), "{}", text.out);
    assert_eq!(names(&data), files, "a plan changes nothing");
    let report = json(&["compact", "--data", &data]);
    assert_eq!(report["segments_in"], 6);
    assert_eq!(report["samples"], 600);
    // Three pairs of imports, of which the later replaces all of the earlier: 300 are left.
    assert_eq!(report["superseded"], 300);
    assert_eq!(report["cancelled"], false);
    assert_eq!((digest(&data), run(&["export", "--data", &data]).out), before);
    assert!(levels(&data).iter().all(|level| *level > 0), "{:?}", levels(&data));
    assert_eq!(run(&["compact", "--plan", "--data", &data]).out, "nothing to merge\n");
    let again = run(&["compact", "--data", &data]);
    assert!(again.out.starts_with("0 merges: "), "{}", again.out);
    assert_eq!(digest(&data), before.0);
}

#[test]
fn a_range_leaves_what_is_outside_as_it_is() {
    let (_dir, data) = place();
    for day in 0..2 {
        for n in 0..3 {
            let time = day * DAY_MS * 40 + n * 1000;
            import(&data, &line("\"__name__\":\"m\"", &format!("{n}"), time));
        }
    }
    let before = digest(&data);
    let report = json(&["compact", "--range", "..86400", "--data", &data]);
    assert_eq!(report["segments_in"], 3, "{report}");
    assert_eq!(digest(&data), before);
    let fresh = levels(&data).into_iter().filter(|level| *level == 0).count();
    assert_eq!(fresh, 3, "the other day");
    for bad in [
        &["--range", "5..1"][..],
        &["--range", "yesterday.."],
        &["--start", "5", "--end", "1"],
        &["--range", "1..5", "--start", "1"],
        &["--plan", "--url", "http://127.0.0.1:1"],
        &["--window", "1x"],
    ] {
        let ran = run(&[&["compact", "--data", &data][..], bad].concat());
        assert_eq!(ran.code, 2, "{bad:?}: {}", ran.err);
    }
    assert_eq!(digest(&data), before);
}

#[test]
fn a_server_is_asked_to_compact() {
    let (_dir, data) = layered(4);
    let before = digest(&data);
    let server = Serving::start_with(&data, &["--enable-admin", "--compaction-threads", "0"]);
    let locked = run(&["compact", "--data", &data]);
    assert_eq!(locked.code, 3, "{}", locked.err);
    assert!(locked.err.contains("--url"), "{}", locked.err);
    assert_eq!(levels(&data), [0; 4]);
    // A plan reads what the server holds.
    assert_eq!(run(&["compact", "--plan", "--data", &data]).code, 0);
    let report = json(&["compact", "--url", &server.url()]);
    assert_eq!((&report["segments_in"], &report["superseded"]), (&4.into(), &200.into()));
    let text = run(&["compact", "--url", &server.url(), "--start", "-5", "--end", "1e9"]);
    assert!(text.out.starts_with("0 merges: "), "{}{}", text.out, text.err);
    assert_eq!(digest(&data), before);
    assert_eq!(server.end("-TERM"), Some(0));
    assert_eq!(digest(&data), before);
}

#[test]
fn it_is_stopped_by_a_signal_and_nothing_is_lost() {
    let (_dir, data) = place();
    // Enough that a merge takes a moment; how long decides nothing.
    for n in 0..3i64 {
        let mut lines = String::new();
        for series in 0..20 {
            let values: Vec<String> =
                (0..5000i64).map(|i| format!("\"{}.125\"", i * 7919 % 9973)).collect();
            let times: Vec<String> = (0..5000i64).map(|i| (i * 3000 + n).to_string()).collect();
            lines += &format!(
                "{{\"metric\":{{\"__name__\":\"s\",\"n\":\"{series}\"}},\"values\":[{}],\
                 \"timestamps\":[{}]}}\n",
                values.join(","),
                times.join(",")
            );
        }
        import(&data, &lines);
    }
    let before = digest(&data);
    let mut command = siltstone(&["compact", "--data", &data]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !names(&data).iter().any(|name| name.ends_with(".tmp")) {
        // An output has begun, or it is over already.
        if levels(&data).iter().any(|level| *level > 0) {
            break;
        }
    }
    let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    let ended = ran(child.wait_with_output().unwrap());
    match ended.code {
        130 => {
            assert!(ended.err.contains("error: stopped; what was merged stays"), "{}", ended.err);
            assert_eq!(levels(&data), [0; 3], "the merge was given up");
        }
        code => assert_eq!(code, 0, "{}", ended.err),
    }
    assert!(!names(&data).iter().any(|name| name.ends_with(".tmp")), "{:?}", names(&data));
    assert_eq!(digest(&data), before);
    assert_eq!(run(&["compact", "--data", &data]).code, 0);
    assert_eq!(digest(&data), before);
}
