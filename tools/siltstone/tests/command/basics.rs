//! Every command on small stores, bad usage, and a server's life.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{
    Serving, filled, import, json, line, lines, names, place, ran, run, run_with_input, siltstone,
    write_file,
};

#[test]
fn asking_for_nothing_prints_help() {
    let ran = run(&[]);
    assert_eq!(ran.code, 2);
    assert!(ran.out.contains("Usage: siltstone") && ran.out.contains("Examples:"), "{}", ran.out);
}

#[test]
fn every_help_has_examples() {
    for command in [
        "serve", "import", "export", "query", "explain", "samples", "digest", "flush", "compact",
        "delete", "snapshot", "attach", "ls", "show", "verify", "stats",
    ] {
        let ran = run(&[command, "--help"]);
        assert_eq!(ran.code, 0, "{command}");
        assert!(ran.out.contains("Examples:\n  siltstone "), "{command}: {}", ran.out);
        assert!(
            ran.out.contains("--data <DIR>") && ran.out.contains("siltstone-data"),
            "{command}"
        );
    }
}

#[test]
fn wrong_usage_is_2() {
    let (_dir, data) = filled();
    for args in [
        &["nonsense"][..],
        &["import"],
        &["ls", "--nonsense"],
        &["show", "--data", &data, "x"],
        &["show", "--data", &data, "999"],
        &["export", "--data", &data, "--match", "a{"],
        &["export", "--data", &data, "--start", "yesterday"],
        &["export", "--data", &data, "--start", "2", "--end", "1"],
        &["serve", "--durability", "sometimes"],
        &["serve", "--data", &data, "--listen", "127.0.0.1:0", "--memory-budget", "1KiB"],
        &["serve", "--listen", "nowhere"],
    ] {
        let ran = run(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.err.contains("error: "), "{args:?}: {}", ran.err);
    }
    let bad = run(&["export", "--data", &data, "--match", "a{"]);
    assert!(bad.err.starts_with("error: --match a{: 1:3: "), "{}", bad.err);
}

#[test]
fn what_is_imported_is_exported() {
    let (_dir, data) = filled();
    let all = run(&["export", "--data", &data]);
    assert_eq!((all.code, all.out.as_str()), (0, lines().as_str()), "{}", all.err);
    let some = run(&["export", "--data", &data, "--match", "a", "--match", "{\"حالت\"=~\"می.*\"}"]);
    assert_eq!(some.out.lines().count(), 2, "{}", some.out);
    let range = run(&["export", "--data", &data, "--start", "2", "--end", "1970-01-01T00:00:02Z"]);
    assert_eq!(range.out, lines().lines().nth(1).unwrap().to_owned() + "\n");
    let negative = run(&["export", "--data", &data, "--start", "-5", "--end", "-1"]);
    assert_eq!((negative.code, negative.out.as_str()), (0, ""), "{}", negative.err);
}

#[test]
fn inputs_may_be_compressed() {
    let (dir, data) = place();
    let path = |name: &str| dir.path().join(name);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(line("\"__name__\":\"gz\"", "1", 1).as_bytes()).unwrap();
    write_file(&path("one.gz"), &gzip.finish().unwrap());
    let zstd = zstd::encode_all(line("\"__name__\":\"zst\"", "2", 2).as_bytes(), 3).unwrap();
    write_file(&path("two.zst"), &zstd);
    write_file(&path("three.jsonl"), line("\"__name__\":\"plain\"", "3", 3).as_bytes());
    write_file(&path("empty"), b"");
    let names: Vec<String> = ["one.gz", "two.zst", "three.jsonl", "empty"]
        .map(|name| path(name).to_str().unwrap().to_owned())
        .to_vec();
    let mut args = vec!["import", "--json", "--data", &data];
    args.extend(names.iter().map(String::as_str));
    let ran = run(&args);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let summary: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&summary["series"], &summary["samples"], &summary["refused"]),
        (&3.into(), &3.into(), &0.into())
    );
    assert_eq!(run(&["export", "--data", &data]).out.lines().count(), 3);
    write_file(&path("cut.zst"), &zstd[..zstd.len() - 3]);
    let cut = run(&["import", "--data", &data, path("cut.zst").to_str().unwrap()]);
    assert_eq!(cut.code, 4, "{}", cut.err);
    let missing = run(&["import", "--data", &data, path("missing").to_str().unwrap()]);
    assert_eq!(missing.code, 4);
    assert!(missing.err.starts_with("error: cannot read ") && missing.err.lines().count() == 1);
}

#[test]
fn bad_lines_are_reported_and_the_rest_is_stored() {
    let (_dir, data) = place();
    let input =
        line("\"__name__\":\"a\"", "1", 1) + "{nonsense\n" + &line("\"__name__\":\"b\"", "1", 1);
    let ran = run_with_input(&["import", "--data", &data, "-"], input.as_bytes());
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("warning: -: line 2, column 2: "), "{}", ran.err);
    assert!(ran.out.contains("2 series, 2 samples") && ran.out.contains("1 of 3 lines refused"));
    assert_eq!(run(&["export", "--data", &data]).out.lines().count(), 2);
}

