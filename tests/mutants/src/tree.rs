//! The copy of the tree that is built: every file, and the mutants in those of the engine.
//!
//! A file is written only if it differs from the one that is there, so that the next build does what is needed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::table::Mutant;
use crate::{Result, place};

/// What is no part of the packages.
const LEFT_OUT: &[&str] = &["target", ".git", "fuzz", "siltstone-data"];

/// Writes the copy of `root` to `copy`, with `mutants` in it.
pub(crate) fn write(root: &Path, copy: &Path, mutants: &[&Mutant]) -> Result<()> {
    let mut wanted: BTreeSet<&str> =
        mutants.iter().flat_map(|m| &m.edits).map(|edit| edit.path.as_str()).collect();
    let files = files(root)?;
    for file in &files {
        let from = root.join(file);
        let mut bytes = std::fs::read(&from).map_err(|e| format!("{}: {e}", from.display()))?;
        let name = file.to_str().unwrap_or_default();
        let is_mutated = wanted.remove(name);
        if is_mutated || matches!(name, "src/lib.rs" | "Cargo.toml") {
            let text = String::from_utf8(bytes).map_err(|e| format!("{name}: {e}"))?;
            bytes = changed(name, &text, mutants)?.into_bytes();
        }
        put(&copy.join(file), &bytes)?;
    }
    put(&copy.join("src/mutant.rs"), place::SWITCHES.as_bytes())?;
    for gone in
        self::files(copy)?.difference(&files).filter(|file| **file != Path::new("src/mutant.rs"))
    {
        std::fs::remove_file(copy.join(gone)).map_err(|e| format!("{}: {e}", gone.display()))?;
    }
    match wanted.first() {
        Some(missing) => Err(format!("there is no file {missing}")),
        None => Ok(()),
    }
}

/// Looks whether all mutants have their places in the files of `root`; how many places that are.
pub(crate) fn check(root: &Path, mutants: &[&Mutant]) -> Result<usize> {
    let edits = || mutants.iter().flat_map(|m| &m.edits);
    for path in edits().map(|edit| &edit.path).collect::<BTreeSet<_>>() {
        let text = std::fs::read_to_string(root.join(path)).map_err(|e| format!("{path}: {e}"))?;
        place::all(path, &text, mutants)?;
    }
    Ok(edits().count())
}

fn changed(name: &str, text: &str, mutants: &[&Mutant]) -> Result<String> {
    let text = place::all(name, text, mutants)?;
    Ok(match name {
        "src/lib.rs" => format!(
            "#![allow(warnings, reason = \"what was taken away leaves things unused\")]\n{text}\nmod mutant;\n"
        ),
        // Another version is another package to cargo: the copy leaves alone what it has built of the tree.
        "Cargo.toml" => text.replacen("\nversion = \"", "\nversion = \"9", 1),
        _ => text,
    })
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let dir = path.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(dir)
        .and_then(|()| std::fs::write(path, bytes))
        .map_err(|e| format!("{}: {e}", path.display()))
}

/// The files below `root`, by their paths in it.
fn files(root: &Path) -> Result<BTreeSet<PathBuf>> {
    let (mut found, mut dirs) = (BTreeSet::new(), vec![PathBuf::new()]);
    while let Some(dir) = dirs.pop() {
        let path = root.join(&dir);
        let entries = std::fs::read_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        for entry in entries {
            let entry = entry.map_err(|e| format!("{}: {e}", path.display()))?;
            let name = entry.file_name();
            if LEFT_OUT.iter().any(|left_out| name == *left_out) {
                continue;
            }
            let kind = entry.file_type().map_err(|e| format!("{}: {e}", path.display()))?;
            match kind.is_dir() {
                true => dirs.push(dir.join(name)),
                false => drop(found.insert(dir.join(name))),
            }
        }
    }
    Ok(found)
}
