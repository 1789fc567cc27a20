//! Workload: queries that should not be, many at once, beside healthy ones.
//!
//! 1. Siltstone is filled with the data of [`crate::queries`] and comes to rest.
//! 2. Healthy clients run alone for a few seconds: a query, a write and a probe, one after the other
//!    each ([`healthy`]).
//! 3. They go on while a number of clients of each kind of abuse ask at the same moment ([`attack`]),
//!    until all of those have an answer or have given up. RssAnon is read all the while.
//! 4. What the healthy writes were promised is counted.
//!
//! Everything has an end: requests time out, and clients that stop reading leave after a while.

pub mod attack;
pub mod healthy;

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use siltstone_rig::error::RigError;
use siltstone_rig::gauge::{self, Peak};
use siltstone_rig::interrupt::Interrupt;
use siltstone_rig::served::Served;
use siltstone_rig::store::Store;

use crate::queries::span::Span;
use crate::queries::{self, fill};
use crate::running::Running;

use attack::{Attack, Attacked, Outcomes};
use healthy::{Healthy, Kept};

/// How often RssAnon is read.
const MEMORY_EVERY: Duration = Duration::from_millis(10);
/// How long healthy clients run alone.
const CALM: Duration = Duration::from_secs(3);
/// How long to wait after the last answer until memory is read again.
const AFTER: Duration = Duration::from_secs(5);
/// What memory may be over the budget: pages that the allocator has not given back.
const BUDGET_FACTOR: f64 = 1.15;

/// What is stored and asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Hosts, each with ten series.
    pub hosts: u64,
    /// Hours of samples, ten seconds apart.
    pub hours: u64,
    /// Clients of each kind of abuse.
    pub clients: u64,
    /// How long a client that stops reading stays.
    pub stall: Duration,
    /// What the store was told to keep to, in bytes.
    pub budget_bytes: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Measured {
    /// How each kind of abuse was answered.
    pub attacked: Vec<Attacked>,
    /// What healthy clients got before.
    pub calm: Vec<Served>,
    /// What they got meanwhile.
    pub during: Vec<Served>,
    /// From the first abuse to its last answer.
    pub wall: Duration,
    /// RssAnon before.
    pub before_bytes: u64,
    /// The most RssAnon meanwhile.
    pub peak: Peak,
    /// RssAnon after a while.
    pub after_bytes: u64,
    /// What became of the healthy writes.
    pub kept: Kept,
}

impl Measured {
    /// What should not have happened, in words.
    #[must_use]
    pub fn faults(&self, load: &Load) -> Vec<String> {
        let mut faults = Vec::new();
        for attacked in &self.attacked {
            let others = attacked.unexpected();
            if others > 0 {
                faults.push(format!("{}: {others} answers are not as expected", attacked.name));
            }
        }
        for served in &self.during {
            if served.failures() > 0 || served.count == 0 {
                faults.push(format!(
                    "{}: {} failed, {} were served",
                    served.name,
                    served.failures(),
                    served.count
                ));
            }
        }
        let peak = self.peak.rss_anon_bytes as f64 / load.budget_bytes as f64;
        if peak > BUDGET_FACTOR {
            faults.push(format!("memory was {peak:.2} of the budget"));
        }
        let promised = self.kept.promised;
        match &self.kept.there {
            Ok(there) if *there == promised => {}
            Ok(there) => {
                faults.push(format!("{promised} samples were acknowledged, {there} are there"));
            }
            Err(error) => faults.push(format!("what was written is not known: {error}")),
        }
        faults
    }
}

