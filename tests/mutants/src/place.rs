//! Puts mutants into the text of a source file, each behind a switch.
//!
//! The part that a mutant replaces becomes `if crate::mutant::on(NAME) { put } else { part }`, in parentheses
//! where it is an expression. Parts may lie within each other, or be the same, but not cross.

use crate::Result;
use crate::table::{Edit, Mutant};

/// A mutant's part of the file.
struct Part<'a> {
    start: usize,
    end: usize,
    name: &'a str,
    put: &'a str,
}

/// The text of `path`, with all edits of `mutants` that are for it.
pub(crate) fn all(path: &str, text: &str, mutants: &[&Mutant]) -> Result<String> {
    let mut parts = Vec::new();
    for mutant in mutants {
        for edit in mutant.edits.iter().filter(|edit| edit.path == path) {
            let (start, end) =
                find(text, edit).map_err(|e| format!("{}: {path}: {e}", mutant.name))?;
            parts.push(Part { start, end, name: &mutant.name, put: &edit.put });
        }
    }
    // The outer ones first.
    parts.sort_by_key(|part| (part.start, std::cmp::Reverse(part.end)));
    for (at, outer) in parts.iter().enumerate() {
        let crosses = |inner: &&Part<'_>| inner.start < outer.end && inner.end > outer.end;
        if let Some(inner) = parts[at + 1..].iter().find(crosses) {
            return Err(format!("{path}: {} and {} cross", outer.name, inner.name));
        }
    }
    Ok(render(text, (0, text.len()), &parts))
}

/// Where the part is that `edit` replaces.
fn find(text: &str, edit: &Edit) -> Result<(usize, usize)> {
    let (before, rest) = edit.code.split_once('«').ok_or("no « in its code")?;
    let (part, after) = rest.split_once('»').ok_or("no » in its code")?;
    let solid = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    let (before, part, after) = (solid(before), solid(part), solid(after));
    let wanted = format!("{before}{part}{after}");
    let places: Vec<usize> = text
        .char_indices()
        .filter(|(_, c)| !c.is_whitespace())
        .map(|(at, c)| (at, c))
        .flat_map(|(at, c)| std::iter::repeat_n(at, c.len_utf8()))
        .collect();
    let found: Vec<usize> = solid(text).match_indices(&wanted).map(|(at, _)| at).collect();
    let [at] = found[..] else {
        return Err(format!("{:?} occurs {} times, not once", edit.code, found.len()));
    };
    let start = at + before.len();
    if part.is_empty() {
        // Behind what comes before it.
        let place = places[start - 1] + 1;
        return Ok((place, place));
    }
    Ok((places[start], places[start + part.len() - 1] + 1))
}

/// The text from `start` to `end`, with the parts in it, the outer ones first.
fn render(text: &str, (start, end): (usize, usize), parts: &[Part<'_>]) -> String {
    let (mut out, mut at, mut next) = (String::new(), start, 0);
    while let Some(part) = parts.get(next) {
        let inner = parts[next + 1..]
            .iter()
            .take_while(|inner| inner.end <= part.end && inner.start < part.end);
        let inner = &parts[next + 1..next + 1 + inner.count()];
        out.push_str(&text[at..part.start]);
        let sound = render(text, (part.start, part.end), inner);
        out.push_str(&switched(part, &sound));
        at = part.end;
        next += 1 + inner.len();
    }
    out + &text[at..end]
}

fn switched(part: &Part<'_>, sound: &str) -> String {
    let Part { name, put, .. } = part;
    let choice = format!("if crate::mutant::on({name:?}) {{ {put} }} else {{ {sound} }}");
    let end = sound.trim_end().chars().next_back();
    match end {
        None | Some(';' | '}') => format!(" {choice} "),
        Some(_) => format!("({choice})"),
    }
}

/// The module that the copy gets.
pub(crate) const SWITCHES: &str = r#"//! Which mutants are switched on: those that the environment names, with commas between them.

use std::sync::OnceLock;

/// Whether the mutant `name` is switched on.
pub(crate) fn on(name: &str) -> bool {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    let names = || {
        let named = std::env::var("SILTSTONE_MUTANT").unwrap_or_default();
        named.split(',').map(str::to_owned).collect()
    };
    NAMES.get_or_init(names).iter().any(|on| on == name)
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(name: &str, code: &str, put: &str) -> Mutant {
        let edit = Edit { path: "a.rs".into(), code: code.into(), put: put.into() };
        Mutant { name: name.into(), edits: vec![edit], ..Mutant::default() }
    }

    fn placed(text: &str, mutants: &[Mutant]) -> Result<String> {
        all("a.rs", text, &mutants.iter().collect::<Vec<_>>())
    }

    #[test]
    fn parts_are_found_whatever_the_white_space_and_may_nest() {
        let text = "let x = a\n    .b() && c;\nsync(é);\n";
        let mutants = [
            mutant("one", "= «a.b() && c»;", "true"),
            mutant("two", "a.b() && «c»;", "d"),
            mutant("three", "«sync(é);»", ""),
        ];
        let expected = "let x = (if crate::mutant::on(\"one\") { true } else { a\n    .b() && \
                        (if crate::mutant::on(\"two\") { d } else { c }) });\n \
                        if crate::mutant::on(\"three\") {  } else { sync(é); } \n";
        assert_eq!(placed(text, &mutants), Ok(expected.to_owned()));
    }

    #[test]
    fn what_is_not_there_once_is_an_error() {
        for text in ["b();", "a(); a();"] {
            assert!(placed(text, &[mutant("one", "«a();»", "")]).is_err(), "{text}");
        }
        let crossing = [mutant("one", "«a(b», c)", ""), mutant("two", "a(«b, c»)", "")];
        assert!(placed("a(b, c)", &crossing).is_err());
    }
}
