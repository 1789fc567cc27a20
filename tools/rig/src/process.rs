//! A process that a rig started: its log, its readiness, its use of the machine, its end.
//!
//! A [`Process`] is killed and reaped when it is dropped, so that neither a failure nor Ctrl-C leaves
//! one behind; should the rig itself be killed, the kernel kills the process. Only processes started
//! here are ever signalled.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::RigError;
use crate::http::HttpClient;
use crate::interrupt::Interrupt;

/// Pause between looks at a process that starts or ends.
const POLL: Duration = Duration::from_millis(2);
/// Bytes of the log's end that an error quotes.
const LOG_QUOTED: usize = 2000;

/// A running (or ended) process of ours.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    started: Instant,
}

impl Process {
    /// Starts `program`; what it prints is appended to the file `log`. Must be called on a thread that
    /// outlives the process: the kernel kills the process when that thread ends.
    ///
    /// # Errors
    /// If the program or its log cannot be opened.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: &[OsString],
        log: &Path,
    ) -> Result<Self, RigError> {
        let describe = |what: &str| format!("{what} of {name} ({})", log.display());
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(RigError::io(describe("opening the log")))?;
        let err = out.try_clone().map_err(RigError::io(describe("opening the log")))?;
        // setpriv of util-linux executes the program in its own place: same process id.
        let mut command = match find_program("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        let child = command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            // Ctrl-C goes to the rig alone, which ends its processes in its own order.
            .process_group(0)
            .spawn()
            .map_err(RigError::io(format!("starting {}", program.display())))?;
        Ok(Self { name: name.into(), child, log: log.into(), started: Instant::now() })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `GET path` is answered with a success and says how long after the start that was.
    ///
    /// # Errors
    /// If the process ends before, or not within `timeout`.
    pub fn wait_ready(
        &mut self,
        address: SocketAddr,
        path: &str,
        timeout: Duration,
        interrupt: &Interrupt,
    ) -> Result<Duration, RigError> {
        loop {
            interrupt.check()?;
            let mut client = HttpClient::new(address, Duration::from_secs(2));
            if client.get(path).is_ok_and(|response| response.is_success()) {
                return Ok(self.started.elapsed());
            }
            if let Some(status) = self.ended()? {
                return Err(self.failed(&format!("ended before it was ready ({status})")));
            }
            if self.started.elapsed() > timeout {
                return Err(self.failed(&format!("was not ready within {timeout:?}")));
            }
            std::thread::sleep(POLL);
        }
    }

    /// The exit status, if the process has ended.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, RigError> {
        self.child.try_wait().map_err(RigError::io(format!("looking at {}", self.name)))
    }

    /// Kills the process with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// If it had ended by itself before, with the end of its log.
    pub fn kill(&mut self) -> Result<(), RigError> {
        if let Some(status) = self.ended()? {
            return Err(self.failed(&format!("had already ended ({status})")));
        }
        self.child.kill().map_err(RigError::io(format!("killing {}", self.name)))?;
        self.child.wait().map_err(RigError::io(format!("waiting for {}", self.name)))?;
        Ok(())
    }

    /// Asks the process with SIGTERM to end and waits for it.
    ///
    /// # Errors
    /// If it does not end within `timeout`; it is killed then.
    pub fn terminate(&mut self, timeout: Duration) -> Result<ExitStatus, RigError> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM).map_err(|e| RigError::Io {
            what: format!("ending {}", self.name),
            source: e.into(),
        })?;
        let asked = Instant::now();
        while asked.elapsed() < timeout {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            std::thread::sleep(POLL);
        }
        self.kill()?;
        Err(self.failed(&format!("did not end within {timeout:?} after SIGTERM")))
    }

    /// An error about this process, with the end of its log.
    #[must_use]
    pub fn failed(&self, what: &str) -> RigError {
        let log = fs::read(&self.log).unwrap_or_default();
        let end = String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_QUOTED)..]);
        RigError::failed(format!("{} {what}; the end of its log:\n{}", self.name, end.trim_end()))
    }

    /// What the process has used until now.
    ///
    /// # Errors
    /// If it has ended.
    pub fn usage(&self) -> Result<Usage, RigError> {
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", self.id());
            fs::read_to_string(&path).map_err(RigError::io(format!("reading {path}")))
        };
        Usage::parse(&read("stat")?, &read("status")?)
            .ok_or_else(|| RigError::failed(format!("{} has no usage in /proc", self.name)))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Errors mean that it has ended; there is nobody left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process's use of the machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// CPU seconds in user and kernel mode, of all threads, in steps of 10 ms.
    pub cpu_seconds: f64,
    /// Resident anonymous memory in bytes (`RssAnon`).
    pub rss_anon_bytes: u64,
}

