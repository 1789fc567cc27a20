//! Bulk import and export: lines in, lines out.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use siltstone::Options;
use siltstone_server::ServerConfig;
use siltstone_server_testing::client::{connect, head, read_answer};
use siltstone_server_testing::harness::{Server, line, percent, series, server};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn json_lines_round_trip() {
    let server = server();
    let mut lines = vec![
        line("\"__name__\":\"a\"", "NaN", 1),
        line("\"__name__\":\"b\",\"quote\":\"\\\"\\\\\\n\\u0001\"", "NaN:7ff0000000000002", -5),
        line("\"__name__\":\"دما\",\"شهر\":\"می\u{200c}رود\"", "-0", i64::MIN),
        line("\"__name__\":\"й\u{306}\"", "5e-324", i64::MAX),
        line("\"no\":\"name\"", "1.7976931348623157e+308", 0),
    ];
    lines.sort();
    let body = lines.join("\n");
    for (coding, body) in [
        ("identity", body.clone().into_bytes()),
        ("gzip", gzip(body.as_bytes())),
        ("zstd", zstd::encode_all(body.as_bytes(), 3).unwrap()),
    ] {
        let answer = server.post("/api/v1/import", &[("Content-Encoding", coding)], &body);
        assert_eq!(answer.status, 204, "{coding}: {}", answer.text());
        assert_eq!(server.export("{__name__=~\".*\",x=\"\",no=~\".+\"}").len(), 1);
        let mut all = server.everything();
        all.extend(server.export("{no=\"name\"}"));
        all.sort();
        assert_eq!(all, lines, "{coding}");
    }
}

#[test]
fn a_bad_line_costs_itself() {
    let config = ServerConfig { json_line_bytes_max: 200, ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    let body = [
        line("\"__name__\":\"a\"", "1", 1),
        "{\"metric\":".to_owned(),
        String::new(),
        line("\"__name__\":\"a\",\"__name__\":\"b\"", "1", 1),
        line("\"__name__\":\"long\"", &"1".repeat(300), 1),
        "{\"metric\":{\"__name__\":\"c\"},\"values\":[1,2],\"timestamps\":[1]}".to_owned(),
        line("\"__name__\":\"d\"", "2", 2),
    ];
    let answer = server.post("/api/v1/import", &[], body.join("\n").as_bytes());
    assert_eq!(answer.status, 400);
    for reason in [
        "4 of 7 lines were refused; 2 samples were stored",
        "line 2, column",
        "line 4:",
        "line 5: longer than the limit of 200 bytes",
        "line 6, column",
    ] {
        assert!(answer.text().contains(reason), "{reason} in {}", answer.text());
    }
    let stored = [line("\"__name__\":\"a\"", "1", 1), line("\"__name__\":\"d\"", "2", 2)];
    assert_eq!(server.everything(), stored);
    // Only the first reasons are listed.
    let answer = server.post("/api/v1/import", &[], "bad\n".repeat(1000).as_bytes());
    assert!(answer.text().contains("and 990 more"), "{}", answer.text());
    assert!(answer.body.len() < 2000);
}

#[test]
fn text_with_and_without_times() {
    let server = server();
    let body = "# HELP up is it\n# TYPE up gauge\nup{job=\"a\"} 1 1000\nup{job=\"b\"} 2\n\
        {\"دمای.هوا\",\"شهر\"=\"تهران\"} 21.5 1000\nbad{ 1\ninf +Inf 7\n";
    let answer = server.post("/api/v1/import/prometheus?timestamp=5", &[], body.as_bytes());
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("1 of 7 lines were refused; 4 samples"), "{}", answer.text());
    assert!(answer.text().contains("line 6, column"), "{}", answer.text());
    let stored = [
        line("\"__name__\":\"inf\"", "+Inf", 7),
        line("\"__name__\":\"up\",\"job\":\"a\"", "1", 1000),
        line("\"__name__\":\"up\",\"job\":\"b\"", "2", 5000),
        line("\"__name__\":\"دمای.هوا\",\"شهر\":\"تهران\"", "21.5", 1000),
    ];
    assert_eq!(server.everything(), stored);
    let openmetrics = [("Content-Type", "application/openmetrics-text; version=1.0.0")];
    let body = b"om 1 1.5\n# EOF\n";
    assert_eq!(server.post("/api/v1/import/prometheus", &openmetrics, body).status, 200);
    assert_eq!(server.export("om"), [line("\"__name__\":\"om\"", "1", 1500)]);
    let before = server.db.options().clock.wall_ms();
    assert_eq!(server.post("/api/v1/import/prometheus", &[], b"now 1").status, 204);
    let now = &server.export("now")[0];
    let ms: i64 = now.split(['[', ']']).nth(3).unwrap().parse().unwrap();
    assert!((before..before + 60_000).contains(&ms), "{now}");
    let answer = server.post("/api/v1/import/prometheus?timestamp=noon", &[], b"x 1");
    assert_eq!(answer.status, 400);
}

