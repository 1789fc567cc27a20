//! The loop of `kill9` and `powercut`: load, crash, restart, check; the same store all the way.
//!
//! The load writes, overwrites and deletes; beside it the store is read, compacted, flushed and copied
//! (`beside`). What is judged is the last value of each series at each time, after each crash and while the load
//! runs.
//!
//! Every few loops the writers get new series, so that known and new series are both on their way when
//! the crash comes, and each check has a bounded export to read; in the end everything is checked
//! twice, before and after a clean restart. Some crashes come while the server still recovers from
//! the one before. Options change from start to start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use siltstone_rig::http::HttpClient;
use siltstone_rig::process::{Process, free_address};
use siltstone_rig::report::{grouped, milliseconds};
use siltstone_rig::seeded::Seeded;
use siltstone_rig::store::{END_TIMEOUT, Store};
use siltstone_rig::{Interrupt, RigError};

use crate::beside::{Beside, Done};
use crate::export;
use crate::ledger::{Check, Damage, METRIC, Part, tally};
use crate::load::{self, Signals};
use crate::server_log;
use siltstone_rig::verdict::Verdict;

/// Loops that share their series.
const LOOPS_PER_EPOCH: u32 = 10;
/// Writers at a time.
const WRITERS: u32 = 2;
/// Series of a writer, all in each of its requests.
const SERIES: u32 = 50;
/// The load runs at most this long before the crash, in ms.
const LOAD_MS_MAX: u64 = 400;
/// A crash during recovery comes at most this long after the start, in ms.
const RECOVERY_MS_MAX: u64 = 40;
/// One restart of this many is crashed before it is ready.
const RECOVERY_CRASH_ONE_IN: u64 = 3;
/// The first sample is this old: the future is refused.
const AGE_MS: i64 = 12 * 3_600_000;
/// Between the first samples of two epochs.
const EPOCH_MS: i64 = 10_000;
/// Loops between two lines of progress.
const PROGRESS_LOOPS: u32 = 25;
/// How long a read of samples may stall.
const READ_TIMEOUT: Duration = Duration::from_secs(120);

/// What differs between the rigs that loop.
pub(crate) struct Plan<'p> {
    /// The server.
    pub(crate) store: &'p Store,
    /// Sets of arguments, one of which is added at each start.
    pub(crate) variants: &'p [&'p [&'p str]],
    /// The store's directory; must survive a crash as the rig wants it.
    pub(crate) data: PathBuf,
    /// The server's log.
    pub(crate) log: PathBuf,
    /// Crashes under load.
    pub(crate) loops: u32,
    /// Seed of everything random.
    pub(crate) seed: u64,
}

/// Ends a server and leaves its directory as the crash leaves it; may tell the writers whom not to
/// believe any more.
pub(crate) type Crash<'c> = dyn FnMut(&mut Process, &Signals) -> Result<(), RigError> + 'c;

/// Loops and prints a report.
///
/// # Errors
/// If it could not be run; lost samples are a verdict.
pub(crate) fn run(
    plan: &Plan<'_>,
    crash: &mut Crash<'_>,
    interrupt: &Interrupt,
) -> Result<Verdict, RigError> {
    println!("siltstone         {}", plan.store.program().display());
    println!("                  {}; {}", plan.store.version(), plan.store.durability());
    println!("plan              {} loops, seed {}", plan.loops, plan.seed);
    let mut looping = Looping::new(plan, interrupt)?;
    let mut server = looping.start()?;
    for number in 0..plan.loops {
        looping.load_and_crash(number, &mut server, crash)?;
        server = looping.restart(crash)?;
        looping.check_epoch(number / LOOPS_PER_EPOCH)?;
        if (number + 1).is_multiple_of(PROGRESS_LOOPS) || looping.is_damaged() {
            looping.progress(number + 1);
        }
        if looping.is_damaged() {
            break;
        }
    }
    looping.check_all()?;
    let status = server.terminate(END_TIMEOUT)?;
    let verified = looping.verify_command()?;
    server = looping.start()?;
    looping.check_all()?;
    server.terminate(END_TIMEOUT)?;
    looping.report();
    let mut verdict = Verdict::default();
    verdict.require(looping.damage.is_none(), "damage was found");
    let done = looping.done();
    verdict.require(done.damage.is_none(), "damage was seen beside the writers");
    verdict.require(done.refused.is_empty(), done.refused.join("; "));
    drop(done);
    verdict.require(tally(looping.all_parts()).acknowledged > 0, "nothing was acknowledged");
    verdict.require(status.success(), format!("SIGTERM: {status}"));
    verdict.require(verified.is_ok(), verified.err().unwrap_or_default());
    server_log::require_calm(&plan.log, &mut verdict)?;
    Ok(verdict)
}

