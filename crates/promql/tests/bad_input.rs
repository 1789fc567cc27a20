//! Queries, times and sources that nobody should send: a clear error or an answer, never a panic,
//! and bounded memory.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use siltstone::sys::SimClock;
use siltstone::{Cancel, Timestamp};
use siltstone_promql::source::{SampleColumns, SourceError};
use siltstone_promql::{
    Answer, Control, DEPTH_MAX, Engine, Features, LabelSet, Limits, MemorySource, Point, Query,
    QueryError, QueryValue, Queryable, SelectRequest, SeriesList,
};

/// Series `a` and `b`, each with a sample every 15 s from -10 to 10 minutes.
fn source(series: usize) -> MemorySource {
    let mut source = MemorySource::new();
    for number in 0..series {
        for name in ["a", "b"] {
            let labels = LabelSet::from_pairs([("__name__", name), ("x", &number.to_string())]);
            for at in -40..40 {
                source.insert(&labels, at * 15_000, 0, Point::Float(at as f64));
            }
        }
    }
    source
}

fn parsed(text: &str) -> Query {
    Query::parse(text, Features::experimental()).unwrap_or_else(|e| panic!("{text:.100}: {e}"))
}

/// An engine that holds little and takes no time.
fn engine(change: impl FnOnce(&mut Limits)) -> Engine {
    let limits =
        Limits { samples: 1_000_000, bytes: 64 << 20, series: 1_000, steps: 1_000_000, time: None };
    let mut engine = Engine { limits, ..Engine::default() };
    change(&mut engine.limits);
    engine
}

fn both(engine: &Engine) -> [Engine; 2] {
    [true, false].map(|optimise| {
        let mut engine = engine.clone();
        engine.optimise = optimise;
        engine
    })
}

fn text(answer: &Result<Answer, QueryError>) -> String {
    match answer {
        Ok(_) => "an answer".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn times_of_range_queries() {
    let (source, query) = (source(1), parsed("a"));
    let (min, max) = (i64::MIN, i64::MAX);
    for ((start, end), step, says) in [
        ((0, 1000), 0, "zero or negative query resolution step widths are not accepted"),
        ((0, 1000), -5, "zero or negative query resolution step widths are not accepted"),
        ((0, 1000), min, "zero or negative query resolution step widths are not accepted"),
        ((1000, 0), 10, "end timestamp must not be before start time"),
        ((max, min), 10, "end timestamp must not be before start time"),
        ((0, 999_999), 1, "an answer"),
        ((0, 1_000_000), 1, "more than the limit of 1000000 steps"),
        ((min, max), 1, "more than the limit of 1000000 steps"),
        ((min, max), max, "an answer"),
        ((min, min), 1, "an answer"),
        ((max, max), max, "an answer"),
        ((max - 5, max), 3, "an answer"),
    ] {
        for engine in both(&engine(|_| ())) {
            let answer = engine.range(&source, &query, (start, end), step);
            assert!(text(&answer).contains(says), "{start} {end} {step}: {}", text(&answer));
            let _ = engine.explain(&MemorySource::new(), &query, (start, end), step);
        }
    }
}

/// Everything that computes with times, at their ends.
#[test]
fn times_at_the_ends_of_what_there_is() {
    let source = source(2);
    let queries = [
        "a",
        "a offset 292y",
        "a offset -292y",
        "a @ 9.2e15",
        "a @ -9.2e15 offset 292y",
        "rate(a[292y])",
        "rate(a[292y] offset -292y)",
        "a[292y]",
        "a[5m] @ -9.2e15",
        "increase(a[1ms] anchored)",
        "increase(a[292y] smoothed)",
        "a smoothed",
        "predict_linear(a[5m], 1e300)",
        "deriv(a[292y])",
        "timestamp(a)",
        "time() + timestamp(a offset 1h)",
        "year() + month(vector(time() * 1e300)) + hour(vector(-1e30))",
        "max_over_time(a[10m:1m])",
        "max_over_time(a[10m:1m] offset 292y)",
        "max_over_time(rate(a[10m:1m])[1h:5m] @ 9.2e15 offset -292y)",
        "max_over_time(a[292y:1ms])",
        "sum_over_time(vector(time())[292y:292y])",
        "absent_over_time(a[292y:146y])",
        "range() + start() + end() + step()",
        "sum(info(a))",
        "topk(1e18, a) + quantile(1e300, a) + limitk(4294967297, a)",
        "double_exponential_smoothing(a[292y], 0.5, 0.5)",
    ];
    let (min, max) = (i64::MIN, i64::MAX);
    for text in queries {
        let query = parsed(text);
        for engine in both(&engine(|_| ())) {
            for time in [min, min + 1, -1, 0, 1, max - 1, max] {
                let _ = engine.instant(&source, &query, time);
            }
            for (start, end, step) in
                [(min, max, max), (min, min + 10, 3), (max - 10, max, 3), (-1, 1, max), (0, 9, 1)]
            {
                let _ = engine.range(&source, &query, (start, end), step);
                let _ = engine.explain(&MemorySource::new(), &query, (start, end), step);
            }
        }
    }
}

/// These are refused when they are read, or when the steps are known.
#[test]
fn lengths_that_are_none() {
    let features = Features::experimental();
    for (query, says) in [
        ("a offset 1e30", "duration out of range"),
        ("a @ 1e30", "timestamp out of bounds"),
        ("a @ Inf", "timestamp out of bounds"),
        ("a @ NaN", "timestamp out of bounds"),
        ("rate(a[1e30])", "duration out of range"),
        ("rate(a[0])", "duration must be greater than 0"),
        ("max_over_time(a[5m:0])", "duration must be greater than 0"),
    ] {
        let error = Query::parse(query, features).map(drop).unwrap_err().to_string();
        assert!(error.contains(says), "{query}: {error}");
    }
    for (query, says) in [
        ("a offset (1e9 * 1e9)", "duration is out of range"),
        ("rate(a[1m - 1m])", "duration must be greater than 0"),
        ("rate(a[1m ^ 300])", "duration is out of range"),
        ("max_over_time(a[5m:step()])", "duration must be greater than 0"),
        ("rate(a[1m / range()])", "division by zero"),
    ] {
        let answer = engine(|_| ()).instant(&source(1), &parsed(query), 0);
        assert!(text(&answer).contains(says), "{query}: {}", text(&answer));
    }
}

#[test]
fn numbers_that_no_operator_takes() {
    for query in ["1 </ 2", "1 >/ 2", "a </ 2", "a </ b", "2 >/ a", "vector(1) </ scalar(a)"] {
        let is_scalar = query.starts_with('1');
        for engine in both(&engine(|_| ())) {
            let answer = engine.range(&source(1), &parsed(query), (0, 60_000), 15_000);
            let refused = text(&answer).ends_with("not allowed for Scalar operations");
            assert_eq!(refused, is_scalar, "{query}: {}", text(&answer));
        }
    }
}

/// Runs `test` on a thread with the stack of a worker, 2 MiB.
fn on_a_small_stack(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        thread.spawn_scoped(scope, test).unwrap().join().unwrap();
    });
}

