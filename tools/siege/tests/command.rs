//! The command itself; that it is built makes it there for `siege ci`.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::process::Command;

fn siege(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_siege")).args(args).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn wrong_arguments_are_named() {
    let (code, text) = siege(&["run", "--memory-budget", "1MiB"]);
    assert!(code == Some(2) && text.contains("from 16MiB"), "{text}");
    let (code, text) = siege(&["run", "--server", "/absent/siltstone"]);
    assert!(code == Some(4) && text.contains("/absent/siltstone"), "{text}");
}
