//! A process's CPU time in nanoseconds.
//!
//! `/proc/PID/stat` counts in steps of 10 ms, longer than many queries take. The scheduler's figure for
//! each thread, the first of `/proc/PID/task/TID/schedstat`, is exact for threads that wait. What a
//! thread had used when it ended stays counted; of a thread that starts and ends between two readings
//! nothing is seen.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use siltstone_rig::error::RigError;
use siltstone_rig::process::Process;

/// Counts the CPU time of a process from reading to reading.
#[derive(Debug)]
pub struct CpuMeter {
    tasks: PathBuf,
    /// Nanoseconds of each thread at its last reading.
    seen: HashMap<String, u64>,
    total_ns: u64,
}

impl CpuMeter {
    /// A meter of a process; what was used before the first reading counts too.
    #[must_use]
    pub fn new(process: &Process) -> Self {
        Self::of_tasks(&PathBuf::from(format!("/proc/{}/task", process.id())))
    }

    fn of_tasks(tasks: &Path) -> Self {
        Self { tasks: tasks.into(), seen: HashMap::new(), total_ns: 0 }
    }

    /// CPU time of all threads seen until now, in user and kernel mode.
    ///
    /// # Errors
    /// If the process has ended or the kernel keeps no such figures.
    pub fn read(&mut self) -> Result<Duration, RigError> {
        let what = || format!("reading {}", self.tasks.display());
        let mut seen = HashMap::with_capacity(self.seen.len());
        for entry in fs::read_dir(&self.tasks).map_err(RigError::io(what()))? {
            let entry = entry.map_err(RigError::io(what()))?;
            let text = match fs::read_to_string(entry.path().join("schedstat")) {
                Ok(text) => text,
                // The thread has ended.
                Err(error) if vanished(&error) => continue,
                Err(error) => return Err(RigError::io(what())(error)),
            };
            let now: u64 = text
                .split_ascii_whitespace()
                .next()
                .and_then(|figure| figure.parse().ok())
                .ok_or_else(|| RigError::failed(format!("{}: not a figure: {text:?}", what())))?;
            let thread = entry.file_name().to_string_lossy().into_owned();
            // Less than before means that another thread has got the number.
            let before = self.seen.get(&thread).copied().filter(|before| *before <= now);
            self.total_ns += now - before.unwrap_or(0);
            seen.insert(thread, now);
        }
        self.seen = seen;
        Ok(Duration::from_nanos(self.total_ns))
    }
}

/// Whether a file of a thread could not be read because the thread ended.
fn vanished(error: &io::Error) -> bool {
    const NO_SUCH_PROCESS: i32 = 3;
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(NO_SUCH_PROCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_threads_used_stays_counted() {
        let dir = tempfile::tempdir().unwrap();
        let set = |thread: &str, figure: u64| {
            let dir = dir.path().join(thread);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("schedstat"), format!("{figure} 5 1\n")).unwrap();
        };
        let mut meter = CpuMeter::of_tasks(dir.path());
        set("1", 100);
        set("2", 1000);
        assert_eq!(meter.read().unwrap(), Duration::from_nanos(1100));
        set("1", 150);
        fs::remove_dir_all(dir.path().join("2")).unwrap();
        assert_eq!(meter.read().unwrap(), Duration::from_nanos(1150));
        set("2", 7);
        set("1", 20);
        assert_eq!(meter.read().unwrap(), Duration::from_nanos(1177), "both numbers used again");
        fs::write(dir.path().join("1/schedstat"), "x").unwrap();
        assert!(meter.read().unwrap_err().to_string().contains("not a figure"));
    }

    #[test]
    fn a_process_that_works_uses_time() {
        let dir = tempfile::tempdir().unwrap();
        let shell = siltstone_rig::process::find_program("sh").unwrap();
        let script = ["-c".into(), "while :; do :; done".into()];
        let process = Process::start("it", &shell, &script, &dir.path().join("log")).unwrap();
        let mut meter = CpuMeter::new(&process);
        while meter.read().unwrap().is_zero() {
            std::thread::yield_now();
        }
        drop(process);
        assert!(meter.read().is_err(), "it has ended");
    }
}