#[test]
fn bodies_that_cannot_be_decoded() {
    let server = server();
    let good = gzip(line("\"__name__\":\"a\"", "1", 1).as_bytes());
    let post = |coding: &str, body: &[u8]| {
        server.post("/api/v1/import", &[("Content-Encoding", coding)], body)
    };
    let answer = post("gzip", &good[..good.len() - 9]);
    assert_eq!(answer.status, 400, "cut off");
    assert!(answer.text().contains("cannot be decoded"), "{}", answer.text());
    assert_eq!(post("gzip", b"not gzip").status, 400);
    assert_eq!(post("zstd", b"not zstd").status, 400);
    assert_eq!(post("br", b"x").status, 415);
    // A window of 128 MiB, the memory of which the sender would choose.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&vec![b'\n'; 100 << 10]).unwrap();
    assert_eq!(post("zstd", &encoder.finish().unwrap()).status, 400);
    server.assert_healthy();
}

#[test]
fn a_bomb_is_a_long_line() {
    let server = server();
    let bomb = gzip(&vec![b' '; 64 << 20]);
    let answer = server.post("/api/v1/import", &[("Content-Encoding", "gzip")], &bomb);
    assert_eq!(answer.status, 400, "{} bytes", bomb.len());
    assert!(answer.text().contains("line 1: longer"), "{}", answer.text());
    server.assert_healthy();
}

#[test]
fn a_body_that_breaks_off_is_not_a_shorter_body() {
    let server = server();
    let path = "/api/v1/import/prometheus";
    let body = b"whole 1 1\nhalf 12345 1";
    let mut stream = connect(server.address);
    stream.write_all(&head("POST", path, &[], body.len())).unwrap();
    stream.write_all(&body[..body.len() - 6]).unwrap();
    drop(stream);
    server.pause(std::time::Duration::from_millis(300));
    assert!(server.export("half").is_empty(), "the line was not complete");
}