#[test]
fn figures_for_people_and_scripts() {
    let (_dir, data) = filled();
    let json = |command: &str| -> serde_json::Value {
        let ran = run(&[command, "--json", "--data", &data]);
        assert_eq!(ran.code, 0, "{command}: {}", ran.err);
        serde_json::from_str(&ran.out).unwrap()
    };
    let stats = json("stats");
    assert_eq!((&stats["samples"], &stats["series"]), (&3.into(), &3.into()));
    for kind in ["values", "timestamps", "index", "other_segment", "manifest", "wal"] {
        assert!(stats["bytes_by_kind"][kind].is_u64(), "{kind}: {stats}");
    }
    let text = run(&["stats", "--data", &data]).out;
    assert!(text.contains("samples   3\n") && text.contains("timestamps"), "{text}");
    let segments = json("ls")["segments"].as_array().unwrap().len();
    let table = run(&["ls", "--data", &data]).out;
    assert!(table.starts_with("SEGMENT") && table.lines().count() == segments + 1, "{table}");
    let verify = json("verify");
    assert_eq!(verify["damaged"], 0);
    assert!(run(&["verify", "--data", &data]).out.contains("no damage found"));
    let heads = ["LEVEL", "B/SAMPLE", "WINDOW", "OVERLAP", "SEQ"];
    assert!(heads.iter().all(|head| table.contains(head)), "{table}");
    for segment in json("ls")["segments"].as_array().unwrap() {
        let number = segment["file_number"].to_string();
        let shown = run(&["show", &number, "--data", &data]);
        assert_eq!(shown.code, 0, "{}", shown.err);
        assert!(shown.out.contains("samples    3"), "{}", shown.out);
        assert!(!shown.out.contains('\u{1b}'), "labels do not steer the terminal");
        let shown = run(&["show", &format!("{number}.seg"), "--json", "--data", &data]);
        let json: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
        assert_eq!(json["segment"]["samples"], 3);
        assert_eq!(json["segment"]["overlap"], 0);
        let samples = |share: &serde_json::Value| share["samples"].as_u64().unwrap();
        assert_eq!(json["encodings"].as_array().unwrap().iter().map(samples).sum::<u64>(), 3);
        let kinds = json["bytes_by_kind"].as_object().unwrap().values();
        let bytes: u64 = kinds.map(|kind| kind.as_u64().unwrap()).sum();
        assert_eq!(json["segment"]["file_bytes"], bytes);
    }
}

