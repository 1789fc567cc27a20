//! What the main job prints about its findings.

use siltstone_rig::report::{grouped, milliseconds};

use super::counters::Counters;
use super::rig::{Rig, WorkDone};
use crate::compare::Comparison;

impl Rig<'_> {
    /// Prints what was counted and compared.
    pub(super) fn report(&self, counters: &Counters, exported: (usize, u64), found: &Comparison) {
        let times: Vec<String> = self.restarts.iter().map(|t| milliseconds(*t)).collect();
        println!("\nkills             {} by SIGKILL", self.restarts.len());
        println!(
            "ready again after {} (first start: {})",
            times.join(", "),
            milliseconds(self.first_start)
        );
        println!(
            "Prometheus says   sent {} (of these {} again, {} given up), read from its log {}, \
             dropped {}, waiting {}",
            counters.samples,
            counters.samples_retried,
            counters.samples_failed,
            counters.samples_in,
            counters.samples_dropped,
            counters.samples_pending
        );
        println!(
            "                  newest sent {} s, newest in its log {} s; acknowledged: {}",
            counters.highest_sent_s,
            counters.highest_in_s,
            counters.acknowledged()
        );
        let WorkDone { flushes, merges } = self.work_done;
        println!("background        at least {flushes} flushes and {merges} merges");
        println!("Siltstone exports {} series, {} samples", exported.0, grouped(exported.1));
        println!(
            "compared          {} series, {} samples, {} stale markers and {} other NaNs among them",
            grouped(found.series),
            grouped(found.samples),
            grouped(found.stale_markers),
            grouped(found.other_nans)
        );
        println!("missing           {}", grouped(found.missing));
        println!("different         {}", grouped(found.different));
        println!("extra             {}", grouped(found.extra));
        for line in &found.described {
            println!("  {line}");
        }
    }
}
