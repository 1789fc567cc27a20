//! Programs of Debian's packages that a rig needs: found, or installed where that is possible.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::RigError;
use crate::process::find_program;

/// The path of `program`; installs Debian's `package` without recommendations if it is absent and the
/// rig runs as root.
///
/// # Errors
/// If it is absent and cannot be installed; the message says what to do.
pub fn find_or_install(program: &str, package: &str) -> Result<PathBuf, RigError> {
    if let Some(found) = find_program(program) {
        return Ok(found);
    }
    let advice = format!("{program} is not installed: apt-get install {package}");
    if !is_root() || find_program("apt-get").is_none() {
        return Err(RigError::failed(format!("{advice} (as root)")));
    }
    apt_get(&["update"])?;
    apt_get(&["install", "--yes", "--no-install-recommends", package])?;
    find_program(program).ok_or_else(|| RigError::failed(format!("{advice} did not bring it")))
}

/// Whether the effective user is root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn apt_get(arguments: &[&str]) -> Result<(), RigError> {
    let what = format!("apt-get {}", arguments.join(" "));
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // At run level 1 the packages do not start their services.
        .env("RUNLEVEL", "1")
        .stdin(Stdio::null())
        .output()
        .map_err(RigError::io(&what))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(RigError::failed(format!("{what}: {}: {}", output.status, said.trim_end())))
}
