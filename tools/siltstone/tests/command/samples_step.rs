//! `samples --step`: the buckets of what a plain query prints, in every format.

use siltstone_server::protocol::number;
use unicode_width::UnicodeWidthStr;

use crate::harness::{Serving, import, line, place, run, run_with_input};
use crate::samples::{LABELS, store};

const STALE: &str = "NaN:7ff0000000000002";

/// A line of samples a second apart.
fn samples(metric: &str, first: i64, values: impl Iterator<Item = String>) -> String {
    let values: Vec<String> = values.map(|value| format!("\"{value}\"")).collect();
    let times = (first..).take(values.len()).map(|second| (second * 1000).to_string());
    let times = times.collect::<Vec<_>>().join(",");
    format!(
        "{{\"metric\":{{{metric}}},\"values\":[{}],\"timestamps\":[{times}]}}\n",
        values.join(",")
    )
}

/// What `--step` prints as CSV, from the records that `samples` alone prints; sums must be exact.
fn folded(records: &str, origin: i64, step: i64) -> String {
    let sample = |record: &str| -> (String, i64, i64, f64) {
        let mut fields = record.splitn(3, ',');
        let time: i64 = fields.next().unwrap().parse().unwrap();
        let value = number::parse_exact(fields.next().unwrap().as_bytes()).unwrap();
        let start = origin + (time - origin).div_euclid(step) * step;
        (fields.next().unwrap().to_owned(), start, time, value)
    };
    let text = |value: f64| {
        let mut text = Vec::new();
        number::write(value, &mut text);
        String::from_utf8(text).unwrap()
    };
    let samples: Vec<_> = records.split_terminator("\r\n").skip(1).map(sample).collect();
    let row = |bucket: &[(String, i64, i64, f64)]| {
        let (labels, start, ..) = &bucket[0];
        let live: Vec<(i64, f64)> =
            bucket.iter().map(|s| (s.2, s.3)).filter(|s| text(s.1) != STALE).collect();
        let stale = bucket.len() - live.len();
        let Some((&(first_time, first), &(last_time, last))) = live.first().zip(live.last()) else {
            return format!("{start},0,{stale},,,,,,,,,{labels}\r\n");
        };
        let mut order: Vec<f64> = live.iter().map(|s| s.1).filter(|v| !v.is_nan()).collect();
        order.sort_by(f64::total_cmp);
        let (min, max) = order.first().zip(order.last()).unwrap_or((&f64::NAN, &f64::NAN));
        let sum = live.iter().map(|s| s.1).sum::<f64>() + 0.0;
        let sum = if sum.is_nan() { f64::NAN } else { sum };
        let values = [*min, *max, sum, sum / live.len() as f64, first].map(text).join(",");
        let last = text(last);
        let count = live.len();
        format!("{start},{count},{stale},{values},{first_time},{last},{last_time},{labels}\r\n")
    };
    let buckets = samples.chunk_by(|a, b| (&a.0, a.1) == (&b.0, b.1));
    let head = "start,count,stale,min,max,sum,avg,first,first_timestamp,last,last_timestamp";
    let labels = records.lines().next().unwrap().strip_prefix("timestamp,value").unwrap();
    format!("{head}{labels}\r\n{}", buckets.map(row).collect::<String>())
}

