//! What runs beside the writers of a loop: a reader, and an operator who compacts, flushes and takes snapshots.
//!
//! Called by the loop of `kill9` and `powercut`. What either sees must be a state that was possible while it
//! looked: nothing that was acknowledged before is missing, nothing that was replaced or deleted before is
//! there (`ledger/check.rs`). What fails because the server was ended is no finding.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use siltstone_rig::RigError;
use siltstone_rig::http::{HttpClient, query_value};
use siltstone_rig::seeded::Seeded;

use crate::export::parse_line;
use crate::ledger::{Check, Damage, METRIC};
use crate::load::{Shared, Signals};

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Between two acts of the operator, in ms.
const PAUSE_MS_MAX: u64 = 120;

/// What was done beside the writers.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) reads: u64,
    pub(crate) snapshots: u64,
    pub(crate) compactions: u64,
    pub(crate) flushes: u64,
    /// Reads and snapshots that a server which was not being ended did not give.
    pub(crate) refused: Vec<String>,
    pub(crate) damage: Damage,
}

/// What both need.
pub(crate) struct Beside<'b> {
    pub(crate) address: SocketAddr,
    pub(crate) data: &'b Path,
    pub(crate) program: &'b Path,
    pub(crate) epoch: u32,
    pub(crate) seed: u64,
    pub(crate) done: &'b Mutex<Done>,
}

impl Beside<'_> {
    fn done(&self) -> std::sync::MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn selector(&self) -> String {
        format!("{METRIC}{{epoch=\"{}\"}}", self.epoch)
    }

    /// Exports the epoch again and again.
    ///
    /// # Errors
    /// None: what is wrong is noted.
    pub(crate) fn read(&self, shared: &Shared<'_>, signals: &Signals) -> Result<(), RigError> {
        let target = format!("/api/v1/export?match[]={}", query_value(&self.selector()));
        let mut client = HttpClient::new(self.address, TIMEOUT);
        while !signals.is_over() {
            let before = shared.copies();
            let mut lines = Vec::new();
            let answer = client.get_lines(&target, &mut |line| {
                lines.push(line.to_vec());
                Ok(())
            });
            let after = shared.copies();
            match answer {
                // An export that ends before its end is an error of the transfer.
                Err(_) => return Ok(()),
                Ok(Err(response)) if signals.is_over() || matches!(response.status, 429 | 503) => {}
                Ok(Err(response)) => self.done().refused.push(format!("an export: {response}")),
                Ok(Ok(_)) => {
                    self.judge(&before, &after, &lines, "a read");
                    self.done().reads += 1;
                }
            }
        }
        Ok(())
    }

    fn judge(
        &self,
        before: &[crate::ledger::Part],
        after: &[crate::ledger::Part],
        lines: &[Vec<u8>],
        what: &str,
    ) {
        let mut check = Check::new(after);
        for line in lines {
            match parse_line(line) {
                Ok((labels, samples)) => check.line(&labels, &samples),
                Err(fault) => self.done().refused.push(format!("{what}: a line: {fault}")),
            }
        }
        let damage = check.end().beside_writers(before, after);
        if !damage.is_none() {
            let mut done = self.done();
            done.damage.add(damage);
            done.refused.push(format!("{what} saw what cannot have been"));
        }
    }

    /// Compacts, flushes and takes snapshots, which are read and removed.
    ///
    /// # Errors
    /// If a snapshot that is there cannot be looked at.
    pub(crate) fn operate(&self, shared: &Shared<'_>, signals: &Signals) -> Result<(), RigError> {
        let mut random = Seeded::new(self.seed);
        let mut client = HttpClient::new(self.address, TIMEOUT);
        while !signals.is_over() {
            std::thread::sleep(Duration::from_millis(random.below(PAUSE_MS_MAX)));
            let act = match random.below(4) {
                0 => "snapshot",
                1 | 2 => "compact",
                _ => "flush",
            };
            let before = shared.copies();
            let target = format!("/api/v1/admin/tsdb/{act}");
            let Ok(response) = client.post(&target, &[], &[]) else { return Ok(()) };
            let after = shared.copies();
            if !response.is_success() {
                if !signals.is_over() && !matches!(response.status, 429 | 503) {
                    self.done().refused.push(format!("{act}: {response}"));
                }
                continue;
            }
            match act {
                "compact" => self.done().compactions += 1,
                "flush" => self.done().flushes += 1,
                _ => {
                    let Some(name) = snapshot_name(&response.body) else { continue };
                    self.look_at(
                        &self.data.join("snapshots").join(name),
                        (&before, &after),
                        signals,
                    )?;
                }
            }
        }
        Ok(())
    }

    /// Exports a snapshot with the command, holds it against what was known, and removes it.
    fn look_at(
        &self,
        dir: &Path,
        (before, after): (&[crate::ledger::Part], &[crate::ledger::Part]),
        signals: &Signals,
    ) -> Result<(), RigError> {
        let mut child = Command::new(self.program)
            .args(["export", "--match", &self.selector(), "--data"])
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(RigError::io("exporting a snapshot"))?;
        let output = child.stdout.take().map(BufReader::new);
        let lines = output.map(|output| output.split(b'\n').collect::<Result<Vec<_>, _>>());
        let status = child.wait().map_err(RigError::io("exporting a snapshot"))?;
        if status.success() {
            let lines = lines.transpose().map_err(RigError::io("reading a snapshot"))?;
            self.judge(before, after, &lines.unwrap_or_default(), "a snapshot");
            self.done().snapshots += 1;
        } else if !signals.is_over() {
            self.done().refused.push(format!("the export of a snapshot: {status}"));
        }
        // On a disk that is gone it cannot be removed, and is not in the way.
        let _ = std::fs::remove_dir_all(dir);
        Ok(())
    }
}

fn snapshot_name(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        data: Name,
    }
    #[derive(Deserialize)]
    struct Name {
        name: String,
    }
    serde_json::from_slice::<Answer>(body).ok().map(|answer| answer.data.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_snapshot_is_read() {
        let body = br#"{"status":"success","data":{"name":"20261128T1-ab"}}"#;
        assert_eq!(snapshot_name(body).as_deref(), Some("20261128T1-ab"));
        assert_eq!(snapshot_name(b"{}"), None);
    }
}
