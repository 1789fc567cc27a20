//! `samples`: values that read back, tables that stay aligned, CSV that others read.

use unicode_width::UnicodeWidthStr;

use crate::harness::{filled, line, place, run, run_with_input};

/// Values that a careless printer changes, with what is written for each.
const VALUES: [(&str, u64); 10] = [
    ("0.1", 0x3fb9_9999_9999_999a),
    ("0.30000000000000004", 0x3fd3_3333_3333_3334),
    ("-0", 1 << 63),
    ("5e-324", 1),
    ("1.7976931348623157e+308", 0x7fef_ffff_ffff_ffff),
    ("+Inf", 0x7ff0_0000_0000_0000),
    ("-Inf", 0xfff0_0000_0000_0000),
    ("NaN", 0x7ff8_0000_0000_0000),
    ("NaN:7ff0000000000002", 0x7ff0_0000_0000_0002),
    ("123456789", 0x419d_6f34_5400_0000),
];

/// Labels in scripts whose characters are wider, narrower or joined: display width is neither bytes
/// nor characters.
pub(crate) const LABELS: [&str; 7] = [
    "\"__name__\":\"m\",\"شهر\":\"تهران\"",
    "\"__name__\":\"m\",\"حالت\":\"می\u{200c}رود\"",
    "\"__name__\":\"m\",\"город\":\"Йошкар-Ола\"",
    "\"__name__\":\"m\",\"м\":\"и\u{306}од\"",
    "\"__name__\":\"m\",\"emoji\":\"👩\u{200d}🚀\"",
    "\"__name__\":\"m\",\"漢\":\"字\"",
    "\"__name__\":\"m\",\"plain\":\"x\"",
];

pub(crate) fn store(lines: &str) -> (tempfile::TempDir, String) {
    let (dir, data) = place();
    let ran = run_with_input(&["import", "--data", &data, "-"], lines.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.err);
    (dir, data)
}

#[test]
fn values_read_back_bit_for_bit_in_every_format() {
    let lines: String = (0i64..)
        .zip(VALUES)
        .map(|(time, (text, _))| line("\"__name__\":\"v\"", text, time))
        .collect();
    let (_dir, data) = store(&lines);
    let texts = |out: &str, column: usize| -> Vec<String> {
        let separators: &[char] = if out.contains(',') { &[','] } else { &[' '] };
        let cell = |line: &str| {
            let mut cells = line.split(separators).filter(|cell| !cell.is_empty());
            cells.nth(column).unwrap().to_owned()
        };
        out.lines().skip(1).map(cell).collect()
    };
    let table = run(&["samples", "v", "--data", &data]);
    assert_eq!((table.code, table.err.as_str()), (0, ""));
    let csv = run(&["samples", "v", "--data", &data, "--format", "csv"]);
    for shown in [texts(&table.out, 1), texts(&csv.out, 1)] {
        assert_eq!(shown.len(), VALUES.len());
        for (shown, (text, bits)) in shown.iter().zip(VALUES) {
            assert_eq!(shown, text);
            let read = siltstone_server::protocol::number::parse_exact(shown.as_bytes());
            assert_eq!(read.unwrap().to_bits(), bits, "{text}");
        }
    }
    // JSON is what import reads.
    let json = run(&["samples", "v", "--data", &data, "--format", "json"]);
    assert_eq!(json.out, run(&["export", "--data", &data]).out);
    assert_eq!(json.out, run(&["samples", "v", "--data", &data, "--json"]).out);
    let (_copy, copied) = store(&json.out);
    assert_eq!(run(&["digest", "--data", &data, "--compare", &copied]).code, 0);
}

#[test]
fn tables_are_aligned_whatever_the_script() {
    let lines: String = (1i64..).zip(LABELS).map(|(t, labels)| line(labels, "1.5", t)).collect();
    let (_dir, data) = store(&lines);
    let ran = run(&["samples", "m", "--data", &data]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let rows: Vec<&str> = ran.out.lines().collect();
    assert_eq!(rows.len(), LABELS.len() + 1);
    let column = rows[0].split("SERIES").next().unwrap().width();
    for row in &rows[1..] {
        let start = row.find("m{").unwrap();
        assert_eq!(row[..start].width(), column, "{row}");
        assert!(row[..start].trim_end().ends_with(" 1.5") && row.starts_with("1970-01-01T00:00"));
    }
    // Letters, their marks and their joiners are shown as they are.
    for part in ["\"می\u{200c}رود\"", "\"и\u{306}од\"", "👩\u{200d}🚀", "\"شهر\"=\"تهران\""]
    {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
}

#[test]
fn csv_has_a_column_for_each_label_and_quotes_what_it_must() {
    let lines = line("\"__name__\":\"q\",\"a,b\":\"say \\\"x\\\"\"", "1", -5)
        + &line("\"__name__\":\"q\",\"two\":\"l1\\nl2\"", "2", 7)
        + &line("\"__name__\":\"other\",\"unseen\":\"x\"", "2", 7);
    let (_dir, data) = store(&lines);
    let ran = run(&["samples", "q", "--data", &data, "--format", "csv"]);
    let expected = "timestamp,value,__name__,\"a,b\",two\r\n\
                    -5,1,q,\"say \"\"x\"\"\",\r\n\
                    7,2,q,,\"l1\nl2\"\r\n";
    assert_eq!((ran.code, ran.out.as_str()), (0, expected), "{}", ran.err);
}

#[test]
fn ranges_limits_and_several_selectors() {
    let (_dir, data) = filled();
    let count = |args: &[&str]| {
        let ran = run(&[&["samples", "--data", &data, "--format", "csv"][..], args].concat());
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        (ran.out.lines().count() - 1, ran.err)
    };
    let all = "{__name__!=\"\"}";
    assert_eq!(count(&[all]).0, 3);
    assert_eq!(count(&["a", "{__name__=~\"a|b\"}"]).0, 2, "a series comes once");
    assert_eq!(count(&[all, "--start", "2", "--end", "2"]).0, 1);
    assert_eq!(count(&["none"]).0, 0);
    let (rows, warning) = count(&[all, "--limit", "2"]);
    assert_eq!(rows, 2);
    assert!(warning.starts_with("warning: --limit leaves out what follows"), "{warning}");
    assert_eq!(count(&[all, "--limit", "3"]), (3, String::new()), "nothing was left out");
    assert_eq!(count(&[all, "--limit", "0"]).0, 0);
    for bad in [
        &["samples", "--data", &data][..],
        &["samples", "--data", &data, "a{"],
        &["samples", "--data", &data, "{a=\"\"}"],
        &["samples", "--data", &data, "a", "--start", "2", "--end", "1"],
        &["samples", "--data", &data, "a", "--json", "--format", "csv"],
    ] {
        assert_eq!(run(bad).code, 2, "{bad:?}");
    }
}

#[test]
fn a_long_table_is_printed_in_pages_under_one_heading() {
    let values = vec!["\"0.25\""; 2500].join(",");
    let times: Vec<String> = (0..2500).map(|t| t.to_string()).collect();
    let (_dir, data) = store(&format!(
        "{{\"metric\":{{\"__name__\":\"long\"}},\"values\":[{values}],\"timestamps\":[{}]}}\n",
        times.join(",")
    ));
    let ran = run(&["samples", "long", "--data", &data]);
    assert_eq!(ran.out.lines().count(), 2501);
    assert_eq!(ran.out.matches("TIME").count(), 1);
    assert_eq!(ran.out.lines().last(), Some("1970-01-01T00:00:02.499Z   0.25  long"));
}
