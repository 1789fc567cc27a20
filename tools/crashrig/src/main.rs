//! `crashrig`: ends a Siltstone server in every way at hand and looks for what it had acknowledged.
//!
//! Exit codes: 0 everything acknowledged was found, 1 something was lost or changed, 2 usage, 3 skipped
//! because the machine cannot do it, 4 the rig could not run.

#![expect(
    clippy::disallowed_methods,
    reason = "a rig stands outside the store: it has files, clocks and threads of its own"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is the product")]

mod baddisk;
mod beside;
mod compare;
mod crash_loop;
mod diskfull;
mod export;
mod kill9;
mod ledger;
mod load;
mod mount;
mod powercut;
mod prometheus;
mod server_log;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use siltstone_rig::store::Store;
use siltstone_rig::{Interrupt, RigError};
use tempfile::TempDir;

use crate::mount::Unable;
use siltstone_rig::verdict::Verdict;

/// Ends a Siltstone server in every way at hand and looks for what it had acknowledged.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  crashrig prometheus --minutes 10 --kills 5\n  \
    crashrig prometheus --minutes 20 --kills 8 --delete-every 60s --reader \\\n    \
    --serve-arg=--flush-interval=1s\n  \
    crashrig kill9 --loops 200\n  crashrig powercut --loops 50\n  crashrig diskfull\n  crashrig baddisk"
)]
struct Cli {
    #[command(subcommand)]
    rig: Rig,
}

#[derive(Debug, Subcommand)]
enum Rig {
    /// A real Prometheus pushes, the server is killed with SIGKILL on the way; compares sample by
    /// sample
    Prometheus(PrometheusArgs),
    /// SIGKILL at random moments under a self-verifying load that overwrites and deletes, beside readers,
    /// compactions and snapshots, again and again on one store
    Kill9(LoopArgs),
    /// Power cuts on an ext4 of its own (root and loop devices)
    Powercut(LoopArgs),
    /// A small disk is filled and enlarged; writes must resume (root)
    Diskfull(CycleArgs),
    /// The disk under a server that reads by memory maps fails; it must live on and answer rightly or
    /// with an error (root and loop devices)
    Baddisk(CycleArgs),
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// The siltstone program [default: beside this one, or in PATH]
    #[arg(long, value_name = "PATH")]
    siltstone: Option<PathBuf>,
    /// An argument added to `siltstone serve`; may be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    serve_arg: Vec<String>,
    /// Directory for data and logs, kept afterwards [default: a temporary one, removed]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Args)]
struct PrometheusArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// How long Prometheus scrapes
    #[arg(long, default_value_t = 10.0, value_parser = minutes)]
    minutes: f64,
    /// How often the server is killed meanwhile
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=1000))]
    kills: u32,
    /// Time between two scrapes: `1s`, `500ms`
    #[arg(long, default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Time between two deletes of random metrics and ranges: `60s` [default: none]
    #[arg(long, value_parser = interval)]
    delete_every: Option<Duration>,
    /// A second process reads the data directory all the time
    #[arg(long)]
    reader: bool,
}

#[derive(Debug, Args)]
struct LoopArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Crashes under load
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=40_000))]
    loops: u32,
}

#[derive(Debug, Args)]
struct CycleArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Times that a disk is filled, or fails
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    loops: u32,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if (0.2..=240.0).contains(&minutes) => Ok(minutes),
        _ => Err("a number of minutes from 0.2 to 240".into()),
    }
}

fn interval(text: &str) -> Result<Duration, String> {
    let fault = || "a whole number of ms or s, from 100ms to 60s".to_owned();
    let (number, unit_ms) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1),
        (None, Some(number)) => (number, 1000),
        (None, None) => return Err(fault()),
    };
    let ms = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit_ms)).ok_or_else(fault)?;
    if (100..=60_000).contains(&ms) { Ok(Duration::from_millis(ms)) } else { Err(fault()) }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = Interrupt::install().and_then(|interrupt| match &cli.rig {
        Rig::Prometheus(args) => run_prometheus(args, &interrupt),
        Rig::Kill9(args) => run_kill9(args, &interrupt),
        Rig::Powercut(args) => run_powercut(args, &interrupt),
        Rig::Diskfull(args) => run_diskfull(args, &interrupt),
        Rig::Baddisk(args) => run_baddisk(args, &interrupt),
    });
    match result {
        Ok(Ran::Judged(verdict)) => {
            verdict.print();
            if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Ok(Ran::Skipped(Unable(reason))) => {
            eprintln!("crashrig: SKIPPED, nothing was tested: {reason}");
            ExitCode::from(3)
        }
        Err(error) => {
            eprintln!("crashrig: {error}");
            ExitCode::from(4)
        }
    }
}

/// What came of a rig.
enum Ran {
    Judged(Verdict),
    Skipped(Unable),
}

/// The directory of a rig's data and logs.
struct Work {
    path: PathBuf,
    /// Removes the directory, unless it was named.
    _temporary: Option<TempDir>,
}

