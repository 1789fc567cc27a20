//! Runs a script: every case in all ways that the format asks for.
//!
//! Each evaluation is repeated in every other [`Setting`] and must answer the same bits. A case that
//! panics is a miss like any other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;

use regex::Regex;

use crate::compare::{check_annotations, check_sorted, check_value};
use crate::expect::{Case, Expected};
use crate::language::{Language, Setting};
use crate::model::{Answer, Labels, Sample, Times, Value};
use crate::script::{Action, read_script};
use crate::store::LastSamples;

/// How far a range query around an instant reaches to both sides, and its step: a minute.
const AROUND_MS: i64 = 60_000;

/// What came of the cases of one script.
#[derive(Debug, Default)]
pub struct FileReport {
    /// The script's file.
    pub name: String,
    /// The lines of all cases that ran.
    pub lines: Vec<usize>,
    /// The cases that did not pass.
    pub misses: Vec<Miss>,
}

/// A case whose expectations were not met.
#[derive(Debug)]
pub struct Miss {
    /// Where the case stands.
    pub line: usize,
    /// What was asked.
    pub query: String,
    /// What was expected and did not come.
    pub reason: String,
}

impl FileReport {
    /// How many cases passed.
    pub fn passed(&self) -> usize {
        self.lines.len() - self.misses.len()
    }
}

/// Runs the cases of a script, or only that of one line. An error is one of the script itself.
pub fn run_script<L: Language>(
    language: &L,
    name: &str,
    text: &str,
    only_line: Option<usize>,
) -> Result<FileReport, String> {
    let mut report = FileReport { name: name.to_owned(), ..FileReport::default() };
    let mut store = L::Store::default();
    let mut last = LastSamples::default();
    for command in read_script(text).map_err(|e| format!("{name}: {e}"))? {
        match command.action {
            Action::Clear => {
                store = L::Store::default();
                last.clear();
            }
            Action::Load(load) => {
                let series = last.samples_of(&load);
                let series = series.map_err(|e| format!("{name}:{}: {e}", command.line))?;
                for (labels, samples) in series {
                    language.insert(&mut store, &labels, &samples);
                }
            }
            Action::Eval(_) if only_line.is_some_and(|line| line != command.line) => {}
            Action::Eval(case) => {
                report.lines.push(command.line);
                let (query, outcome) = match &case {
                    Ok(case) => (case.query.clone(), run_guarded(language, &store, case)),
                    Err(error) => (String::new(), Err(format!("the case is wrong: {error}"))),
                };
                if let Err(reason) = outcome {
                    report.misses.push(Miss { line: command.line, query, reason });
                }
            }
        }
    }
    Ok(report)
}

/// Runs a case; a panic is an error.
fn run_guarded<L: Language>(language: &L, store: &L::Store, case: &Case) -> Result<(), String> {
    let run = AssertUnwindSafe(|| Run { language, store, case }.run());
    catch_unwind(run).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panic: {}", text.unwrap_or("no message")))
    })
}

/// The runs of one case.
struct Run<'a, L: Language> {
    language: &'a L,
    store: &'a L::Store,
    case: &'a Case,
}

