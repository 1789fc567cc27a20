//! The style guide as a test: sizes, the import graph, banned words, licences of dependencies.
//!
//! Every exception stands in a list here with its reason; the lists should only shrink.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod circles;
mod imports;
mod modules;
mod rust_text;
mod seam;
mod sources;

use std::collections::{BTreeMap, BTreeSet};

use sources::{code, docs, is_of_tests, lines_before_inline_tests, root, sources};

const FILE_LINES_MAX: usize = 600;
/// Of code; a file with more says in its docs why it is one.
const CODE_LINES_MAX: usize = 400;
/// How its docs begin to say it.
const REASON_FOR_ONE_FILE: &str = "In one file because";
const FUNCTION_LINES_MAX: usize = 70;

/// Files that may be longer, with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Functions that may be longer: (file, function, reason).
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// The floors of ARCHITECTURE.md: a module may import modules of lower floors only.
const FLOORS: &[(&str, u8)] = &[
    ("error", 0),
    ("types", 0),
    ("sys", 1),
    ("codec", 2),
    ("index", 2),
    ("patterns", 2),
    ("sparse_array", 2),
    ("series", 3),
    ("wal", 3),
    ("memtable", 3),
    ("segment", 3),
    ("manifest", 3),
    ("cursor", 3),
    ("deletes", 4),
    ("flush", 4),
    ("read", 4),
    ("compaction", 5),
    ("db", 6),
];

/// Imports within a floor that are by design.
const SAME_FLOOR: &[(&str, &str, &str)] = &[
    ("error", "types", "errors carry the data model"),
    ("read", "deletes", "what is deleted is hidden where sources are merged"),
    ("flush", "deletes", "tombstones become durable with the flush of their generation"),
];

/// The files with unsafe code; each says why, and what it relies on.
const UNSAFE_FILES: &[&str] =
    &["src/sys/mapping.rs", "src/sys/map_faults.rs", "src/sys/allocator.rs"];

/// Licences that a dependency may have; one alternative of an `OR` is enough.
const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "0BSD",
    "Apache-2.0 WITH LLVM-exception",
    "NCSA",
];

#[test]
fn files_are_short() {
    let mut long = Vec::new();
    for (path, text) in sources() {
        let lines = code(&text).count();
        if lines > FILE_LINES_MAX && !LONG_FILES.iter().any(|(file, _)| *file == path) {
            long.push(format!("{path}: {lines} lines, more than {FILE_LINES_MAX}"));
        }
    }
    assert!(long.is_empty(), "split these files:\n{}", long.join("\n"));
}

#[test]
fn long_code_has_a_reason_to_be_one_file() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter(|(path, text)| needs_a_reason(path, text))
        .map(|(path, text)| format!("{path}: {} lines", lines_before_inline_tests(&text)))
        .collect();
    assert!(
        long.is_empty(),
        "more than {CODE_LINES_MAX} lines before the inline tests; split these files, or say in their \
         docs `{REASON_FOR_ONE_FILE} ..`:\n{}",
        long.join("\n")
    );
}

/// Whether a file has too much code to be one file without saying why.
fn needs_a_reason(path: &str, text: &str) -> bool {
    !is_of_tests(path)
        && lines_before_inline_tests(text) > CODE_LINES_MAX
        && !docs(text).contains(REASON_FOR_ONE_FILE)
}

#[test]
fn functions_are_short() {
    let mut long = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else { continue };
            let indent = &line[..line.len() - line.trim_start().len()];
            let end = format!("{indent}}}");
            let parameters_end = format!("{indent})");
            let closes = lines[at..].iter().find(|l| l.starts_with(&parameters_end) || **l == end);
            if closes.is_some_and(|l| l.ends_with(';')) {
                continue; // A declaration over several lines.
            }
            let Some(length) = lines[at..].iter().position(|l| **l == end) else { continue };
            let excused = LONG_FUNCTIONS.iter().any(|(f, n, _)| *f == path && *n == name);
            if length > FUNCTION_LINES_MAX && !excused {
                long.push(format!("{path}:{}: {name}: {length} lines", at + 1));
            }
        }
    }
    assert!(long.is_empty(), "more than {FUNCTION_LINES_MAX} lines:\n{}", long.join("\n"));
}

/// The name of the function that this line starts; rustfmt keeps `fn` on the line of its name.
fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let words = ["pub", "const", "async", "unsafe", "extern"];
    let starts = before
        .split_whitespace()
        .all(|w| words.iter().any(|word| w == *word || w.starts_with("pub(")) || w == "\"C\"");
    if !starts || line.trim_end().ends_with(';') || line.trim_end().ends_with('}') {
        return None;
    }
    after.split(['(', '<']).next()
}