struct Looping<'p> {
    plan: &'p Plan<'p>,
    interrupt: &'p Interrupt,
    address: SocketAddr,
    random: Seeded,
    first_ms: i64,
    /// Parts by epoch.
    epochs: Vec<Vec<Part>>,
    restarts: Vec<Duration>,
    recovery_crashes: u32,
    beside: Mutex<Done>,
    damage: Damage,
    started: Instant,
}

impl<'p> Looping<'p> {
    fn new(plan: &'p Plan<'p>, interrupt: &'p Interrupt) -> Result<Self, RigError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            plan,
            interrupt,
            address: free_address()?,
            random: Seeded::new(plan.seed),
            first_ms: now.as_millis() as i64 - AGE_MS,
            epochs: Vec::new(),
            restarts: Vec::new(),
            recovery_crashes: 0,
            beside: Mutex::default(),
            damage: Damage::default(),
            started: Instant::now(),
        })
    }

    fn all_parts(&self) -> impl Iterator<Item = &Part> {
        self.epochs.iter().flatten()
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.beside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_damaged(&self) -> bool {
        let done = self.done();
        !(self.damage.is_none() && done.damage.is_none() && done.refused.is_empty())
    }

    fn some_ms(&mut self, bound: u64) -> Duration {
        Duration::from_micros(self.random.below(bound * 1000))
    }

    /// Starts the server with one of the variants, without waiting.
    fn spawn(&mut self) -> Result<Process, RigError> {
        let variants = self.plan.variants;
        let variant = match variants.len() as u64 {
            0 => &[][..],
            count => variants[self.random.below(count) as usize],
        };
        let store = self.plan.store.with_arguments(variant);
        store.start(&self.plan.data, self.address, &self.plan.log)
    }

    fn start(&mut self) -> Result<Process, RigError> {
        let mut server = self.spawn()?;
        let timeout = siltstone_rig::store::READY_TIMEOUT;
        let path = self.plan.store.ready_path();
        self.restarts.push(server.wait_ready(self.address, path, timeout, self.interrupt)?);
        Ok(server)
    }

    /// Starts the server again; sometimes crashes it before it is ready.
    fn restart(&mut self, crash: &mut Crash<'_>) -> Result<Process, RigError> {
        while self.random.below(RECOVERY_CRASH_ONE_IN) == 0 {
            let wait = self.some_ms(RECOVERY_MS_MAX);
            let mut server = self.spawn()?;
            self.interrupt.sleep(wait)?;
            crash(&mut server, &Signals::default())?;
            self.recovery_crashes += 1;
        }
        self.start()
    }

    fn load_and_crash(
        &mut self,
        number: u32,
        server: &mut Process,
        crash: &mut Crash<'_>,
    ) -> Result<(), RigError> {
        let epoch = number / LOOPS_PER_EPOCH;
        if epoch as usize == self.epochs.len() {
            let first_ms = self.first_ms + EPOCH_MS * i64::from(epoch);
            let part = |writer| Part::new(epoch, writer, SERIES, first_ms).lively();
            self.epochs.push((0..WRITERS).map(part).collect());
        }
        let wait = self.some_ms(LOAD_MS_MAX);
        let interrupt = self.interrupt;
        let beside = Beside {
            address: self.address,
            data: &self.plan.data,
            program: self.plan.store.program(),
            epoch,
            seed: self.plan.seed ^ u64::from(number) << 20,
            done: &self.beside,
        };
        let companions: [&load::Companion<'_>; 2] =
            [&|shared, signals| beside.read(shared, signals), &|shared, signals| {
                beside.operate(shared, signals)
            }];
        load::run(self.address, &mut self.epochs[epoch as usize], &companions, |signals| {
            interrupt.sleep(wait)?;
            crash(server, signals)
        })
    }

    fn check_epoch(&mut self, epoch: u32) -> Result<(), RigError> {
        self.interrupt.check()?;
        let mut client = HttpClient::new(self.address, READ_TIMEOUT);
        let selector = format!("{METRIC}{{epoch=\"{epoch}\"}}");
        let parts = &mut self.epochs[epoch as usize];
        let mut check = Check::new(parts);
        export::for_each_line(&mut client, &selector, |labels, samples| {
            check.line(&labels, &samples);
        })?;
        let damage = check.end().settle(parts);
        self.damage.add(damage);
        Ok(())
    }

    fn check_all(&mut self) -> Result<(), RigError> {
        for epoch in 0..self.epochs.len() as u32 {
            self.check_epoch(epoch)?;
        }
        Ok(())
    }

    /// Runs `siltstone verify` on the closed store; the inner error is what it found.
    fn verify_command(&self) -> Result<Result<(), String>, RigError> {
        let output = Command::new(self.plan.store.program())
            .args(["verify", "--data"])
            .arg(&self.plan.data)
            .output()
            .map_err(RigError::io("running siltstone verify"))?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        Ok(if output.status.success() {
            Ok(())
        } else {
            Err(format!("siltstone verify: {}: {}", output.status, said.trim_end()))
        })
    }

    fn progress(&self, loops: u32) {
        let counted = tally(self.all_parts());
        println!(
            "{:>7.1} s         {loops} loops, {} requests acknowledged, {} crashes in recovery",
            self.started.elapsed().as_secs_f64(),
            grouped(counted.acknowledged),
            self.recovery_crashes
        );
    }

    fn report(&self) {
        let counted = tally(self.all_parts());
        let mut restarts = self.restarts.clone();
        restarts.sort_unstable();
        let quantile = |q: usize| milliseconds(restarts[(restarts.len() - 1) * q / 100]);
        println!(
            "\nacknowledged      {} writes, {} samples; {} of a time that was written before; {} deletes",
            grouped(counted.acknowledged),
            grouped(counted.acknowledged_samples),
            grouped(counted.overwrites),
            grouped(counted.deletes)
        );
        let done = self.done();
        println!(
            "beside            {} reads, {} compactions, {} flushes, {} snapshots",
            grouped(done.reads),
            grouped(done.compactions),
            grouped(done.flushes),
            grouped(done.snapshots)
        );
        println!(
            "not acknowledged  {} requests: {} there as a whole, {} not there, {} unclear",
            counted.present + counted.absent + counted.in_doubt,
            counted.present,
            counted.absent,
            counted.in_doubt
        );
        println!(
            "crashes           {} in recovery besides those under load",
            self.recovery_crashes
        );
        println!(
            "ready again after {} (median), {} (99 of 100), {} (worst)",
            quantile(50),
            quantile(99),
            quantile(100)
        );
        let seen = done.damage.counts().map(|(_, count)| count);
        for ((name, count), seen) in self.damage.counts().into_iter().zip(seen) {
            println!("{name:<17} {}, beside the load {}", grouped(count), grouped(seen));
        }
        let described = self.damage.described.iter().chain(&done.damage.described);
        for line in described.chain(&done.refused) {
            println!("  {line}");
        }
    }
}
