//! What a command that changes a store works on: a directory, or the server that holds it.

use std::path::Path;

use clap::Args;
use siltstone::{Background, Db, Error, Options};

use crate::failure::{Failure, Result};
use crate::output;
use crate::server_client::{ServerUrl, parse_url};
use crate::store_flags::DataFlag;

/// A directory or a server.
#[derive(Debug, Args)]
pub(crate) struct TargetFlags {
    #[command(flatten)]
    pub(crate) data: DataFlag,
    /// Ask the server there, which holds the store and runs with --enable-admin
    #[arg(long, value_name = "URL", conflicts_with = "data", value_parser = parse_url)]
    pub(crate) url: Option<ServerUrl>,
}

/// Opens a store that exists, to change it: nothing happens in the background meanwhile.
pub(crate) fn open(dir: &Path) -> Result<Db> {
    open_with(dir, Options::default())
}

/// As [`open`], with other choices.
pub(crate) fn open_with(dir: &Path, options: Options) -> Result<Db> {
    let options = Options { create: false, background: Background::Manual, ..options };
    let db = Db::open(dir, options).map_err(|error| match error {
        Error::Locked { path } => Failure::locked(&path),
        error => error.into(),
    })?;
    output::report_findings(db.open_report());
    Ok(db)
}

/// Does `work` on the store and closes it, whatever becomes of it.
pub(crate) fn with<T>(db: &Db, work: impl FnOnce(&Db) -> Result<T>) -> Result<T> {
    let done = work(db);
    let closed = db.close();
    let done = done?;
    closed?;
    Ok(done)
}
