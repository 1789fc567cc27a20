//! What one file says about modules: those it declares, the names it imports, the paths it writes.
//!
//! `modules` asks for each file of the workspace and resolves the paths. Names are taken as they
//! stand in the text: an import inside a function counts for the whole file, and a path inside an
//! inline module is read as one of the file.

use std::collections::BTreeSet;

use crate::rust_text::{is_word, without_comments_and_literals, without_tests};

/// One name that a `use` brings in.
#[derive(Debug, PartialEq)]
pub(crate) struct Import {
    /// The segments as written, `crate`, `self` and `super` included.
    pub path: Vec<String>,
    /// What it is called in this file; `*` for everything that the path holds.
    pub name: String,
}

/// What a file says, tests left out.
pub(crate) struct FileImports {
    /// The modules it declares by `mod name;`.
    pub children: Vec<String>,
    /// Its `use` declarations, one entry for each name.
    pub imports: Vec<Import>,
    /// Paths of two segments or more outside of `use`.
    pub paths: BTreeSet<Vec<String>>,
    /// The names that it defines at any depth.
    pub items: BTreeSet<String>,
}

impl FileImports {
    pub(crate) fn of(text: &str) -> Self {
        let text = without_tests(&without_comments_and_literals(text));
        let text = without_restrictions(&text);
        let (imports, rest) = take_uses(&text);
        let mut items = BTreeSet::new();
        let mut children = Vec::new();
        let mut keyword = "";
        for (name, after) in words(&rest) {
            let defines =
                ["fn", "struct", "enum", "union", "trait", "type", "const", "static", "mod"];
            if keyword == "mod" && after.starts_with(';') {
                children.push(name.to_owned());
            }
            if defines.contains(&keyword) || keyword == "macro_rules" {
                items.insert(name.to_owned());
            }
            keyword = name;
        }
        Self { children, imports, paths: paths(&rest), items }
    }
}

/// The text with `pub` for each `pub(in path)`, which names a module and imports nothing of it.
fn without_restrictions(text: &str) -> String {
    let mut parts = text.split("pub(in ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |kept, part| kept + "pub" + part.split_once(')').map_or("", |(_, rest)| rest))
}

/// The words of the text, each with what follows it.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = &rest[rest.find(is_word)?..];
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after;
        Some((word, after))
    })
}

/// The imports of the text, and the text without them.
fn take_uses(text: &str) -> (Vec<Import>, String) {
    let mut imports = Vec::new();
    let mut kept = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("use ") {
        let (before, from) = rest.split_at(at);
        kept.push_str(before);
        let Some(end) = from.find(';').filter(|_| !before.ends_with(is_word)) else {
            kept.push_str("use ");
            rest = &from["use ".len()..];
            continue;
        };
        expand(&[], &from["use ".len()..end], &mut imports);
        rest = &from[end + 1..];
    }
    (imports, kept + rest)
}

/// Adds the imports of `tree`, which is `path`, `path as name`, `path::*` or `path::{tree, ..}`.
fn expand(before: &[String], tree: &str, imports: &mut Vec<Import>) {
    let segments = |path: &str| {
        let named = path.split("::").map(|s| s.trim().to_owned()).filter(|s| !s.is_empty());
        before.iter().cloned().chain(named).collect::<Vec<String>>()
    };
    if let Some((path, list)) = tree.split_once('{') {
        let list = &list[..list.rfind('}').unwrap_or(list.len())];
        for part in top_level_parts(list).filter(|part| !part.trim().is_empty()) {
            expand(&segments(path), part, imports);
        }
        return;
    }
    let (path, renamed) = tree.split_once(" as ").map_or((tree, None), |(p, n)| (p, Some(n)));
    let mut path = segments(path);
    let last = path.last().cloned().unwrap_or_default();
    if (last == "self" || last == "*") && path.len() > 1 {
        path.pop();
    }
    let name = if last == "*" { last } else { path.last().cloned().unwrap_or_default() };
    let name = renamed.map_or(name, |name| name.trim().to_owned());
    imports.push(Import { path, name });
}

/// The parts between the commas that are in no inner braces.
fn top_level_parts(list: &str) -> impl Iterator<Item = &str> {
    let mut open = 0_i32;
    list.split(move |c| {
        open += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && open == 0
    })
}

/// The paths in code: names with `::` between.
fn paths(text: &str) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    let mut path: Vec<String> = Vec::new();
    for (word, after) in words(text) {
        path.push(word.to_owned());
        let goes_on = after.strip_prefix("::").is_some_and(|next| next.starts_with(is_word));
        if !goes_on {
            if path.len() > 1 {
                found.insert(std::mem::take(&mut path));
            }
            path.clear();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(text: &str) -> Vec<String> {
        let named = |i: &Import| format!("{} = {}", i.name, i.path.join("::"));
        FileImports::of(text).imports.iter().map(named).collect()
    }

    #[test]
    fn use_trees_are_expanded() {
        let text = "pub(crate) use crate::{\n    a::{B, c::{self, D}},\n    e as f,\n};\n\
                    use super::super::g::*;\nfn reuse () {}\n";
        assert_eq!(
            imports(text),
            [
                "B = crate::a::B",
                "c = crate::a::c",
                "D = crate::a::c::D",
                "f = crate::e",
                "* = super::super::g",
            ]
        );
    }

    #[test]
    fn paths_items_and_children_are_found() {
        let text = "mod a;\npub mod b {\n}\npub(in crate::m) fn c(d: &crate::e::F) { super::g::<H>(i.j); k::L }";
        let said = FileImports::of(text);
        assert_eq!(said.children, ["a"]);
        assert_eq!(said.items.iter().collect::<Vec<_>>(), ["a", "b", "c"]);
        let paths: Vec<String> = said.paths.iter().map(|p| p.join("::")).collect();
        assert_eq!(paths, ["crate::e::F", "k::L", "super::g"]);
    }
}
