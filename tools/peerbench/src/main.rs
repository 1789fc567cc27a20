//! `peerbench`: Siltstone beside its peers on the same bytes in one run.
//!
//! Only what it prints leaves it. Exit codes: 0 measured, 1 measured but an answer was wrong, 2 usage,
//! 4 it could not be measured.

#![expect(clippy::disallowed_methods, reason = "the rig has a clock of its own")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is the product")]

mod query_workloads;
mod store_args;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};
use siltstone_peerbench::{active_series, churn, known_series, size};
use siltstone_rig::report::{grouped, median, megabytes};
use siltstone_rig::store::Store;
use siltstone_rig::{Interrupt, RigError, recording};

use query_workloads::{AbuseArgs, QueriesArgs, QueryMemoryArgs};
use store_args::{SiltstoneArgs, StoreArgs};

/// What a workload found out that is not a figure.
enum Verdict {
    Measured,
    /// An answer was not what it should be.
    Wrong,
}

/// Measures Siltstone beside its peers on the same bytes in one run.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  peerbench known\n  peerbench known --rounds 5 \
    --samples-per-series 1000\n  peerbench active --series 1000000\n  peerbench churn\n  \
    peerbench churn --at-once --samples-per-series 3\n  peerbench size\n  \
    peerbench queries --peers DIR\n  peerbench query-memory\n  peerbench abuse"
)]
struct Cli {
    #[command(subcommand)]
    workload: Workload,
}

#[derive(Debug, Subcommand)]
enum Workload {
    /// Remote write of series that the store knows, as fast as it answers.
    Known(KnownArgs),
    /// Memory of many active series.
    Active(ActiveArgs),
    /// Whether memory keeps to the budget when series come and go, or are too many.
    Churn(ChurnArgs),
    /// Bytes on disk of the same samples after a merge.
    Size(SizeArgs),
    /// Time and CPU of queries beside VictoriaMetrics and Prometheus; the answers are compared.
    Queries(QueriesArgs),
    /// What Siltstone needs of memory to add up a million series.
    QueryMemory(QueryMemoryArgs),
    /// Queries that should not be, many at once, beside healthy ones.
    Abuse(AbuseArgs),
}

#[derive(Debug, Args)]
struct KnownArgs {
    #[command(flatten)]
    stores: StoreArgs,
    /// Series; must fill whole requests
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    series: u64,
    /// Series (and samples) in a request
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=50_000))]
    request_series: u64,
    /// Connections that send at the same time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    connections: u64,
    /// Samples a series before the measured part
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    warm_up: u64,
    /// Measured samples a series
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    samples_per_series: u64,
    /// Rounds; in each, every store takes its turn
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// Seconds to watch a server after the last answer
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=600))]
    settle_s: u64,
}

#[derive(Debug, Args)]
struct ActiveArgs {
    #[command(flatten)]
    stores: StoreArgs,
    /// Series to register
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
    series: u64,
    /// Samples of each series
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    samples_per_series: u64,
    /// Seconds to let a server settle before its memory is read
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=600))]
    settle_s: u64,
}

#[derive(Debug, Args)]
struct ChurnArgs {
    #[command(flatten)]
    siltstone: SiltstoneArgs,
    /// Series in all; must fill whole requests
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    series: u64,
    /// Series that get samples at a time; the others have had theirs or wait for their turn
    #[arg(long, default_value_t = 200_000, conflicts_with = "at_once")]
    active: u64,
    /// All series are active at once
    #[arg(long)]
    at_once: bool,
    /// Samples of each series
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    samples_per_series: u64,
    /// Series (and samples) in a request
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=50_000))]
    request_series: u64,
    /// Connections that send at the same time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    connections: u64,
    /// The store's memory budget in MiB
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
    budget_mib: u64,
    /// Seconds after which nothing more is sent
    #[arg(long, default_value_t = 360, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    time_max_s: u64,
}

