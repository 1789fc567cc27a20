//! Expressions at the limits of PromQL's parser and one step beyond, through every endpoint that parses: the first
//! are answered, the others 400, and the server lives. Its threads have the stacks that all of its work has.

use siltstone_server_testing::client::Answer;
use siltstone_server_testing::harness::{Server, server};

const FORM: &[(&str, &str)] = &[("Content-Type", "application/x-www-form-urlencoded")];
/// What a form may have beside `query=`.
const FORM_BYTES_MAX: usize = 512 << 10;
const ENDPOINTS: [(&str, &str); 4] = [
    ("query", "&time=1"),
    ("query_range", "&start=1&end=2&step=1"),
    ("format_query", ""),
    ("parse_query", ""),
];

fn ask(server: &Server, endpoint: &str, more: &str, query: &str) -> Answer {
    let body = format!("query={}{more}", query.replace('+', "%2B"));
    server.post(&format!("/api/v1/{endpoint}"), FORM, body.as_bytes())
}

fn assert_limit(server: &Server, longest: &str, longer: &str, says: &str) {
    for (endpoint, more) in ENDPOINTS {
        let answer = ask(server, endpoint, more, longest);
        assert_eq!(answer.status, 200, "{endpoint}: {}", answer.text());
        let answer = ask(server, endpoint, more, longer);
        assert_eq!(answer.status, 400, "{endpoint}: {}", answer.text());
        assert_eq!(answer.json()["errorType"], "bad_data");
        let error = answer.json()["error"].to_string();
        assert!(error.contains(says), "{endpoint}: {error}");
    }
    server.assert_healthy();
}

#[test]
fn nesting() {
    let server = server();
    for (open, close) in [("(", ")"), ("-(", ")"), ("abs(", ")"), ("sum by (a) (", ")")] {
        let nested = |deep: usize| format!("{}up{}", open.repeat(deep), close.repeat(deep));
        assert_limit(&server, &nested(512), &nested(513), "nested deeper than the limit of 512");
    }
}

#[test]
fn parts() {
    let server = server();
    // Each operator is one, and each operand.
    let chain = |terms: usize| format!("1{}", "+1".repeat(terms - 1));
    let says = "more than the limit of 100000 parts";
    assert_limit(&server, &chain(50_000), &chain(50_001), says);
}

#[test]
fn bytes() {
    let server = server();
    for (endpoint, more) in ENDPOINTS {
        let longest = FORM_BYTES_MAX - "query=".len() - more.len();
        let answer = ask(&server, endpoint, more, &"a".repeat(longest));
        assert_eq!(answer.status, 200, "{endpoint}: {}", answer.text());
        assert_eq!(ask(&server, endpoint, more, &"a".repeat(longest + 1)).status, 413);
    }
    server.assert_healthy();
}
