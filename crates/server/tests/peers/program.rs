//! Where the programs of the peers are, and how they run: each ends with its test.

use std::io::{Read, Seek, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// Between two looks at whether something has happened, and how many there may be: two minutes.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS_MAX: usize = 2400;

/// The path of a program such as `prometheus`; `None`, loudly, where there is none.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    static PEERS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = PEERS.get_or_init(directory).clone().and_then(|directory| {
        let path = directory.join("usr/bin").join(name);
        if path.is_file() { Ok(path) } else { Err(format!("there is no {}", path.display())) }
    });
    found.map_err(|why| skipped(&format!("no {name}: {why}"))).ok()
}

/// Says that a test has nothing to run, past the capture of tests that pass.
pub(crate) fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED, {why}");
}

/// A loopback address that is free now, and very likely still so in a moment.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Waits until `is_done`; fails, and says `what` did not happen, if that takes minutes.
pub(crate) fn wait(what: &str, is_done: impl FnMut() -> bool) {
    assert!(happens(is_done), "never: {what}");
}

/// Whether `is_done` becomes true within minutes.
fn happens(mut is_done: impl FnMut() -> bool) -> bool {
    for _ in 0..LOOKS_MAX {
        if is_done() {
            return true;
        }
        #[expect(clippy::disallowed_methods, reason = "waits for another process")]
        std::thread::sleep(LOOK_EVERY);
    }
    false
}

/// Runs a program to its end. What it printed, errors included, is the error if it did not end well, or
/// not within minutes.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    // A file, because a pipe that nobody reads yet would stop the program.
    let mut printed = tempfile::tempfile().unwrap();
    let copy = || Stdio::from(printed.try_clone().unwrap());
    command.stdin(Stdio::null()).stdout(copy()).stderr(copy());
    let mut running = Running::start(command);
    let has_ended = happens(|| running.has_ended());
    let is_well = has_ended && running.0.wait().unwrap().success();
    let mut text = String::new();
    printed.rewind().unwrap();
    printed.read_to_string(&mut text).unwrap();
    match (has_ended, is_well) {
        (_, true) => Ok(text),
        (true, false) => Err(text),
        (false, false) => Err(format!("{command:?} does not end: {text}")),
    }
}

fn directory() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("SILTSTONE_PEERS") {
        return Ok(named.into());
    }
    prepared("peers", |own| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/peers.sh");
        if !script.is_file() {
            return Err(format!("neither SILTSTONE_PEERS nor {}", script.display()));
        }
        run(Command::new(&script).arg(own)).map(drop)
    })
}

/// The directory of this name in the target directory, which `fill` fills at the first run.
pub(crate) fn prepared(
    name: &str,
    fill: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let whole = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if whole.is_dir() {
        return Ok(whole);
    }
    // Several test programs may run at once: it gets its name when it is whole.
    let own = whole.with_file_name(format!("{name}.{}", std::process::id()));
    fill(&own)?;
    #[expect(clippy::disallowed_methods, reason = "moves programs, not a store")]
    let moved = std::fs::rename(&own, &whole);
    Ok(if moved.is_ok() || whole.is_dir() { whole } else { own })
}

/// A program that is ended with its test.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
