//! The binary, started as a user starts it, and stores to start it on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

pub(crate) fn siltstone(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_siltstone"));
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn ran(output: Output) -> Ran {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap_or_else(|| panic!("killed: {}", output.status));
    Ran { code, out: text(output.stdout), err: text(output.stderr) }
}

pub(crate) fn run(args: &[&str]) -> Ran {
    ran(siltstone(args).output().unwrap())
}

pub(crate) fn run_with_input(args: &[&str], input: &[u8]) -> Ran {
    let mut command = siltstone(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The command may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    ran(child.wait_with_output().unwrap())
}

/// A directory with a store that does not exist yet.
pub(crate) fn place() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("store").to_str().unwrap().to_owned();
    (dir, data)
}

#[expect(clippy::disallowed_methods, reason = "an input of the test, not a store")]
pub(crate) fn write_file(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

pub(crate) fn line(metric: &str, value: &str, time: i64) -> String {
    format!("{{\"metric\":{{{metric}}},\"values\":[\"{value}\"],\"timestamps\":[{time}]}}\n")
}

/// Three series, one of them in Persian.
pub(crate) fn lines() -> String {
    line("\"__name__\":\"a\"", "1", 1000)
        + &line("\"__name__\":\"b\",\"x\":\"\\u001b[31m\"", "NaN:7ff0000000000002", 2000)
        + &line("\"__name__\":\"دما\",\"حالت\":\"می\u{200c}رود\"", "-0", 3000)
}

pub(crate) fn filled() -> (TempDir, String) {
    let (dir, data) = place();
    let ran = run_with_input(&["import", "--data", &data, "-"], lines().as_bytes());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(ran.out.starts_with("imported 3 series, 3 samples in "), "{}", ran.out);
    (dir, data)
}

/// The digest of a store, which must be whole.
pub(crate) fn digest(data: &str) -> String {
    let verified = run(&["verify", "--data", data]);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
    let ran = run(&["digest", "--data", data]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out
}

/// Imports lines: a level-0 segment of its own.
pub(crate) fn import(data: &str, lines: &str) {
    let ran = run_with_input(&["import", "--data", data, "-"], lines.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.err);
}

/// What a command prints as JSON.
pub(crate) fn json(args: &[&str]) -> serde_json::Value {
    let ran = run(&[args, &["--json"]].concat());
    assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
    serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{args:?}: {e}: {}", ran.out))
}

#[expect(clippy::disallowed_methods, reason = "a test looks into a store from outside")]
pub(crate) fn names(dir: &str) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Whether something comes about in another process, given twenty seconds.
#[expect(clippy::disallowed_methods, reason = "waits for another process")]
pub(crate) fn comes(mut done: impl FnMut() -> bool) -> bool {
    (0..800).any(|_| {
        std::thread::sleep(Duration::from_millis(25));
        done()
    })
}

/// A server that is killed when dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) address: String,
    pub(crate) greeting: String,
}

impl Serving {
    pub(crate) fn start(data: &str) -> Self {
        Self::start_with(data, &[])
    }

    pub(crate) fn start_with(data: &str, flags: &[&str]) -> Self {
        let mut command = siltstone(&["serve", "--listen", "127.0.0.1:0", "--data", data]);
        command.args(flags);
        Self::of(command, Stdio::null())
    }

    /// Starts what becomes a server, and waits for its greeting.
    pub(crate) fn of(mut command: Command, err: Stdio) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(err).spawn().unwrap();
        let mut greeting = String::new();
        let mut out = BufReader::new(child.stdout.as_mut().unwrap());
        for _ in 0..4 {
            out.read_line(&mut greeting).unwrap();
        }
        let address = greeting.lines().next().unwrap().rsplit("http://").next().unwrap().to_owned();
        Self { child, address, greeting }
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, at most so long, and gives its exit code.
    #[expect(clippy::disallowed_methods, reason = "waits for another process")]
    pub(crate) fn wait_within(&mut self, time: Duration) -> Option<i32> {
        const STEP: Duration = Duration::from_millis(50);
        for _ in 0..time.as_millis() / STEP.as_millis() {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(STEP);
        }
        None
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Ends it with a signal, and gives its exit code.
    pub(crate) fn end(mut self, signal: &str) -> Option<i32> {
        self.signal(signal);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
