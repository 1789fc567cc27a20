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
        Ok(Self { kind: Kind::Siltstone, program: found, arguments: arguments.to_vec() })
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
            Kind::Siltstone if self.arguments.is_empty() => {
                "answers after fdatasync (Always, the default)".into()
            }
            Kind::Siltstone => format!("serve {}", self.arguments.join(" ")),
            Kind::VictoriaMetrics => "answers from memory, writes about a second later".into(),
        }
    }

    /// The first line that the program prints about its version.
    #[must_use]
    pub fn version(&self) -> String {
        let argument = match self.kind {
            Kind::Siltstone => "--version",
            Kind::VictoriaMetrics => "-version",
        };
        let output = Command::new(&self.program).arg(argument).output();
        let text = output.map(|o| [o.stdout, o.stderr].concat()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines().next().unwrap_or("version unknown").trim().to_owned()
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
    fn the_policy_is_said_as_chosen() {
        let program = std::env::current_exe().unwrap();
        let store = Store::siltstone(Some(&program), &[]).unwrap();
        assert!(store.durability().contains("Always"));
        let arguments = ["--durability".to_owned(), "never".to_owned()];
        let store = Store::siltstone(Some(&program), &arguments).unwrap();
        assert_eq!(store.durability(), "serve --durability never");
    }
}
