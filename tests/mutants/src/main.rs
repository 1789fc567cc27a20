//! Runs the engine's tests against an engine from which something was taken away: see `run.sh`.
//!
//! | file | what it does |
//! |---|---|
//! | `table` | reads `table/*.txt`: what each mutant takes away, and the test that turns red |
//! | `place` | puts all mutants of a source file into it, each behind a switch |
//! | `tree` | the copy of the tree that is built |
//! | `trial` | builds the test programs of the copy, and runs a test with mutants switched on |
//! | `report` | the tables of RELIABILITY.md |
//!
//! What is an error, and ends the run: a text that does not occur exactly once, a mutant that does not build, a
//! test that does not exist. What is counted as wrong: a test that is not green without a mutant, a mutant that
//! stays green without a reason, or that turns a test red although the table says it stays green, and a row that
//! RELIABILITY.md lacks.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use table::{Expected, Mutant, Test};
use trial::Programs;

mod place;
mod report;
mod table;
mod tree;
mod trial;

/// A message for the one who started the run.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (root, target) = (args.next(), args.next());
    let (Some(root), Some(target)) = (root, target) else { return Err("see run.sh".into()) };
    let words: Vec<String> = args.map(|word| word.to_string_lossy().into_owned()).collect();
    let tables = table::read(&root.join("tests/mutants/table"))?;
    if words.iter().any(|word| word == "--table") {
        print!("{}", report::markdown(&tables));
        return Ok(true);
    }
    let all: Vec<&Mutant> = tables.iter().flat_map(|table| &table.mutants).collect();
    let is_ci = words.iter().any(|word| word == "--ci");
    let names: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
    let is_named = |m: &&Mutant| names.iter().any(|name| m.name.contains(name.as_str()));
    let chosen: Vec<&Mutant> = all
        .iter()
        .copied()
        .filter(|m| (names.is_empty() || is_named(m)) && (m.ci || !is_ci))
        .collect();
    if chosen.is_empty() {
        return Err(format!("no mutant is called like {names:?}"));
    }
    let missing = report::missing_rows(&root, &tables)?;
    missing.iter().for_each(|row| println!("mutants: RELIABILITY.md lacks: {row}"));
    if words.iter().any(|word| word == "--check") {
        let places = tree::check(&root, &all)?;
        println!("mutants: {} at {places} places, none built", all.len());
        return Ok(missing.is_empty());
    }
    let copy = target.join("mutants/tree");
    tree::write(&root, &copy, &all)?;
    let tests: Vec<&Test> = chosen.iter().flat_map(|m| m.expected.tests()).collect();
    let programs = Programs::build(&copy, &target, &tests)?;
    Ok(judge(&chosen, &programs, &target.join("mutants/logs")) && missing.is_empty())
}

/// Runs the tests of `chosen` without and with their mutants; whether all is as the table says.
fn judge(chosen: &[&Mutant], programs: &Programs, logs: &Path) -> bool {
    let mut tests: Vec<&Test> = chosen.iter().flat_map(|m| m.expected.tests()).collect();
    tests.sort();
    tests.dedup();
    let wrong = Mutex::new(Vec::new());
    in_parallel(&tests, |test| {
        let outcome = programs.run_sound(test, &logs.join("none"));
        if !outcome.is_green() {
            println!("mutants: NOT GREEN without a mutant: {test}: {outcome}");
            wrong.lock().expect("no thread panics").push(test.to_string());
        }
    });
    let counts = Mutex::new((0, 0));
    in_parallel(chosen, |mutant| {
        let (line, is_right, is_green) = one(mutant, programs, logs);
        println!("mutants: {line}");
        let mut counts = counts.lock().expect("no thread panics");
        *(if is_green { &mut counts.1 } else { &mut counts.0 }) += 1;
        if !is_right {
            wrong.lock().expect("no thread panics").push(mutant.name.clone());
        }
    });
    let (red, green) = *counts.lock().expect("no thread panics");
    let wrong = wrong.into_inner().expect("no thread panics");
    println!("mutants: {red} red, {green} green; {} not as they should be {wrong:?}", wrong.len());
    wrong.is_empty()
}

/// Runs what the table names for one mutant: a line about it, whether it is as it should be, and whether it
/// stayed green.
fn one(mutant: &Mutant, programs: &Programs, logs: &Path) -> (String, bool, bool) {
    let name = &mutant.name;
    let log = logs.join(name);
    match &mutant.expected {
        Expected::Red(test) => {
            let outcome = programs.run(test, &[name], &log);
            let is_green = outcome.is_green();
            let word = if is_green { "GREEN, and no reason is given" } else { "red" };
            (format!("{name}: {word}: {test}: {outcome}"), !is_green, is_green)
        }
        Expected::Green { test, shown, without, .. } => {
            let outcome = programs.run(test, &[name], &log);
            let mut names: Vec<&str> = without.iter().map(String::as_str).collect();
            names.push(name);
            let reason = programs.run(shown, &names, &log.with_extension("reason"));
            let is_green = outcome.is_green();
            let alone = without.as_ref().map(|other| {
                programs.run(shown, &[other], &log.with_extension("alone")).is_green()
            });
            let is_shown = reason.is_green() == without.is_none() && alone != Some(false);
            let word =
                if is_green { "green, as the table says" } else { "RED, and listed as green" };
            let line = format!("{name}: {word}: {test}: {outcome}");
            let line = match (is_shown, without) {
                (true, None) => format!("{line}; the reason holds: {shown}: {reason}"),
                (true, Some(other)) => {
                    format!("{line}; red without {other} too: {shown}: {reason}")
                }
                (false, _) => format!("{line}; THE REASON DOES NOT HOLD: {shown}: {reason}"),
            };
            (line, is_green && is_shown, is_green)
        }
    }
}

/// Calls `work` for each of `items` on as many threads as there are processors.
fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(|| {
                while let Some(item) =
                    items.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    work(item);
                }
            });
        }
    });
}
