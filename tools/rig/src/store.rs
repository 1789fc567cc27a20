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
    Prometheus,
}

impl Kind {
    /// The name in tables, which is that of Debian's package and program too.
    const fn name(self) -> &'static str {
        match self {
            Self::Siltstone => "siltstone",
            Self::VictoriaMetrics => "victoria-metrics",
            Self::Prometheus => "prometheus",
        }
    }
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

    /// The same store, which answers what [`Store::merge_paths`] asks.
    #[must_use]
    pub fn with_merges(&self) -> Self {
        match self.kind {
            Kind::Siltstone => self.with_arguments(&["--enable-admin"]),
            Kind::VictoriaMetrics | Kind::Prometheus => self.clone(),
        }
    }

    /// Whether the arguments choose when a write is acknowledged.
    #[must_use]
    pub fn names_durability(&self) -> bool {
        self.arguments.iter().any(|a| a == "--durability" || a.starts_with("--durability="))
    }

    /// VictoriaMetrics of `peers`, a directory into which Debian packages were unpacked; without one
    /// that of `PATH`, installed if it is absent and that is possible.
    ///
    /// # Errors
    /// If it is not to be had.
    pub fn victoria_metrics(peers: Option<&Path>) -> Result<Self, RigError> {
        Self::peer(Kind::VictoriaMetrics, peers)
    }

    /// Prometheus, found as VictoriaMetrics is.
    ///
    /// # Errors
    /// If it is not to be had.
    pub fn prometheus(peers: Option<&Path>) -> Result<Self, RigError> {
        Self::peer(Kind::Prometheus, peers)
    }

    fn peer(kind: Kind, peers: Option<&Path>) -> Result<Self, RigError> {
        let program = match peers {
            None => find_or_install(kind.name(), kind.name())?,
            Some(peers) => {
                let program = peers.join("usr/bin").join(kind.name());
                find_program(&program).ok_or_else(|| {
                    RigError::failed(format!(
                        "{} is not there: --peers names a directory into which Debian's packages of \
                         the peers were unpacked",
                        program.display()
                    ))
                })?
            }
        };
        Ok(Self { kind, program, arguments: Vec::new() })
    }

    /// A short name for tables.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind.name()
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
            Kind::Prometheus => "answers from its log, which the system writes in time".into(),
        }
    }

    /// What the program says about its version, or Debian's package where it says nothing.
    #[must_use]
    pub fn version(&self) -> String {
        let said = match self.kind {
            Kind::Siltstone | Kind::Prometheus => {
                first_line(Command::new(&self.program).arg("--version"))
            }
            Kind::VictoriaMetrics => self.unpacked_version().or_else(|| {
                first_line(Command::new("dpkg-query").args(["-W", "-f", "${Version}", self.name()]))
            }),
        };
        said.unwrap_or_else(|| "version unknown".into())
    }

    /// The version in the name of the package's file that was kept beside the unpacked program, as
    /// in `.apt/victoria-metrics_1.145.0+ds1-2_amd64.deb`.
    fn unpacked_version(&self) -> Option<String> {
        let kept = self.program.ancestors().nth(3)?.join(".apt");
        std::fs::read_dir(kept).ok()?.flatten().find_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix(self.name())?.strip_prefix('_')?;
            Some(rest.strip_suffix(".deb")?.split('_').next()?.to_owned())
        })
    }

    /// Starts the store on `data` and `address` without waiting for it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, data: &Path, address: SocketAddr, log: &Path) -> Result<Process, RigError> {
        let with_data = |option: &str| {
            let mut argument = OsString::from(option);
            argument.push(data);
            argument
        };
        let mut arguments: Vec<OsString> = match self.kind {
            Kind::Siltstone => vec![
                "serve".into(),
                "--listen".into(),
                address.to_string().into(),
                "--data".into(),
                data.into(),
            ],
            Kind::VictoriaMetrics => vec![
                format!("-httpListenAddr={address}").into(),
                "-retentionPeriod=100y".into(),
                "-loggerLevel=WARN".into(),
                with_data("-storageDataPath="),
            ],
            Kind::Prometheus => vec![
                // The configuration: it scrapes nothing.
                "--config.file=/dev/null".into(),
                format!("--web.listen-address={address}").into(),
                "--web.enable-remote-write-receiver".into(),
                "--storage.tsdb.retention.time=100y".into(),
                "--log.level=warn".into(),
                with_data("--storage.tsdb.path="),
            ],
        };
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

    /// What to post to, in order, for everything to be written out and merged; Prometheus has
    /// nothing of the kind.
    #[must_use]
    pub fn merge_paths(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Siltstone => &["/api/v1/admin/tsdb/flush", "/api/v1/admin/tsdb/compact"],
            Kind::VictoriaMetrics => &["/internal/force_flush", "/internal/force_merge"],
            Kind::Prometheus => &[],
        }
    }

    /// Whether the store moves what is old into blocks at a time of its own choice.
    #[must_use]
    pub fn takes_blocks_by_itself(&self) -> bool {
        self.kind == Kind::Prometheus
    }

    /// What answers 200 as soon as the store takes requests.
    #[must_use]
    pub fn ready_path(&self) -> &'static str {
        match self.kind {
            Kind::Siltstone | Kind::Prometheus => "/-/ready",
            Kind::VictoriaMetrics => "/health",
        }
    }
}

/// What the command prints first; `None` if that is nothing.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?.stdout;
    let line = String::from_utf8_lossy(&output).lines().next()?.trim().to_owned();
    (!line.is_empty()).then_some(line)
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
    fn peers_are_taken_from_the_directory_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Store::prometheus(Some(dir.path())).unwrap_err().to_string();
        assert!(error.contains("usr/bin/prometheus") && error.contains("--peers"), "{error}");
        for sub in ["usr/bin", ".apt"] {
            std::fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        let write = |path: &str| std::fs::write(dir.path().join(path), "").unwrap();
        write("usr/bin/victoria-metrics");
        write(".apt/prometheus_3.5.3_amd64.deb");
        write(".apt/victoria-metrics_1.145.0+ds1-2_amd64.deb");
        let store = Store::victoria_metrics(Some(dir.path())).unwrap();
        assert_eq!(store.program(), dir.path().join("usr/bin/victoria-metrics"));
        assert_eq!(store.version(), "1.145.0+ds1-2");
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
