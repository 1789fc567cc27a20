//! Where the programs of the peers are, and programs that end with their test.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::time::Duration;

use crate::client::get;

/// Between two looks at whether a program is ready, and how many there may be: a minute.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS_MAX: usize = 1200;

/// The path of a program such as `prometheus`; `None`, loudly, where there is none.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    static PEERS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = PEERS.get_or_init(directory).clone().and_then(|directory| {
        let path = directory.join("usr/bin").join(name);
        if path.is_file() { Ok(path) } else { Err(format!("there is no {}", path.display())) }
    });
    // Past the capture of tests that pass.
    found.map_err(|why| writeln!(std::io::stderr(), "SKIPPED, no {name}: {why}")).ok()
}

fn directory() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("SILTSTONE_PEERS") {
        return Ok(named.into());
    }
    let unpacked = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    if unpacked.is_dir() {
        return Ok(unpacked);
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/peers.sh");
    if !script.is_file() {
        return Err(format!("neither SILTSTONE_PEERS nor {}", script.display()));
    }
    // Several test programs may run at once: it gets its name when it is whole.
    let own = unpacked.with_extension(std::process::id().to_string());
    let output = Command::new(&script).arg(&own).output().map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(format!("peers.sh: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    #[expect(clippy::disallowed_methods, reason = "moves unpacked programs, not a store")]
    let moved = std::fs::rename(&own, &unpacked);
    Ok(if moved.is_ok() || unpacked.is_dir() { unpacked } else { own })
}

/// An address that is free now, and very likely still so in a moment.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A program that is ended with its test.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Waits until `path` is answered with 200.
    pub(crate) fn wait_until_ready(&mut self, address: SocketAddr, path: &str) {
        for _ in 0..LOOKS_MAX {
            let is_open = TcpStream::connect(address).is_ok();
            if is_open && get(address, path).status == 200 {
                return;
            }
            assert_eq!(self.0.try_wait().unwrap(), None, "the program ended");
            #[expect(clippy::disallowed_methods, reason = "waits for another process")]
            std::thread::sleep(LOOK_EVERY);
        }
        panic!("{address} is not ready after {LOOKS_MAX} looks");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