#[test]
fn what_is_no_store_is_said() {
    let dir = tempfile::tempdir().unwrap();
    write_file(&dir.path().join("letter.txt"), b"hello");
    let data = dir.path().to_str().unwrap();
    for args in [
        ["ls", "--data", data],
        ["stats", "--data", data],
        ["export", "--data", data],
        ["verify", "--data", data],
        ["serve", "--data", data],
    ] {
        let mut command = siltstone(&args);
        if args[0] == "serve" {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let ran = ran(command.output().unwrap());
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        let error = ran.err.lines().last().unwrap();
        assert!(
            error.starts_with("error: ") && error.contains("is not a siltstone store"),
            "{error}"
        );
    }
    let absent = dir.path().join("absent");
    let ran = run(&["ls", "--data", absent.to_str().unwrap()]);
    assert!(ran.code == 2 || ran.code == 4, "{}: {}", ran.code, ran.err);
    assert!(ran.err.starts_with("error: "));
}

#[test]
fn a_closed_pipe_is_a_quiet_end() {
    let (_dir, data) = place();
    let values: Vec<String> =
        (0..200_000).map(|i| format!("\"{}.5\"", i * 7919 % 100_003)).collect();
    let times: Vec<String> = (0..200_000).map(|i| i.to_string()).collect();
    let input = format!(
        "{{\"metric\":{{\"__name__\":\"long\"}},\"values\":[{}],\"timestamps\":[{}]}}\n",
        values.join(","),
        times.join(",")
    );
    assert_eq!(run_with_input(&["import", "--data", &data, "-"], input.as_bytes()).code, 0);
    let mut command = siltstone(&["export", "--data", &data]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut start = [0; 20];
    child.stdout.as_mut().unwrap().read_exact(&mut start).unwrap();
    drop(child.stdout.take());
    let ran = ran(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn serving_is_announced_locked_readable_and_ended_in_order() {
    let (_dir, data) = place();
    for (signal, name) in [("-TERM", "one"), ("-INT", "two")] {
        let server = Serving::start(&data);
        for part in
            ["listening on   http://127.0.0.1:", &data, "durability     always", "curl -d 'up"]
        {
            assert!(server.greeting.contains(part), "{part} in {}", server.greeting);
        }
        let answer = server.post("/api/v1/import/prometheus", &format!("{name} 1 1000"));
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        // A writer is refused, a reader sees what was acknowledged.
        let locked = run_with_input(&["import", "--data", &data, "-"], b"");
        assert_eq!(locked.code, 3, "{}", locked.err);
        assert!(locked.err.contains("in use") && locked.err.lines().count() == 1, "{}", locked.err);
        let live = run(&["export", "--data", &data, "--match", name]);
        assert_eq!((live.code, live.out.lines().count()), (0, 1), "{}", live.err);
        assert_eq!(run(&["verify", "--data", &data]).code, 0);
        assert_eq!(server.end(signal), Some(0), "{signal}");
        assert_eq!(run(&["export", "--data", &data, "--match", name]).out.lines().count(), 1);
    }
}

#[test]
fn a_taken_port_is_an_error_with_its_address() {
    let (_dir, data) = place();
    let server = Serving::start(&data);
    let (_other, elsewhere) = place();
    let ran = run(&["serve", "--listen", &server.address, "--data", &elsewhere]);
    assert_eq!(ran.code, 4);
    assert!(
        ran.err.contains(&format!("error: cannot listen on {}", server.address)),
        "{}",
        ran.err
    );
}

#[test]
fn the_readme_pushes_a_sample_and_reads_it_back() {
    let readme = include_str!("../../../../README.md");
    let commands: Vec<&str> = readme.lines().filter(|line| line.starts_with("curl ")).collect();
    assert!((1..=5).contains(&commands.len()), "at most five lines: {commands:?}");
    let (_dir, data) = place();
    let server = Serving::start(&data);
    let mut answers = String::new();
    for command in commands {
        assert!(command.contains("127.0.0.1:7480"), "{command}");
        let command = command.replace("127.0.0.1:7480", &server.address);
        let output = Command::new("sh").args(["-c", &command]).output().unwrap();
        assert!(output.status.success(), "{command}: {output:?}");
        answers.push_str(&String::from_utf8(output.stdout).unwrap());
    }
    let expected = r#"{"metric":{"__name__":"temperature","city":"تبریز"},"values":["21.5"],"timestamps":[1700000000000]}"#;
    assert_eq!(answers.trim_end(), expected);
}

#[test]
fn a_file_with_an_impossible_number_is_a_warning_and_no_damage() {
    let (_dir, data) = filled();
    let name = "18446744073709551614.seg";
    let path = Path::new(&data).join(name);
    write_file(&path, b"not ours");
    let verified = run(&["verify", "--data", &data]);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
    assert!(verified.out.contains("no damage found"), "{}", verified.out);
    assert!(verified.err.contains(name) && verified.err.contains("left alone"), "{}", verified.err);
    let report = json(&["verify", "--data", &data]);
    assert_eq!(report["damaged"], 0);
    assert!(report["warnings"][0].as_str().unwrap().contains(name), "{report}");
    import(&data, &lines());
    let read = run(&["stats", "--data", &data]);
    assert_eq!(read.code, 0, "{}", read.err);
    assert!(read.err.contains(name), "{}", read.err);
    assert!(names(&data).contains(&name.to_owned()));
}

#[test]
fn text_is_imported_and_lines_are_as_long_as_they_may_be() {
    let (_dir, data) = place();
    let import = |args: &[&str], input: &str| {
        run_with_input(&[&["import", "--data", &data], args, &["-"]].concat(), input.as_bytes())
    };
    // As promtool tsdb dump writes it, and a page of OpenMetrics.
    let dumped = "{__name__=\"up\", job=\"a\"} 1 1700000000000\n";
    let ran = import(&["--format", "text"], dumped);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let ran = import(&["--format", "text"], "om 1 1700000000\n# EOF\n");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(run(&["export", "--data", &data, "--match", "om"]).out.contains("[1700000000000]"));
    let ran = import(&["--format", "text"], "bad 1 1700000000\n");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("looks like seconds"), "{}", ran.err);
    let ran = import(&["--format", "text"], "old 1 5\nold 2 6\nnew 1 1700000000000\n");
    assert!(ran.out.ends_with("\n2 samples are from before 2000\n"), "{}", ran.out);
    let ran = import(&["--format", "text", "--json"], "old 1 7\n");
    let summary: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&summary["before_2000"], &summary["expired"]), (&1.into(), &0.into()));
    let long =
        line("\"__name__\":\"long\"", "1", 1).trim_end().to_owned() + &" ".repeat(1000) + "\n";
    assert_eq!(import(&["--json-line-max", "1000"], &long).code, 1);
    assert_eq!(import(&["--json-line-max", "2KiB"], &long).code, 0);
    let text = "t 1 1700000000000".to_owned() + &" ".repeat(1000) + "\n";
    assert_eq!(import(&["--format", "text", "--text-line-max", "1000"], &text).code, 1);
    assert_eq!(import(&["--format", "text", "--text-line-max", "2KiB"], &text).code, 0);
}
