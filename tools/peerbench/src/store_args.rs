//! Which stores are measured, and where: arguments that workloads share.

use std::path::PathBuf;

use clap::Args;
use siltstone_rig::RigError;
use siltstone_rig::store::Store;

/// Siltstone alone.
#[derive(Debug, Args)]
pub(crate) struct SiltstoneArgs {
    /// The siltstone program [default: beside this one, or in PATH]
    #[arg(long, value_name = "PATH")]
    siltstone: Option<PathBuf>,
    /// An argument added to `siltstone serve`; may be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    serve_arg: Vec<String>,
    /// Directory for the stores' data; should be on a disk, not in memory [default: the system's
    /// temporary directory]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
}

/// Siltstone and a peer that takes its writes.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    #[command(flatten)]
    siltstone: SiltstoneArgs,
    #[command(flatten)]
    peers: PeerArgs,
    /// Measure only one of the stores
    #[arg(long, value_name = "NAME", value_parser = ["siltstone", "victoria-metrics"])]
    only: Option<String>,
}

/// Where peers come from.
#[derive(Debug, Args)]
pub(crate) struct PeerArgs {
    /// Directory into which Debian's packages of the peers were unpacked [default: PATH, or
    /// apt-get install]
    #[arg(long, value_name = "DIR")]
    pub(crate) peers: Option<PathBuf>,
}

impl SiltstoneArgs {
    /// The store.
    pub(crate) fn store(&self) -> Result<Store, RigError> {
        Store::siltstone(self.siltstone.as_deref(), &self.serve_arg)
    }

    /// The directory for the stores' data.
    pub(crate) fn work(&self) -> PathBuf {
        self.work.clone().unwrap_or_else(std::env::temp_dir)
    }
}

impl StoreArgs {
    /// The stores in the order of their turns; prints who they are.
    pub(crate) fn stores(&self) -> Result<Vec<Store>, RigError> {
        let wanted = |name: &str| self.only.as_deref().is_none_or(|only| only == name);
        let mut stores = Vec::new();
        if wanted("siltstone") {
            stores.push(self.siltstone.store()?);
        }
        if wanted("victoria-metrics") {
            stores.push(Store::victoria_metrics(self.peers.peers.as_deref())?);
        }
        for store in &stores {
            println!("{}", introduction(store));
        }
        Ok(stores)
    }

    /// The directory for the stores' data.
    pub(crate) fn work(&self) -> PathBuf {
        self.siltstone.work()
    }
}

/// Who a store is, in a line.
pub(crate) fn introduction(store: &Store) -> String {
    format!("{:<17} {}; {}", store.name(), store.version(), store.durability())
}
