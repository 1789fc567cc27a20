//! The workloads that ask: their arguments and what they print.
//!
//! What happens is told on standard error, so that standard output holds the table alone.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use siltstone_peerbench::{abuse, queries, query_memory};
use siltstone_rig::report::{grouped, megabytes, milliseconds};
use siltstone_rig::store::Store;
use siltstone_rig::{Interrupt, RigError};

use crate::store_args::{PeerArgs, SiltstoneArgs, introduction};
use crate::{Verdict, now_ms};

#[derive(Debug, Args)]
pub(crate) struct QueriesArgs {
    #[command(flatten)]
    siltstone: SiltstoneArgs,
    #[command(flatten)]
    peers: PeerArgs,
    /// Leave a store out; may be repeated
    #[arg(long, value_name = "NAME", value_parser = ["siltstone", "victoria-metrics", "prometheus"])]
    without: Vec<String>,
    /// Hosts, each with ten series
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(8..=100_000))]
    hosts: u64,
    /// Hours of samples, ten seconds apart
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=240))]
    hours: u64,
    /// Times that each row asks, with other hosts and times
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(2..=10_000))]
    times: u64,
    /// Seed of values and requests
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

impl QueriesArgs {
    /// The stores in the order of the table.
    fn stores(&self) -> Result<Vec<Store>, RigError> {
        let wanted = |name: &str| !self.without.iter().any(|without| without == name);
        let peers = self.peers.peers.as_deref();
        let mut stores = Vec::new();
        if wanted("siltstone") {
            stores.push(self.siltstone.store()?.with_merges());
        }
        if wanted("victoria-metrics") {
            stores.push(Store::victoria_metrics(peers)?);
        }
        if wanted("prometheus") {
            let store = Store::prometheus(peers)?;
            check_prometheus(&store.version())?;
            stores.push(store);
        }
        Ok(stores)
    }
}

#[derive(Debug, Args)]
pub(crate) struct QueryMemoryArgs {
    #[command(flatten)]
    siltstone: SiltstoneArgs,
    /// Series that are added up
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=50_000_000))]
    series: u64,
    /// Samples of each series
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    samples_per_series: u64,
}

#[derive(Debug, Args)]
pub(crate) struct AbuseArgs {
    #[command(flatten)]
    siltstone: SiltstoneArgs,
    /// Hosts, each with ten series
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(8..=100_000))]
    hosts: u64,
    /// Hours of samples, ten seconds apart
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=240))]
    hours: u64,
    /// Clients of each kind of abuse, all at once
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    clients: u64,
    /// Seconds that a client stays which reads nothing
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=600))]
    stall_s: u64,
    /// The store's memory budget in MiB
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u64).range(16..=1_048_576))]
    budget_mib: u64,
}

/// Tells what happens.
fn say(what: &str) {
    eprintln!("{what}");
}

/// # Errors
/// If this is a Prometheus before version 3, whose windows have both ends and so other samples.
fn check_prometheus(version: &str) -> Result<(), RigError> {
    if !version.contains("version 2.") {
        return Ok(());
    }
    Err(RigError::failed(format!(
        "answers are compared with Prometheus 3 or newer, and this is {version}: name a directory with \
         a newer one by --peers, or leave it out with --without prometheus"
    )))
}

/// Asks all stores the same and prints the table.
///
/// # Errors
/// If it could not be measured.
pub(crate) fn queries(args: &QueriesArgs, interrupt: &Interrupt) -> Result<Verdict, RigError> {
    let load =
        queries::Load { hosts: args.hosts, hours: args.hours, times: args.times, seed: args.seed };
    let stores = args.stores()?;
    let mut head = format!(
        "{} hosts with ten series each, {} h of samples 10 s apart: {}; each row {} times, seed {}\n",
        grouped(load.hosts),
        load.hours,
        grouped(load.samples()),
        load.times,
        load.seed
    );
    for store in &stores {
        head.push_str(&introduction(store));
        head.push('\n');
    }
    say(&head);
    let work = args.siltstone.work();
    let report = queries::run(&stores, &load, now_ms(), &work, interrupt, &say)?;
    if args.json {
        let json = serde_json::to_string_pretty(&report)
            .map_err(|error| RigError::failed(format!("writing JSON: {error}")))?;
        println!("{json}");
    } else {
        println!("{head}\n{report}");
    }
    Ok(if report.differences() == 0 { Verdict::Measured } else { Verdict::Wrong })
}

