//! `query --plot` and `--svg`: plots of a store's samples, and the plot of the README.

use std::path::Path;
use std::process::Command;

use unicode_width::UnicodeWidthStr;

use crate::harness::{Serving, import, place, ran, run, siltstone};

fn store() -> (tempfile::TempDir, String) {
    let (dir, data) = place();
    let values: Vec<String> = (0..=60).map(|n| format!("\"{}\"", n * (60 - n) * 1024)).collect();
    let times: Vec<String> = (0..=60).map(|n| (n * 60_000).to_string()).collect();
    let (values, times) = (values.join(","), times.join(","));
    for labels in [
        "\"__name__\":\"free_bytes\",\"شهر\":\"تبریز\"",
        "\"__name__\":\"free_bytes\",\"a\":\"<&>\"",
    ] {
        import(
            &data,
            &format!(
                "{{\"metric\":{{{labels}}},\"values\":[{values}],\"timestamps\":[{times}]}}\n"
            ),
        );
    }
    (dir, data)
}

const RANGE: [&str; 4] = ["--start", "0", "--end", "3600"];

fn is_braille(c: char) -> bool {
    ('\u{2801}'..='\u{28ff}').contains(&c)
}

#[test]
fn a_plot_has_the_size_that_it_is_given() {
    let (_dir, data) = store();
    for (columns, rows) in [(80, 24), (40, 10), (130, 50)] {
        let (width, height) = (columns.to_string(), rows.to_string());
        let plot = ["query", "free_bytes", "--plot", "--data", &data];
        let size = ["--width", &width, "--height", &height];
        // 80 columns and 24 rows are those of a pipe.
        let size = if columns == 80 { &[][..] } else { &size };
        let ran = run(&[&plot[..], &RANGE, size].concat());
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
        let widths: Vec<usize> = ran.out.lines().map(|line| line.width()).collect();
        assert!(widths.iter().all(|width| *width <= columns), "{}", ran.out);
        assert_eq!((widths.iter().max(), widths.len()), (Some(&columns), rows), "{}", ran.out);
        assert!(ran.out.chars().filter(|c| is_braille(*c)).count() > columns / 2, "{}", ran.out);
        assert!(!ran.out.contains('\u{1b}'), "no colours in a pipe");
        for part in ["KiB ┤", "00:30", "1970-01-01 UTC", "0 B  free_bytes{\"شهر\"=\"تبریز\"}\n"]
        {
            assert!(ran.out.contains(part), "{part}: {}", ran.out);
        }
    }
    for bad in ["19", "1001", "x"] {
        assert_eq!(run(&["query", "1", "--plot", "--width", bad, "--data", &data]).code, 2);
    }
}

#[test]
fn an_svg_is_a_file_of_its_own() {
    let (dir, data) = store();
    let path = dir.path().join("plot.svg");
    let file = path.to_str().unwrap();
    let query = |more: &[&str]| {
        run(&[&["query", "free_bytes", "--data", &data], &RANGE[..], more].concat())
    };
    for _ in 0..2 {
        let drawn = query(&["--svg", file]);
        assert_eq!((drawn.code, drawn.out.as_str(), drawn.err.as_str()), (0, "", ""));
        let text = read(&path);
        assert!(text.starts_with("<svg ") && text.trim_end().ends_with("</svg>"), "{text}");
        for colour in ["#1F77B4", "#FF7F0E"] {
            let line = format!("<polyline fill=\"none\" opacity=\"1\" stroke=\"{colour}\"");
            assert_eq!(text.matches(&line).count(), 1, "{text}");
        }
        for part in ["free_bytes{a=&quot;&lt;&amp;&gt;&quot;}", "تبریز", " KiB", "00:30"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    let both = query(&["--svg", file, "--plot"]);
    assert!(both.code == 0 && both.out.contains('└'), "{}", both.err);
    let nowhere = dir.path().join("no/such/plot.svg");
    let failed = query(&["--svg", nowhere.to_str().unwrap()]);
    assert!(failed.code == 4 && failed.err.contains("cannot write"), "{}", failed.err);
}

#[expect(clippy::disallowed_methods, reason = "a file of the test, not of a store")]
fn read(path: &Path) -> String {
    String::from_utf8(std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn too_many_series_and_none() {
    let (_dir, data) = place();
    let line = |n| {
        format!(
            "{{\"metric\":{{\"__name__\":\"m\",\"n\":\"{n}\"}},\"values\":[\"{n}\"],\"timestamps\":[5]}}\n"
        )
    };
    import(&data, &(0..201).map(line).collect::<String>());
    let plot = ["--plot", "--data", &data, "--start", "0", "--end", "60"];
    let ran = run(&[&["query", "m"], &plot[..]].concat());
    assert_eq!(ran.code, 0);
    assert!(ran.err.starts_with("note: the plot shows the first 200 of 201 series"), "{}", ran.err);
    let none = run(&[&["query", "none"], &plot[..]].concat());
    assert!(none.code == 0 && none.err.contains("the answer is empty"), "{}", none.err);
    assert!(none.out.contains('└') && !none.out.chars().any(is_braille), "{}", none.out);
}

#[test]
fn the_readme_shows_a_query_and_a_plot() {
    let readme = include_str!("../../../../README.md");
    let starts = ["awk ", "cargo run --release -- query "];
    let commands: Vec<&str> =
        readme.lines().filter(|line| starts.iter().any(|start| line.starts_with(start))).collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("siltstone-data");
    let server = Serving::start(data.to_str().unwrap());
    let program = siltstone(&[]).get_program().to_str().unwrap().to_owned();
    let outputs: Vec<String> = commands
        .iter()
        .map(|command| {
            let command = command.replace("127.0.0.1:7480", &server.address);
            let command = command.replace("cargo run --release --", &program);
            let mut shell = Command::new("sh");
            let output = shell.args(["-c", &command]).current_dir(dir.path()).output().unwrap();
            let ran = ran(output);
            assert_eq!((ran.code, ran.out.contains("error")), (0, false), "{command}: {}", ran.err);
            ran.out
        })
        .collect();
    assert!(outputs[1].contains("{city=\"Tromsø\"}"), "{}", outputs[1]);
    let columns = outputs[2].chars().filter(|c| is_braille(*c)).count();
    assert!(columns > 70, "a line from end to end: {}", outputs[2]);
    // What it looks like is shown, too.
    assert!(readme.contains('┤') && readme.chars().filter(|c| is_braille(*c)).count() > 70);
}
