//! Requests that compete: no client, however slow, keeps others from what they need.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use siltstone::{Labels, Options, WriteBatch};
use siltstone_server::ServerConfig;
use siltstone_server::protocol::snappy;
use siltstone_server_testing::client::{connect, get, head, read_answer, request};
use siltstone_server_testing::harness::{REMOTE_WRITE, Server, field, one, series, server};

/// A head whose body comes in chunks.
fn chunked(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let headers = [headers, &[("Transfer-Encoding", "chunked")]].concat();
    head("POST", path, &headers, 0)
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// A remote-write body of about `kib` KiB, which snappy cannot make shorter.
fn body(name: &str, kib: usize) -> Vec<u8> {
    let mut state = 88172645463325252u64;
    let samples: Vec<(i64, f64)> = (0..kib as i64 * 1024 / 17)
        .map(|row| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (row * 1000, f64::from_bits(state >> 2))
        })
        .collect();
    snappy::compress(&series(&[("__name__", name)], &samples)).unwrap()
}

fn held(server: &Server) -> u64 {
    server.metric("siltstone_memory_bytes{kind=\"bodies\"}")
}

#[test]
fn chunked_writes_whose_bodies_come_late_do_not_block_each_other() {
    // No two of them would fit if each held as much as a body may have.
    let config = ServerConfig {
        bodies_bytes_max: Some(512 << 10),
        body_bytes_max: 400 << 10,
        ..ServerConfig::default()
    };
    let server = Server::start(Options::default(), config);
    let body = snappy::compress(&one("late", 1, 1.0)).unwrap();
    let mut streams: Vec<_> = (0..6).map(|_| connect(server.address)).collect();
    for stream in &mut streams {
        stream.write_all(&chunked("/api/v1/write", REMOTE_WRITE)).unwrap();
    }
    server.pause(Duration::from_millis(100));
    assert_eq!(held(&server), 0);
    for stream in streams.iter_mut().rev() {
        stream.write_all(&[chunk(&body), chunk(b"")].concat()).unwrap();
    }
    for stream in &mut streams {
        assert_eq!(read_answer(stream).unwrap().status, 204);
    }
}

#[test]
fn what_headers_promise_is_not_held() {
    let server = server();
    let mut streams = Vec::new();
    for path in ["/api/v1/write", "/api/v1/import", "/api/v1/series", "/api/v1/query"] {
        let form: &[_] = &[("Content-Type", "application/x-www-form-urlencoded")];
        let headers = if path.ends_with("write") { REMOTE_WRITE } else { form };
        for _ in 0..40 {
            let mut stream = connect(server.address);
            stream.write_all(&head("POST", path, headers, 400 << 10)).unwrap();
            streams.push(stream);
        }
    }
    server.wait_for("all are there", || server.metric("siltstone_http_connections") > 160);
    assert_eq!(held(&server), 0);
    server.assert_healthy();
    assert_eq!(server.get("/api/v1/query?query=healthy").status, 200);
    assert_eq!(server.post("/api/v1/import/prometheus", &[], b"up 1 1\n").status, 204);
}

#[test]
fn an_import_holds_what_has_arrived() {
    let server = server();
    let line = b"{\"metric\":{\"__name__\":\"m\"},\"values\":[1],\"timestamps\":[1]}";
    let mut streams: Vec<_> = (0..20).map(|_| connect(server.address)).collect();
    for stream in &mut streams {
        stream.write_all(&chunked("/api/v1/import", &[])).unwrap();
        stream.write_all(&chunk(line)).unwrap();
    }
    server.wait_for("they have come", || held(&server) == 20 * line.len() as u64);
    server.assert_healthy();
    for stream in &mut streams {
        stream.write_all(&chunk(b"")).unwrap();
        assert_eq!(read_answer(stream).unwrap().status, 204);
    }
    assert_eq!(held(&server), 0);
}

