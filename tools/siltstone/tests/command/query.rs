//! `query` and `explain`: answers in every format, times, limits, places of errors, Ctrl-C.

use std::process::{Command, Stdio};

use crate::harness::{Serving, import, line, place, ran, run, siltstone};

/// Two series a minute apart from 1970 on, for ten minutes.
fn store() -> (tempfile::TempDir, String) {
    let (dir, data) = place();
    let samples = |labels: &str, slope: i64| -> String {
        let values: Vec<String> =
            (0..=10).map(|minute| format!("\"{}\"", minute * slope)).collect();
        let times: Vec<String> = (0..=10).map(|minute| (minute * 60_000).to_string()).collect();
        format!(
            "{{\"metric\":{{\"__name__\":\"requests_total\",{labels}}},\"values\":[{}],\
             \"timestamps\":[{}]}}\n",
            values.join(","),
            times.join(",")
        )
    };
    let lines = samples("\"job\":\"a\",\"شهر\":\"تبریز\"", 60) + &samples("\"job\":\"b\"", 6);
    import(&data, &lines);
    (dir, data)
}

/// What the query prints, which must be all right.
fn answer(data: &str, args: &[&str]) -> String {
    let ran = run(&[&["query", "--data", data], args].concat());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{args:?}: {}", ran.out);
    ran.out
}

