//! Whether a run is as good as it is known to be: reports against the list of known misses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::run::FileReport;

/// A case, by the name of its file and its line.
pub type CaseId = (String, usize);

/// Reads the list of known misses: `file:line reason` each, blank lines and those with `#` are not
/// read.
pub fn read_known(text: &str) -> Result<BTreeMap<CaseId, String>, String> {
    let mut known = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let read = line.split_once(char::is_whitespace).and_then(|(case, reason)| {
            let (file, number) = case.rsplit_once(':')?;
            Some(((file.to_owned(), number.parse().ok()?), reason.trim().to_owned()))
        });
        let (case, reason) = read.ok_or_else(|| format!("{line:?} is not `file:line reason`"))?;
        if known.insert(case, reason).is_some() {
            return Err(format!("{line:?}: the case stands there twice"));
        }
    }
    Ok(known)
}

/// What a run has shown.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Lines for people: misses with their reasons, then figures, the total last.
    pub text: String,
    /// Why the run is a failure; empty if it is none.
    pub faults: Vec<String>,
}

/// Judges reports. Figures count what really passed; a listed miss is no fault, but a miss that is
/// not listed is, and so is a listed case that passes.
pub fn judge(reports: &[FileReport], known: &BTreeMap<CaseId, String>) -> Verdict {
    let mut verdict = Verdict::default();
    let (mut passed, mut total, mut known_misses) = (0, 0, 0);
    let mut figures = String::new();
    for report in reports {
        let missed: BTreeSet<usize> = report.misses.iter().map(|miss| miss.line).collect();
        for miss in &report.misses {
            let listed = known.contains_key(&(report.name.clone(), miss.line));
            known_misses += usize::from(listed);
            let mark = if listed { "known miss" } else { "MISS" };
            let place = format!("{}:{}", report.name, miss.line);
            line(&mut verdict.text, &format!("{mark} {place} {}", miss.query));
            line(&mut verdict.text, &format!("    {}", miss.reason));
            if !listed {
                verdict.faults.push(format!("{place} misses and is not listed"));
            }
        }
        for number in report.lines.iter().filter(|number| !missed.contains(number)) {
            if known.contains_key(&(report.name.clone(), *number)) {
                let place = format!("{}:{number}", report.name);
                verdict.faults.push(format!("{place} passes: take it off the list of misses"));
            }
        }
        passed += report.passed();
        total += report.lines.len();
        line(&mut figures, &format!("{}: {}/{}", report.name, report.passed(), report.lines.len()));
    }
    verdict.faults.iter().for_each(|fault| line(&mut verdict.text, fault));
    verdict.text.push_str(&figures);
    line(&mut verdict.text, &format!("known misses: {known_misses}"));
    line(&mut verdict.text, &format!("total: {passed}/{total}"));
    verdict
}

fn line(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}
