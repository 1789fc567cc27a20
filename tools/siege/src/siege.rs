//! A whole siege: the server is started and filled, healthy clients run alone, then beside one wave of attacks
//! after the other; then what was acknowledged is counted and the server ends.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use siltstone_rig::gauge;
use siltstone_rig::http::HttpClient;
use siltstone_rig::process::{Process, free_address};
use siltstone_rig::served::Served;
use siltstone_rig::store::{END_TIMEOUT, Store};
use siltstone_rig::verdict::Verdict;
use siltstone_rig::{Interrupt, RigError};
use tempfile::TempDir;

use crate::arena::{Arena, Outcomes};
use crate::attacks::Attack;
use crate::cgroup::Cgroup;
use crate::healthy::Healthy;
use crate::plan::{Plan, Wave};
use crate::report;
use crate::stored::Stored;
use crate::waved::{Waved, failures};

/// How often RssAnon is read.
const MEMORY_EVERY: Duration = Duration::from_millis(10);
/// How long the server may take to be itself again when a wave is over.
const REST: Duration = Duration::from_millis(500);

/// A server that is under siege, with its directory.
struct Besieged {
    server: Process,
    healthy: Healthy,
    stored: Stored,
    // Removed after the process has ended.
    _dir: TempDir,
}

impl Besieged {
    fn start(
        store: &Store,
        plan: &Plan,
        cgroup: Option<&Cgroup>,
        interrupt: &Interrupt,
    ) -> Result<Self, RigError> {
        let dir = tempfile::tempdir().map_err(RigError::io("making a directory"))?;
        let address = free_address()?;
        let arguments = plan.server_arguments();
        let store = store.with_arguments(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let mut server = store.start(&dir.path().join("data"), address, &dir.path().join("log"))?;
        if let Some(cgroup) = cgroup {
            cgroup.add(server.id())?;
        }
        let timeout = siltstone_rig::store::READY_TIMEOUT;
        server.wait_ready(address, store.ready_path(), timeout, interrupt)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let stored = Stored { last_ms: now.as_millis() as i64 };
        stored.fill(&mut HttpClient::new(address, Duration::from_secs(60)))?;
        let healthy = Healthy::new(address, stored, plan.seed);
        Ok(Self { server, healthy, stored, _dir: dir })
    }
}

/// Runs everything and prints it.
///
/// # Errors
/// If the rig itself cannot go on; a server that ended is a fault and no error.
pub(crate) fn run(
    store: &Store,
    plan: &Plan,
    cgroup: Option<&Cgroup>,
    interrupt: &Interrupt,
) -> Result<Verdict, RigError> {
    let mut verdict = Verdict::default();
    let mut besieged = Besieged::start(store, plan, cgroup, interrupt)?;
    report::begin(store, plan, besieged.server.usage()?.rss_anon_bytes);
    let (calm, slept) = besieged.healthy.run(false, || interrupt.sleep(plan.calm))?;
    slept?;
    report::calm(&calm);
    let fault = |served: &&Served| served.failures() > 0 || served.count == 0;
    for served in calm.iter().filter(fault) {
        verdict.require(false, format!("alone, healthy {}: {}", served.name, failures(served)));
    }
    for wave in &plan.waves {
        interrupt.check()?;
        let waved = match self::wave(&mut besieged, plan, wave, interrupt) {
            Ok(waved) => waved,
            Err(RigError::Interrupted) => return Err(RigError::Interrupted),
            Err(error) => {
                let ended = besieged.server.ended()?.map(|status| status.to_string());
                let Some(status) = ended else { return Err(error) };
                let failed = besieged.server.failed(&format!("ended ({status})"));
                verdict.require(false, format!("{}: {failed}", wave.name));
                return Ok(verdict);
            }
        };
        let of_wave = waved.verdict(plan.budget_bytes);
        report::wave(&waved, &calm, plan.budget_bytes, &of_wave);
        verdict.add(&wave.name, &of_wave);
    }
    end(besieged, cgroup, &mut verdict)?;
    Ok(verdict)
}

/// Counts what was acknowledged and ends the server.
fn end(
    mut besieged: Besieged,
    cgroup: Option<&Cgroup>,
    verdict: &mut Verdict,
) -> Result<(), RigError> {
    match besieged.healthy.check() {
        Ok((promised, there)) => {
            report::kept(promised, there);
            let fault = format!("{promised} samples were acknowledged, {there} of them are there");
            verdict.require(promised == there, fault);
        }
        Err(why) => verdict.require(false, format!("what was written is not known: {why}")),
    }
    if let Some(cgroup) = cgroup {
        let usage = cgroup.usage()?;
        println!("cgroup            {usage}");
        verdict.require(usage.kills == 0, format!("the system killed for memory: {usage}"));
    }
    let status = besieged.server.terminate(END_TIMEOUT)?;
    verdict.require(status.success(), format!("the server ended with {status}"));
    Ok(())
}

/// One wave beside the healthy clients.
fn wave<'p>(
    besieged: &mut Besieged,
    plan: &Plan,
    wave: &'p Wave,
    interrupt: &Interrupt,
) -> Result<Waved<'p>, RigError> {
    let Besieged { server, healthy, stored, .. } = besieged;
    let before_bytes = server.usage()?.rss_anon_bytes;
    let address = healthy.address();
    let (result, peak) = gauge::watch(server, MEMORY_EVERY, None, || {
        healthy.run(wave.fills(), || {
            let now = Instant::now();
            let arena = Arena {
                address,
                stored: *stored,
                length: wave.length,
                end: now + wave.length,
                leave: now + wave.length,
                seed: plan.seed,
                share: wave.share,
                interrupt,
            };
            attack_all(&wave.attacks, arena)
        })
    })?;
    let (served, attacked) = result?;
    interrupt.sleep(REST)?;
    let room = healthy.wait_for_room();
    Ok(Waved { wave, attacked, served, before_bytes, peak, room })
}

/// All attacks of a wave at the same time.
fn attack_all(attacks: &[Attack], arena: Arena<'_>) -> Vec<(Attack, Outcomes)> {
    thread::scope(|scope| {
        let running: Vec<_> = attacks
            .iter()
            .map(|attack| {
                let arena = Arena { leave: arena.leave + attack.end.patience(), ..arena };
                (attack, scope.spawn(move || (attack.run)(&arena)))
            })
            .collect();
        running
            .into_iter()
            .map(|(attack, running)| {
                let outcomes = running.join().unwrap_or_else(|_| {
                    let mut outcomes = Outcomes::default();
                    outcomes.note("the attack panicked");
                    outcomes
                });
                (*attack, outcomes)
            })
            .collect()
    })
}