#[test]
fn an_instant_answer_in_every_format() {
    let (_dir, data) = store();
    let of = |more: &[&str]| answer(&data, &[&["requests_total", "--time", "600"], more].concat());
    assert_eq!(
        of(&[]),
        "VALUE  SERIES\n  600  requests_total{job=\"a\", \"شهر\"=\"تبریز\"}\n   \
         60  requests_total{job=\"b\"}\n"
    );
    assert_eq!(
        of(&["--format", "csv"]),
        "timestamp,value,__name__,job,شهر\r\n600000,600,requests_total,a,تبریز\r\n\
         600000,60,requests_total,b,\r\n"
    );
    let json = r#"{"resultType":"vector","result":[{"metric":{"__name__":"requests_total","job":"a","شهر":"تبریز"},"value":[600,"600"]},{"metric":{"__name__":"requests_total","job":"b"},"value":[600,"60"]}]}"#;
    assert_eq!(of(&["--json"]), format!("{json}\n"));
    assert_eq!(of(&["--format", "json"]), of(&["--json"]));
    // Values without series.
    for (expression, table, json) in [
        (
            "1 / 3",
            "0.3333333333333333\n",
            r#"{"resultType":"scalar","result":[0.500,"0.3333333333333333"]}"#,
        ),
        ("-1e21", "-1e+21\n", r#"{"resultType":"scalar","result":[0.500,"-1e+21"]}"#),
        ("\"a\\\\n é\"", "a\\n é\n", r#"{"resultType":"string","result":[0.500,"a\\n é"]}"#),
    ] {
        assert_eq!(answer(&data, &[expression, "--time", "0.5"]), table, "{expression}");
        let shown = answer(&data, &[expression, "--time", "0.5", "--json"]);
        assert_eq!(shown, format!("{json}\n"), "{expression}");
    }
    let csv = answer(&data, &["\"a,b\"", "--time", "0.5", "--format", "csv"]);
    assert_eq!(csv, "timestamp,value\r\n500,\"a,b\"\r\n");
    assert_eq!(
        answer(&data, &["1 / 3", "--time", "1", "--format", "csv"]),
        "timestamp,value\r\n1000,0.3333333333333333\r\n"
    );
    // A range vector has all its samples.
    let samples =
        answer(&data, &["requests_total{job='b'}[3m]", "--time", "600", "--format", "csv"]);
    assert_eq!(samples.lines().count(), 4, "{samples}");
}

#[test]
fn a_range_has_a_point_at_each_step() {
    let (_dir, data) = store();
    let rate = "sum(rate(requests_total[2m]))";
    let range = [rate, "--start", "240", "--end", "1970-01-01T00:10", "--step", "3m"];
    assert_eq!(
        answer(&data, &range),
        "TIME                      VALUE  SERIES\n1970-01-01T00:04:00.000Z    1.1  {}\n\
         1970-01-01T00:07:00.000Z    1.1  {}\n1970-01-01T00:10:00.000Z    1.1  {}\n"
    );
    let csv = answer(&data, &[&range[..], &["--format", "csv"]].concat());
    assert_eq!(csv, "timestamp,value\r\n240000,1.1\r\n420000,1.1\r\n600000,1.1\r\n");
    let json = answer(&data, &[&range[..], &["--json"]].concat());
    let expected = r#"{"resultType":"matrix","result":[{"metric":{},"values":[[240,"1.1"],[420,"1.1"],[600,"1.1"]]}]}"#;
    assert_eq!(json, format!("{expected}\n"));
    // About 250 points where nobody says how many.
    let many = answer(&data, &["vector(1)", "--start", "-1d", "--end", "now", "--format", "csv"]);
    assert!((150..=400).contains(&many.lines().count()), "{}", many.lines().count());
}

#[test]
fn what_is_worth_knowing_is_on_stderr() {
    let (_dir, data) = store();
    let query = |args: &[&str]| run(&[&["query", "--data", &data], args].concat());
    let info =
        query(&["rate({job='b', __name__=~'requests.*'}[5m] offset 1m) > -1", "--time", "600"]);
    assert_eq!(info.code, 0, "{}", info.err);
    let warning = query(&["quantile(2, requests_total)", "--time", "600"]);
    assert_eq!(warning.code, 0);
    assert!(warning.err.starts_with("note: PromQL warning: quantile value"), "{}", warning.err);
    assert_eq!(warning.out, "VALUE  SERIES\n +Inf  {}\n");
    for (args, said) in [
        (&["nothing", "--time", "600"][..], "1970-01-01T00:10:00Z; --time"),
        (&["nothing", "--start", "0", "--end", "60"], "--start"),
    ] {
        let empty = query(args);
        assert_eq!(empty.code, 0, "{}", empty.err);
        assert!(empty.err.starts_with("note: the answer is empty") && empty.err.contains(said));
    }
}

#[test]
fn the_place_of_an_error_is_shown() {
    let (_dir, data) = store();
    for (expression, said) in [
        ("sum(rate(up[5m)))", "error: 1:15: parse error: unexpected \")\""),
        ("{\"شهر\"=\"تبریز\"} +", "parse error: unexpected end of input"),
        ("nope(up)", "unknown function with name \"nope\""),
    ] {
        for command in ["query", "explain"] {
            let ran = run(&[command, expression, "--data", &data]);
            assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{expression}");
            let lines: Vec<&str> = ran.err.lines().collect();
            assert!(lines.len() == 3 && lines[0].contains(said), "{}", ran.err);
            assert_eq!(lines[1], format!("  {expression}"));
            assert!(lines[2].trim().chars().all(|c| c == '^'), "{}", ran.err);
        }
    }
    let ran = run(&["query", "sum(rate(up[5m)))", "--data", &data]);
    assert!(ran.err.ends_with("  sum(rate(up[5m)))\n                ^\n"), "{}", ran.err);
}

#[test]
fn limits_and_senseless_questions() {
    let (_dir, data) = store();
    let query = |args: &[&str]| run(&[&["query", "--data", &data], args].concat());
    for (args, code, said) in [
        (
            &["requests_total[1h]", "--time", "600", "--max-samples", "5"][..],
            4,
            "limit of 5 samples",
        ),
        (&["requests_total", "--timeout", "0s"], 4, "--timeout gives it longer"),
        (&["up", "--start", "2", "--end", "1"], 2, "--end is before --start"),
        (&["up", "--start", "now+1h"], 2, "give --end as well"),
        (&["up", "--step", "0s"], 2, "longer than nothing"),
        (&["up", "--time", "1", "--step", "1m"], 2, "cannot be used with"),
        (&["up[5m]", "--start", "-1h"], 2, "invalid expression type"),
        (&["up", "--start", "yesterday"], 2, "now-5m"),
        (&["requests_total * on() requests_total", "--time", "600"], 2, "many-to-many"),
        (&["up", "--plot", "--json"], 2, "cannot be used with"),
        (&["up", "--width", "50"], 2, "--plot"),
    ] {
        let ran = query(args);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{args:?}: {}", ran.err);
    }
    let both = run(&["query", "up", "--url", "http://127.0.0.1:1", "--data", &data]);
    assert!(both.code == 2 && both.err.contains("cannot be used with"), "{}", both.err);
    // A sign is a part of the query, not a flag.
    assert_eq!(
        answer(&data, &["-requests_total{job='b'}", "--time", "600"]),
        "VALUE  SERIES\n  -60  {job=\"b\"}\n"
    );
}

#[test]
fn a_store_may_have_other_ticks() {
    for (per_second, time) in [("1", 600), ("1000000", 600_000_400)] {
        let (_dir, data) = place();
        let created = Serving::start_with(&data, &["--ticks-per-second", per_second]);
        assert_eq!(created.end("-TERM"), Some(0));
        let lines =
            line("\"__name__\":\"m\"", "1", time) + &line("\"__name__\":\"m\"", "2", time + 1);
        import(&data, &lines);
        let last = if per_second == "1" { "600.5" } else { "600" };
        let value = if per_second == "1" { "1" } else { "2" };
        let shown = answer(&data, &["m", "--time", last]);
        assert_eq!(shown, format!("VALUE  SERIES\n    {value}  m\n"), "{per_second}");
    }
}

#[test]
fn a_server_beside_it_may_go_on() {
    let (_dir, data) = place();
    let server = Serving::start(&data);
    assert!(server.post("/api/v1/import/prometheus", "live 7 1000").starts_with("HTTP/1.1 204"));
    assert_eq!(answer(&data, &["live", "--time", "1"]), "VALUE  SERIES\n    7  live\n");
    let plan = run(&["explain", "sum(live)", "--time", "1", "--data", &data]);
    assert_eq!((plan.code, plan.err.as_str()), (0, ""), "{}", plan.out);
    assert_eq!(server.end("-TERM"), Some(0));
}

#[test]
fn a_plan_says_what_is_done_and_read() {
    let (_dir, data) = store();
    let expression = "sum by (job) (rate(requests_total[2m]))";
    let ran = run(&[
        "explain", expression, "--data", &data, "--start", "240", "--end", "600", "--step", "2m",
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines[0], "sum by [\"job\"]  [4 steps of 120000 ms from 240000 ms]");
    assert!(lines[1].starts_with("  rate over windows of 120000 ms of selection 0"), "{}", ran.out);
    assert!(ran.out.contains("{__name__=\"requests_total\"} 120001..=600000 ms"), "{}", ran.out);
    assert!(ran.out.contains("selection 0 has 2 series, about "), "{}", ran.out);
    let once = run(&["explain", "up", "--data", &data, "--time", "600"]);
    assert!(once.out.starts_with("newest sample of selection 0  [at 600000 ms]"), "{}", once.out);
}

/// Whether the process has a handler for SIGINT.
#[expect(clippy::disallowed_methods, reason = "the state of a process, not a store")]
fn handles_interrupts(pid: u32) -> bool {
    let status = std::fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status).into_owned();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    caught & 0b10 != 0
}

#[test]
fn ctrl_c_stops_a_query() {
    let (_dir, data) = place();
    let lines: String = (0..400)
        .map(|n| line(&format!("\"__name__\":\"m\",\"n\":\"{n}\""), &n.to_string(), 1000))
        .collect();
    import(&data, &lines);
    // Minutes of work, in parts of less than a second.
    let expression = "sum(quantile_over_time(0.5, (m * time())[4m:10ms]))";
    let args =
        ["query", expression, "--data", &data, "--start", "0", "--end", "300", "--step", "50ms"];
    let mut command = siltstone(&args);
    command.args(["--timeout", "1h"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    while !handles_interrupts(child.id()) {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before");
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let ran = ran(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.out.as_str()), (130, ""), "{}", ran.err);
    assert!(ran.err.ends_with("error: stopped\n"), "{}", ran.err);
}