impl<L: Language> Run<'_, L> {
    fn run(&self) -> Result<(), String> {
        let query =
            self.language.parse(&self.case.query).map_err(|e| format!("does not parse: {e}"))?;
        let time = match (self.case.times, self.case.expectations.window) {
            (times @ Times::Range { .. }, _) => {
                return self.check(&query, times, "").map(|_| ());
            }
            (Times::Instant(_), Some(Times::Range { end, .. })) => end,
            (Times::Instant(time), _) => time,
        };
        self.run_at(&query, time, "")?;
        let Some(pinned) = self.language.pinned(&query, time) else { return Ok(()) };
        for other in times_beside(time) {
            self.run_at(&pinned, other, &format!("with @ {time} ms, at {other} ms: "))?;
        }
        Ok(())
    }

    /// Runs an instant query, and a range query around it. `mode` begins the errors.
    fn run_at(&self, query: &L::Query, time: i64, mode: &str) -> Result<(), String> {
        match self.check(query, Times::Instant(time), mode)? {
            Some(answer) if !self.is_for_instants_only() => {
                let mode = format!("{mode}as a range query: ");
                self.check_around(query, time, &answer).map_err(|e| format!("{mode}{e}"))
            }
            _ => Ok(()),
        }
    }

    /// Evaluates a query and checks what comes of it; returns the answer, if it may have one.
    fn check(&self, query: &L::Query, times: Times, mode: &str) -> Result<Option<Answer>, String> {
        let expected = &self.case.expectations;
        let outcome = self.evaluate(query, times).map_err(|e| format!("{mode}{e}"))?;
        let checked = match (outcome, &expected.failure) {
            (Err(error), None) => Err(format!("error: {error}")),
            (Err(error), Some(text)) if text.accepts(&error) => Ok(None),
            (Err(error), Some(text)) => Err(format!("error: {error}, not {text:?}")),
            (Ok(_), Some(_)) => Err("no error, but one is expected".to_owned()),
            (Ok(answer), None) => check_annotations(expected, &answer)
                .and_then(|()| check_value(expected, times, &answer.value))
                .map(|()| Some(answer)),
        };
        checked.map_err(|e| format!("{mode}{e}"))
    }

    /// Evaluates a query in all settings. The outer error says that they differ.
    fn evaluate(&self, query: &L::Query, times: Times) -> Result<Result<Answer, String>, String> {
        let evaluate = |setting| self.language.evaluate(self.store, query, times, setting);
        let bits = |outcome: &Result<Answer, String>| match outcome {
            Ok(answer) => answer.bits(),
            Err(error) => format!("error: {error}"),
        };
        let outcome = evaluate(Setting::Default);
        let expected = bits(&outcome);
        for setting in Setting::OTHERS {
            let found = bits(&evaluate(setting));
            if found != expected {
                return Err(format!("{setting:?} answers {found}, not {expected}"));
            }
        }
        Ok(outcome)
    }

    /// Whether a range query would not answer what the instant query does.
    fn is_for_instants_only(&self) -> bool {
        static CONTEXT: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"(start|end|range|step)\(\)").expect("the pattern is a constant")
        });
        let expected = &self.case.expectations;
        expected.window.is_some()
            || matches!(expected.value, Expected::Text(_))
            || CONTEXT.is_match(&self.case.query)
    }

    /// Checks the middle step of a range query around `time`, where the instant query gave `answer`.
    fn check_around(&self, query: &L::Query, time: i64, answer: &Answer) -> Result<(), String> {
        let (start, end) = (time - AROUND_MS, time + AROUND_MS);
        let outcome = self.evaluate(query, Times::Range { start, end, step: AROUND_MS })?;
        let matrix = match outcome.map_err(|e| format!("error: {e}"))?.value {
            Value::Matrix(matrix) => matrix,
            other => return Err(format!("no matrix, but {other:?}")),
        };
        if self.case.expectations.ordered {
            return Ok(());
        }
        check_sorted(&matrix)?;
        let middle = samples_at(&matrix, time);
        let value = match (&answer.value, middle.as_slice()) {
            (Value::Scalar(_), [(_, Sample::Float(value))]) => Value::Scalar(*value),
            (Value::Scalar(_), other) => return Err(format!("no scalar, but {other:?}")),
            _ => Value::Vector(middle),
        };
        check_value(&self.case.expectations, Times::Instant(time), &value)
    }
}

/// The times at which a query with `@ time` everywhere is evaluated.
fn times_beside(time: i64) -> Vec<i64> {
    if time == 0 { vec![-1000, 0, 1000] } else { vec![-10 * time, 0, time / 5, time, 10 * time] }
}

fn samples_at(matrix: &[(Labels, Vec<(i64, Sample)>)], time: i64) -> Vec<(Labels, Sample)> {
    let at_time = |(labels, points): &(Labels, Vec<(i64, Sample)>)| {
        let (_, sample) = points.iter().find(|(t, _)| *t == time)?;
        Some((labels.clone(), sample.clone()))
    };
    matrix.iter().filter_map(at_time).collect()
}