#[derive(Debug, Args)]
struct SizeArgs {
    #[command(flatten)]
    stores: StoreArgs,
    /// JSON lines as Siltstone exports them, in a zstd file [default: TSBS's cpu-only shape, 1,000
    /// hosts for six hours]
    #[arg(long, value_name = "FILE")]
    recording: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = Interrupt::install().and_then(|interrupt| match &cli.workload {
        Workload::Known(args) => known(args, &interrupt).map(|()| Verdict::Measured),
        Workload::Active(args) => active(args, &interrupt).map(|()| Verdict::Measured),
        Workload::Churn(args) => churn_in_budget(args, &interrupt).map(|()| Verdict::Measured),
        Workload::Size(args) => bytes_on_disk(args, &interrupt).map(|()| Verdict::Measured),
        Workload::Queries(args) => query_workloads::queries(args, &interrupt),
        Workload::QueryMemory(args) => query_workloads::query_memory(args, &interrupt),
        Workload::Abuse(args) => query_workloads::abused(args, &interrupt),
    });
    match result {
        Ok(Verdict::Measured) => ExitCode::SUCCESS,
        Ok(Verdict::Wrong) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("peerbench: {error}");
            ExitCode::from(4)
        }
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

fn known(args: &KnownArgs, interrupt: &Interrupt) -> Result<(), RigError> {
    let load = known_series::Load {
        series: args.series,
        request_series: args.request_series,
        connections: args.connections as usize,
        warm_up: args.warm_up,
        measured: args.samples_per_series,
        settle: Duration::from_secs(args.settle_s),
    };
    load.check()?;
    println!(
        "remote write 1.0 over HTTP: {} known series (10 tags + name), {} samples in requests of {}, \
         {} connections, {} rounds",
        grouped(load.series),
        grouped(load.samples()),
        grouped(load.request_series),
        load.connections,
        args.rounds
    );
    let stores = args.stores.stores()?;
    let bodies = known_series::Bodies::make(load, now_ms(), interrupt)?;
    println!("bodies            {}, the same for every store and round", megabytes(bodies.bytes()));
    println!(
        "\nround  store             samples/CPU-s   CPU s  settled   wall s  p50 ms  p99 ms   RssAnon  \
         B/sample on disk"
    );
    let mut rates = vec![Vec::new(); stores.len()];
    for round in 1..=args.rounds {
        for (store, rates) in stores.iter().zip(&mut rates) {
            let measured = known_series::run(store, &bodies, &args.stores.work(), interrupt)?;
            rates.push(measured.per_cpu_second());
            print_known(round, store, &load, &measured);
        }
    }
    println!("\nmedians of samples per CPU-second of the server");
    let medians: Vec<f64> = rates.iter().map(|rates| median(rates)).collect();
    for (store, median) in stores.iter().zip(&medians) {
        println!("{:<17} {:>13}", store.name(), grouped(*median as u64));
    }
    if let [ours, peer] = medians[..] {
        println!("ratio             {:>13.2}", ours / peer);
    }
    Ok(())
}

fn print_known(
    round: u64,
    store: &Store,
    load: &known_series::Load,
    measured: &known_series::Measured,
) {
    let ms = |quantile: f64| measured.latency_us.value_at_quantile(quantile) as f64 / 1e3;
    let sent = load.series * (load.warm_up + load.measured);
    println!(
        "{round:>5}  {:<17} {:>13} {:>7.2} {:>8.2} {:>8.2} {:>7.1} {:>7.1} {:>9} {:>8.2} (allocated {:.2})",
        store.name(),
        grouped(measured.per_cpu_second() as u64),
        measured.cpu_seconds,
        measured.cpu_settled_seconds,
        measured.wall.as_secs_f64(),
        ms(0.5),
        ms(0.99),
        megabytes(measured.rss_anon_bytes),
        measured.disk.length as f64 / sent as f64,
        measured.disk.allocated as f64 / sent as f64,
    );
}

fn active(args: &ActiveArgs, interrupt: &Interrupt) -> Result<(), RigError> {
    let load = active_series::Load {
        series: args.series,
        samples_per_series: args.samples_per_series,
        settle: Duration::from_secs(args.settle_s),
    };
    println!(
        "{} active series (10 tags + name), {} samples each, by remote write 1.0",
        grouped(load.series),
        load.samples_per_series
    );
    let stores = args.stores.stores()?;
    println!(
        "\nstore              RssAnon    settled   bytes/series   wall s   CPU s, first sight     on disk"
    );
    for store in &stores {
        let measured = active_series::run(store, load, now_ms(), &args.stores.work(), interrupt)?;
        println!(
            "{:<17} {:>9} {:>10} {:>14.0} {:>8.1} {:>20.1} {:>11}",
            store.name(),
            megabytes(measured.rss_anon_bytes),
            megabytes(measured.rss_anon_settled_bytes),
            measured.rss_anon_settled_bytes as f64 / load.series as f64,
            measured.wall.as_secs_f64(),
            measured.first_cpu_seconds,
            megabytes(measured.disk.length),
        );
    }
    Ok(())
}

fn churn_in_budget(args: &ChurnArgs, interrupt: &Interrupt) -> Result<(), RigError> {
    let load = churn::Load {
        series: args.series,
        active: if args.at_once { args.series } else { args.active },
        samples_per_series: args.samples_per_series,
        request_series: args.request_series,
        connections: args.connections,
        budget_bytes: args.budget_mib << 20,
        time_max: Duration::from_secs(args.time_max_s),
    };
    load.check()?;
    let budget = format!("{}MiB", args.budget_mib);
    let store = args.siltstone.store()?;
    let store = store.with_arguments(&["--memory-budget", &budget]);
    println!("{}", store_args::introduction(&store));
    println!(
        "{} series, {} active at a time, {} samples each, in requests of {} on {} connections",
        grouped(load.series),
        grouped(load.active),
        load.samples_per_series,
        grouped(load.request_series),
        load.connections
    );
    let measured = churn::run(&store, load, now_ms(), &args.siltstone.work(), interrupt)?;
    print_churn(&load, &measured);
    Ok(())
}

fn print_churn(load: &churn::Load, measured: &churn::Measured) {
    let churn::Measured { sent, peak, checked, .. } = measured;
    let seconds = measured.wall.as_secs_f64();
    println!(
        "peak RssAnon      {}, {:.3} of the budget, after {:.1} s ({} readings)",
        megabytes(peak.rss_anon_bytes),
        peak.rss_anon_bytes as f64 / load.budget_bytes as f64,
        peak.after.as_secs_f64(),
        grouped(peak.readings)
    );
    println!(
        "samples           {} stored, {} refused, {} refused of known series",
        grouped(sent.samples),
        grouped(sent.refused),
        grouped(sent.known_refused)
    );
    let known = sent.known_requests.len() as u64 * load.request_series;
    println!(
        "series            {} taken at first sight, {} a second",
        grouped(known),
        grouped((known as f64 / seconds) as u64)
    );
    println!(
        "wall              {seconds:.1} s, {} samples/s{}",
        grouped((sent.samples as f64 / seconds) as u64),
        if sent.cut_short { "; the time was up before all was sent" } else { "" }
    );
    println!(
        "read back         {} samples of {} series, as sent; {} on disk",
        grouped(checked.samples),
        checked.series,
        megabytes(measured.disk.length)
    );
    if let Some(refusal) = &sent.first_refusal {
        println!("first refusal     {}", refusal.replace('\n', " "));
    }
    for (when, metrics) in [("peak", &peak.metrics), ("end", &measured.metrics)] {
        println!("metrics at the {when}:");
        metrics.iter().for_each(|line| println!("  {line}"));
    }
}

fn bytes_on_disk(args: &SizeArgs, interrupt: &Interrupt) -> Result<(), RigError> {
    let lines = match &args.recording {
        Some(path) => recording::read(path)?,
        None => recording::tsbs_cpu(now_ms()),
    };
    let what = args.recording.as_ref().map_or("TSBS cpu".into(), |path| path.display().to_string());
    println!("{what}: {} lines, a series or a part of one each", grouped(lines.len() as u64));
    let stores = args.stores.stores()?;
    println!("\nstore                 samples  before the merge     after  bytes/sample    CPU s");
    let mut sizes = Vec::new();
    for store in &stores {
        let measured = size::run(&store.with_merges(), &lines, &args.stores.work(), interrupt)?;
        let each = measured.bytes as f64 / measured.samples as f64;
        println!(
            "{:<17} {:>11} {:>17} {:>9} {:>13.4} {:>8.1}",
            store.name(),
            grouped(measured.samples),
            megabytes(measured.bytes_before),
            megabytes(measured.bytes),
            each,
            measured.cpu_seconds,
        );
        sizes.push(each);
    }
    if let [ours, peer] = sizes[..] {
        println!("ratio             {:.3}", ours / peer);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::error::ErrorKind> {
        Cli::try_parse_from([&["peerbench"], arguments].concat()).map_err(|error| error.kind())
    }

    #[test]
    fn arguments() {
        use clap::error::ErrorKind;
        Cli::command().debug_assert();
        assert!(parse(&["known", "--rounds", "1", "--serve-arg", "--durability=never"]).is_ok());
        assert!(parse(&["active", "--only", "victoria-metrics"]).is_ok());
        assert!(parse(&["size", "--recording", "r.jsonl.zst", "--peers", "p"]).is_ok());
        assert!(parse(&["queries", "--hosts", "20", "--without", "prometheus", "--json"]).is_ok());
        assert!(parse(&["query-memory", "--series", "1000"]).is_ok());
        assert!(parse(&["abuse", "--clients", "2", "--stall-s", "5"]).is_ok());
        assert_eq!(parse(&["queries", "--times", "1"]).unwrap_err(), ErrorKind::ValueValidation);
        assert!(parse(&["churn", "--at-once", "--budget-mib", "64"]).is_ok());
        let both = parse(&["churn", "--at-once", "--active", "5"]).unwrap_err();
        assert_eq!(both, ErrorKind::ArgumentConflict);
        assert_eq!(parse(&["known", "--rounds", "0"]).unwrap_err(), ErrorKind::ValueValidation);
        assert_eq!(parse(&["known", "--rounds", "many"]).unwrap_err(), ErrorKind::ValueValidation);
        assert_eq!(parse(&["active", "--only", "other"]).unwrap_err(), ErrorKind::InvalidValue);
        assert_eq!(parse(&["unknown"]).unwrap_err(), ErrorKind::InvalidSubcommand);
        assert_eq!(parse(&["known", "--unknown"]).unwrap_err(), ErrorKind::UnknownArgument);
    }
}
