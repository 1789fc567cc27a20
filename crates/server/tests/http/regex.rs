//! Regular expressions in `match[]` and deletes: RE2's, long ones, and many of them.

use siltstone::Options;
use siltstone_server::ServerConfig;
use siltstone_server_testing::harness::{Server, percent};

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
    let large = percent("{route=~\"[^x]{900}y|a\"}");
    let ask = |count: usize| {
        let body = vec![format!("match[]={large}"); count].join("&");
        server.post("/api/v1/series", &form, body.as_bytes())
    };
    assert_eq!(ask(1).status, 200);
    let refused = ask(50);
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("limit of 8388608 bytes together"), "{}", refused.text());
    server.assert_healthy();
}