#[test]
fn imports_go_down() {
    let floors: BTreeMap<&str, u8> = FLOORS.iter().copied().collect();
    let mut wrong = BTreeSet::new();
    for (path, text) in sources() {
        let Some(inside) = path.strip_prefix("src/") else { continue };
        let module = inside.split(['/', '.']).next().unwrap();
        if module == "lib" {
            continue;
        }
        let Some(floor) = floors.get(module) else {
            wrong.insert(format!("{path}: the module {module} has no floor in tests/tidy"));
            continue;
        };
        for line in code(&text).filter(|l| !l.trim_start().starts_with("//")) {
            for used in modules_used(line) {
                let Some(other) = floors.get(used.as_str()) else { continue };
                let excused = SAME_FLOOR.iter().any(|(from, to, _)| *from == module && *to == used);
                if used != module && other >= floor && !excused {
                    wrong.insert(format!("{path}: imports {used}"));
                }
            }
        }
    }
    let wrong: Vec<String> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "imports that do not go down:\n{}", wrong.join("\n"));
}

/// The modules named in `crate::module` or `crate::{a::.., b::..}` of one line.
fn modules_used(line: &str) -> Vec<String> {
    let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut found: Vec<String> = Vec::new();
    for after in line.split("crate::").skip(1) {
        if let Some(list) = after.strip_prefix('{') {
            found.extend(list.split(',').map(|item| word(item.trim())));
        } else {
            found.push(word(after));
        }
    }
    found
}

#[test]
fn unsafe_stays_in_its_module() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        if path == "tests/tidy/main.rs" || UNSAFE_FILES.contains(&&*path) {
            continue;
        }
        for (at, line) in text.lines().enumerate() {
            let line = line.trim_start();
            let is_code = !line.starts_with("//");
            if is_code
                && (line.contains("unsafe {")
                    || line.contains("unsafe fn")
                    || line.contains("unsafe impl"))
            {
                wrong.push(format!("{path}:{}: {line}", at + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "unsafe outside {UNSAFE_FILES:?}:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_owns() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| {
            !text.starts_with("//!")
                && !text.starts_with("#![doc")
                && !text.starts_with("#![no_main]")
        })
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "these files do not open with //!: {silent:?}");
}

#[test]
fn dependencies_have_known_licences() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = std::process::Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform"])
        .arg("x86_64-unknown-linux-gnu")
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 20, "the metadata lists the dependencies");
    let mut wrong = Vec::new();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none");
        if !licence_allowed(licence) {
            wrong.push(format!("{} {}: {licence}", package["name"], package["version"]));
        }
    }
    assert!(wrong.is_empty(), "licences that are not on the list:\n{}", wrong.join("\n"));
}

/// An SPDX expression is allowed if each `AND` part has an allowed `OR` alternative.
fn licence_allowed(expression: &str) -> bool {
    expression.split(" AND ").all(|part| {
        part.trim_matches(['(', ')'])
            .replace('/', " OR ")
            .split(" OR ")
            .any(|one| LICENCES.contains(&one.trim().trim_matches(['(', ')'])))
    })
}

#[test]
fn the_checks_can_fail() {
    assert_eq!(function_name("    pub(crate) fn open(path: &Path) -> Self {"), Some("open"));
    assert_eq!(function_name("    let f = fn_call();"), None);
    let lines = "fn f() {}\n".repeat(CODE_LINES_MAX - 1);
    let tests = "#[cfg(test)]\n#[expect(x)]\nmod tests {\n}\n";
    let at_most = format!("//! What it is.\n{lines}{tests}");
    assert!(!needs_a_reason("src/a.rs", &at_most));
    let long = format!("//! What it is.\n#[cfg(test)]\nmod tests;\n{lines}{tests}");
    assert!(needs_a_reason("src/a.rs", &long));
    assert!(!needs_a_reason("src/a/tests.rs", &long) && !needs_a_reason("tests/x/a.rs", &long));
    assert!(!needs_a_reason("src/a.rs", &format!("//! In one file\n//! because of x.\n{long}")));
    assert!(needs_a_reason("src/a.rs", &format!("{long}//! In one file because of x.\n")));
    assert_eq!(modules_used("use crate::sys::Vfs;"), ["sys"]);
    assert_eq!(modules_used("use crate::{db::Db, wal};"), ["db", "wal"]);
    assert!(licence_allowed("(MIT OR GPL-3.0) AND Unicode-3.0"));
    assert!(!licence_allowed("GPL-3.0"));
    assert!(!licence_allowed("MIT AND GPL-3.0"));
}