#[test]
fn batches_are_bounded_and_all_arrive() {
    let config = ServerConfig { import_batch_rows: 7, ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    let times: Vec<String> = (0..40).map(|i| i.to_string()).collect();
    let times = times.join(",");
    let body = format!(
        "{{\"metric\":{{\"__name__\":\"a\"}},\"values\":[{times}],\"timestamps\":[{times}]}}\n"
    );
    assert_eq!(server.post("/api/v1/import", &[], body.as_bytes()).status, 204);
    let (mut values, mut count) = (String::new(), 0);
    for line in server.everything() {
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        count += json["values"].as_array().unwrap().len();
        values = line;
    }
    assert_eq!(count, 40, "{values}");
}

#[test]
fn selections() {
    let server = server();
    let body =
        "a{x=\"1\"} 1 1000\na{x=\"1\"} 2 2000\na{x=\"1\"} 3 3000\nb{x=\"1\"} 1 2000\nc 1 9000\n";
    assert_eq!(server.post("/api/v1/import/prometheus", &[], body.as_bytes()).status, 204);
    let export = |query: &str| {
        let answer = server.get(&format!("/api/v1/export?{query}"));
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        answer.text().to_owned()
    };
    let a = percent("a{x=\"1\"}");
    let two = export(&format!("match[]={a}&match[]={}", percent("{x=\"1\"}")));
    assert_eq!(two.lines().count(), 2, "selected twice, sent once: {two}");
    assert_eq!(two.matches("\"a\"").count(), 1);
    // Both ends are included, in every notation.
    let middle = "\"timestamps\":[2000]";
    for range in ["start=2&end=2.5", "start=1.5&end=1970-01-01T00:00:02Z", "start=1.001&end=2.999"]
    {
        let lines = export(&format!("match[]=a&{range}"));
        assert!(lines.contains(middle), "{range}: {lines}");
    }
    assert!(export("match[]=a&start=3&end=3").contains("[3000]"));
    assert!(export("match[]=a&start=4").is_empty());
    // Milliseconds, as VictoriaMetrics' clients send them.
    let late = "late 1 1700000000123\n";
    assert_eq!(server.post("/api/v1/import/prometheus", &[], late.as_bytes()).status, 204);
    assert!(!export("match[]=late&start=1700000000123&end=1700000000123").is_empty());
    assert!(export("match[]=late&start=1700000000124").is_empty());
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = server.post("/api/v1/export", &form, b"match%5B%5D=c");
    assert_eq!((answer.status, answer.text().lines().count()), (200, 1));
    for bad in [
        "",
        "match[]=a{",
        "match[]={x=\"\"}",
        "match[]={x=~\"(\"}",
        "match[]=a&start=x",
        "match[]=a&start=2&end=1",
        "match[]=%ff",
    ] {
        let answer = server.get(&format!("/api/v1/export?{}", bad.replace('"', "%22")));
        assert_eq!(answer.status, 400, "{bad}");
    }
}

/// Enough for many chunks and more than a socket holds.
fn fill(server: &Server, rows: usize) {
    for part in 0..rows / 10_000 {
        let values: Vec<String> =
            (0..10_000).map(|i| ((part * 10_000 + i) as f64 / 7.0).to_string()).collect();
        let times: Vec<String> = (0..10_000).map(|i| (part * 10_000 + i).to_string()).collect();
        let body = format!(
            "{{\"metric\":{{\"__name__\":\"big\"}},\"values\":[{}],\"timestamps\":[{}]}}",
            values.join(","),
            times.join(",")
        );
        assert_eq!(server.post("/api/v1/import", &[], body.as_bytes()).status, 204);
    }
}

#[test]
fn a_long_export_is_whole() {
    let server = server();
    fill(&server, 200_000);
    let answer = server.get("/api/v1/export?match[]=big");
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let mut next = 0;
    for line in answer.text().lines() {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        for time in json["timestamps"].as_array().unwrap() {
            assert_eq!(time.as_i64(), Some(next));
            next += 1;
        }
    }
    assert_eq!(next, 200_000);
}

#[test]
fn a_client_that_goes_away_or_sleeps_holds_nothing_up() {
    let config = ServerConfig {
        reads_max: 1,
        write_timeout: std::time::Duration::from_millis(300),
        ..ServerConfig::default()
    };
    let server = Server::start(Options::default(), config);
    fill(&server, 400_000);
    let request = head("GET", "/api/v1/export?match[]=big", &[], 0);
    // One reads a little and goes, one stays and reads nothing; each has the only turn.
    let mut gone = connect(server.address);
    gone.write_all(&request).unwrap();
    gone.read_exact(&mut [0; 1000]).unwrap();
    drop(gone);
    let mut asleep = connect(server.address);
    asleep.write_all(&request).unwrap();
    let answer = server.get("/api/v1/export?match[]=big");
    assert_eq!(answer.status, 200);
    assert!(answer.body.len() > 5_000_000, "{}", answer.body.len());
    // What the sleeper then reads is cut off, and says so by lacking the last chunk.
    server.pause(std::time::Duration::from_millis(500));
    assert!(read_answer(&mut asleep).is_err());
}

#[test]
fn the_memory_of_an_export_is_that_of_queries() {
    let config = ServerConfig { query_bytes_max: Some(100_000), ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    let labels = [("__name__", "long")];
    let samples: Vec<(i64, f64)> = (0..50_000).map(|i| (i * 1000, i as f64 / 7.0)).collect();
    assert_eq!(server.write(&series(&labels, &samples)).status, 204);
    server.db.flush().unwrap();
    let answer = server.get("/api/v1/export?match[]=long");
    assert_eq!(answer.status, 422, "{} bytes", answer.body.len());
    // Of its own bound or of what all queries share, whichever it meets first.
    assert!(answer.text().contains("bytes of memory"), "{}", answer.text());
}
