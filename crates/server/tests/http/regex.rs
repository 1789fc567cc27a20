//! Regular expressions in `match[]` and deletes: RE2's, long ones, and many of them.

use siltstone::Options;
use siltstone_server::ServerConfig;
use siltstone_server::protocol::snappy;
use siltstone_server_testing::harness::{Server, percent};

use crate::growth::growth;

/// A server whose store has a series for each route, with the number of the route as its value.
fn routes(routes: &[&str]) -> Server {
    let config = ServerConfig { admin: true, ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    let line = |(number, route): (usize, &&str)| {
        let route = route.replace('\\', "\\\\").replace('\n', "\\n");
        format!("hits{{route=\"{route}\"}} {number} 1000\n")
    };
    let body: String = routes.iter().enumerate().map(line).collect();
    assert_eq!(server.post("/api/v1/import/prometheus", &[], body.as_bytes()).status, 204);
    server
}

/// The routes that an export of this regular expression yields.
fn exported(server: &Server, pattern: &str) -> Vec<String> {
    let lines = server.export(&format!("{{route=~`{pattern}`}}"));
    let route = |line: &String| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["metric"]["route"].as_str().unwrap().to_owned()
    };
    lines.iter().map(route).collect()
}

const ROUTES: [&str; 13] = [
    "/orders/{no}",
    "/orders/{no}/lines/{line}",
    "/orders/open",
    "c>d",
    "[y]z]",
    "c&d",
    "cd",
    "q.r+s",
    "w-~",
    "[z]",
    "é\nو",
    "c{,3}",
    "S",
];

#[test]
fn selectors_read_regular_expressions_as_prometheus_does() {
    let server = routes(&ROUTES);
    for (pattern, expected) in [
        ("/orders/{no}", &["/orders/{no}"][..]),
        ("/orders/{no}/.*", &["/orders/{no}/lines/{line}"]),
        ("/orders/({no}|open)", &["/orders/open", "/orders/{no}"]),
        ("c{,3}", &["c{,3}"]),
        (r"\Qq.r+s\E", &["q.r+s"]),
        ("[[]z]", &["[z]"]),
        ("[[y]z]", &["[z]"]),
        (r"\[y]z]", &["[y]z]"]),
        ("[c&&d]+", &["c&d", "cd"]),
        ("w[+--]~", &["w-~"]),
        ("[w~~-]+", &["w-~"]),
        (r"c\>d", &["c>d"]),
        ("(?i)ſ", &["S"]),
        ("é.و", &["é\nو"]),
        ("(?-s)é.و", &[]),
    ] {
        let mut found = exported(&server, pattern);
        found.sort();
        assert_eq!(found, expected, "{pattern}");
    }
    let bad = percent("{route=~`/orders/[z-a]`}");
    let answer = server.get(&format!("/api/v1/export?match[]={bad}"));
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("invalid character class range at character 10"));
}

#[test]
fn a_delete_of_what_does_not_match_takes_no_more_than_prometheus() {
    let server = routes(&["c&d", "cd", "yy"]);
    let selector = percent("hits{route!~`[c&&d]+`}");
    let path = format!("/api/v1/admin/tsdb/delete_series?match[]={selector}&dry_run=true");
    let answer = server.post(&path, &[], b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["data"]["receipts"][0]["series"], 1);
}

#[test]
fn every_value_of_a_variable_fits_in_a_selector() {
    let server = routes(&["/page/0007", "/page/7000"]);
    let all: Vec<String> = (0..5900).map(|page| format!("/page/{page:04}")).collect();
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = format!("match[]={}", percent(&format!("hits{{route=~\"{}\"}}", all.join("|"))));
    let answer = server.post("/api/v1/series", &form, body.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let found = &answer.json()["data"];
    assert_eq!(found, &serde_json::json!([{"__name__": "hits", "route": "/page/0007"}]));
}

#[test]
fn the_patterns_of_a_request_share_a_budget() {
    let server = routes(&["a"]);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let ask = |count: usize, of: &dyn Fn(usize) -> String| {
        let selectors = (0..count).map(|i| format!("match[]={}", percent(&of(i))));
        let body = selectors.collect::<Vec<_>>().join("&");
        server.post("/api/v1/series", &form, body.as_bytes())
    };
    let different = |i: usize| format!("{{route=~\"[^x]{{900}}y{i}|a\"}}");
    assert_eq!(ask(1, &different).status, 200);
    let refused = ask(50, &different);
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("limit of 8388608 bytes together"), "{}", refused.text());
    // Equal ones count once, whatever they are compared with.
    let equal = |i: usize| format!("{{route=~\"[^x]{{900}}y|a\",l{i}!~\"[^x]{{900}}y|a\"}}");
    let answer = ask(50, &equal);
    assert_eq!(answer.status, 200, "{}", answer.text());
    server.assert_healthy();
}

/// More than the bound of a request takes, with what other tests take meanwhile.
const GROWTH_MAX: u64 = 96 << 20;

/// 62 KB of selectors whose regular expressions all differ.
fn selectors(count: usize) -> Vec<String> {
    let selector = |selector: usize| {
        let matcher = |number: usize| format!(r"a{number}=~`\pL{{10}}{selector}x{number}`");
        format!("{{{}}}", (0..60).map(matcher).collect::<Vec<_>>().join(","))
    };
    (0..count).map(selector).collect()
}