impl CommonArgs {
    fn store(&self) -> Result<Store, RigError> {
        Store::siltstone(self.siltstone.as_deref(), &self.serve_arg)
    }

    fn work(&self) -> Result<Work, RigError> {
        match &self.work {
            None => {
                let temporary = tempfile::Builder::new()
                    .prefix("crashrig-")
                    .tempdir()
                    .map_err(RigError::io("making a temporary directory"))?;
                Ok(Work { path: temporary.path().into(), _temporary: Some(temporary) })
            }
            Some(dir) => {
                let what = format!("making {}", dir.display());
                std::fs::create_dir_all(dir).map_err(RigError::io(what))?;
                let path = dir.canonicalize().map_err(RigError::io("finding the directory"))?;
                let mut inside = path.read_dir().map_err(RigError::io("reading the directory"))?;
                if inside.next().is_some() {
                    return Err(RigError::failed(format!("{} is not empty", dir.display())));
                }
                Ok(Work { path, _temporary: None })
            }
        }
    }
}

fn run_prometheus(args: &PrometheusArgs, interrupt: &Interrupt) -> Result<Ran, RigError> {
    let work = args.common.work()?;
    let job = prometheus::Job {
        duration: Duration::from_secs_f64(args.minutes * 60.0),
        kills: args.kills,
        interval: args.interval,
        seed: args.common.seed,
        delete_every: args.delete_every,
        reader: args.reader,
        store: match args.delete_every {
            Some(_) => args.common.store()?.with_arguments(&["--enable-admin"]),
            None => args.common.store()?,
        },
        work: work.path.clone(),
    };
    prometheus::run(&job, interrupt).map(Ran::Judged)
}

fn run_kill9(args: &LoopArgs, interrupt: &Interrupt) -> Result<Ran, RigError> {
    let work = args.common.work()?;
    let store = args.common.store()?.with_arguments(&["--enable-admin"]);
    kill9::run(&store, args.loops, args.common.seed, &work.path, interrupt).map(Ran::Judged)
}

fn run_powercut(args: &LoopArgs, interrupt: &Interrupt) -> Result<Ran, RigError> {
    if let Err(unable) = mount::able(mount::PowerCutDisk::PROGRAMS) {
        return Ok(Ran::Skipped(unable));
    }
    let store = args.common.store()?.with_arguments(&["--enable-admin"]);
    let work = args.common.work()?;
    powercut::run(&store, args.loops, args.common.seed, &work.path, interrupt).map(Ran::Judged)
}

fn run_diskfull(args: &CycleArgs, interrupt: &Interrupt) -> Result<Ran, RigError> {
    if let Err(unable) = mount::able(mount::SmallDisk::PROGRAMS) {
        return Ok(Ran::Skipped(unable));
    }
    let store = args.common.store()?;
    let work = args.common.work()?;
    diskfull::run(&store, args.loops, &work.path, interrupt).map(Ran::Judged)
}

fn run_baddisk(args: &CycleArgs, interrupt: &Interrupt) -> Result<Ran, RigError> {
    use mount::PowerCutDisk;
    let programs = [PowerCutDisk::PROGRAMS, PowerCutDisk::LOSING_PROGRAMS].concat();
    if let Err(unable) = mount::able(&programs) {
        return Ok(Ran::Skipped(unable));
    }
    let store = args.common.store()?;
    let work = args.common.work()?;
    baddisk::run(&store, args.loops, &work.path, interrupt).map(Ran::Judged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn parse(arguments: &[&str]) -> Result<Cli, ErrorKind> {
        Cli::try_parse_from([&["crashrig"], arguments].concat()).map_err(|error| error.kind())
    }

    #[test]
    fn arguments() {
        Cli::command().debug_assert();
        assert!(parse(&["prometheus", "--minutes", "0.5", "--interval", "500ms"]).is_ok());
        for bad in ["0", "-1", "x", "241", "NaN"] {
            let minutes = format!("--minutes={bad}");
            assert_eq!(parse(&["prometheus", &minutes]).unwrap_err(), ErrorKind::ValueValidation);
        }
        for bad in ["1", "99ms", "61s", "1m", "s", "1.5s", "18446744073709551615s"] {
            let interval = format!("--interval={bad}");
            assert_eq!(parse(&["prometheus", &interval]).unwrap_err(), ErrorKind::ValueValidation);
        }
        assert!(parse(&["kill9", "--loops", "3", "--serve-arg=--durability=never"]).is_ok());
        assert!(parse(&["powercut", "--seed", "9"]).is_ok());
        assert!(parse(&["diskfull"]).is_ok() && parse(&["baddisk", "--loops", "2"]).is_ok());
        assert_eq!(parse(&["kill9", "--loops", "0"]).unwrap_err(), ErrorKind::ValueValidation);
        assert_eq!(parse(&["diskfull", "--seed"]).unwrap_err(), ErrorKind::InvalidValue);
        assert_eq!(parse(&["unknown"]).unwrap_err(), ErrorKind::InvalidSubcommand);
    }

    #[test]
    fn intervals() {
        assert_eq!(interval("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(interval("250ms"), Ok(Duration::from_millis(250)));
    }
}
