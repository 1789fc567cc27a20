//! Where Prometheus's test scripts are.

#![allow(clippy::print_stdout, reason = "what is skipped is said loudly")]

use std::env;
use std::path::{Path, PathBuf};

/// The directory of the scripts; `None`, loudly, where there is none.
pub fn directory() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/promqltest");
    let directory = env::var_os("SILTSTONE_PROMQLTEST").map_or(beside, PathBuf::from);
    if directory.is_dir() {
        return Some(directory);
    }
    println!(
        "SKIPPED: no conformance scripts in {}; SILTSTONE_PROMQLTEST names their directory",
        directory.display()
    );
    None
}

/// The scripts in a directory, in order of their names.
#[expect(clippy::disallowed_methods, reason = "lists scripts, not a store")]
pub fn scripts(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(directory).map_err(|e| e.to_string())?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    paths.sort();
    Ok(paths)
}