impl Usage {
    /// Reads `/proc/PID/stat` and `/proc/PID/status`.
    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The command's name may hold spaces and parentheses; fields count from behind it.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(Self {
            cpu_seconds: (user + system) as f64 / ticks,
            rss_anon_bytes: kib.checked_mul(1024)?,
        })
    }
}

/// Bytes of the files below a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskUse {
    /// Sum of the files' lengths.
    pub length: u64,
    /// Sum of the blocks that the file system has given to them, preallocated ones included.
    pub allocated: u64,
}

/// Adds up the files below `dir`; what vanishes meanwhile is not counted.
#[must_use]
pub fn disk_use(dir: &Path) -> DiskUse {
    use std::os::unix::fs::MetadataExt;
    let mut total = DiskUse::default();
    let Ok(entries) = fs::read_dir(dir) else { return total };
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            let inner = disk_use(&entry.path());
            total.length += inner.length;
            total.allocated += inner.allocated;
        } else {
            total.length += metadata.len();
            total.allocated += metadata.blocks() * 512;
        }
    }
    total
}

/// The path of a program: a name is looked up in `PATH` and the system directories.
#[must_use]
pub fn find_program(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let name = name.as_ref();
    if Path::new(name).components().count() > 1 {
        return Path::new(name).is_file().then(|| name.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|candidate| candidate.is_file())
}

/// A port of the loopback address that nobody listens on at the moment.
///
/// # Errors
/// If there is none.
pub fn free_address() -> Result<SocketAddr, RigError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(RigError::io("looking for a free port"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_behind_any_command_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 9 9 20 0 4 0 100 1 1\n";
        let status = "Name:\ta\nVmRSS:\t  999 kB\nRssAnon:\t    1234 kB\nThreads:\t4\n";
        let usage = Usage::parse(stat, status).unwrap();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(usage.cpu_seconds, 300.0 / ticks);
        assert_eq!(usage.rss_anon_bytes, 1234 * 1024);
        assert_eq!(Usage::parse("", status), None);
        assert_eq!(Usage::parse(stat, "Name:\ta\n"), None);
    }

    #[test]
    fn a_process_is_killed_reaped_and_described() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let shell = find_program("sh").unwrap();
        let start =
            |script: &str| Process::start("it", &shell, &["-c".into(), script.into()], &log);

        let mut ended = start("echo last words; exit 3").unwrap();
        let address = free_address().unwrap();
        let error = ended
            .wait_ready(address, "/", Duration::from_secs(20), &Interrupt::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains("ended before it was ready"), "{error}");
        assert!(error.contains("last words"), "{error}");
        assert!(ended.kill().is_err(), "it ended by itself");

        let mut running = start("exec sleep 60").unwrap();
        assert!(running.usage().unwrap().cpu_seconds < 10.0);
        assert!(running.ended().unwrap().is_none());
        running.kill().unwrap();
        assert!(running.ended().unwrap().is_some());

        let mut asked = start("exec sleep 60").unwrap();
        assert!(!asked.terminate(Duration::from_secs(20)).unwrap().success());

        let dropped = start("exec sleep 60").unwrap();
        let proc = PathBuf::from(format!("/proc/{}", dropped.id()));
        assert!(proc.exists());
        drop(dropped);
        assert!(!proc.exists());
    }

    #[test]
    fn files_of_all_depths_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("a"), [0; 100]).unwrap();
        fs::write(dir.path().join("d/b"), [0; 5000]).unwrap();
        let total = disk_use(dir.path());
        assert_eq!(total.length, 5100);
        assert_eq!(disk_use(&dir.path().join("absent")), DiskUse::default());
    }
}
