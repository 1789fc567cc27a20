//! `siltstone serve` on a disk whose syncs fail: it ends by itself, with an exit code of its own.
//!
//! Needs `strace`, which makes the system calls of the running server fail. Where it is missing, or may
//! not trace, the test says so and passes.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use crate::harness::{Serving, filled, lines, run, run_with_input};

/// A tracer that is killed when dropped.
struct Tracer {
    child: Child,
    err: Option<BufReader<ChildStderr>>,
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From when this returns, every sync of the process fails; `None` where nothing can be traced.
#[expect(clippy::print_stdout, reason = "what was skipped is said")]
fn fail_syncs(pid: u32) -> Option<Tracer> {
    let mut command = Command::new("strace");
    command.args(["-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]);
    command.args(["-e", "inject=fsync,fdatasync:error=EIO", "-p", &pid.to_string()]);
    let mut tracer = match command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn() {
        Ok(child) => Tracer { child, err: None },
        Err(error) => {
            println!("SKIPPED: no sync was made to fail, strace cannot be started: {error}");
            return None;
        }
    };
    let mut said = String::new();
    let mut err = BufReader::new(tracer.child.stderr.take().unwrap());
    err.read_line(&mut said).unwrap();
    if !said.contains("attached") || said.contains("attach:") {
        println!("SKIPPED: strace may not trace here: {said}");
        return None;
    }
    // The little else that it says finds its reader there.
    tracer.err = Some(err);
    Some(tracer)
}

#[test]
fn a_server_whose_store_has_failed_ends_with_a_code_of_its_own() {
    let (_dir, data) = filled();
    let mut server = Serving::start(&data);
    assert!(server.post("/api/v1/import/prometheus", "a 1 1000").starts_with("HTTP/1.1 204"));
    let Some(tracer) = fail_syncs(server.pid()) else { return };
    assert!(server.post("/api/v1/import/prometheus", "a 2 2000").starts_with("HTTP/1.1 503"));
    assert_eq!(server.wait_within(Duration::from_secs(20)), Some(5));
    drop(tracer);
    // The next one has what was acknowledged.
    assert_eq!(run(&["verify", "--data", &data]).code, 0);
    assert_eq!(run_with_input(&["import", "--data", &data, "-"], lines().as_bytes()).code, 0);
    assert!(run(&["export", "--data", &data, "--match", "a"]).out.contains("\"a\""));
}
