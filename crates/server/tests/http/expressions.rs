//! Expressions that are formatted, parsed and asked for exemplars, without being evaluated.

use serde_json::{Value, json};
use siltstone_server_testing::client::Answer;
use siltstone_server_testing::harness::{Server, percent, server};

const FORM: [(&str, &str); 1] = [("Content-Type", "application/x-www-form-urlencoded")];

fn ask(server: &Server, path: &str, query: &str) -> Answer {
    server.get(&format!("/api/v1/{path}?query={}", percent(query)))
}

fn parsed(server: &Server, query: &str) -> Value {
    let answer = ask(server, "parse_query", query);
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    answer.json()["data"].clone()
}

/// A selector of one metric, as it is parsed.
fn metric(name: &str) -> Value {
    json!({
        "type": "vectorSelector", "name": name, "offset": 0, "offsetExpr": null,
        "timestamp": null, "startOrEnd": null, "anchored": false, "smoothed": false,
        "matchers": [{"type": "=", "name": "__name__", "value": name}],
    })
}

#[test]
fn an_expression_is_formatted() {
    let server = server();
    let data = |query: &str| ask(&server, "format_query", query).json()["data"].clone();
    assert_eq!(data("sum(x{b='2', a='1'})by(z)"), json!("sum by (z) (x{a=\"1\",b=\"2\"})"));
    let long = format!("sum({})", ["a_long_name_of_a_metric"; 5].join("+"));
    let lines = data(&long);
    assert!(lines.as_str().unwrap().starts_with("sum(\n  "), "{lines}");
    let answer = server.post("/api/v1/format_query?query=b", &FORM, b"query=a%2Ba");
    assert_eq!(answer.json(), json!({"status": "success", "data": "a + a"}), "the form is first");
}

#[test]
fn errors_of_syntax_are_said_where_they_are() {
    let server = server();
    for path in ["format_query", "parse_query", "query_exemplars"] {
        let answer = ask(&server, path, "foo{");
        let error = "invalid parameter \"query\": 1:5: parse error: \
                     unexpected end of input inside braces";
        let expected = json!({"status": "error", "errorType": "bad_data", "error": error});
        assert_eq!((answer.status, answer.json()), (400, expected), "{path}");
        let none = server.get(&format!("/api/v1/{path}"));
        let error = none.json()["error"].clone();
        assert_eq!(none.status, 400);
        assert!(error.as_str().unwrap().contains("no expression found"), "{error}");
    }
}

#[test]
fn every_kind_of_node_has_its_fields() {
    let server = server();
    let number = |val: &str| json!({"type": "numberLiteral", "val": val});
    assert_eq!(parsed(&server, "1e21"), number("1000000000000000000000"));
    assert_eq!(parsed(&server, "-Inf"), number("-Inf"));
    assert_eq!(parsed(&server, "\"a\\n\""), json!({"type": "stringLiteral", "val": "a\n"}));
    let paren = json!({"type": "parenExpr", "expr": metric("a")});
    assert_eq!(parsed(&server, "-(a)"), json!({"type": "unaryExpr", "op": "-", "expr": paren}));
    assert_eq!(
        parsed(&server, "topk by (x, y) (3, a)"),
        json!({
            "type": "aggregation", "op": "topk", "param": number("3"), "expr": metric("a"),
            "grouping": ["x", "y"], "without": false,
        })
    );
    assert_eq!(
        parsed(&server, "a / on (x) group_left (y) b"),
        json!({
            "type": "binaryExpr", "op": "/", "lhs": metric("a"), "rhs": metric("b"), "bool": false,
            "matching": {
                "card": "many-to-one", "on": true, "labels": ["x"], "include": ["y"],
                "fillValues": {"lhs": null, "rhs": null},
            },
        })
    );
    let scalar = parsed(&server, "1 > bool 2");
    assert_eq!((&scalar["matching"], &scalar["bool"]), (&Value::Null, &json!(true)));
    assert_eq!(
        parsed(&server, "round(rate(a{x!~\"y\"}[5m] @ 1.5 offset -1m))"),
        json!({
            "type": "call", "args": [{
                "type": "call",
                "func": {"name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector"},
                "args": [{
                    "type": "matrixSelector", "name": "a", "range": 300_000, "rangeExpr": null,
                    "offset": -60_000, "offsetExpr": null, "timestamp": 1500, "startOrEnd": null,
                    "anchored": false, "smoothed": false,
                    "matchers": [
                        {"name": "x", "type": "!~", "value": "y"},
                        {"name": "__name__", "type": "=", "value": "a"},
                    ],
                }],
            }],
            "func": {
                "name": "round", "argTypes": ["vector", "scalar"], "variadic": 1,
                "returnType": "vector",
            },
        })
    );
    assert_eq!(
        parsed(&server, "a[1h:1m] @ end() offset 5s"),
        json!({
            "type": "subquery", "expr": metric("a"), "range": 3_600_000, "rangeExpr": null,
            "step": 60_000, "stepExpr": null, "offset": 5000, "offsetExpr": null,
            "timestamp": null, "startOrEnd": "end",
        })
    );
    assert_eq!(parsed(&server, "a[1h:]")["step"], json!(0));
}

#[test]
fn a_chain_of_thousands_of_terms_is_a_deep_tree() {
    let server = server();
    let body = format!("query={}", ["a"; 5000].join("%2B"));
    let answer = server.post("/api/v1/parse_query", &FORM, body.as_bytes());
    assert_eq!(answer.status, 200);
    let (text, depth) = (answer.text(), "{\"type\":\"binaryExpr\",\"op\":\"+\",\"lhs\":".len());
    let start = "{\"status\":\"success\",\"data\":".len();
    assert_eq!(&text[start + 4998 * depth..][..depth], &text[start..][..depth]);
    assert_eq!(text.matches("vectorSelector").count(), 5000);
    assert_eq!(text.matches('{').count(), text.matches('}').count());
}

#[test]
fn there_are_no_exemplars() {
    let server = server();
    let get = |rest: &str| server.get(&format!("/api/v1/query_exemplars?query={rest}"));
    let empty = json!({"status": "success", "data": []});
    assert_eq!(get("rate(a[5m])").json(), empty);
    assert_eq!(get("a&start=1600000000&end=1600000000").json(), empty);
    // Neither a body nor its type: there is nothing to look for.
    let answer = get("1%2B1");
    assert_eq!((answer.status, answer.text(), answer.header("content-type")), (204, "", None));
    for bad in ["a&start=2&end=1", "a&start=x", "a&end=2025-13-01T00:00:00Z"] {
        assert_eq!(get(bad).json()["errorType"], "bad_data", "{bad}");
    }
}
