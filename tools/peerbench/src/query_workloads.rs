//! The workloads that ask: their arguments and what they print.
//!
//! What happens is told on standard error, so that standard output holds the table alone.

use clap::Args;
use siltstone_peerbench::queries::{self, Load};
use siltstone_peerbench::report::grouped;
use siltstone_peerbench::store::Store;
use siltstone_peerbench::{Interrupt, RigError};

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
            stores.push(Store::prometheus(peers)?);
        }
        Ok(stores)
    }
}

/// Asks all stores the same and prints the table.
///
/// # Errors
/// If it could not be measured.
pub(crate) fn queries(args: &QueriesArgs, interrupt: &Interrupt) -> Result<Verdict, RigError> {
    let load = Load { hosts: args.hosts, hours: args.hours, times: args.times, seed: args.seed };
    let stores = args.stores()?;
    let say = |what: &str| eprintln!("{what}");
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
