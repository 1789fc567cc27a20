//! The times of text imports: whose unit a body declares, or does not, and what is said of old ones.

use std::time::Duration;

use siltstone::Options;
use siltstone_server::ServerConfig;
use siltstone_server_testing::client::Answer;
use siltstone_server_testing::harness::{Server, line, server};

const PATH: &str = "/api/v1/import/prometheus";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn text(server: &Server, kind: Option<&str>, body: &str) -> Answer {
    let headers: Vec<_> = kind.iter().map(|kind| ("Content-Type", *kind)).collect();
    server.post(PATH, &headers, body.as_bytes())
}

fn name(name: &str) -> String {
    format!("\"__name__\":\"{name}\"")
}

#[test]
fn a_declared_unit_holds_in_every_case_of_letters() {
    let server = server();
    for (at, kind) in
        [OPEN_METRICS, "Application/OpenMetrics-Text ; version=1.0.0"].iter().enumerate()
    {
        let metric = format!("declared{at}");
        let answer = text(&server, Some(kind), &format!("{metric} 1 1700000000\n# EOF\n"));
        assert_eq!(answer.status, 204, "{}", answer.text());
        assert_eq!(server.export(&metric), [line(&name(&metric), "1", 1_700_000_000_000)]);
    }
    // A parameter says so where a client cannot choose its header.
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = server.post(&format!("{PATH}?time_unit=s"), &form, b"said 1 1700000000.5\n");
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(server.export("said"), [line(&name("said"), "1", 1_700_000_000_500)]);
    let answer = server.post(&format!("{PATH}?time_unit=ms"), &[], b"meant 1 1700000000\n");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.export("meant"), [line(&name("meant"), "1", 1_700_000_000)]);
    assert_eq!(server.post(&format!("{PATH}?time_unit=h"), &[], b"x 1\n").status, 400);
}

#[test]
fn without_a_header_the_end_of_a_page_decides() {
    let server = server();
    let answer = text(&server, None, "a 1 1700000000\nb 2 1700000000.25\nc 3 15\n# EOF\n");
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(server.export("a"), [line(&name("a"), "1", 1_700_000_000_000)]);
    assert_eq!(server.export("b"), [line(&name("b"), "2", 1_700_000_000_250)]);
    assert_eq!(server.export("c"), [line(&name("c"), "3", 15_000)]);
    // Milliseconds of this century are nothing else, whatever stands at the end.
    let answer = text(&server, None, "ms 1 1700000000123\n# EOF\n");
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(server.export("ms"), [line(&name("ms"), "1", 1_700_000_000_123)]);
    // Pages one after the other, as `cat` makes them; the last has no end.
    let answer = text(&server, None, "p 1 1700000000\n# EOF\nq 1 1700000001\n# EOF\nr 1 7\n");
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(server.export("q"), [line(&name("q"), "1", 1_700_000_001_000)]);
    assert_eq!(server.export("r"), [line(&name("r"), "1", 7)]);
}

#[test]
fn seconds_that_nobody_declared_are_refused() {
    let server = server();
    let answer = text(&server, None, "good 1 1700000000000\nbad 1 1700000000\nhalf 1 1.5\n");
    assert_eq!(answer.status, 400);
    for part in ["2 of 3 lines were refused; 1 samples", "line 2: ", "looks like seconds", "# EOF"]
    {
        assert!(answer.text().contains(part), "{part} in {}", answer.text());
    }
    assert_eq!(server.everything(), [line(&name("good"), "1", 1_700_000_000_000)]);
    // And milliseconds that are declared as seconds.
    let answer = text(&server, Some(OPEN_METRICS), "ms 1 1700000000000\n# EOF\n");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("looks like milliseconds"), "{}", answer.text());
    // A body that breaks off has told nothing.
    assert!(server.export("ms").is_empty());
}

#[test]
fn more_lines_than_are_held_are_never_read_otherwise_in_silence() {
    let server = server();
    let mut body: String = (0..60_000).map(|i| format!("many{{i=\"{i}\"}} 1 {i}\n")).collect();
    let answer = text(&server, None, &body);
    assert_eq!(answer.status, 204, "{}", answer.text());
    body += "# EOF\n";
    let answer = text(&server, None, &body);
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("declare application/openmetrics-text"), "{}", answer.text());
    assert_eq!(text(&server, Some(OPEN_METRICS), &body).status, 200);
}

