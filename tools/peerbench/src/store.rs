//! The stores that are compared: how each is found, started and asked whether it is ready.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::error::RigError;
use crate::install::find_or_install;
use crate::interrupt::Interrupt;
use crate::process::{Process, find_program};

/// How long a store may take to start.
pub const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a store may take to end after SIGTERM.
pub const END_TIMEOUT: Duration = Duration::from_secs(120);
/// Where all of them take remote write.
pub const WRITE_PATH: &str = "/api/v1/write";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Siltstone,
    VictoriaMetrics,
}

/// A store that can be started on a directory.
#[derive(Debug, Clone)]
pub struct Store {
    kind: Kind,
    program: PathBuf,
    arguments: Vec<String>,
}

impl Store {
    /// Siltstone: the program named, or the one beside this executable, or the one in `PATH`. The
    /// arguments are added to those of `siltstone serve`.
    ///
    /// # Errors
    /// If there is none.
    pub fn siltstone(program: Option<&Path>, arguments: &[String]) -> Result<Self, RigError> {
        let found = match program {
            Some(program) => find_program(program)
                .ok_or_else(|| RigError::failed(format!("{} is not there", program.display())))?,
            None => beside_this_executable("siltstone")
                .or_else(|| find_program("siltstone"))
                .ok_or_else(|| {
                    RigError::failed(
                        "siltstone is neither beside this program nor in PATH: build it with \
                         `cargo build --release`, or name it with --siltstone",
                    )
                })?,
        };
        let mut store =
            Self { kind: Kind::Siltstone, program: found, arguments: arguments.to_vec() };
        if !store.names_durability() {
            store.arguments.extend(["--durability".into(), "always".into()]);
        }
        Ok(store)
    }

    /// The same store with more arguments.
    #[must_use]
    pub fn with_arguments(&self, arguments: &[&str]) -> Self {
        let mut store = self.clone();
        store.arguments.extend(arguments.iter().map(ToString::to_string));
        store
    }

    /// Whether the arguments choose when a write is acknowledged.
    #[must_use]
    pub fn names_durability(&self) -> bool {
        self.arguments.iter().any(|a| a == "--durability" || a.starts_with("--durability="))
    }

    /// Debian's VictoriaMetrics, installed if it is absent and that is possible.
    ///
    /// # Errors
    /// If it is not to be had.
    pub fn victoria_metrics() -> Result<Self, RigError> {
        let program = find_or_install("victoria-metrics", "victoria-metrics")?;
        Ok(Self { kind: Kind::VictoriaMetrics, program, arguments: Vec::new() })
    }

    /// A short name for tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Siltstone => "siltstone",
            Kind::VictoriaMetrics => "victoria-metrics",
        }
    }

    /// The program's path.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// When this store answers that samples are safe, in words.
    #[must_use]
    pub fn durability(&self) -> String {
        match self.kind {
            Kind::Siltstone => format!("serve {}", self.arguments.join(" ")),
            Kind::VictoriaMetrics => "answers from memory, writes about a second later".into(),
        }
    }

    /// What the program says about its version, or Debian's package where it says nothing.
    #[must_use]
    pub fn version(&self) -> String {
        let mut command = match self.kind {
            Kind::Siltstone => Command::new(&self.program),
            Kind::VictoriaMetrics => Command::new("dpkg-query"),
        };
        match self.kind {
            Kind::Siltstone => command.arg("--version"),
            Kind::VictoriaMetrics => command.args(["-W", "-f", "${Version}", self.name()]),
        };
        let output = command.output().map(|output| output.stdout).unwrap_or_default();
        let text = String::from_utf8_lossy(&output);
        match text.lines().next() {
            Some(line) => line.trim().to_owned(),
            None => "version unknown".into(),
        }
    }

    /// Starts the store on `data` and `address` without waiting for it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, data: &Path, address: SocketAddr, log: &Path) -> Result<Process, RigError> {
        let data = data.as_os_str();
        let mut arguments: Vec<OsString> = match self.kind {
            Kind::Siltstone => {
                vec!["serve".into(), "--listen".into(), address.to_string().into(), "--data".into()]
            }
            Kind::VictoriaMetrics => vec![
                format!("-httpListenAddr={address}").into(),
                "-retentionPeriod=100y".into(),
                "-loggerLevel=WARN".into(),
            ],
        };
        match self.kind {
            Kind::Siltstone => arguments.push(data.to_owned()),
            Kind::VictoriaMetrics => {
                let mut path = OsString::from("-storageDataPath=");
                path.push(data);
                arguments.push(path);
            }
        }
        arguments.extend(self.arguments.iter().map(OsString::from));
        Process::start(self.name(), &self.program, &arguments, log)
    }

    /// Starts the store and waits until it is ready.
    ///
    /// # Errors
    /// If it does not become ready.
    pub fn start_ready(
        &self,
        data: &Path,
        address: SocketAddr,
        log: &Path,
        interrupt: &Interrupt,
    ) -> Result<(Process, Duration), RigError> {
        let mut process = self.start(data, address, log)?;
        let path = self.ready_path();
        let took = process.wait_ready(address, path, READY_TIMEOUT, interrupt)?;
        Ok((process, took))
    }

    /// What to post to, in order, for everything to be written out and merged.
    #[must_use]
    pub fn merge_paths(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Siltstone => &["/api/v1/admin/tsdb/flush", "/api/v1/admin/tsdb/compact"],
            Kind::VictoriaMetrics => &["/internal/force_flush", "/internal/force_merge"],
        }
    }

    /// What answers 200 as soon as the store takes requests.
    #[must_use]
    pub fn ready_path(&self) -> &'static str {
        match self.kind {
            Kind::Siltstone => "/-/ready",
            Kind::VictoriaMetrics => "/health",
        }
    }
}

fn beside_this_executable(name: &str) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok()?.parent()?.join(name);
    beside.is_file().then_some(beside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_program_is_named() {
        let error = Store::siltstone(Some(Path::new("/absent/siltstone")), &[]).unwrap_err();
        assert!(error.to_string().contains("/absent/siltstone"), "{error}");
    }

    #[test]
    fn the_policy_is_always_unless_chosen() {
        let program = std::env::current_exe().unwrap();
        let store = Store::siltstone(Some(&program), &[]).unwrap();
        assert_eq!(store.durability(), "serve --durability always");
        for chosen in [&["--durability", "never"][..], &["--durability=never"]] {
            let arguments: Vec<String> = chosen.iter().map(ToString::to_string).collect();
            let store = Store::siltstone(Some(&program), &arguments).unwrap();
            assert_eq!(store.durability(), format!("serve {}", chosen.join(" ")));
        }
        let more = store.with_arguments(&["--wal-max", "1MiB"]);
        assert_eq!(more.durability(), "serve --durability always --wal-max 1MiB");
    }
}
