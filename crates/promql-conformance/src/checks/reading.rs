//! How scripts are read: values and their repeats, start timestamps, histograms, commands.

use crate::compare::almost_equal;
use crate::expect::Expected;
use crate::model::{CUSTOM_SCHEMA, Hint, Histogram, Labels, STALE_BITS, Sample, Times};
use crate::scan::{Scanner, whole_duration, whole_number};
use crate::script::{Action, Command, Load, read_script};
use crate::series::{Slot, read_series, read_starts};
use crate::store::LastSamples;

fn slots(values: &str) -> Vec<Slot> {
    read_series(&format!("m {values}")).unwrap().slots
}

/// The floats of a line, `None` for omitted slots.
fn floats(values: &str) -> Vec<Option<f64>> {
    let float = |slot: Slot| match slot {
        Slot::Omitted => None,
        Slot::Float(value) => Some(value),
        Slot::Histogram(_) => panic!("a histogram"),
    };
    slots(values).into_iter().map(float).collect()
}

fn histograms(values: &str) -> Vec<Histogram> {
    let histogram = |slot: Slot| match slot {
        Slot::Histogram(written) => written.histogram,
        other => panic!("{other:?}"),
    };
    slots(values).into_iter().map(histogram).collect()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn a_repeat_is_one_more_value_but_for_omitted_ones() {
    assert_eq!(floats("1x3"), [Some(1.0); 4]);
    assert_eq!(floats("_x3"), [None; 3]);
    assert_eq!(floats("_ 2 _"), [None, Some(2.0), None]);
    assert_eq!(floats("1+2x2"), [Some(1.0), Some(3.0), Some(5.0)]);
    assert_eq!(floats("1-2x2"), [Some(1.0), Some(-1.0), Some(-3.0)]);
    assert_eq!(floats("-1x0"), [Some(-1.0)]);
    assert_eq!(floats("0x3"), [Some(0.0); 4], "not a hexadecimal number");
}

#[test]
fn steps_are_added_one_after_the_other() {
    let mut sum = 0.0;
    for value in floats("0+0.1x9").into_iter().flatten() {
        assert_eq!(value, sum);
        sum += 0.1;
    }
    assert_ne!(sum, 0.1 * 10.0, "a product would be another number");
}

#[test]
fn numbers_are_read_as_the_language_writes_them() {
    let read = floats("1e3 -1.5E-3 1_000 .5 Inf -inf 1m 1h30m +7");
    let numbers = [1000.0, -0.0015, 1000.0, 0.5, f64::INFINITY, -f64::INFINITY, 60.0, 5400.0, 7.0];
    assert_eq!(read, numbers.map(Some));
    assert!(floats("NaN")[0].unwrap().is_nan());
    let [Slot::Float(stale), Slot::Float(nan)] = slots("stale nan")[..] else { panic!() };
    assert_eq!(stale.to_bits(), STALE_BITS);
    assert_ne!(nan.to_bits(), STALE_BITS);
    for wrong in ["1+2", "1x", "1xx2", "stalex2", "1m2x", "0x3f", "1x-2", "a", "1x99999999"] {
        assert!(read_series(&format!("m {wrong}")).is_err(), "{wrong}");
    }
}

#[test]
fn scalars_are_integers_of_any_base_or_floats() {
    let texts = ["0x10", "010", "0b11", "-5", "1.5", "1e3", "0", "Inf", "-inf", "09", "1_0"];
    let values = [16.0, 8.0, 3.0, -5.0, 1.5, 1000.0, 0.0, f64::INFINITY, -f64::INFINITY, 9.0, 10.0];
    for (text, value) in texts.into_iter().zip(values) {
        assert_eq!(whole_number(text), Some(value), "{text}");
    }
    assert!(whole_number("NaN").unwrap().is_nan());
    for series in ["m", "m 1", "{} 5", "info", "-", "", "e5", "+-1"] {
        assert_eq!(whole_number(series), None, "{series}");
    }
}

#[test]
fn durations_have_each_unit_once_and_in_order() {
    assert_eq!(whole_duration("1w2d3h4m5s6ms"), Ok(788_645_006));
    assert_eq!(whole_duration("1y"), Ok(31_536_000_000));
    assert_eq!(whole_duration("0"), Ok(0));
    for wrong in ["", "5", "1m1h", "1m1m", "-1m", "1.5m", "1m ", "1x"] {
        assert!(whole_duration(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn labels_are_names_strings_and_a_metric() {
    let read = |text: &str| read_series(text).unwrap().labels;
    assert_eq!(read("m"), labels(&[("__name__", "m")]));
    assert_eq!(read("{}"), labels(&[]));
    assert_eq!(
        read(r#"sum:x{a="1", b='it"s', c=`\n`, d="\x41\u00e9\n", e="",}"#),
        labels(&[("__name__", "sum:x"), ("a", "1"), ("b", "it\"s"), ("c", "\\n"), ("d", "Aé\n")])
    );
    assert_eq!(
        read(r#"{"a name", l="v", "ü"="w"}"#),
        labels(&[("__name__", "a name"), ("l", "v"), ("ü", "w")])
    );
    assert_eq!(read_series("m {a=\"1\"} 2").unwrap().labels.len(), 2);
    for wrong in ["", "{a}x", "m{a=1}", "m{a=\"1\"", "m{a=\"\\q\"}", "m{a=\"1\" b=\"2\"}"] {
        assert!(read_series(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn start_timestamps_are_offsets_for_each_slot() {
    let offsets = |text: &str| read_starts(&format!("m{{a=\"1\"}}@st {text}")).unwrap();
    assert_eq!(
        offsets("_ _x2 -1m 0 +5ms -1mx1 -30s-1mx2").unwrap().offsets,
        [
            None,
            None,
            None,
            Some(-60_000),
            Some(0),
            Some(5),
            Some(-60_000),
            Some(-60_000),
            Some(-30_000),
            Some(-90_000),
            Some(-150_000)
        ]
    );
    assert!(offsets("5").is_err() && offsets("1m+1m").is_err() && offsets("1mx").is_err());
    assert!(read_starts("m 1 2").is_none());
}

#[test]
fn histograms_have_all_keys() {
    let read = histograms(
        "{{schema:1 count:6 sum:-2.5 z_bucket:1 z_bucket_w:0.5 buckets:[1 0 2] offset:-1 \
         n_buckets:[2] n_offset:3 counter_reset_hint:gauge}}",
    );
    let expected = Histogram {
        schema: 1,
        count: 6.0,
        sum: -2.5,
        zero_count: 1.0,
        zero_threshold: 0.5,
        positive: vec![(-1, 1.0), (0, 0.0), (1, 2.0)],
        negative: vec![(3, 2.0)],
        custom_values: vec![],
        hint: Hint::Gauge,
    };
    assert_eq!(read, [expected]);
    assert_eq!(histograms("{{}}x2"), vec![Histogram::default(); 3]);
    for wrong in ["{{count:1 count:2}}", "{{x:1}}", "{{count:}}", "{{buckets:[1}}", "{{"] {
        assert!(read_series(&format!("m {wrong}")).is_err(), "{wrong}");
    }
}

#[test]
fn histograms_are_added_one_after_the_other_at_the_coarser_schema() {
    let sums = histograms(
        "{{schema:-1 sum:4 count:1 buckets:[1] offset:1}}+{{schema:0 sum:4 count:4 buckets:[2 2 1] \
         offset:1}}x2",
    );
    assert_eq!(sums.len(), 3);
    assert_eq!(sums[2].positive, [(1, 9.0), (2, 2.0)]);
    assert_eq!((sums[2].count, sums[2].sum, sums[2].schema), (9.0, 12.0, -1));
    assert!(read_series("m {{schema:1}}+{{schema:0}}x2").is_err());
    assert_eq!(histograms("{{count:5}}-{{count:2}}x1")[1].count, 3.0);
}

fn commands(text: &str) -> Vec<Command> {
    read_script(text).unwrap()
}

fn load(text: &str) -> Load {
    match commands(text).remove(0).action {
        Action::Load(load) => load,
        other => panic!("{other:?}"),
    }
}

#[test]
fn comments_and_empty_lines_end_bodies() {
    let script = "load 5m\n  m 1\n# end\n\neval instant at 0 m\n m 1\n#\neval instant at 1m m\n";
    let read = commands(script);
    assert_eq!(read.iter().map(|command| command.line).collect::<Vec<_>>(), [1, 5, 8]);
    let Action::Eval(Ok(case)) = &read[1].action else { panic!() };
    assert_eq!((case.query.as_str(), case.times), ("m", Times::Instant(0)));
    assert!(matches!(&case.expectations.value, Expected::Series(series) if series.len() == 1));
    let Action::Eval(Ok(case)) = &read[2].action else { panic!() };
    assert!(matches!(&case.expectations.value, Expected::Series(series) if series.is_empty()));
    assert!(read_script("load 5m\n\n m 1\n").is_err(), "a series is no command");
}

#[test]
fn a_bare_number_ends_a_case() {
    let read = commands("eval instant at 0 1\n  1\neval instant at 0 2\n  2\nclear");
    assert_eq!(read.len(), 3);
    assert_eq!(read[1].line, 3);
}

#[test]
fn wrong_cases_are_wrong_alone() {
    for wrong in [
        "eval instant at 0 m\n expect warn\n expect no_warn",
        "eval instant at 0 m\n expect fail\n expect fail",
        "eval instant at 0 m\n expect nothing",
        "eval instant at 0 m\n m 1 2",
        "eval instant m\n m 1",
        "eval range from 5m to 1m step 1m m\n m 1",
    ] {
        let read = commands(&format!("{wrong}\n\neval instant at 0 m"));
        assert!(matches!(read[0].action, Action::Eval(Err(_))), "{wrong}");
        assert!(matches!(read[1].action, Action::Eval(Ok(_))), "{wrong}");
    }
}

#[test]
fn later_lines_of_a_load_replace_earlier_ones() {
    let read = load("load 1m\n m 1\n n 2\n m 3");
    let slots: Vec<&[Slot]> = read.series.iter().map(|series| series.slots.as_slice()).collect();
    assert_eq!(slots, [[Slot::Float(2.0)], [Slot::Float(3.0)]]);
    for wrong in ["m@st 1m\n n 1", "m@st 1m\n m 1 2", "m@st 1m", "m@st 1m\n m@st 1m\n m 1"] {
        assert!(read_script(&format!("load 1m\n {wrong}")).is_err(), "{wrong}");
    }
}

#[test]
fn samples_have_their_times_and_starts() {
    let series = LastSamples::default().samples_of(&load("load 1m\n m@st _ -30s _\n m 1 2 _x1"));
    let series = series.unwrap();
    let samples: Vec<(i64, i64)> = series[0].1.iter().map(|s| (s.time, s.start)).collect();
    assert_eq!(samples, [(0, 0), (60_000, 30_000)]);
}

#[test]
fn hints_are_those_that_a_store_gives_back() {
    let hints = |values: &str| -> Vec<Option<Hint>> {
        let load = load(&format!("load 1m\n m {values}"));
        let samples = LastSamples::default().samples_of(&load).unwrap().remove(0).1;
        let hint = |value| match value {
            Sample::Float(_) => None,
            Sample::Histogram(histogram) => Some(histogram.hint),
        };
        samples.into_iter().map(|sample| hint(sample.value)).collect()
    };
    let (unknown, not_reset, gauge) =
        (Some(Hint::Unknown), Some(Hint::NotReset), Some(Hint::Gauge));
    assert_eq!(hints("{{count:1}} {{count:2}} {{count:1}}"), [unknown, not_reset, unknown]);
    assert_eq!(hints("{{count:1}} {{count:1 counter_reset_hint:reset}}"), [unknown, unknown]);
    assert_eq!(
        hints("{{}} {{counter_reset_hint:gauge}} {{counter_reset_hint:gauge}} {{}} {{}}"),
        [unknown, gauge, gauge, unknown, not_reset]
    );
    assert_eq!(hints("{{}} 1 {{}} stale {{}}"), [unknown, None, unknown, None, unknown]);
    assert_eq!(
        hints("{{buckets:[0 1]}} {{buckets:[1 1]}} {{buckets:[1]}}"),
        [unknown, not_reset, unknown]
    );
    assert_eq!(hints("{{schema:1}} {{schema:0}}"), [unknown, unknown]);
}

#[test]
fn classic_histograms_become_native_ones() {
    let native = |lines: &str| {
        let load = load(&format!("load_with_nhcb 1m\n {lines}"));
        let mut series = LastSamples::default().samples_of(&load)?;
        let (labels, mut samples) = series.pop().ok_or("no series")?;
        match samples.remove(0).value {
            Sample::Histogram(histogram) => Ok((labels, *histogram)),
            Sample::Float(_) => Err("no histogram".to_owned()),
        }
    };
    let all = "h_bucket{le=\"2\",a=\"b\"} 3\n h_bucket{le=\"1\",a=\"b\"} 1\n h_bucket{le=\"+Inf\",a=\"b\"} 3";
    let (of, histogram) = native(&format!("{all}\n h_sum{{a=\"b\"}} 9")).unwrap();
    assert_eq!(of, labels(&[("__name__", "h"), ("a", "b")]));
    assert_eq!((histogram.schema, histogram.count, histogram.sum), (CUSTOM_SCHEMA, 3.0, 9.0));
    assert_eq!(histogram.custom_values, [1.0, 2.0]);
    assert_eq!(histogram.positive, [(0, 1.0), (1, 2.0)]);
    let (_, histogram) = native("h_bucket{le=\"1\"} 1\n h_count 4").unwrap();
    assert_eq!(histogram.positive, [(0, 1.0), (1, 3.0)], "the infinite bucket is the count");
    assert!(native("h_bucket{le=\"1\"} 2\n h_bucket{le=\"2\"} 1").is_err(), "not cumulative");
    assert!(native("h_bucket{le=\"2\"} 1\n h_bucket{le=\"1\"} 2").is_err(), "in any order");
    assert!(native("h_bucket 2").is_err(), "no bound");
    assert!(native(&format!("{all}\n h_count{{a=\"b\"}} 4")).is_err(), "another count");
    assert!(native("h_bucket{le=\"x\"} 2").is_err(), "not read, so that there is none");
}

#[test]
fn strings_hold_any_bytes() {
    let quoted = |text: &str| Scanner::new(text).quoted();
    assert_eq!(quoted(r#""a\xc5z""#).unwrap(), b"a\xc5z");
    assert_eq!(quoted(r"'\101\t\U0001F600'").unwrap(), "A\t😀".as_bytes());
    assert!(quoted("\"a").is_err() && quoted(r#""\400""#).is_err() && quoted("a").is_err());
}

#[test]
fn numbers_are_equal_up_to_a_millionth() {
    let stale = f64::from_bits(STALE_BITS);
    assert!(almost_equal(stale, stale) && !almost_equal(stale, f64::NAN));
    assert!(almost_equal(f64::NAN, f64::NAN) && !almost_equal(f64::NAN, 0.0));
    assert!(almost_equal(f64::INFINITY, f64::INFINITY));
    assert!(!almost_equal(f64::INFINITY, -f64::INFINITY));
    assert!(almost_equal(0.0, -0.0) && !almost_equal(0.0, 1e-300));
    assert!(almost_equal(0.0, 1e-320) && !almost_equal(1e-310, 2e-310));
    assert!(almost_equal(1.0, 1.000_001_9) && !almost_equal(1.0, 1.000_002_1));
    assert!(!almost_equal(1.0, -1.0) && !almost_equal(f64::MAX, -f64::MAX));
}