#[test]
fn steps_are_what_the_samples_add_up_to() {
    let quarters = |i: u32| (f64::from(i * 7919 % 4001) / 4.0 - 300.0).to_string();
    let odd = |i: u32| match i % 1000 {
        100..170 => STALE.to_owned(),
        200 => "NaN".to_owned(),
        201 => "NaN:7ff0000000000003".to_owned(),
        300..400 => "-0".to_owned(),
        500 => "+Inf".to_owned(),
        600 if i > 2000 => "-Inf".to_owned(),
        _ => quarters(i),
    };
    // Enough that whole chunks lie in one bucket, and before 1970 as well.
    let (_dir, data) = store(
        &(samples("\"__name__\":\"s\",\"شهر\":\"تبریز\"", -4000, (0..9000).map(quarters))
            + &samples("\"__name__\":\"s\",\"город\":\"Омск\"", 77, (0..5000).map(odd))),
    );
    // Some of it again, in another segment.
    let again = samples("\"__name__\":\"s\",\"شهر\":\"تبریز\"", 1000, (5..50).map(quarters));
    import(&data, &again);
    let ends = ["--start", "-1801", "--end", "4321.5"];
    for (range, origin) in [(&ends[..0], 0), (&ends[..], -1_801_000), (&ends[2..], 0)] {
        let query = ["samples", "s", "--data", &data, "--format", "csv"];
        let plain = run(&[&query[..], range].concat());
        for (step, ms) in [("1h", 3_600_000), ("7s", 7_000), ("100ms", 100), ("2d", 172_800_000)] {
            let ran = run(&[&query[..], range, &["--step", step]].concat());
            assert_eq!((ran.code, ran.err.as_str()), (0, ""));
            let expected = folded(&plain.out, origin, ms);
            assert!(expected.lines().count() > 2, "{expected}");
            let (got, expected) = (ran.out.lines(), expected.lines());
            let differs = got.clone().zip(expected.clone()).find(|(a, b)| a != b);
            assert_eq!(differs, None, "--step {step} {range:?}");
            assert_eq!(got.count(), expected.count(), "--step {step} {range:?}");
        }
    }
    // Four of the first series and one of the second.
    let hours = ["samples", "s", "--data", &data, "--format", "csv", "--step", "1h"];
    let some = run(&[&hours[..], &["--limit", "5"]].concat());
    let all = run(&hours).out;
    assert_eq!(some.out, all.split_inclusive("\r\n").take(6).collect::<String>());
    assert!(some.err.contains("the first 5 buckets") && all.lines().count() == 7, "{}", some.err);
}