#[test]
fn chains_of_many_terms() {
    on_a_small_stack(|| {
        let source = source(1);
        for (first, term) in [
            ("a", " + a"),
            ("1", " ^ 1"),
            ("time()", " ^ time()"),
            ("a", " + 1"),
            ("1", " + a"),
            ("a", " and a"),
            ("a", " == bool a"),
            ("a", " ^ a"),
            ("a", " + on (x) a @ 0"),
            ("", "-1"),
        ] {
            let query = parsed(&format!("{first}{}", term.repeat(20_000)));
            for engine in both(&engine(|limits| limits.series = 100_000)) {
                engine.instant(&source, &query, 0).unwrap();
                engine.range(&source, &query, (0, 15_000), 15_000).unwrap();
                assert!(engine.explain(&source, &query, (0, 15_000), 15_000).unwrap().len() > 10);
            }
        }
    });
}

#[test]
fn the_deepest_nesting() {
    on_a_small_stack(|| {
        let source = source(2);
        for (open, close) in [
            ("(", ")"),
            ("-(", ")"),
            ("abs(", ")"),
            ("sum by (x) (", ")"),
            ("sort(", ")"),
            ("label_replace(", ", \"y\", \"$1\", \"x\", \"(.*)\")"),
            ("max_over_time((", ")[1m:30s])"),
            ("topk(scalar(a) + 1, ", ")"),
            ("a + (", ")"),
            ("clamp(a, 1, scalar(", "))"),
        ] {
            let depth = (DEPTH_MAX - 1) / open.matches('(').count();
            let query = parsed(&(open.repeat(depth) + "a" + &close.repeat(depth)));
            for engine in both(&engine(|limits| limits.series = 100_000)) {
                for answer in [
                    engine.instant(&source, &query, 0),
                    engine.range(&source, &query, (0, 30_000), 15_000),
                ] {
                    let is_scalar_of_two = open.starts_with("topk");
                    let expected =
                        if is_scalar_of_two { "Parameter value is NaN" } else { "an answer" };
                    assert!(text(&answer).contains(expected), "{open}: {}", text(&answer));
                }
                assert!(engine.explain(&source, &query, (0, 1), 1).is_ok());
            }
        }
    });
}

