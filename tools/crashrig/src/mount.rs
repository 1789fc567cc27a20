//! File systems of a rig's own: an ext4 in a file whose power can be cut, and a small tmpfs.
//!
//! Both need root. A mount is taken away when its guard is dropped; the processes on it must have
//! ended before. Only directories that the rig made are ever mounted on.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use siltstone_rig::RigError;
use siltstone_rig::install::is_root;
use siltstone_rig::process::find_program;

/// Waits for a line and calls `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: the file system
/// forgets what it has not written, as by a power cut. Python makes the call, because this workspace
/// has no unsafe code for it, and is started ahead of time, because its start takes long.
const SHUTDOWN: &str = "import fcntl, os, struct, sys\n\
    fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)\n\
    print('armed', flush=True)\n\
    sys.stdin.readline()\n\
    fcntl.ioctl(fd, 0x8004587d, struct.pack('I', 2))\n";

/// Read ahead of a disk that is going to fail: 32 KiB.
const READ_AHEAD_SECTORS: &str = "64";

/// Why this machine cannot do what a rig needs; the rig is skipped then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unable(pub(crate) String);

/// Checks for root and programs.
///
/// # Errors
/// What is not there.
pub(crate) fn able(programs: &[&str]) -> Result<(), Unable> {
    if !is_root() {
        return Err(Unable("mounting needs root".into()));
    }
    match programs.iter().find(|program| find_program(program).is_none()) {
        Some(absent) => Err(Unable(format!("{absent} is not installed"))),
        None => Ok(()),
    }
}

fn run(program: &str, arguments: &[&OsStr]) -> Result<(), RigError> {
    output(program, arguments).map(drop)
}

/// Copies a file, holes as holes.
fn copy(from: &Path, to: &Path) -> Result<(), RigError> {
    run("cp", &["--sparse=always".as_ref(), from.as_os_str(), to.as_os_str()])
}

