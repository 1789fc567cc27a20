//! The tables of mutants: `table/*.txt`.
//!
//! Lines that start with `#` are for readers; the first ones of a file are the heading of its table. Entries are
//! separated by empty lines; a line is a word and what it says, and goes on in lines that are indented:
//!
//! ```text
//! mutant NAME          what it is called
//! why    TEXT          what is taken away, and what that breaks
//! in     PATH          a source file
//! code   TEXT          text of the file, found whatever its white space; the part in «» is replaced.
//! put    TEXT          by this; without it, by nothing. in, code and put may come again for another place
//! red    TARGET TEST   the test that turns red: lib or the name of a test program, and the whole name of the test
//! ci                   it is one of those that the gate runs
//! ```
//!
//! In the place of `red`, of a mutant that nothing notices:
//!
//! ```text
//! green   TARGET TEST      the test that one would expect to turn red
//! because TEXT             why it does not
//! without NAME             another mutant: what has to be taken away too before a test turns red
//! shown   TARGET TEST      the test that shows the reason: red with both mutants where there is a `without`,
//!                          else green with this one
//! ```

use std::fmt;
use std::path::Path;

use crate::Result;

/// One file of the table.
pub(crate) struct Table {
    pub(crate) heading: String,
    pub(crate) mutants: Vec<Mutant>,
}

/// Something that is taken away.
#[derive(Debug, Default)]
pub(crate) struct Mutant {
    pub(crate) name: String,
    pub(crate) why: String,
    pub(crate) ci: bool,
    pub(crate) edits: Vec<Edit>,
    pub(crate) expected: Expected,
}

/// A part of a source file, and what comes in its place.
#[derive(Debug, Default)]
pub(crate) struct Edit {
    pub(crate) path: String,
    pub(crate) code: String,
    pub(crate) put: String,
}

/// What the tests say to it.
#[derive(Debug)]
pub(crate) enum Expected {
    Red(Test),
    Green { test: Test, because: String, without: Option<String>, shown: Test },
}

impl Default for Expected {
    fn default() -> Self {
        Self::Red(Test::default())
    }
}

impl Expected {
    pub(crate) fn tests(&self) -> Vec<&Test> {
        match self {
            Self::Red(test) => vec![test],
            Self::Green { test, shown, .. } => vec![test, shown],
        }
    }
}

/// One test of a test program.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    pub(crate) target: String,
    pub(crate) name: String,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.target, self.name)
    }
}

/// Reads all tables in `dir`, by name.
pub(crate) fn read(dir: &Path) -> Result<Vec<Table>> {
    let entries = std::fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "txt"));
    paths.sort();
    let mut tables = Vec::new();
    for path in paths {
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let heading = text.lines().take_while(|line| line.starts_with('#'));
        let heading: Vec<&str> = heading.map(|line| line.trim_start_matches(['#', ' '])).collect();
        let entries = entries_of(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        let mutants = entries.iter().map(|lines| mutant(lines));
        let mutants =
            mutants.collect::<Result<_>>().map_err(|e| format!("{}: {e}", path.display()))?;
        tables.push(Table { heading: heading.join(" "), mutants });
    }
    let mut names: Vec<&str> =
        tables.iter().flat_map(|table| &table.mutants).map(|m| m.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("two mutants are called {}", pair[0]));
    }
    let others = tables.iter().flat_map(|table| &table.mutants).filter_map(|m| match &m.expected {
        Expected::Green { without, .. } => without.as_deref(),
        Expected::Red(_) => None,
    });
    match others.into_iter().find(|other| names.binary_search(other).is_err()) {
        Some(other) => Err(format!("there is no mutant {other}")),
        None => Ok(tables),
    }
}

/// A word and what it says.
type Line = (String, String);

fn entries_of(text: &str) -> Result<Vec<Vec<Line>>> {
    let mut entries: Vec<Vec<Line>> = vec![Vec::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let entry = entries.last_mut().expect("there is one");
        if line.trim().is_empty() {
            entries.push(Vec::new());
        } else if line.starts_with(' ') {
            let (_, said) = entry.last_mut().ok_or(format!("nothing goes on in {line:?}"))?;
            said.push(' ');
            said.push_str(line.trim());
        } else {
            let (word, said) = line.split_once(' ').unwrap_or((line, ""));
            entry.push((word.to_owned(), said.trim().to_owned()));
        }
    }
    entries.retain(|entry| !entry.is_empty());
    Ok(entries)
}

fn mutant(lines: &[Line]) -> Result<Mutant> {
    let mut mutant = Mutant::default();
    let (mut path, mut because, mut without) = (String::new(), None, None);
    let (mut red, mut green, mut shown) = (None, None, None);
    for (word, said) in lines {
        let said = said.clone();
        match word.as_str() {
            "mutant" => mutant.name = said,
            "why" => mutant.why = said,
            "ci" => mutant.ci = true,
            "in" => path = said,
            "code" => {
                mutant.edits.push(Edit { path: path.clone(), code: said, put: String::new() })
            }
            "put" => mutant.edits.last_mut().ok_or("put without code")?.put = said,
            "red" => red = Some(test(&said)?),
            "green" => green = Some(test(&said)?),
            "because" => because = Some(said),
            "without" => without = Some(said),
            "shown" => shown = Some(test(&said)?),
            _ => return Err(format!("{}: what is {word:?}?", mutant.name)),
        }
    }
    mutant.expected = match (red, green, because, shown) {
        (Some(test), None, None, None) if without.is_none() => Expected::Red(test),
        (None, Some(test), Some(because), Some(shown)) => {
            Expected::Green { test, because, without, shown }
        }
        _ => return Err(format!("{}: red, or green, because and shown", mutant.name)),
    };
    if mutant.name.is_empty() || mutant.why.is_empty() || mutant.edits.is_empty() {
        return Err(format!("{:?} lacks its name, its why or its code", mutant.name));
    }
    Ok(mutant)
}

fn test(said: &str) -> Result<Test> {
    match said.split_once(' ') {
        Some((target, name)) => Ok(Test { target: target.into(), name: name.trim().into() }),
        None => Err(format!("{said:?} is no test program and test")),
    }
}