/// Adds up many series and prints what that took of memory.
///
/// # Errors
/// If it could not be measured.
pub(crate) fn query_memory(
    args: &QueryMemoryArgs,
    interrupt: &Interrupt,
) -> Result<Verdict, RigError> {
    let load =
        query_memory::Load { series: args.series, samples_per_series: args.samples_per_series };
    let store = args.siltstone.store()?.with_merges();
    println!("{}", introduction(&store));
    println!(
        "{} series (10 tags + name), {} samples each",
        grouped(load.series),
        load.samples_per_series
    );
    let work = args.siltstone.work();
    let all = query_memory::run(&store, load, now_ms(), &work, interrupt, &say)?;
    println!("\nRssAnon before       peak      after   answer     series        wall  query");
    for measured in &all {
        println!(
            "{:>14} {:>10} {:>10} {:>8} {:>10} {:>11}  {}",
            megabytes(measured.before_bytes),
            megabytes(measured.peak_bytes),
            megabytes(measured.after_bytes),
            measured.status,
            grouped(measured.series),
            milliseconds(measured.wall),
            measured.query
        );
    }
    let mut verdict = Verdict::Measured;
    for measured in &all {
        if let Some(wrong) = &measured.wrong {
            println!("{}: {wrong}", measured.query);
            verdict = Verdict::Wrong;
        }
    }
    Ok(verdict)
}

/// Abuses the store and prints how it behaved.
///
/// # Errors
/// If it could not be measured.
pub(crate) fn abused(args: &AbuseArgs, interrupt: &Interrupt) -> Result<Verdict, RigError> {
    let load = abuse::Load {
        hosts: args.hosts,
        hours: args.hours,
        clients: args.clients,
        stall: Duration::from_secs(args.stall_s),
        budget_bytes: args.budget_mib << 20,
    };
    let budget = format!("{}MiB", args.budget_mib);
    let store = args.siltstone.store()?.with_merges();
    let store = store.with_arguments(&["--memory-budget", &budget]);
    println!("{}", introduction(&store));
    let work = args.siltstone.work();
    let measured = abuse::run(&store, &load, now_ms(), &work, interrupt, &say)?;
    println!("\n{:<46} {:<44} expected", "abuse", "answers");
    for attacked in &measured.attacked {
        println!(
            "{:<46} {:<44} {}",
            attacked.name,
            counted(&attacked.outcomes),
            attacked.expected.join(" or ")
        );
    }
    println!(
        "\nhealthy   before: served, p50 ms, max ms   meanwhile: served, p50 ms, max ms  failed"
    );
    for (calm, during) in measured.calm.iter().zip(&measured.during) {
        println!(
            "{:<9} {:>15} {:>8.1} {:>7.1} {:>18} {:>8.1} {:>7.1}  {}",
            during.name,
            grouped(calm.count),
            calm.p50_ms(),
            calm.max_ms(),
            grouped(during.count),
            during.p50_ms(),
            during.max_ms(),
            if during.failed.is_empty() { "none".into() } else { counted(&during.failed) },
        );
    }
    print_abused_memory(&load, &measured);
    let faults = measured.faults(&load);
    faults.iter().for_each(|fault| println!("not as it should be: {fault}"));
    Ok(if faults.is_empty() { Verdict::Measured } else { Verdict::Wrong })
}

fn print_abused_memory(load: &abuse::Load, measured: &abuse::Measured) {
    println!(
        "\nRssAnon   before {}, at most {} ({:.3} of the budget), after {}",
        megabytes(measured.before_bytes),
        megabytes(measured.peak.rss_anon_bytes),
        measured.peak.rss_anon_bytes as f64 / load.budget_bytes as f64,
        megabytes(measured.after_bytes),
    );
    let there = match &measured.kept.there {
        Ok(there) => grouped(*there),
        Err(_) => "not known how many".into(),
    };
    println!(
        "samples   {} acknowledged, {} there; {:.1} s in all",
        grouped(measured.kept.promised),
        there,
        measured.wall.as_secs_f64()
    );
}

/// As in `18 x 503 timeout, 2 x 200`.
fn counted(outcomes: &BTreeMap<String, u64>) -> String {
    let parts = outcomes.iter().map(|(outcome, count)| format!("{count} x {outcome}"));
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_has_to_be_new() {
        check_prometheus("prometheus, version 3.5.3+ds1 (branch: debian/sid)").unwrap();
        let old = check_prometheus("prometheus, version 2.42.0+ds (branch: x)").unwrap_err();
        assert!(old.to_string().contains("2.42.0") && old.to_string().contains("--peers"), "{old}");
    }

    #[test]
    fn outcomes_are_listed() {
        let outcomes = [("200".to_owned(), 2), ("503 timeout".to_owned(), 18)];
        assert_eq!(counted(&BTreeMap::from(outcomes)), "2 x 200, 18 x 503 timeout");
    }
}