/// What a short text may ask for: each is refused before it is there.
#[test]
fn small_queries_for_much_memory() {
    let source = source(50);
    let ends = (0, 999_999);
    let doubled = |call: &str, end: &str, times: usize| {
        (0..times).fold("a".to_owned(), |inner, _| format!("{call}({inner}{end})"))
    };
    for (query, says) in [
        ("a + b".to_owned(), "bytes of values"),
        ("a @ 0".to_owned(), "bytes of values"),
        ("sum by (x) (a)".to_owned(), "bytes of values"),
        ("quantile(0.5, a)".to_owned(), "bytes of values"),
        ("count_values(\"y\", a)".to_owned(), "bytes of values"),
        (format!("time(){}", " ^ time()".repeat(5_000)), "bytes of values"),
        (format!("a{}", " + time()".repeat(5_000)), "bytes of values"),
        ("vector(time()) or vector(pi()) or b".to_owned(), "bytes of values"),
        (doubled("label_join", ", \"x\", \"\", \"x\", \"x\"", 100), "bytes of"),
        (doubled("label_replace", ", \"x\", \"$1$1\", \"x\", \"(.*)\"", 100), "bytes of"),
        ("max_over_time(a[30d:1s])".to_owned(), "steps"),
        ("max_over_time(a[1d:1s])".to_owned(), "bytes of values"),
    ] {
        for engine in both(&engine(|limits| limits.samples = u64::MAX)) {
            let query = parsed(&query);
            let answer = engine.range(&source, &query, ends, 1);
            let refused = text(&answer);
            assert!(refused.contains(says), "{:.60}: {refused}", query.text());
        }
    }
}

#[test]
fn label_sets_of_many_bytes() {
    let mut source = MemorySource::new();
    let long = "v".repeat(100_000);
    for number in 0..100 {
        let name = format!("{number}{long}");
        let labels = LabelSet::from_pairs([("__name__", "a"), (&name, &long), ("y", &name)]);
        source.insert(&labels, 0, 0, Point::Float(1.0));
    }
    for query in [
        "sum(a)",
        "count by (y) (a)",
        "label_replace(a, \"z\", \"$1\", \"y\", \"(.*)\")",
        "a + ignoring (z) a",
        "sort_by_label(a, \"y\")",
        "count_values without (z) (\"z\", a)",
        "limit_ratio(0.5, a)",
    ] {
        for engine in both(&engine(|_| ())) {
            let answer = engine.instant(&source, &parsed(query), 0);
            assert!(
                answer.is_ok() || text(&answer).contains("limit"),
                "{query}: {}",
                text(&answer)
            );
        }
    }
}

#[test]
fn limits_are_named() {
    let source = source(200);
    for (change, says) in [
        ((|limits| limits.samples = 1_000) as fn(&mut Limits), "limit of 1000 samples"),
        (|limits| limits.series = 100, "limit of 100 series"),
        (|limits| limits.bytes = 1_000, "limit of 1000 bytes of values"),
        (|limits| limits.steps = 3, "limit of 3 steps"),
    ] {
        for engine in both(&engine(change)) {
            let answer =
                engine.range(&source, &parsed("sum(rate(a[5m])) + a"), (0, 60_000), 15_000);
            assert!(text(&answer).contains(says), "{}", text(&answer));
            assert!(matches!(answer, Err(QueryError::Limit { .. })));
        }
    }
}

/// What a source does when its samples are asked for.
type OnFold = Box<dyn Fn() -> Result<(), SourceError> + Send + Sync>;

/// The series of another source, with something that happens on the way.
struct Troubled {
    inner: MemorySource,
    list_fails: bool,
    on_fold: OnFold,
}

impl Queryable for Troubled {
    fn list<'a>(
        &'a self,
        selection: &SelectRequest<'_>,
        control: &Control,
    ) -> Result<Box<dyn SeriesList + 'a>, SourceError> {
        if self.list_fails {
            return Err("the disk is on fire".into());
        }
        let inner = self.inner.list(selection, control)?;
        Ok(Box::new(TroubledList { inner, on_fold: &self.on_fold }))
    }
}

struct TroubledList<'a> {
    inner: Box<dyn SeriesList + 'a>,
    on_fold: &'a OnFold,
}

impl SeriesList for TroubledList<'_> {
    fn labels(&self) -> &[LabelSet] {
        self.inner.labels()
    }

    fn fold(
        &self,
        numbers: &[u32],
        visit: &mut dyn FnMut(u32, SampleColumns<'_>) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        self.inner.fold(numbers, &mut |number, columns| {
            (self.on_fold)()?;
            visit(number, columns)
        })
    }
}

const ALL_WAYS_TO_READ: &[&str] =
    &["a", "sum(a)", "rate(a[5m])", "a[5m]", "max_over_time(a[5m:1m])", "a + b", "absent(a)"];

