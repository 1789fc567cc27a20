//! A Prometheus without data of its own that reads two Siltstones at once and answers over their union.
//!
//! What it must answer is computed from what was written, by the definitions: the value of a series at a
//! time is its newest sample of the five minutes before, unless that is a stale marker.

use std::collections::BTreeMap;

use serde_json::Value;
use siltstone_server_testing::harness::{Server, damage, percent, segment, series, server};

use crate::prometheus::Prometheus;

/// 2026-01-01T00:00:00Z.
const START_S: i64 = 1_767_225_600;
const STALE: u64 = 0x7ff0_0000_0000_0002;
const LOOKBACK_MS: i64 = 300_000;

type Key = BTreeMap<String, String>;
type Written = BTreeMap<Key, BTreeMap<i64, f64>>;

fn key(labels: &[(&str, &str)]) -> Key {
    labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

/// Writes a series to a store and notes it as part of the union.
fn write(server: &Server, labels: &[(&str, &str)], samples: &[(i64, f64)], union: &mut Written) {
    for part in samples.chunks(50_000) {
        assert_eq!(server.write(&series(labels, part)).status, 204);
    }
    union.entry(key(labels)).or_default().extend(samples.iter().copied());
}

/// One sample in ten seconds for an hour, of which `rows` are taken.
fn samples(seed: u64, rows: std::ops::Range<i64>) -> Vec<(i64, f64)> {
    let value = |row: i64| ((row as u64 + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44) as f64;
    rows.map(|row| (START_S * 1000 + row * 10_000, value(row) / 8.0)).collect()
}

/// One sample a second, each of which takes 8 bytes.
fn long_samples(rows: i64) -> Vec<(i64, f64)> {
    let bits = |row: i64| (row as u64 | 1 << 20).wrapping_mul(0x3e37_79b9_7f4a_7c15);
    let value = |row| Some(f64::from_bits(bits(row))).filter(|v| v.is_finite()).unwrap_or(1.0);
    (0..rows).map(|row| ((START_S + row) * 1000, value(row))).collect()
}

/// A Prometheus that reads these stores.
fn prometheus(stores: &[&Server]) -> Option<Prometheus> {
    let mut config = "global:\n  scrape_interval: 1h\nremote_read:\n".to_owned();
    for store in stores {
        let url = format!("http://{}/api/v1/read", store.address);
        config += &format!("- url: {url}\n  read_recent: true\n");
    }
    Prometheus::start(&config)
}

/// The value of a series at a time.
fn at(samples: &BTreeMap<i64, f64>, time_ms: i64) -> Option<f64> {
    let (_, value) = samples.range(time_ms - LOOKBACK_MS + 1..=time_ms).next_back()?;
    (value.to_bits() != STALE).then_some(*value)
}

fn number(text: &Value) -> f64 {
    text.as_str().unwrap().replace("Inf", "inf").parse().unwrap()
}

/// A result by labels: times in seconds, and values.
fn read(result: &Value) -> BTreeMap<Key, Vec<(i64, f64)>> {
    let one = |point: &Value| (point[0].as_f64().unwrap() as i64, number(&point[1]));
    let mut read = BTreeMap::new();
    for series in result.as_array().unwrap() {
        let metric = series["metric"].as_object().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let labels: Key = metric.iter().map(|(n, v)| (n.clone(), text(v))).collect();
        let points = match series["values"].as_array() {
            Some(values) => values.iter().map(one).collect(),
            None => vec![one(&series["value"])],
        };
        assert!(read.insert(labels, points).is_none(), "a series comes twice: {series}");
    }
    read
}

/// NaN is equal to NaN here; all else is equal if it is the same number.
fn assert_same(read: &BTreeMap<Key, Vec<(i64, f64)>>, expected: &BTreeMap<Key, Vec<(i64, f64)>>) {
    let bits = |points: &[(i64, f64)]| -> Vec<(i64, u64)> {
        let bits = |value: f64| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
        points.iter().map(|(time, value)| (*time, bits(*value))).collect()
    };
    assert_eq!(read.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (labels, points) in expected {
        assert_eq!(bits(&read[labels]), bits(points), "{labels:?}");
    }
}

/// Two stores and what both hold together.
fn stores() -> (Server, Server, Written) {
    let (a, b) = (server(), server());
    let mut union = Written::new();
    // Hosts whose names begin each other, so that the orders of labels differ; h9 to h11 in both stores
    // under different jobs.
    for (store, job, hosts) in [(&a, "a", 0..12), (&b, "b", 9..24)] {
        for host in hosts {
            let labels = [("__name__", "load"), ("host", &*format!("h{host}")), ("job", job)];
            write(store, &labels, &samples(host, 0..360), &mut union);
        }
    }
    // One series of which each store has a part: the earlier hour, the later one, and some in both.
    let parted = [("__name__", "load"), ("host", "h1"), ("job", "parted")];
    write(&a, &parted, &samples(7, 0..200), &mut union);
    write(&b, &parted, &samples(7, 190..360), &mut union);
    // One that ends, and comes again; one with values that are not numbers.
    let mut ending = samples(99, 0..300);
    ending[100].1 = f64::from_bits(STALE);
    ending.drain(101..200);
    let labels = [("__name__", "load"), ("host", "ends"), ("شهر", "تبریز")];
    write(&b, &labels, &ending, &mut union);
    let mut odd = samples(5, 0..360);
    (odd[10].1, odd[11].1, odd[12].1) = (f64::NAN, f64::INFINITY, f64::NEG_INFINITY);
    write(&a, &[("__name__", "load"), ("host", "odd")], &odd, &mut union);
    // The answer must not depend on where samples are.
    a.db.flush().unwrap();
    (a, b, union)
}

#[test]
fn a_prometheus_answers_over_the_union_of_two_stores() {
    let (a, b, union) = stores();
    let Some(prometheus) = prometheus(&[&a, &b]) else { return };
    for at_s in [START_S, START_S + 105, START_S + 1955, START_S + 3590, START_S + 3800] {
        let point = |samples| Some(vec![(at_s, at(samples, at_s * 1000)?)]);
        let value = |(labels, samples): (&Key, _)| Some((labels.clone(), point(samples)?));
        let expected = union.iter().filter_map(value).collect();
        assert_same(&read(&prometheus.query("load", at_s)), &expected);
    }

    let (first, last, step) = (START_S - 60, START_S + 4000, 70);
    let steps = || (first..=last).step_by(step as usize);
    let points = |samples| -> Vec<(i64, f64)> {
        steps().filter_map(|s| Some((s, at(samples, s * 1000)?))).collect()
    };
    let expected = union.iter().map(|(labels, s)| (labels.clone(), points(s))).collect();
    assert_same(&read(&prometheus.query_range("load", (first, last), step)), &expected);

    // A matcher of each kind, each of which the stores must apply.
    let selector = r#"load{host=~"h1.*",host!="h12",job!~"b",job!=""}"#;
    let chosen = |labels: &Key| {
        let get = |name: &str| labels.get(name).map_or("", String::as_str);
        get("host").starts_with("h1") && get("host") != "h12" && !["b", ""].contains(&get("job"))
    };
    let mut expected: BTreeMap<_, _> = expected;
    expected.retain(|labels, _| chosen(labels));
    assert!(expected.len() > 3);
    assert_same(&read(&prometheus.query_range(selector, (first, last), step)), &expected);

    // Windows: (start, end], stale markers left out.
    let counted = |(labels, samples): (&Key, &BTreeMap<i64, f64>)| {
        let in_window = |s: i64| {
            let window = samples.range((s - 600) * 1000 + 1..=s * 1000);
            window.filter(|(_, value)| value.to_bits() != STALE).count()
        };
        let count = |s| Some((s, in_window(s) as f64)).filter(|(_, count)| *count > 0.0);
        let mut labels = labels.clone();
        labels.remove("__name__");
        (labels, steps().filter_map(count).collect::<Vec<_>>())
    };
    let expected = union.iter().map(counted).collect();
    let query = "count_over_time(load[10m])";
    assert_same(&read(&prometheus.query_range(query, (first, last), step)), &expected);

    // Both stores were asked for streams, none in vain.
    for store in [&a, &b] {
        let metrics = store.get("/metrics");
        let asked = metrics.text().lines().filter(|line| line.contains("path=\"/api/v1/read\""));
        let asked: Vec<&str> = asked.filter(|line| line.contains("requests_total")).collect();
        assert!(
            !asked.is_empty() && asked.iter().all(|line| line.contains("\"200\"")),
            "{asked:?}"
        );
    }
}

/// Prometheus takes each frame for a series of its own, so that a series in two frames would be counted
/// twice or refused. This one takes 1.8 MB, more than a frame of Prometheus.
#[test]
fn a_long_series_is_one_series() {
    let (a, b) = (server(), server());
    let mut union = Written::new();
    let rows = 200_000;
    let value =
        |row: i64| f64::from_bits((row as u64 | 1 << 20).wrapping_mul(0x3e37_79b9_7f4a_7c15));
    let finite = |row: i64| Some(value(row)).filter(|v| v.is_finite()).unwrap_or(1.0);
    let samples: Vec<(i64, f64)> =
        (0..rows).map(|row| (START_S * 1000 + row * 1000, finite(row))).collect();
    write(&a, &[("__name__", "long")], &samples, &mut union);
    let Some(prometheus) = prometheus(&[&a, &b]) else { return };
    let end = START_S + rows;
    let single = |query: &str, at_s: i64| {
        let result = read(&prometheus.query(query, at_s));
        assert_eq!(result.len(), 1, "{query}: {result:?}");
        result.into_values().next().unwrap()[0].1
    };
    assert_eq!(single("count_over_time(long[3d])", end), rows as f64);
    assert_eq!(single("count(count_over_time(long[3d]))", end), 1.0);
    let changes = single("changes(long[3d])", end);
    assert_eq!(changes, (rows - 1) as f64);
    // At every step one sample is seen.
    let seen = prometheus.query_range("count(long)", (START_S, end - 1), 100);
    let seen = read(&seen).into_values().next().unwrap();
    assert_eq!(seen.len(), 2000);
    assert!(seen.iter().all(|(_, count)| *count == 1.0));
}

/// The answer to an instant query when a store does not answer whole: Prometheus answers with the rest and
/// a warning, or with an error.
fn told(prometheus: &Prometheus, query: &str, at_s: i64) -> String {
    let path = format!("/api/v1/query?query={}&time={at_s}", percent(query));
    let json = siltstone_server_testing::client::get(prometheus.address, &path).json();
    let warned = json["warnings"].as_array().into_iter().flatten();
    let all: Vec<&str> = warned.chain([&json["error"]]).filter_map(Value::as_str).collect();
    assert!(!all.is_empty(), "a part passes for the whole: {json}");
    all.join("; ")
}

#[test]
fn a_store_that_cannot_answer_is_never_left_out_in_silence() {
    let (a, b) = (server(), server());
    let mut union = Written::new();
    write(&a, &[("__name__", "load")], &samples(1, 0..10), &mut union);
    let Some(prometheus) = prometheus(&[&a, &b]) else { return };
    b.db.close().unwrap();
    let told = told(&prometheus, "load", START_S);
    assert!(told.contains("503 Service Unavailable: the database is closed"), "{told}");
}

/// The connection is cut behind the head: the first series were sent already.
#[test]
fn an_answer_that_is_cut_off_is_never_taken_for_whole() {
    let (a, b) = (server(), server());
    let mut union = Written::new();
    for host in ["h1", "h2", "h3", "h4"] {
        let labels = [("__name__", "load"), ("host", host)];
        write(&a, &labels, &long_samples(50_000), &mut union);
    }
    let Some(prometheus) = prometheus(&[&a, &b]) else { return };
    damage(&segment(&a), 75);
    let query = "count_over_time(load[1d])";
    let told = told(&prometheus, query, START_S + 50_000);
    assert!(told.contains("EOF"), "{told}");
}
