//! The source files of the workspace, for every check that reads them.

use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "lists the source tree, not a store")]
fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                rust_files(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// (path relative to the root, text), the whole workspace.
pub(crate) fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    rust_files(&root(), &mut found);
    found.sort();
    let relative = |p: &Path| p.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    found.iter().map(|p| (relative(p), read(p))).collect()
}

/// The lines up to the inline tests.
pub(crate) fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"))
}

/// The lines up to an inline `mod tests {`. Unlike [`code`] it goes on behind a `#[cfg(test)]` that
/// only declares a file of tests, which may stand at the head.
pub(crate) fn lines_before_inline_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let starts_inline_tests = |at: usize| {
        let item = lines[at..].iter().find(|line| !line.starts_with("#["));
        lines[at].starts_with("#[cfg(test)]")
            && item.is_some_and(|item| item.starts_with("mod ") && item.ends_with('{'))
    };
    (0..lines.len()).find(|at| starts_inline_tests(*at)).unwrap_or(lines.len())
}

/// What the `//!` lines at the head say, as one line.
pub(crate) fn docs(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Whether a file holds nothing but tests: what is in a folder of tests, a file of them beside the
/// code, and what only fuzzing runs.
pub(crate) fn is_of_tests(path: &str) -> bool {
    path.ends_with("/tests.rs")
        || path.split('/').any(|folder| folder == "tests" || folder == "fuzz")
}
