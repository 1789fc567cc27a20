//! What the server said about itself in its log that no crash excuses.

use std::path::Path;

use siltstone_rig::RigError;

use siltstone_rig::verdict::Verdict;

/// Words of a log line that must not come, whatever was done to the server.
const ALARMS: &[&str] = &["damage found", "lost to damage", "panicked at"];

/// Notes a fault if the log holds an alarm: a crash is no damage, and a panic is a bug.
///
/// # Errors
/// If the log cannot be read.
pub(crate) fn require_calm(log: &Path, verdict: &mut Verdict) -> Result<(), RigError> {
    let text = std::fs::read(log).map_err(RigError::io(format!("reading {}", log.display())))?;
    let text = String::from_utf8_lossy(&text);
    let alarms = alarms(&text);
    if let Some(first) = alarms.first() {
        let count = alarms.len();
        verdict.require(false, format!("{count} alarms in the server's log, the first: {first}"));
    }
    Ok(())
}

fn alarms(text: &str) -> Vec<&str> {
    text.lines().filter(|line| ALARMS.iter().any(|alarm| line.contains(alarm))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_seen_among_other_lines() {
        let text = "INFO store opened\nERROR damage found finding=x\nERROR a sync of the log failed\n\
                    thread 'main' panicked at src/x.rs:1\n";
        assert_eq!(alarms(text).len(), 2);
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut verdict = Verdict::default();
        std::fs::write(&log, "INFO store opened\n").unwrap();
        require_calm(&log, &mut verdict).unwrap();
        assert!(verdict.is_good());
        std::fs::write(&log, text).unwrap();
        require_calm(&log, &mut verdict).unwrap();
        assert!(!verdict.is_good());
        assert!(require_calm(&dir.path().join("absent"), &mut verdict).is_err());
    }
}
