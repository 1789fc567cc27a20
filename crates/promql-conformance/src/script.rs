//! The commands of a script, read line by line.
//!
//! The whole script is read before anything runs. A mistake in an `eval` belongs to its case and is
//! reported with it; one in any other command makes the script unusable.

use std::sync::LazyLock;

use regex::Regex;

use crate::expect::{Case, Expectations, read_expectations};
use crate::model::{Labels, Times};
use crate::scan::whole_duration;
use crate::series::{Slot, read_series, read_starts};
use crate::times::read_range;

/// A command and the number of its line, from 1.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) line: usize,
    pub(crate) action: Action,
}

/// What a command does.
#[derive(Debug)]
pub(crate) enum Action {
    Clear,
    Load(Load),
    /// A case, or why its lines cannot be read.
    Eval(Result<Box<Case>, String>),
}

/// Series to be stored.
#[derive(Debug)]
pub(crate) struct Load {
    /// The distance of the slots in milliseconds; the first is at 0.
    pub(crate) step: i64,
    /// Whether classic histograms are stored as native ones, too.
    pub(crate) with_nhcb: bool,
    pub(crate) series: Vec<LoadedSeries>,
}

/// A series to be stored.
#[derive(Debug)]
pub(crate) struct LoadedSeries {
    pub(crate) labels: Labels,
    pub(crate) slots: Vec<Slot>,
    /// As many as slots, or none: offsets of start timestamps in milliseconds.
    pub(crate) starts: Vec<Option<i64>>,
}

static LOAD: LazyLock<Regex> = LazyLock::new(|| pattern(r"^load(_with_nhcb)?\s+(.+?)$"));
static INSTANT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^eval(?:_(fail|warn|ordered|info))?\s+instant\s+at\s+(.+?)\s+(.+)$")
});
static RANGE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$")
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant")
}

/// Reads a script; an error names its line.
pub(crate) fn read_script(text: &str) -> Result<Vec<Command>, String> {
    let lines: Vec<&str> = text
        .split('\n')
        .map(str::trim)
        .map(|line| if line.starts_with('#') { "" } else { line })
        .collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let (line, number) = (lines[at], at + 1);
        at += 1;
        if line.is_empty() {
            continue;
        }
        let body_len = lines[at..].iter().take_while(|line| !line.is_empty()).count();
        let body = &lines[at..at + body_len];
        let word = line.split([' ', '\t']).next().unwrap_or_default().to_lowercase();
        let (action, used) = if word == "clear" {
            (Action::Clear, 0)
        } else if word.starts_with("load") {
            let load = read_load(line, body).map_err(|e| format!("line {number}: {e}"))?;
            (Action::Load(load), body_len)
        } else if word.starts_with("eval") {
            let mut used = body_len;
            let case = read_eval(line, body).map(|(case, lines)| {
                used = lines;
                Box::new(case)
            });
            (Action::Eval(case), used)
        } else {
            return Err(format!("line {number}: there is no command {word:?}"));
        };
        at += used;
        commands.push(Command { line: number, action });
    }
    Ok(commands)
}

fn read_load(line: &str, body: &[&str]) -> Result<Load, String> {
    let parts = LOAD.captures(line).ok_or("expected load[_with_nhcb] <step>")?;
    let mut load = Load {
        step: whole_duration(&parts[2])?,
        with_nhcb: parts.get(1).is_some(),
        series: vec![],
    };
    let mut starts = None;
    for line in body {
        if let Some(read) = read_starts(line) {
            if starts.replace(read?).is_some() {
                return Err("start timestamps are not followed by their series".to_owned());
            }
            continue;
        }
        let series = read_series(line)?;
        let starts = match starts.take() {
            Some(starts) if starts.labels != series.labels => {
                return Err(format!("start timestamps of another series than {line:?}"));
            }
            Some(starts) if starts.offsets.len() != series.slots.len() => {
                return Err(format!("other start timestamps than values in {line:?}"));
            }
            Some(starts) => starts.offsets,
            None => Vec::new(),
        };
        load.series.retain(|other| other.labels != series.labels);
        load.series.push(LoadedSeries { labels: series.labels, slots: series.slots, starts });
    }
    if starts.is_some() {
        return Err("start timestamps are not followed by their series".to_owned());
    }
    Ok(load)
}

/// Reads a case, and how many lines of its body belong to it.
fn read_eval(line: &str, body: &[&str]) -> Result<(Case, usize), String> {
    let (modifier, query, times) = if let Some(parts) = INSTANT.captures(line) {
        let times = Times::Instant(whole_duration(&parts[2])?);
        (parts.get(1).map(|m| m.as_str().to_owned()), parts[3].to_owned(), times)
    } else if let Some(parts) = RANGE.captures(line) {
        let times = read_range(&parts[2], &parts[3], &parts[4])?;
        (parts.get(1).map(|m| m.as_str().to_owned()), parts[5].to_owned(), times)
    } else {
        return Err("expected eval instant at .. or eval range from .. to .. step ..".to_owned());
    };
    let mut expectations = Expectations::default();
    match modifier.as_deref() {
        Some("fail") => expectations.may_fail_old(),
        Some("warn") => expectations.warnings.at_least_one = true,
        Some("info") => expectations.infos.at_least_one = true,
        Some("ordered") => expectations.ordered = true,
        _ => {}
    }
    let is_instant = matches!(times, Times::Instant(_));
    let used = read_expectations(body, is_instant, &mut expectations)?;
    Ok((Case { query, times, expectations }, used))
}
