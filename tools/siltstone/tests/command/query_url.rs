//! `query --url`: what is asked, and what is made of the answers, of a server that the test plays.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use crate::harness::{Ran, Serving, place, ran, run, siltstone};

/// Runs the query against a server that answers so; what it printed and what it asked.
fn asked(args: &[&str], status: &str, answer: &str) -> (Ran, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut command = siltstone(&[&["query", "--url", &url], args].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stream, _) = listener.accept().unwrap();
    let request = serve(stream, status, answer);
    (ran(child.wait_with_output().unwrap()), request)
}

/// Reads a request with a form and answers it; the path and the form, decoded as far as needed.
fn serve(mut stream: TcpStream, status: &str, answer: &str) -> String {
    let mut input = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(input.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let mut form = vec![0; length.parse().unwrap()];
    input.read_exact(&mut form).unwrap();
    let length = answer.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{answer}").unwrap();
    let path = head.split(' ').nth(1).unwrap();
    format!("{path} {}", String::from_utf8(form).unwrap())
}

const OK: &str = "200 OK";

#[test]
fn an_instant_and_a_range_are_asked_for_and_shown_alike() {
    let vector = r#"{"status":"success","warnings":["w"],"infos":["i"],"data":{"resultType":"vector","result":[
        {"metric":{"__name__":"up","شهر":"تبریز"},"value":[1.5,"0.25"]}]}}"#;
    let (ran, request) = asked(&["up + 1", "--time", "1.5", "--timeout", "90"], OK, vector);
    assert_eq!(request, "/api/v1/query query=up%20%2B%201&time=1.500&timeout=90.000");
    assert_eq!((ran.code, ran.err.as_str()), (0, "note: w\nnote: i\n"));
    assert_eq!(ran.out, "VALUE  SERIES\n 0.25  up{\"شهر\"=\"تبریز\"}\n");
    let (ran, _) = asked(&["up", "--json"], OK, vector);
    let json = r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","شهر":"تبریز"},"value":[1.500,"0.25"]}]}"#;
    assert_eq!(ran.out, format!("{json}\n"));
    let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[
        {"metric":{},"values":[[0,"1"],[60,"NaN"],[120,"+Inf"]]}]}}"#;
    let range = ["up", "--start", "0", "--end", "120", "--step", "1m"];
    let (ran, request) = asked(&[&range[..], &["--format", "csv"]].concat(), OK, matrix);
    let form = "query=up&start=0.000&end=120.000&step=60.000&timeout=120.000";
    assert_eq!(request, format!("/api/v1/query_range {form}"));
    assert_eq!(ran.out, "timestamp,value\r\n0,1\r\n60000,NaN\r\n120000,+Inf\r\n", "{}", ran.err);
    let (ran, _) = asked(&[&range[..], &["--plot"]].concat(), OK, matrix);
    assert!(
        ran.code == 0 && ran.out.contains('└') && ran.out.contains('↑'),
        "{}{}",
        ran.out,
        ran.err
    );
}

#[test]
fn histograms_are_shown_as_prometheus_prints_them() {
    let answer = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},
        "histogram":[1,{"count":"3","sum":"4.5","buckets":[[3,"-0.5","0.5","1"],[0,"1","2","2"]]}]}]}}"#;
    let (ran, _) = asked(&["h", "--time", "1"], OK, answer);
    let text = "{count:3, sum:4.5, [-0.5,0.5]:1, (1,2]:2}";
    assert!(ran.out.contains(&format!("{text}  {{a=\"b\"}}")), "{}{}", ran.out, ran.err);
    let (ran, _) = asked(&["h", "--time", "1", "--json"], OK, answer);
    let json = r#""histogram":[1,{"count":"3","sum":"4.5","buckets":[[3,"-0.5","0.5","1"],[0,"1","2","2"]]}]"#;
    assert!(ran.out.contains(json), "{}", ran.out);
}

#[test]
fn what_the_server_refuses_is_said_with_its_place() {
    let parse = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error: unexpected \"!\""}"#;
    let (ran, _) = asked(&["up +!"], "400 Bad Request", parse);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(
        ran.err.starts_with("error: the server answered 400: invalid parameter"),
        "{}",
        ran.err
    );
    assert!(ran.err.ends_with("  up +!\n      ^\n"), "{}", ran.err);
    for (status, answer, code, said) in [
        (
            "422 Unprocessable Entity",
            r#"{"status":"error","error":"too much"}"#,
            2,
            "422: too much",
        ),
        ("503 Service Unavailable", r#"{"status":"error","error":"late"}"#, 4, "503: late"),
        ("404 Not Found", "<html>no such page</html>", 2, "404: <html>"),
        (OK, "<html>welcome</html>", 4, "does it have Prometheus's HTTP API?"),
        (
            OK,
            r#"{"status":"success","data":{"resultType":"vector","result":[{}]}}"#,
            4,
            "cannot be read",
        ),
    ] {
        let (ran, _) = asked(&["up"], status, answer);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{answer}: {}", ran.err);
        assert!(ran.err.contains(said), "{answer}: {}", ran.err);
    }
}

#[test]
fn a_server_and_its_directory_say_the_same() {
    let (_dir, data) = place();
    let server = Serving::start(&data);
    let samples = "m_total{job=\"a\",city=\"تبریز\"} 1 0\nm_total{job=\"a\",city=\"تبریز\"} 4 60000\n\
                   m_total{job=\"b\"} NaN 60000\nm_total{job=\"c\"} +Inf 60000\n";
    assert!(server.post("/api/v1/import/prometheus", samples).starts_with("HTTP/1.1 204"));
    let range = ["--start", "0", "--end", "120", "--step", "30s"];
    for expression in
        ["m_total", "sum by (job) (m_total)", "rate(m_total[2m])", "1 / 3", "m_total + nope"]
    {
        for times in [&["--time", "60.5"][..], &range] {
            for format in [&["--format", "table"][..], &["--json"], &["--format", "csv"]] {
                let ask =
                    |place: &[&str]| run(&[&["query", expression], times, format, place].concat());
                let (url, directory) = (ask(&["--url", &server.url()]), ask(&["--data", &data]));
                let case = format!("{expression} {times:?} {format:?}");
                assert_eq!(
                    (url.code, &url.out, &url.err),
                    (0, &directory.out, &directory.err),
                    "{case}"
                );
            }
        }
    }
    let refused = run(&["query", "m_total[", "--url", &server.url()]);
    assert!(refused.code == 2 && refused.err.ends_with("^\n"), "{}", refused.err);
    assert_eq!(server.end("-TERM"), Some(0));
}