#[test]
fn old_samples_are_counted_in_the_answer() {
    let server = server();
    let answer = text(&server, None, "a 1 -5\nb 1 1000\nc 1 1700000000000\n");
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(answer.header("x-siltstone-samples-before-2000"), Some("2"));
    assert_eq!(answer.header("x-siltstone-samples-expired"), None);
    let answer = server.post("/api/v1/import", &[], line(&name("a"), "1", 1).as_bytes());
    assert_eq!((answer.status, answer.header("x-siltstone-samples-before-2000")), (204, Some("1")));

    let retention = Some(Duration::from_secs(30 * 86_400));
    let options = Options { retention, ..Options::default() };
    let server = Server::start(options, ServerConfig::default());
    let answer = text(&server, None, "old 1 1600000000000\nnew 1\n");
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("1 samples are older than the retention"), "{}", answer.text());
    assert_eq!(answer.header("x-siltstone-samples-expired"), Some("1"));
    assert_eq!(answer.header("x-prometheus-remote-write-samples-written"), Some("2"));
}

#[test]
fn seconds_that_are_declared_as_milliseconds_are_told_in_words() {
    let server = server();
    let body = "a 1 1700000000\nb 1 1700000000123\n";
    let versioned = [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")];
    let by_type = server.post(PATH, &versioned, body.as_bytes());
    let by_unit = server.post(&format!("{PATH}?time_unit=ms"), &[], body.as_bytes());
    let pushed = server.post("/metrics/job/j?time_unit=ms", &[], body.as_bytes());
    for answer in [by_type, by_unit, pushed] {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.text(), "2 samples were stored\n1 samples are from before 2000\n");
        assert_eq!(answer.header("x-siltstone-samples-before-2000"), Some("1"));
    }
}

#[test]
fn a_body_without_a_sample_is_said_to_have_none() {
    let server = server();
    let answer = text(&server, None, "# HELP cpu help# TYPE cpu gaugecpu 1mem 2");
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("no samples"), "{}", answer.text());
    assert!(answer.text().contains("--data-binary"), "{}", answer.text());
}

#[test]
fn comments_need_no_encoding_and_a_byte_order_mark_is_none() {
    let server = server();
    let body = b"\xef\xbb\xbf# HELP t temp\xe9rature\na 1 1700000000000\n  # caf\xe9\n";
    let answer = server.post(PATH, &[], body);
    assert_eq!(answer.status, 204, "{}", answer.text());
    let answer = server.post(PATH, &[], b"\xef\xbb\xbfb 1 1700000000000\nc 1 1700000000000");
    assert_eq!(answer.status, 204, "{}", answer.text());
    let json = ["\u{feff}".to_owned(), line(&name("d"), "1", 1)].concat();
    assert_eq!(server.post("/api/v1/import", &[], json.as_bytes()).status, 204);
    assert_eq!(server.everything().len(), 4);
    // Only at the beginning.
    assert_eq!(server.post(PATH, &[], "a 1\n\u{feff}b 1\n".as_bytes()).status, 400);
}

#[test]
fn the_time_of_an_import_has_the_notations_of_the_api() {
    let server = server();
    for (at, (time, ms)) in [
        ("1700000000000", 1_700_000_000_000),
        ("1700000000", 1_700_000_000_000),
        ("1700000000.5", 1_700_000_000_500),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
    ]
    .into_iter()
    .enumerate()
    {
        let body = format!("t{at} 1\n");
        let answer = server.post(&format!("{PATH}?timestamp={time}"), &[], body.as_bytes());
        assert_eq!(answer.status, 204, "{time}: {}", answer.text());
        assert_eq!(server.export(&format!("t{at}")), [line(&name(&format!("t{at}")), "1", ms)]);
    }
    for bad in ["noon", "NaN", "Inf", "-inf"] {
        assert_eq!(
            server.post(&format!("{PATH}?timestamp={bad}"), &[], b"x 1").status,
            400,
            "{bad}"
        );
    }
}
