//! The main job: a real Prometheus pushes into Siltstone, which is killed on the way, and every sample
//! that Prometheus has sent is found again.
//!
//! Here is the order of events; [`rig`] owns the processes and judges. `main` calls [`run`].

mod config;
mod counters;
mod deletes;
mod reader;
mod remote_read;
mod report;
mod rig;

use std::path::PathBuf;
use std::time::Duration;

use siltstone_rig::install::find_or_install;
use siltstone_rig::seeded::Seeded;
use siltstone_rig::store::Store;
use siltstone_rig::{Interrupt, RigError};

use self::rig::Rig;
use siltstone_rig::verdict::Verdict;

/// What the job is to do.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// How long Prometheus scrapes.
    pub(crate) duration: Duration,
    /// How often the server is killed meanwhile.
    pub(crate) kills: u32,
    /// Time between two scrapes.
    pub(crate) interval: Duration,
    /// Time between two deletes, if there are any.
    pub(crate) delete_every: Option<Duration>,
    /// Whether a second process reads the directory all the time.
    pub(crate) reader: bool,
    /// Seed of the moments.
    pub(crate) seed: u64,
    /// The server.
    pub(crate) store: Store,
    /// Where data, logs and configuration go.
    pub(crate) work: PathBuf,
}

/// What happens on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Kill,
    RestartExporter,
    Delete,
}

/// Runs the job and prints its report.
///
/// # Errors
/// If it could not be run; a difference that was found is a verdict, not an error.
pub(crate) fn run(job: &Job, interrupt: &Interrupt) -> Result<Verdict, RigError> {
    let prometheus = find_or_install("prometheus", "prometheus")?;
    let exporter = find_or_install("prometheus-node-exporter", "prometheus-node-exporter")?;
    let mut rig = Rig::start(job, &prometheus, &exporter, interrupt)?;
    for (at, event) in schedule(job) {
        let left = at.saturating_sub(rig.elapsed());
        interrupt.sleep(left)?;
        match event {
            Event::Kill => rig.kill_and_restart(interrupt)?,
            Event::RestartExporter => rig.restart_exporter(&exporter, interrupt)?,
            Event::Delete => rig.delete()?,
        }
    }
    interrupt.sleep(job.duration.saturating_sub(rig.elapsed()))?;
    rig.check_alive()?;
    rig.say(format_args!("scraping stops"));
    rig.stop_scraping(interrupt)?;
    let counters = rig.drain(interrupt)?;
    rig.judge(&counters)
}

/// The moments of the events: in the middle nine tenths, one exporter restart at random among the
/// kills.
fn schedule(job: &Job) -> Vec<(Duration, Event)> {
    let mut random = Seeded::new(job.seed);
    let total = job.duration.as_millis() as u64;
    let mut moment = || Duration::from_millis(total / 20 + random.below((total * 9 / 10).max(1)));
    let mut events: Vec<_> = (0..job.kills).map(|_| (moment(), Event::Kill)).collect();
    events.push((moment(), Event::RestartExporter));
    if let Some(every) = job.delete_every {
        let times = (1..).map(|n| every * n).take_while(|at| *at < job.duration);
        events.extend(times.map(|at| (at, Event::Delete)));
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moments_repeat_and_lie_inside() {
        let program = std::env::current_exe().unwrap();
        let job = Job {
            duration: Duration::from_secs(600),
            kills: 5,
            interval: Duration::from_secs(1),
            delete_every: Some(Duration::from_secs(60)),
            reader: false,
            seed: 3,
            store: Store::siltstone(Some(&program), &[]).unwrap(),
            work: PathBuf::new(),
        };
        let events = schedule(&job);
        assert_eq!(events, schedule(&job));
        assert_ne!(events, schedule(&Job { seed: 4, ..job.clone() }));
        assert_eq!(events.iter().filter(|(_, e)| *e == Event::Kill).count(), 5);
        assert!(events.is_sorted_by_key(|(at, _)| *at));
        let deletes = events.iter().filter(|(_, e)| *e == Event::Delete);
        assert_eq!(deletes.count(), 9, "one a minute, none at the end");
        let events = events.iter().filter(|(_, e)| *e != Event::Delete);
        let inside = Duration::from_secs(30)..Duration::from_secs(570);
        assert!(events.clone().all(|(at, _)| inside.contains(at)), "{events:?}");
    }
}