#[test]
fn many_regular_expressions_in_a_get_take_bounded_memory() {
    let server = routes(&["a"]);
    let selectors = selectors(25);
    let list: String = selectors.iter().map(|s| format!("match[]={}&", encoded(s))).collect();
    let query = format!("query={}", encoded(&selectors.join(" or ")));
    assert!(list.len() < 62 << 10 && query.len() < 62 << 10, "{} {}", list.len(), query.len());
    for path in [
        format!("/api/v1/series?{list}"),
        format!("/api/v1/labels?{list}"),
        format!("/api/v1/export?{list}"),
        format!("/federate?{list}"),
        format!("/api/v1/rules?{list}"),
        format!("/api/v1/query?{query}"),
        format!("/api/v1/query_range?{query}&start=1&end=2&step=1"),
        format!("/api/v1/format_query?{query}"),
        format!("/api/v1/query_exemplars?{query}"),
    ] {
        let shown = path.split('?').next().unwrap().to_owned();
        let (answer, grown) = growth(|| server.get(&path));
        eprintln!(
            "{shown} {} {grown} {}",
            answer.status,
            answer
                .text()
                .chars()
                .rev()
                .take(120)
                .collect::<String>()
                .chars()
                .rev()
                .collect::<String>()
        );
        assert!(grown < GROWTH_MAX, "{shown}: {grown}");
        assert_eq!(answer.status, 400, "{shown}: {}", answer.text());
    }
    let path = format!("/api/v1/admin/tsdb/delete_series?{list}");
    let (answer, grown) = growth(|| server.post(&path, &[], b""));
    assert!(answer.status == 400 && grown < GROWTH_MAX, "{} {grown}", answer.status);
    // One beside it is answered.
    assert_eq!(exported(&server, "a|b"), ["a"]);
}

#[test]
fn regular_expressions_of_calls_share_the_bound_of_their_query() {
    let server = routes(&["a"]);
    let nested = |count: usize| {
        let mut query = "hits".to_owned();
        for number in 0..count {
            query = format!(r#"label_replace({query},"a","","b","\\pL{{10}}{number}")"#);
        }
        format!("/api/v1/query?time=1&query={}", encoded(&query))
    };
    assert_eq!(server.get(&nested(3)).status, 200);
    let path = nested(500);
    assert!(path.len() < 62 << 10);
    let (answer, grown) = growth(|| server.get(&path));
    assert!(grown < GROWTH_MAX, "{grown}");
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert!(answer.text().contains("limit of 8388608 bytes together"), "{}", answer.text());
}

/// A field of bytes of a protobuf message.
fn write_bytes(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    let mut left = bytes.len();
    while left >= 128 {
        out.push(left as u8 | 128);
        left >>= 7;
    }
    out.push(left as u8);
    out.extend_from_slice(bytes);
}

#[test]
fn regular_expressions_of_a_remote_read_take_bounded_memory() {
    let server = routes(&["a"]);
    // Encoded by hand: a client need not compile what it sends.
    let body = |different: bool| {
        let mut request = Vec::new();
        for query in 0..100 {
            let mut message = Vec::new();
            for number in 0..90 {
                let suffix = if different { format!("{query}x{number}") } else { String::new() };
                let mut matcher = vec![8, 2];
                write_bytes(2, format!("a{number}").as_bytes(), &mut matcher);
                write_bytes(3, format!("\\pL{{10}}{suffix}|").as_bytes(), &mut matcher);
                write_bytes(3, &matcher, &mut message);
            }
            write_bytes(1, &message, &mut request);
        }
        snappy::compress(&request).unwrap()
    };
    let headers = [
        ("Content-Type", "application/x-protobuf"),
        ("Content-Encoding", "snappy"),
        ("X-Prometheus-Remote-Read-Version", "0.1.0"),
    ];
    let different = body(true);
    let (answer, grown) = growth(|| server.post("/api/v1/read", &headers, &different));
    assert!(grown < GROWTH_MAX, "{grown}");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("limit of 8388608 bytes together"), "{}", answer.text());
    let answer = server.post("/api/v1/read", &headers, &body(false));
    assert_eq!(answer.status, 200, "equal ones count once: {}", answer.text());
}

#[test]
fn what_dashboards_ask_again_is_not_compiled_again() {
    let server = routes(&["a", "b"]);
    let lookups = |outcome: &str| {
        server.metric(&format!("siltstone_patterns_lookups_total{{outcome=\"{outcome}\"}}"))
    };
    let query =
        encoded("count(label_replace(hits{route=~\"[a-c]+\"},\"x\",\"$1\",\"route\",\"(.+)\"))");
    for round in 0..3 {
        let answer = server.get(&format!("/api/v1/query?time=1&query={query}"));
        assert_eq!(answer.json()["data"]["result"][0]["value"][1], "2");
        assert_eq!((lookups("miss"), lookups("hit")), (2, 2 * round));
    }
    assert_eq!(exported(&server, "[a-c]+").len(), 2);
    assert_eq!((lookups("miss"), lookups("hit")), (2, 5));
    let limit = server.metric("siltstone_patterns_bytes_max");
    for number in 0..200 {
        let many = (0..50).map(|i| format!("a!~\"{number}x{i}[^x]{{9}}\"")).collect::<Vec<_>>();
        let path =
            format!("/api/v1/series?match[]={}", encoded(&format!("hits{{{}}}", many.join(","))));
        assert_eq!(server.get(&path).status, 200);
        let held = server.metric("siltstone_memory_bytes{kind=\"patterns\"}");
        assert!((1..=limit).contains(&held) && server.metric("siltstone_patterns") <= 4096);
    }
}

/// Percent encoding of what needs it, so that a selector stays short.
fn encoded(text: &str) -> String {
    text.replace('%', "%25")
        .replace('+', "%2B")
        .replace('{', "%7B")
        .replace('}', "%7D")
        .replace('`', "%60")
        .replace('\\', "%5C")
        .replace(' ', "+")
        .replace('"', "%22")
}
