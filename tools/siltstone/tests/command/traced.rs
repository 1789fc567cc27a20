//! A reader writes nothing: every system call of commands that read is looked at.
//!
//! Needs `strace`. Where it is missing, or may not trace, the test says so and passes.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Serving, filled, lines};

/// Calls that change a file, a directory or a lock whatever their flags, by how their names start.
const CHANGING: &[&str] = &[
    "write",
    "pwrite",
    "rename",
    "unlink",
    "link",
    "symlink",
    "mkdir",
    "rmdir",
    "mknod",
    "creat",
    "truncate",
    "ftruncate",
    "fallocate",
    "chmod",
    "fchmod",
    "chown",
    "fchown",
    "lchown",
    "utime",
    "futimesat",
    "setxattr",
    "fsetxattr",
    "lsetxattr",
    "removexattr",
    "flock",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "copy_file_range",
    "sendfile",
    "splice",
    "vmsplice",
];
/// Flags that make an open more than a look.
const WRITING: &[&str] = &["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND", "O_TMPFILE"];

/// Whether a line of a trace, with paths in place of descriptors, changes something in `dir`.
fn changes(line: &str, dir: &str) -> bool {
    // "123 openat(AT_FDCWD</tmp>, "/tmp/x/store", ..." or "123 <... openat resumed>".
    let Some((head, rest)) = line.split_once('(') else { return false };
    let call = head.rsplit(' ').next().unwrap_or_default();
    if !rest.contains(dir) {
        return false;
    }
    let locks = call.starts_with("fcntl") && (rest.contains("SETLK") || rest.contains("SETFL"));
    let maps = call == "mmap" && rest.contains("MAP_SHARED") && rest.contains("PROT_WRITE");
    let opens = call.starts_with("open") && WRITING.iter().any(|flag| rest.contains(flag));
    locks || maps || opens || CHANGING.iter().any(|changing| call.starts_with(changing))
}

/// The system calls of a command; `None` where nothing can be traced.
#[expect(clippy::print_stdout, reason = "what was skipped is said")]
fn trace(args: &[&str], into: &Path) -> Option<String> {
    let mut command = Command::new("strace");
    // All calls, not chosen ones: what is not known to change something is looked at as well.
    command.args(["-f", "-y", "-s", "4096", "-o"]).arg(into);
    command.arg(env!("CARGO_BIN_EXE_siltstone")).args(args).env_remove("RUST_LOG");
    let ran = match command.stdin(Stdio::null()).output() {
        Ok(ran) if ran.status.success() => ran,
        Ok(ran) => {
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            assert!(said.contains("ptrace") || said.contains("PTRACE"), "{args:?}: {said}");
            println!("SKIPPED: strace may not trace here: {said}");
            return None;
        }
        Err(error) => {
            println!("SKIPPED: no system call was looked at, strace cannot be started: {error}");
            return None;
        }
    };
    assert!(!ran.stdout.is_empty(), "{args:?} read something");
    let file = std::io::read_to_string(open(into)).unwrap();
    assert!(file.lines().count() > 100, "a trace of {} lines", file.lines().count());
    Some(file)
}

#[expect(clippy::disallowed_methods, reason = "the output of another program, not a store")]
fn open(path: &Path) -> std::fs::File {
    std::fs::File::open(path).unwrap()
}

fn assert_reads_only(args: &[&str], data: &str, into: &Path) -> bool {
    let Some(calls) = trace(args, into) else { return false };
    let touching: Vec<&str> = calls.lines().filter(|line| line.contains(data)).collect();
    assert!(touching.iter().any(|line| line.contains(".seg") || line.contains(".wal")), "{args:?}");
    let changing: Vec<_> = calls.lines().filter(|line| changes(line, data)).collect();
    assert!(changing.is_empty(), "{args:?} changes the store:\n{}", changing.join("\n"));
    true
}

#[test]
fn commands_that_read_make_no_call_that_writes() {
    let (dir, data) = filled();
    let log = dir.path().join("trace");
    let commands: &[&[&str]] = &[
        &["export"],
        &["digest"],
        &["ls"],
        &["stats"],
        &["verify"],
        &["samples", "a"],
        &["query", "a"],
    ];
    for command in commands {
        let args = [*command, &["--data", &data]].concat();
        if !assert_reads_only(&args, &data, &log) {
            return;
        }
    }
    // Beside the owner, whose log is read.
    let server = Serving::start(&data);
    assert!(server.post("/api/v1/import", &lines()).starts_with("HTTP/1.1 2"));
    assert!(assert_reads_only(&["export", "--data", &data], &data, &log));
    drop(server);
    // Were there one, it would be seen: a command that writes.
    let copy = dir.path().join("copy").to_str().unwrap().to_owned();
    let calls = trace(&["snapshot", &copy, "--data", &data], &log).unwrap();
    assert!(calls.lines().filter(|line| changes(line, &data)).count() > 5);
}

#[test]
fn a_change_is_recognised() {
    let dir = "/tmp/x/store";
    for line in [
        r#"7 openat(AT_FDCWD</tmp>, "/tmp/x/store/LOCK", O_RDWR|O_CREAT|O_CLOEXEC, 0666) = 3"#,
        r#"7 write(3</tmp/x/store/000001.wal>, "..."..., 100) = 100"#,
        r#"7 unlink("/tmp/x/store/000001.wal") = 0"#,
        r#"7 flock(3</tmp/x/store/LOCK>, LOCK_EX|LOCK_NB) = 0"#,
        r#"7 fcntl(3</tmp/x/store/LOCK>, F_SETLK, {l_type=F_WRLCK}) = 0"#,
        r#"7 renameat2(AT_FDCWD</tmp>, "/tmp/x/store/a", AT_FDCWD</tmp>, "/tmp/x/b", 0) = 0"#,
    ] {
        assert!(changes(line, dir), "{line}");
    }
    for line in [
        r#"7 openat(AT_FDCWD</tmp>, "/tmp/x/store/000001.seg", O_RDONLY|O_CLOEXEC) = 3"#,
        r#"7 mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3</tmp/x/store/000001.seg>, 0) = 0x7f"#,
        r#"7 write(1<pipe:[1]>, "..."..., 100) = 100"#,
        r#"7 openat(AT_FDCWD</tmp>, "/tmp/y", O_RDWR|O_CREAT) = 3"#,
        "7 +++ exited with 0 +++",
    ] {
        assert!(!changes(line, dir), "{line}");
    }
}
