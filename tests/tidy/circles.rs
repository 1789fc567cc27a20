//! No circle of imports between files: what imports each other cannot be read, tested or replaced
//! apart.
//!
//! A folder's `mod.rs` (or `lib.rs`, `main.rs`, or the file of the folder's name) and its own direct
//! child may import each other: they are one thing. Two children of a folder may not.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::{Edge, Modules};
use crate::sources::sources;

/// The floors inside `src/db`, which are the order of locks too: a part may import parts of lower floors
/// only.
const DB_FLOORS: &[(&str, u8)] = &[
    ("env", 0),
    ("view", 1),
    ("versions", 2),
    ("write", 3),
    ("compact", 4),
    ("snapshot", 5),
    ("losses", 5),
    ("stats", 5),
    ("open", 6),
    ("attach", 7),
    ("background", 7),
    ("maintenance", 8),
    ("mod", 9),
];

#[test]
fn imports_go_in_no_circle() {
    let files = sources().into_iter().filter(|(path, _)| !path.starts_with("fuzz/")).collect();
    let edges = Modules::of(&files).edges();
    assert!(edges.len() > 1000, "the imports are found: {}", edges.len());
    let circles = circles(&edges);
    let shown: Vec<String> = circles.iter().map(|circle| show(circle, &edges)).collect();
    assert!(circles.is_empty(), "{} circles:\n\n{}", circles.len(), shown.join("\n\n"));
}

#[test]
fn imports_inside_the_store_go_down() {
    let files = sources().into_iter().filter(|(path, _)| path.starts_with("src/")).collect();
    let edges = Modules::of(&files).edges();
    let (wrong, seen) = upward(&edges);
    assert!(seen > 100, "the imports are found: {seen}");
    assert!(wrong.is_empty(), "imports that do not go down:\n{}", wrong.join("\n"));
}

/// The imports inside `src/db` that do not go down, and how many there are from one part to another.
fn upward(edges: &BTreeSet<Edge>) -> (Vec<String>, usize) {
    let floors: BTreeMap<&str, u8> = DB_FLOORS.iter().copied().collect();
    let part =
        |file: &str| Some(file.strip_prefix("src/db/")?.split(['/', '.']).next()?.to_owned());
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for Edge { from, to, path } in edges {
        let (Some(lower), Some(upper)) = (part(to), part(from)) else { continue };
        if lower == upper {
            continue;
        }
        seen += 1;
        let goes_down = match (floors.get(&*lower), floors.get(&*upper)) {
            (Some(lower), Some(upper)) => lower < upper,
            // A part that is new needs a floor.
            _ => false,
        };
        if !goes_down {
            wrong.push(format!("{from} imports {to}: {path}"));
        }
    }
    (wrong, seen)
}

#[test]
fn an_import_that_goes_up_is_found() {
    let edge = |from: &str, to: &str| {
        let file = |part: &str| format!("src/db/{part}");
        Edge { from: file(from), to: file(to), path: String::new() }
    };
    let found = |from: &str, to: &str| !upward(&BTreeSet::from([edge(from, to)])).0.is_empty();
    assert!(!found("write/seal.rs", "view/mod.rs"));
    assert!(!found("write/seal.rs", "write/mod.rs"));
    assert!(found("view/mod.rs", "write/seal.rs"));
    assert!(found("stats.rs", "snapshot.rs"), "the same floor");
    assert!(found("write/seal.rs", "fresh.rs"), "a part without a floor");
}

/// The strongly connected components of two files and more.
fn circles(edges: &BTreeSet<Edge>) -> Vec<BTreeSet<&str>> {
    let mut imported: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for edge in edges {
        imported.entry(&edge.from).or_default().insert(&edge.to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        imported.keys().map(|file| (*file, reachable(file, &imported))).collect();
    let mut found: Vec<BTreeSet<&str>> = Vec::new();
    for (file, others) in &reached {
        if others.contains(file) && !found.iter().any(|circle| circle.contains(file)) {
            let back = |other: &&&str| reached.get(**other).is_some_and(|r| r.contains(file));
            found.push(others.iter().filter(back).copied().collect());
        }
    }
    found
}

/// The files that `file` imports, and those that they import, and so on.
fn reachable<'a>(file: &str, imported: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![file];
    while let Some(next) = waiting.pop() {
        for other in imported.get(next).into_iter().flatten() {
            if reached.insert(*other) {
                waiting.push(other);
            }
        }
    }
    reached
}

/// The imports that close a circle: a line for each pair of files, with the paths that do it.
fn show(circle: &BTreeSet<&str>, edges: &BTreeSet<Edge>) -> String {
    let mut pairs: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for Edge { from, to, path } in edges {
        if circle.contains(from.as_str()) && circle.contains(to.as_str()) {
            pairs.entry((from, to)).or_default().push(path);
        }
    }
    let line = |((from, to), paths): ((&str, &str), Vec<&str>)| {
        format!("{from} imports {to}: {}\n", paths.join(", "))
    };
    pairs.into_iter().map(line).collect()
}

#[test]
fn a_circle_is_found() {
    let found = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(p, t)| ((*p).to_owned(), (*t).to_owned())).collect();
        let edges = Modules::of(&files).edges();
        circles(&edges).iter().map(|circle| show(circle, &edges)).collect::<String>()
    };
    let root = ("src/lib.rs", "mod a;\nmod b;\nmod c;\npub use a::A;\npub struct Shared;");
    let a = ("src/a.rs", "use super::{Shared, b::B};\npub struct A(B, Shared);");
    let b = ("src/b.rs", "use super::c::C;\npub struct B(C);");
    assert_eq!(found(&[root, a, b, ("src/c.rs", "use crate::Shared;\npub struct C(Shared);")]), "");
    let closed = found(&[root, a, b, ("src/c.rs", "pub struct C(Option<Box<super::A>>);")]);
    assert_eq!(
        closed,
        "src/a.rs imports src/b.rs: super::b::B\n\
         src/b.rs imports src/c.rs: super::c::C\n\
         src/c.rs imports src/a.rs: super::A\n"
    );
}
