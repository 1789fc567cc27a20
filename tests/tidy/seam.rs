//! What threads synchronise with is named in one place, `sys::sync`, so that the schedules see all of it.
//!
//! The engine only: the floors above it are not under the schedules.

use crate::imports::FileImports;
use crate::sources::{is_of_tests, sources};

/// Of `std::sync`, what every file may name; the docs of `sys::sync` say why.
const FREE: &[&str] = &["Arc", "Weak", "PoisonError", "LockResult"];
/// The modules that are watched, each with what it may be asked for anywhere.
const WATCHED: &[(&[&str], &[&str])] = &[
    (&["std", "sync"], FREE),
    (&["std", "thread"], &["available_parallelism", "panicking"]),
    (&["crossbeam"], &[]),
    (&["shuttle"], &[]),
];

/// What a file of the engine names of a watched module and may not.
fn forbidden(path: &str, text: &str) -> Vec<String> {
    let file = FileImports::of(text);
    let imported = file.imports.iter().map(|import| &import.path);
    let named = imported.chain(&file.paths).filter_map(|named| {
        WATCHED.iter().find_map(|(module, allowed)| {
            let item = named.iter().map(String::as_str).collect::<Vec<_>>();
            let item = item.strip_prefix(*module)?.first().copied().unwrap_or("*");
            // The constant tables of the lowest floor, below `sys`.
            let is_table = path.starts_with("src/types/") && item == "OnceLock";
            (!allowed.contains(&item) && !is_table).then(|| named.join("::"))
        })
    });
    named.map(|named| format!("{path}: {named}")).collect()
}

#[test]
fn what_threads_synchronise_with_comes_from_the_seam() {
    let engine = sources().into_iter().filter(|(path, _)| {
        path.starts_with("src/") && !path.starts_with("src/sys/") && !is_of_tests(path)
    });
    let wrong: Vec<String> = engine.flat_map(|(path, text)| forbidden(&path, &text)).collect();
    assert!(wrong.is_empty(), "take these from crate::sys::sync:\n{}", wrong.join("\n"));
}

#[test]
fn the_seam_can_be_passed_by() {
    let found = |text| forbidden("src/db/a.rs", text);
    assert_eq!(found("use std::sync::{Arc, PoisonError, Weak};"), Vec::<String>::new());
    assert_eq!(found("use std::sync::{Arc, Mutex};"), ["src/db/a.rs: std::sync::Mutex"]);
    assert_eq!(found("use std::sync::atomic::AtomicU64;").len(), 1);
    assert_eq!(found("fn f() { std::thread::yield_now(); }").len(), 1);
    assert_eq!(found("use crossbeam::sync::ShardedLock;").len(), 1);
    assert_eq!(found("#[cfg(test)]\nmod tests { use std::sync::Mutex; }"), Vec::<String>::new());
    assert_eq!(forbidden("src/types/a.rs", "use std::sync::OnceLock;"), Vec::<String>::new());
}