/// What a program prints that ends well.
fn output(program: &str, arguments: &[&OsStr]) -> Result<String, RigError> {
    let what = || {
        let words: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
        format!("{program} {}", words.join(" "))
    };
    let output = Command::new(program).args(arguments).output().map_err(RigError::io(what()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(RigError::failed(format!("{}: {}: {}", what(), output.status, said.trim_end())))
}

/// A mounted directory; unmounted when dropped.
#[derive(Debug)]
struct Mounted {
    dir: PathBuf,
}

impl Mounted {
    fn new(dir: &Path, arguments: &[&OsStr]) -> Result<Self, RigError> {
        run("mount", &[arguments, &[dir.as_os_str()]].concat())?;
        Ok(Self { dir: dir.into() })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if run("umount", &[self.dir.as_os_str()]).is_err() {
            // Something still has a file open; detach it now, the kernel finishes later.
            let _ = run("umount", &["--lazy".as_ref(), self.dir.as_os_str()]);
        }
    }
}

/// The process that will cut the power of a mounted ext4; ended when dropped.
#[derive(Debug)]
struct Cutter {
    child: Child,
}

impl Cutter {
    /// Starts it and waits until only a line is missing.
    fn arm(dir: &Path) -> Result<Self, RigError> {
        let child = Command::new("python3")
            .args(["-c", SHUTDOWN])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(RigError::io("arming the power cut"))?;
        let mut cutter = Self { child };
        let mut said = [0; 5];
        cutter
            .child
            .stdout
            .as_mut()
            .ok_or_else(|| RigError::failed("the power cut has no output"))?
            .read_exact(&mut said)
            .map_err(RigError::io("arming the power cut"))?;
        Ok(cutter)
    }

    fn cut(mut self) -> Result<(), RigError> {
        let failed = || RigError::io("cutting the power");
        if let Some(mut stdin) = self.child.stdin.take() {
            stdin.write_all(b"\n").map_err(failed())?;
        }
        let status = self.child.wait().map_err(failed())?;
        if status.success() { Ok(()) } else { Err(RigError::failed("the power cut was refused")) }
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        // Errors mean that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An ext4 in a file.
#[derive(Debug)]
pub(crate) struct PowerCutDisk {
    image: PathBuf,
    dir: PathBuf,
    // Dropped in this order: an armed cutter has the mounted directory open.
    cutter: Option<Cutter>,
    mounted: Option<Mounted>,
}

impl PowerCutDisk {
    /// The programs that it needs.
    pub(crate) const PROGRAMS: &[&str] = &["mount", "umount", "mkfs.ext4", "python3"];
    /// Those that [`Self::keep`], [`Self::lose_end`] and [`Self::restore`] need beside them.
    pub(crate) const LOSING_PROGRAMS: &[&str] = &["blockdev", "cp", "findmnt", "losetup"];

    /// Makes a file system of `bytes` below `work` and mounts it.
    ///
    /// # Errors
    /// If the machine has no loop devices, say.
    pub(crate) fn new(work: &Path, bytes: u64) -> Result<Self, RigError> {
        let (image, dir) = (work.join("disk.ext4"), work.join("disk"));
        File::create(&image)
            .and_then(|file| file.set_len(bytes))
            .and_then(|()| std::fs::create_dir(&dir))
            .map_err(RigError::io(format!("making {}", image.display())))?;
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), image.as_os_str()])?;
        let mut disk = Self { image, dir, cutter: None, mounted: None };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn mount(&mut self) -> Result<(), RigError> {
        let arguments = ["-o".as_ref(), "loop".as_ref(), self.image.as_os_str()];
        self.mounted = Some(Mounted::new(&self.dir, &arguments)?);
        self.cutter = Some(Cutter::arm(&self.dir)?);
        Ok(())
    }

    /// Cuts the power: from now on nothing reaches the disk and every access fails. What waits for
    /// the disk at this moment may be told that all is well, so nothing that is said from the call on
    /// counts.
    ///
    /// # Errors
    /// If the file system does not take the call.
    pub(crate) fn cut(&mut self) -> Result<(), RigError> {
        let cutter = self.cutter.take();
        cutter.ok_or_else(|| RigError::failed("the power was cut already"))?.cut()
    }

    /// Keeps a copy of the disk for [`Self::restore`]. It is unmounted for that, so nothing of it stays in memory,
    /// and little is read ahead from then on; no process may have files on it.
    ///
    /// # Errors
    /// If it cannot be copied or mounted again.
    pub(crate) fn keep(&mut self) -> Result<(), RigError> {
        self.cutter = None;
        self.mounted = None;
        copy(&self.image, &self.kept())?;
        self.mount()?;
        run("blockdev", &["--setra".as_ref(), READ_AHEAD_SECTORS.as_ref(), self.device()?.as_ref()])
    }

    /// The loop device.
    fn device(&self) -> Result<String, RigError> {
        let found = output("findmnt", &["-no".as_ref(), "SOURCE".as_ref(), self.dir.as_os_str()])?;
        Ok(found.trim().into())
    }

    /// Makes every access to the device behind its first `bytes` an I/O error, as of a disk that fails.
    ///
    /// # Errors
    /// If the device does not follow its file.
    pub(crate) fn lose_end(&self, bytes: u64) -> Result<(), RigError> {
        File::options()
            .write(true)
            .open(&self.image)
            .and_then(|file| file.set_len(bytes))
            .map_err(RigError::io(format!("shortening {}", self.image.display())))?;
        run("losetup", &["-c".as_ref(), self.device()?.as_ref()])
    }

    /// Mounts the disk as it was kept; no process may have files on it.
    ///
    /// # Errors
    /// If it cannot be copied or mounted.
    pub(crate) fn restore(&mut self) -> Result<(), RigError> {
        self.cutter = None;
        self.mounted = None;
        copy(&self.kept(), &self.image)?;
        self.mount()
    }

    fn kept(&self) -> PathBuf {
        self.image.with_extension("kept")
    }

    /// Mounts what is on the disk after [`Self::cut`]; no process may have files on it.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub(crate) fn remount(&mut self) -> Result<(), RigError> {
        self.cutter = None;
        self.mounted = None;
        self.mount()
    }
}

/// A tmpfs of a fixed size.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    mounted: Mounted,
}

impl SmallDisk {
    /// The programs that it needs.
    pub(crate) const PROGRAMS: &[&str] = &["mount", "umount"];

    /// Mounts a tmpfs on a new directory.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub(crate) fn new(dir: &Path, mebibytes: u64) -> Result<Self, RigError> {
        std::fs::create_dir(dir).map_err(RigError::io(format!("making {}", dir.display())))?;
        let options = format!("size={mebibytes}m");
        let words = ["-t", "tmpfs", "-o", &options, "crashrig"].map(OsStr::new);
        Ok(Self { mounted: Mounted::new(dir, &words)? })
    }

    /// Changes the size of the mounted file system.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn resize(&self, mebibytes: u64) -> Result<(), RigError> {
        let options = format!("remount,size={mebibytes}m");
        run("mount", &["-o".as_ref(), options.as_ref(), self.mounted.dir.as_os_str()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_program_is_a_reason_to_skip() {
        let reason = able(&["sh", "no-such-program-anywhere"]).unwrap_err().0;
        let expected = if is_root() { "no-such-program-anywhere" } else { "root" };
        assert!(reason.contains(expected), "{reason}");
        assert_eq!(able(&["sh"]).is_ok(), is_root());
    }

    #[test]
    fn a_failing_command_is_quoted() {
        let error = run("ls", &["/absent/dir".as_ref()]).unwrap_err().to_string();
        assert!(error.starts_with("ls /absent/dir: "), "{error}");
    }
}