/// Runs the workload on a fresh instance of the store below `work`; `say` is told what happens.
///
/// # Errors
/// If the store does not start, take the samples, come to rest, or if it ends under the load.
pub fn run(
    store: &Store,
    load: &Load,
    now_ms: i64,
    work: &Path,
    interrupt: &Interrupt,
    say: &dyn Fn(&str),
) -> Result<Measured, RigError> {
    let data = queries::Load { hosts: load.hosts, hours: load.hours, times: 2, seed: 1 };
    data.check()?;
    let span = Span::of(&data, now_ms);
    let mut running = Running::start(store, work, interrupt)?;
    fill::all(&mut [running.client()], &data, &span, interrupt)?;
    running.settle(interrupt)?;
    say(running.state());
    let mut healthy = Healthy::new(span, now_ms);
    let quiet = AtomicBool::new(false);
    let calm = healthy.run(&running, &quiet, || {
        let slept = interrupt.sleep(CALM);
        quiet.store(true, Ordering::Release);
        slept
    })?;
    calm.1?;
    say("healthy clients alone are done; the others begin");
    let before_bytes = running.server().usage()?.rss_anon_bytes;
    let started = Instant::now();
    let over = AtomicBool::new(false);
    let (served, peak) = gauge::watch(running.server(), MEMORY_EVERY, None, || {
        healthy.run(&running, &over, || {
            let attacked = attack_all(&running, load, &span, interrupt);
            over.store(true, Ordering::Release);
            (attacked, started.elapsed())
        })
    })?;
    let (during, (attacked, wall)) = served?;
    interrupt.sleep(AFTER)?;
    let after_bytes = running.server().usage()?.rss_anon_bytes;
    let kept = healthy.check(&running);
    running.stop()?;
    Ok(Measured {
        attacked: attacked?,
        calm: calm.0,
        during,
        wall,
        before_bytes,
        peak,
        after_bytes,
        kept,
    })
}

/// All kinds of abuse at the same moment, each by a number of clients; returns when the last has left.
fn attack_all(
    running: &Running<'_>,
    load: &Load,
    span: &Span,
    interrupt: &Interrupt,
) -> Result<Vec<Attacked>, RigError> {
    let kinds = Attack::all();
    let together = &Barrier::new(kinds.len() * load.clients as usize);
    let mut attacked = Vec::new();
    std::thread::scope(|scope| {
        let clients: Vec<Vec<_>> = kinds
            .iter()
            .map(|kind| {
                let target = kind.target(span);
                let of_kind = (0..load.clients).map(|_| {
                    let target = target.clone();
                    scope.spawn(move || {
                        together.wait();
                        kind.run(running, &target, load.stall, interrupt)
                    })
                });
                of_kind.collect()
            })
            .collect();
        for (kind, clients) in kinds.iter().zip(clients) {
            let mut outcomes = Outcomes::new();
            for client in clients {
                let outcome = client.join().map_err(|_| RigError::failed("a client panicked"))?;
                *outcomes.entry(outcome).or_insert(0) += 1;
            }
            attacked.push(Attacked { name: kind.name(), expected: kind.expected(), outcomes });
        }
        Ok::<_, RigError>(())
    })?;
    interrupt.check()?;
    Ok(attacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Load = Load {
        hosts: 100,
        hours: 1,
        clients: 20,
        stall: Duration::from_secs(1),
        budget_bytes: 1_000,
    };

    fn measured() -> Measured {
        let served = |count| Served { name: "query", count, ..Served::default() };
        Measured {
            attacked: vec![Attacked {
                name: "deadline",
                expected: &["503 timeout"],
                outcomes: Outcomes::from([("503 timeout".into(), 20)]),
            }],
            calm: vec![served(3)],
            during: vec![served(5)],
            wall: Duration::ZERO,
            before_bytes: 100,
            peak: Peak { rss_anon_bytes: 1_100, ..Peak::default() },
            after_bytes: 100,
            kept: Kept { promised: 7, there: Ok(7) },
        }
    }

    #[test]
    fn what_should_not_have_happened_is_named() {
        assert_eq!(measured().faults(&LOAD), Vec::<String>::new());
        let faults = |change: &dyn Fn(&mut Measured)| {
            let mut measured = measured();
            change(&mut measured);
            measured.faults(&LOAD).join("\n")
        };
        let other_answers = faults(&|m| {
            m.attacked[0].outcomes.insert("500 internal".into(), 2);
        });
        assert!(other_answers.contains("2 answers"));
        assert!(faults(&|m| m.during[0].count = 0).contains("0 were served"));
        let failed = faults(&|m| {
            m.during[0].failed.insert("503".into(), 4);
        });
        assert!(failed.contains("4 failed"));
        assert!(faults(&|m| m.peak.rss_anon_bytes = 1_200).contains("1.20 of the budget"));
        assert!(faults(&|m| m.kept.there = Ok(6)).contains("6 are there"));
        assert!(faults(&|m| m.kept.there = Err("gone".into())).contains("gone"));
    }
}