#[test]
fn where_memory_is_short_the_youngest_goes_and_the_oldest_becomes_whole() {
    let config = ServerConfig { bodies_bytes_max: Some(1 << 20), ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    let bodies = [body("first", 800), body("second", 800)];
    assert!(bodies[0].len() > 600 << 10 && bodies[0].len() < 890 << 10, "{}", bodies[0].len());
    let begin = |body: &[u8]| {
        let mut stream = connect(server.address);
        stream.write_all(&head("POST", "/api/v1/write", REMOTE_WRITE, body.len())).unwrap();
        stream.write_all(&body[..400 << 10]).unwrap();
        stream
    };
    let mut first = begin(&bodies[0]);
    server.wait_for("the first one came", || held(&server) == 400 << 10);
    let mut second = begin(&bodies[1]);
    server.wait_for("the second one came", || held(&server) == 800 << 10);
    first.write_all(&bodies[0][400 << 10..]).unwrap();
    let refused = read_answer(&mut second).unwrap();
    assert_eq!((refused.status, refused.header("retry-after").is_some()), (503, true));
    assert_eq!(read_answer(&mut first).unwrap().status, 204);
    assert_eq!(server.metric("siltstone_bodies_refused_total"), 1);
    assert_eq!(held(&server), 0);
    // What is small had room all the time.
    server.assert_healthy();
}

#[test]
fn a_body_of_very_short_samples_is_stored() {
    let server = server();
    // Two bytes each, where time and value are zero.
    let name = field(1, &[field(1, b"__name__"), field(2, b"zero")].concat());
    let samples: Vec<u8> = std::iter::repeat_n([0x12, 0], 300_000).flatten().collect();
    let len = name.len() + samples.len();
    let len = [len as u8 | 0x80, (len >> 7) as u8 | 0x80, (len >> 14) as u8];
    let answer = server.write(&[&[0x0a], &len[..], &name, &samples].concat());
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(answer.header("x-prometheus-remote-write-samples-written"), Some("300000"));
    assert_eq!(server.metric("siltstone_memory_bytes{kind=\"decoding\"}"), 0);
    server.assert_healthy();
}

#[test]
fn limits_of_bodies_follow_the_memory() {
    let config = ServerConfig {
        bodies_bytes_max: Some(1 << 20),
        decoding_bytes_max: Some(1 << 20),
        ..ServerConfig::default()
    };
    let server = Server::start(Options::default(), config);
    assert_eq!(server.write(&one("m", 1, 1.0)).status, 204);
    let large = server.post("/api/v1/write", REMOTE_WRITE, &body("m", 600));
    assert_eq!(large.status, 413, "{}", large.text());
    assert!(large.text().contains("limit of 524288 bytes"), "{}", large.text());
    let samples: Vec<(i64, f64)> = (0..20_000).map(|row| (row, 0.0)).collect();
    let many = server.write(&series(&[("__name__", "many")], &samples));
    assert_eq!(many.status, 413, "{}", many.text());
    assert!(many.text().contains("more than 18724 samples"), "{}", many.text());
    server.assert_healthy();
}

#[test]
fn forms_that_trickle_take_no_turn() {
    let config = ServerConfig { reads_max: 1, exports_max: 1, ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    server.assert_healthy();
    let form: &[_] = &[("Content-Type", "application/x-www-form-urlencoded")];
    let mut streams = Vec::new();
    for path in ["/api/v1/query", "/api/v1/export", "/api/v1/series"] {
        for _ in 0..10 {
            let mut stream = connect(server.address);
            stream.write_all(&head("POST", path, form, 1000)).unwrap();
            stream.write_all(b"match[]=").unwrap();
            streams.push(stream);
        }
    }
    server.wait_for("they have come", || held(&server) == 30 * 8);
    assert_eq!(server.get("/api/v1/query?query=healthy").status, 200);
    assert_eq!(server.export("healthy").len(), 1);
}

/// A server with more samples than what lies in the buffers of sockets.
fn filled(config: ServerConfig) -> Server {
    let server = Server::start(Options::default(), config);
    for number in 0..10 {
        let labels = Labels::from_pairs([("__name__", "m"), ("n", &number.to_string())]).unwrap();
        let handle = server.db.series(&labels).unwrap();
        let mut batch = WriteBatch::new();
        (0..150_000).for_each(|row| batch.push(handle, row * 1000, row as f64 / 7.0).unwrap());
        server.db.write(&batch).unwrap();
    }
    server
}

/// A client that asks for everything and takes only the first bytes.
fn stalled(server: &Server, path: &str) -> TcpStream {
    let mut stream = connect(server.address);
    stream.write_all(&head("GET", path, &[], 0)).unwrap();
    let mut start = [0; 15];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    stream
}

#[test]
fn readers_that_stand_still_keep_no_turn_and_lose_nothing() {
    let config = ServerConfig { reads_max: 1, exports_max: 1, ..ServerConfig::default() };
    let server = filled(config);
    let paths = ["/api/v1/export?match[]=m", "/api/v1/query?time=150000&query=m[20h]"];
    let mut streams: Vec<_> = paths.iter().cycle().take(6).map(|p| stalled(&server, p)).collect();
    server.wait_for("they wait", || server.metric("siltstone_slow_answers") == 6);
    assert_eq!(server.get("/api/v1/query?query=count(m)&time=0").status, 200);
    assert_eq!(server.get("/api/v1/export?match[]=m&end=2").status, 200);
    server.assert_healthy();
    // All of them at once: they take turns again.
    std::thread::scope(|scope| {
        for stream in &mut streams {
            scope.spawn(|| {
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).unwrap();
                assert!(rest.ends_with(b"0\r\n\r\n") && rest.len() > 10 << 20, "{}", rest.len());
            });
        }
    });
    server.wait_for("nobody waits", || server.metric("siltstone_slow_answers") == 0);
    assert_eq!(server.metric("siltstone_slow_answers_cut_total"), 0);
}

#[test]
fn much_that_was_sent_buys_no_silence() {
    let config =
        ServerConfig { body_timeout: Duration::from_millis(500), ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    let mut stream = connect(server.address);
    stream.write_all(&head("POST", "/api/v1/import/prometheus", &[], 2 << 20)).unwrap();
    stream.write_all(&vec![b'\n'; 1 << 20]).unwrap();
    // At 1 KiB/s it would have earned 17 minutes, and the connection waits for 20 s.
    assert_eq!(read_answer(&mut stream).unwrap().status, 408);
}

#[test]
fn a_reader_that_takes_a_little_now_and_then_is_let_go() {
    let config = ServerConfig {
        write_timeout: Duration::from_millis(500),
        reply_rate_min: 8 << 20,
        ..ServerConfig::default()
    };
    let server = filled(config);
    let mut stream = stalled(&server, "/api/v1/export?match[]=m");
    let mut piece = [0; 4096];
    let mut taken = 0;
    // What lies in the buffers of the system comes in any case.
    let ended = (0..4000).any(|_| {
        server.pause(Duration::from_millis(5));
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => true,
            Ok(read) => {
                taken += read;
                false
            }
        }
    });
    assert!(ended && taken < 16 << 20, "{taken}");
    server.wait_for("its work ends", || server.metric("siltstone_slow_answers") == 0);
    server.assert_healthy();
}

#[test]
fn a_steady_reader_is_not_cut_off() {
    let config = ServerConfig { write_timeout: Duration::from_secs(3), ..ServerConfig::default() };
    let server = filled(config);
    let mut stream = stalled(&server, "/api/v1/export?match[]=m");
    let mut piece = [0; 32 << 10];
    // Six seconds at 640 KB/s: longer than any time that it has. The system tells the server in steps of some
    // hundred KiB, as it would one of 16 KB/s.
    for _ in 0..120 {
        server.pause(Duration::from_millis(50));
        stream.read_exact(&mut piece).unwrap();
    }
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_line_that_can_never_be_held_is_refused_by_itself() {
    let config = ServerConfig { bodies_bytes_max: Some(1 << 20), ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    let line = |name: &str, pad: usize| {
        format!(
            "{{\"metric\":{{\"__name__\":\"{name}\"}},\"values\":[1{}],\"timestamps\":[1000]}}\n",
            " ".repeat(pad)
        )
    };
    let body = line("good", 0) + &line("long", 900 << 10) + &line("too", 300 << 10);
    let answer = request(server.address, "POST", "/api/v1/import", &[], body.as_bytes());
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(
        answer.text().contains("line 2: longer than the limit of 458752 bytes"),
        "{}",
        answer.text()
    );
    let stored = get(server.address, "/api/v1/series?match[]={__name__!=''}");
    assert!(stored.text().contains("good") && stored.text().contains("too"), "{}", stored.text());
}
