//! Deletes on a full disk: acknowledged, and carried out by an erasing compaction.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use siltstone_rig::RigError;
use siltstone_rig::http::{HttpClient, Response, query_value};
use siltstone_rig::process::disk_use;
use siltstone_rig::report::{grouped, megabytes, milliseconds};

use crate::ledger::{METRIC, Part};
use siltstone_rig::verdict::Verdict;

/// Matches the series whose number does not start with 7 to 9, which are two thirds.
const SERIES: &str = "[0-6].*";
/// How long the two may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What became of the delete and of the compaction.
#[derive(Debug)]
pub(super) struct Erased {
    delete: (Response, Duration),
    compact: (Response, Duration),
    /// Samples acknowledged and then deleted.
    samples: u64,
    /// Bytes of the store before and after, the reserve and what is allocated ahead among them.
    bytes: (u64, u64),
}

/// Deletes and compacts while nothing writes; the parts know of it then.
///
/// # Errors
/// If the server does not answer. What it answers is judged by [`Erased::require`].
pub(super) fn run(server: SocketAddr, data: &Path, parts: &mut [Part]) -> Result<Erased, RigError> {
    let before = disk_use(data).allocated;
    let selector = format!("{METRIC}{{series=~\"{SERIES}\"}}");
    let target = format!("/api/v1/admin/tsdb/delete_series?match[]={}", query_value(&selector));
    let delete = post(server, &target)?;
    if delete.0.is_success() {
        parts.iter_mut().for_each(|part| part.erase(is_deleted));
    }
    let compact = post(server, "/api/v1/admin/tsdb/compact")?;
    let samples = parts.iter().map(Part::erased_samples).sum();
    Ok(Erased { delete, compact, samples, bytes: (before, disk_use(data).allocated) })
}

fn is_deleted(series: u32) -> bool {
    !series.to_string().starts_with(['7', '8', '9'])
}

fn post(server: SocketAddr, target: &str) -> Result<(Response, Duration), RigError> {
    let started = Instant::now();
    let answer = HttpClient::new(server, TIMEOUT).post(target, &[], &[]);
    Ok((answer.map_err(RigError::io(format!("posting {target}")))?, started.elapsed()))
}

impl Erased {
    /// Both must have been done.
    pub(super) fn require(&self, verdict: &mut Verdict) {
        let (delete, compact) = (&self.delete.0, &self.compact.0);
        verdict.require(delete.is_success(), format!("a delete on the full disk: {delete}"));
        verdict.require(compact.is_success(), format!("a compaction on the full disk: {compact}"));
        let (before, after) = self.bytes;
        verdict.require(
            after < before / 3 * 2,
            format!("erasing two thirds of the samples left {after} of {before} bytes"),
        );
    }
}

impl fmt::Display for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = |(response, took): &(Response, Duration)| match response.is_success() {
            true => format!("done in {}", milliseconds(*took)),
            false => format!("REFUSED ({})", response.status),
        };
        write!(
            f,
            "delete {}, {} samples; compaction {}; {} before, {} after",
            answer(&self.delete),
            grouped(self.samples),
            answer(&self.compact),
            megabytes(self.bytes.0),
            megabytes(self.bytes.1)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_series_are_deleted() {
        assert!(is_deleted(0) && is_deleted(69) && is_deleted(699));
        assert!(!is_deleted(7) && !is_deleted(93) && !is_deleted(800));
        assert_eq!((0..1000).filter(|&series| is_deleted(series)).count(), 667);
    }

    #[test]
    fn a_refusal_is_a_fault() {
        let answer = |status| (Response { status, body: Vec::new() }, Duration::ZERO);
        let judge = |delete, compact, bytes| {
            let mut verdict = Verdict::default();
            let (delete, compact) = (answer(delete), answer(compact));
            Erased { delete, compact, samples: 1, bytes }.require(&mut verdict);
            verdict.is_good()
        };
        assert!(judge(204, 200, (100, 60)));
        assert!(!judge(503, 200, (100, 60)) && !judge(204, 503, (100, 60)));
        assert!(!judge(204, 200, (100, 90)));
    }
}