#[test]
fn tables_of_steps_are_aligned_whatever_the_script() {
    let lines: String = (1i64..)
        .zip(LABELS)
        .map(|(i, labels)| {
            samples(labels, 3600 * i, ["0.1", "-0", STALE].map(Into::into).into_iter())
        })
        .collect();
    let (_dir, data) = store(&(lines + &line("\"__name__\":\"m\",\"г\":\"я\"", STALE, 5)));
    let ran = run(&["samples", "m", "--step", "1s", "--data", &data]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let rows: Vec<&str> = ran.out.lines().collect();
    assert_eq!(rows.len(), 1 + 3 * LABELS.len() + 1, "{}", ran.out);
    let columns = "START COUNT STALE MIN MAX SUM AVG FIRST LAST SERIES";
    assert_eq!(rows[0].split_whitespace().collect::<Vec<_>>().join(" "), columns);
    let column = rows[0].split("SERIES").next().unwrap().width();
    for row in &rows[1..] {
        let (cells, _) = row.split_at(row.find("m{").unwrap());
        assert_eq!(cells.width(), column, "{row}");
        let cells = cells.split_whitespace().skip(1).collect::<Vec<_>>().join(" ");
        let expected = ["1 0 0.1 0.1 0.1 0.1 0.1 0.1", "1 0 -0 -0 0 0 -0 -0", "0 1 - - - - - -"];
        assert!(expected.contains(&&*cells), "{row}");
    }
    for part in
        ["\"می\u{200c}رود\"", "\"и\u{306}од\"", "\"شهر\"=\"تهران\"", "\"город\"=\"Йошкар-Ола\""]
    {
        assert_eq!(ran.out.matches(part).count(), 3, "{part}: {}", ran.out);
    }
    assert!(ran.out.contains("\n1970-01-01T01:00:02.000Z "), "{}", ran.out);
}

#[test]
fn steps_in_csv_and_json() {
    let metric = "\"__name__\":\"q\",\"a,b\":\"й \\\"x\\\"\"";
    let tenths = samples(metric, 0, (0..10).map(|_| "0.1".to_owned()));
    let huge = samples(metric, 60, ["1.7e308", "1.7e308", "-0"].map(Into::into).into_iter());
    let odd = samples(metric, 120, ["NaN:7ff0000000000003", "2"].map(Into::into).into_iter());
    let (_dir, data) =
        store(&(tenths + &huge + &odd + &samples(metric, 180, [STALE.to_owned()].into_iter())));
    let query = |more: &[&str]| {
        let ran = run(&[&["samples", "q", "--step", "1m", "--data", &data][..], more].concat());
        assert_eq!(ran.code, 0, "{}", ran.err);
        (ran.out, ran.err)
    };
    let csv = "start,count,stale,min,max,sum,avg,first,first_timestamp,last,last_timestamp,__name__,\"a,b\"\r\n\
        0,10,0,0.1,0.1,1,0.1,0.1,0,0.1,9000,q,\"й \"\"x\"\"\"\r\n\
        60000,3,0,-0,1.7e+308,+Inf,,1.7e+308,60000,-0,62000,q,\"й \"\"x\"\"\"\r\n\
        120000,2,0,2,2,NaN,NaN,NaN:7ff0000000000003,120000,2,121000,q,\"й \"\"x\"\"\"\r\n\
        180000,0,1,,,,,,,,,q,\"й \"\"x\"\"\"\r\n";
    assert_eq!(query(&["--format", "csv"]).0, csv);
    let json = "{\"metric\":{\"__name__\":\"q\",\"a,b\":\"й \\\"x\\\"\"},\
        \"start\":[0,60000,120000,180000],\"count\":[10,3,2,0],\"stale\":[0,0,0,1],\
        \"min\":[\"0.1\",\"-0\",\"2\",null],\"max\":[\"0.1\",\"1.7e+308\",\"2\",null],\
        \"sum\":[\"1\",\"+Inf\",\"NaN\",null],\"avg\":[\"0.1\",null,\"NaN\",null],\
        \"first\":[\"0.1\",\"1.7e+308\",\"NaN:7ff0000000000003\",null],\
        \"first_timestamp\":[0,60000,120000,null],\"last\":[\"0.1\",\"-0\",\"2\",null],\
        \"last_timestamp\":[9000,62000,121000,null]}\n";
    assert_eq!(query(&["--json"]).0, json);
    assert_eq!(query(&["--format", "json"]).0, json);
    assert_eq!(query(&["{__name__=~\"q|r\"}", "--json"]).0, json, "a series comes once");
    let parsed: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(parsed["sum"][0], "1");
    // It is not taken for samples.
    let (_other, other) = place();
    let imported = run_with_input(&["import", "--data", &other, "-"], json.as_bytes());
    assert!(
        imported.code != 0 && imported.err.contains("\"values\" is missing"),
        "{}",
        imported.err
    );
    let (out, warning) = query(&["--format", "csv", "--limit", "3"]);
    assert_eq!(out, csv.split_inclusive("\r\n").take(4).collect::<String>());
    assert_eq!(warning, "warning: --limit leaves out what follows the first 3 buckets\n");
    assert_eq!(query(&["--limit", "4"]).1, "");
}

#[test]
fn steps_that_make_no_sense_are_refused() {
    let first = i64::MIN;
    let (_dir, data) =
        store(&(line("\"__name__\":\"a\"", "1", 5) + &line("\"__name__\":\"b\"", "1", first)));
    for (bad, message) in [
        (&["--step", "0s"][..], "must be longer than nothing"),
        (&["--step", "-5m"], "\"-5m\" is not a length of time"),
        (&["--step", "5x"], "\"5x\" is not a length of time"),
        (&["--step", "1h", "--json", "--format", "csv"], "cannot be used with"),
        (&["--step", "1h", "--start", "2", "--end", "1"], "--end is before --start"),
        (&["--step", "300y"], "at most 292y"),
    ] {
        let ran = run(&[&["samples", "a", "--data", &data][..], bad].concat());
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{bad:?}");
        assert!(ran.err.contains(message), "{bad:?}: {}", ran.err);
    }
    // The bucket of the first tick there is begins before it.
    let csv = |series: &str, more: &[&str]| {
        run(&[&["samples", series, "--data", &data, "--format", "csv", "--step", "1h"][..], more]
            .concat())
    };
    let ran = csv("b", &[]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    assert!(ran.err.contains("give --start"), "{}", ran.err);
    assert_eq!(csv("a", &[]).code, 0);
    let ran = csv("b", &["--start", "-292273086-05-16T16:47:06Z"]);
    assert!(ran.code == 0 && ran.out.contains(&format!("\n{first},1,0,1,1,1,1,1,")), "{}", ran.out);
    // A store of whole seconds.
    let (_seconds, data) = place();
    assert_eq!(Serving::start_with(&data, &["--ticks-per-second", "1"]).end("-TERM"), Some(0));
    import(&data, &line("\"__name__\":\"a\"", "1", 90));
    let ran = run(&["samples", "a", "--data", &data, "--step", "1500ms"]);
    assert!(ran.code == 2 && ran.err.contains("not a whole number of ticks"), "{}", ran.err);
    let ran = run(&["samples", "a", "--data", &data, "--step", "1m"]);
    assert!(ran.code == 0 && ran.out.contains("\n1970-01-01T00:01:00Z "), "{}", ran.out);
}
