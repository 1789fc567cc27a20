//! `siege`: attacks a Siltstone server on the loopback interface, beside healthy clients, and says whether
//! those were served, memory stayed bounded and nothing that was acknowledged is gone.
//!
//! Exit codes: 0 every verdict is good, 1 one is not, 2 usage, 3 skipped because the machine cannot do it,
//! 4 the rig could not run.

#![expect(
    clippy::disallowed_methods,
    reason = "a rig stands outside the store: it has files, clocks and threads of its own"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is the product")]

mod answer;
mod arena;
mod attacks;
mod cgroup;
mod healthy;
mod plan;
mod report;
mod requests;
mod siege;
mod socket;
mod stored;
mod waved;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use siltstone_rig::store::Store;
use siltstone_rig::verdict::Verdict;
use siltstone_rig::{Interrupt, RigError};

use crate::cgroup::Cgroup;
use crate::plan::Plan;

/// Descriptors that the rig needs for the connections of the largest attack and of healthy clients.
const DESCRIPTORS: u64 = 2048;
/// The limit of `siege cgroup`.
const CGROUP_BYTES: u64 = 512 << 20;

/// Attacks a Siltstone server beside healthy clients and says whether they were still served.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  siege run\n  siege run --seconds 20 --only ghost-series,storm\n  siege ci\n  \
    siege cgroup"
)]
struct Cli {
    #[command(subcommand)]
    form: Form,
}

#[derive(Debug, Subcommand)]
enum Form {
    /// Each attack by itself, then all together
    Run(RunArgs),
    /// All attacks in three waves, half a minute in all
    Ci(CommonArgs),
    /// As run, with the server in a control group of 512 MiB (root)
    Cgroup(RunArgs),
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// How long each attack lasts; the server's deadlines are parts of it
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(4..=600))]
    seconds: u64,
    /// Only these attacks, by name
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Those at the same time, instead of one after the other
    #[arg(long, requires = "only")]
    together: bool,
}

#[derive(Debug, Args)]
struct CommonArgs {
    /// The siltstone program [default: beside this one, or in PATH]
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// The server's memory budget
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = mebibytes)]
    memory_budget: u64,
    /// Seed of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A size in whole MiB.
fn mebibytes(text: &str) -> Result<u64, String> {
    let number = text.strip_suffix("MiB").and_then(|number| number.parse::<u64>().ok());
    match number {
        Some(number @ 16..=65536) => Ok(number << 20),
        _ => Err("a size from 16MiB to 65536MiB".into()),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli.form) {
        Ok(Some(verdict)) => {
            verdict.print();
            ExitCode::from(u8::from(!verdict.is_good()))
        }
        Ok(None) => ExitCode::from(3),
        Err(error) => {
            eprintln!("siege: {error}");
            ExitCode::from(4)
        }
    }
}

/// `None` if the machine cannot do it, which is said.
fn run(form: &Form) -> Result<Option<Verdict>, RigError> {
    let interrupt = Interrupt::install()?;
    raise_descriptors()?;
    let store = |common: &CommonArgs| Store::siltstone(common.server.as_deref(), &[]);
    let long = |args: &RunArgs| {
        let common = &args.common;
        let length = Duration::from_secs(args.seconds);
        let plan = Plan::long(length, &args.only, common.memory_budget, common.seed)?;
        Ok::<_, RigError>(if args.together { plan.together() } else { plan })
    };
    match form {
        Form::Run(args) => {
            siege::run(&store(&args.common)?, &long(args)?, None, &interrupt).map(Some)
        }
        Form::Ci(common) => {
            let plan = Plan::short(common.memory_budget, common.seed);
            siege::run(&store(common)?, &plan, None, &interrupt).map(Some)
        }
        Form::Cgroup(args) => {
            let group = match Cgroup::new(CGROUP_BYTES) {
                Ok(group) => group,
                Err(why) => {
                    println!("SKIPPED: no control group: {why}");
                    return Ok(None);
                }
            };
            siege::run(&store(&args.common)?, &long(args)?, Some(&group), &interrupt).map(Some)
        }
    }
}

/// Allows this process as many descriptors as it needs, where the system lets it; the server does so itself.
fn raise_descriptors() -> Result<(), RigError> {
    let limit = getrlimit(Resource::Nofile);
    let has = |limit: Option<u64>| limit.is_none_or(|limit| limit >= DESCRIPTORS);
    if has(limit.current) {
        return Ok(());
    }
    let failed = "the limit of open files is too low; raise it with ulimit -n 2048";
    if !has(limit.maximum) {
        return Err(RigError::failed(failed));
    }
    let raised = Rlimit { current: Some(DESCRIPTORS), maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).map_err(|_| RigError::failed(failed))
}