#[test]
fn sources_that_fail() {
    let troubled = |list_fails, on_fold| Troubled { inner: source(100), list_fails, on_fold };
    let at_list = troubled(true, Box::new(|| Ok(())));
    let folds = AtomicUsize::new(0);
    let at_fold = troubled(
        false,
        Box::new(move || match folds.fetch_add(1, Ordering::Relaxed) % 50 {
            49 => Err("the disk is on fire".into()),
            _ => Ok(()),
        }),
    );
    for query in ALL_WAYS_TO_READ {
        for engine in both(&engine(|_| ())) {
            for source in [&at_list, &at_fold] {
                let answer = engine.instant(source, &parsed(query), 0);
                assert!(matches!(answer, Err(QueryError::Source(_))), "{query}");
                assert_eq!(text(&answer), "reading series: the disk is on fire");
            }
        }
    }
}

#[test]
fn a_query_is_cancelled_while_it_reads() {
    for query in ALL_WAYS_TO_READ {
        for engine in both(&engine(|_| ())) {
            let cancel = Cancel::default();
            let (wanted, waiting) = std::sync::mpsc::channel();
            let (own, seen) = (cancel.clone(), AtomicUsize::new(0));
            let on_fold: OnFold = Box::new(move || {
                // The 10th series waits for the other thread.
                if seen.fetch_add(1, Ordering::SeqCst) == 10 {
                    let _ = wanted.send(());
                    while !own.is_cancelled() {
                        std::thread::yield_now();
                    }
                }
                Ok(())
            });
            let source = Troubled { inner: source(100), list_fails: false, on_fold };
            let cancelled = engine.cancelled_by(cancel.clone());
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    let _ = waiting.recv();
                    cancel.cancel();
                });
                let answer = cancelled.instant(&source, &parsed(query), 0);
                assert!(matches!(answer, Err(QueryError::Cancelled)), "{query}: {}", text(&answer));
            });
            assert!(engine.instant(&source, &parsed(query), 0).is_ok(), "the engine goes on");
        }
    }
}

#[test]
fn a_query_takes_too_long() {
    for query in ALL_WAYS_TO_READ {
        let clock = Arc::new(SimClock::new(0));
        let mut engine = engine(|limits| limits.time = Some(Duration::from_secs(5)));
        engine.clock = clock.clone();
        let slow: OnFold = Box::new(move || {
            clock.advance(Duration::from_secs(1));
            Ok(())
        });
        let source = Troubled { inner: source(100), list_fails: false, on_fold: slow };
        for engine in both(&engine) {
            let answer = engine.instant(&source, &parsed(query), 0);
            assert!(matches!(answer, Err(QueryError::Timeout)), "{query}: {}", text(&answer));
        }
    }
}

/// A source with more samples than were asked for, in series without any, and with every NaN.
#[test]
fn values_that_are_no_numbers() {
    let mut source = MemorySource::new();
    let bits = [
        0x7ff0_0000_0000_0002_u64,
        0xfff0_0000_0000_0002,
        0x7ff8_0000_0000_0002,
        0x7ff0_0000_0000_0001,
        0xffff_ffff_ffff_ffff,
        0x7ff8_0000_0000_0001,
    ];
    for (number, bits) in (0..).zip(bits) {
        let labels = LabelSet::from_pairs([("__name__", "a"), ("x", &number.to_string())]);
        for at in 0..3 {
            source.insert(&labels, at * 1000 as Timestamp, 0, Point::Float(f64::from_bits(bits)));
        }
    }
    for query in [
        "a",
        "-a",
        "abs(a)",
        "sgn(a)",
        "clamp(a, 0, 1)",
        "a * -1",
        "a == a",
        "a or -a",
        "sum(a)",
        "min(a)",
        "topk(3, a)",
        "quantile(0.5, a)",
        "count_values(\"v\", a)",
        "-scalar(a{x=\"1\"})",
        "vector(-scalar(a{x=\"1\"}))",
        "max_of(scalar(a{x=\"1\"}), NaN)",
        "sort(-a)",
        "last_over_time(a[1m])",
        "min_over_time(a[1m])",
        "mad_over_time(a[1m])",
        "-last_over_time((-a)[1m:1s])",
        "abs(-a)",
        "histogram_quantile(0.5, a)",
        "rate(a[1m])",
    ] {
        for engine in both(&engine(|_| ())) {
            let answer = engine.range(&source, &parsed(query), (0, 3000), 500).unwrap();
            let QueryValue::Matrix(series) = answer.value else { panic!("a matrix") };
            for (_, point) in series.iter().flat_map(|series| &series.points) {
                let Point::Float(value) = point else { panic!("a float") };
                assert_ne!(value.to_bits(), bits[0], "{query}: a stale marker is no result");
            }
        }
    }
}
