//! A control group with a limit of memory, of version 1 or 2, in which the server runs.
//!
//! It is made below the root of the hierarchy, has the rig's process id in its name, and is removed when it is
//! dropped, after the server has ended.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use siltstone_rig::RigError;
use siltstone_rig::report::megabytes;

const V1: &str = "/sys/fs/cgroup/memory";
const V2: &str = "/sys/fs/cgroup";

/// See the module.
#[derive(Debug)]
pub(crate) struct Cgroup {
    dir: PathBuf,
    is_v2: bool,
}

/// What a group has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupUse {
    peak_bytes: u64,
    /// Times that the limit was met: pages of files were given back then.
    limit_met: u64,
    /// Processes that the system killed.
    pub(crate) kills: u64,
}

impl fmt::Display for GroupUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peak_bytes, limit_met, kills } = self;
        let peak = megabytes(*peak_bytes);
        write!(f, "peak {peak} with pages of files, limit met {limit_met} times, {kills} killed")
    }
}

impl Cgroup {
    /// Makes a group; the error says why this machine has none.
    pub(crate) fn new(limit_bytes: u64) -> Result<Self, String> {
        let v2 = fs::read_to_string(Path::new(V2).join("cgroup.controllers"));
        let is_v2 =
            v2.is_ok_and(|controllers| controllers.split(' ').any(|c| c.trim() == "memory"));
        let root = if is_v2 { V2 } else { V1 };
        if !is_v2 && !Path::new(V1).join("memory.limit_in_bytes").exists() {
            return Err("no memory controller of cgroups is mounted".into());
        }
        let dir = Path::new(root).join(format!("siltstone-siege-{}", std::process::id()));
        let unable = |error: std::io::Error| format!("{}: {error}", dir.display());
        fs::create_dir(&dir).map_err(unable)?;
        let group = Self { dir: dir.clone(), is_v2 };
        let limit = if is_v2 { "memory.max" } else { "memory.limit_in_bytes" };
        fs::write(dir.join(limit), limit_bytes.to_string()).map_err(unable)?;
        Ok(group)
    }

    /// Puts a process into the group.
    pub(crate) fn add(&self, process: u32) -> Result<(), RigError> {
        let to = self.dir.join("cgroup.procs");
        fs::write(&to, process.to_string())
            .map_err(RigError::io(format!("writing {}", to.display())))
    }

    /// What the group has used until now.
    pub(crate) fn usage(&self) -> Result<GroupUse, RigError> {
        let read = |name: &str| {
            let path = self.dir.join(name);
            fs::read_to_string(&path).map_err(RigError::io(format!("reading {}", path.display())))
        };
        if self.is_v2 {
            let events = read("memory.events")?;
            // Kernels before 5.19 do not keep the peak.
            let peak_bytes = read("memory.peak").map(|peak| number(&peak)).unwrap_or(0);
            let (limit_met, kills) = (field(&events, "max"), field(&events, "oom_kill"));
            return Ok(GroupUse { peak_bytes, limit_met, kills });
        }
        Ok(GroupUse {
            peak_bytes: number(&read("memory.max_usage_in_bytes")?),
            limit_met: number(&read("memory.failcnt")?),
            kills: field(&read("memory.oom_control")?, "oom_kill"),
        })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Left behind if a process is in it; there is nobody to tell.
        let _ = fs::remove_dir(&self.dir);
    }
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

/// The number behind a name at the start of a line.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!((field(text, "oom_kill"), field(text, "oom")), (3, 0));
    }
}
