//! What a command that changes a store works on: a directory, or the server that holds it.

use std::path::Path;

use clap::Args;
use siltstone::{Background, Db, Error, Options};

use crate::failure::{Failure, Outcome, Result};
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

/// Opens a store that exists, does `work` on it and closes it, whatever becomes of the work; nothing
/// happens in the background meanwhile. What opening found wrong is reported, and the outcome.
pub(crate) fn with<T>(
    dir: &Path,
    options: Options,
    work: impl FnOnce(&Db) -> Result<T>,
) -> Result<(T, Outcome)> {
    let db = open(dir, options).map_err(|error| match error {
        Error::Locked { path } => Failure::locked(&path),
        error => error.into(),
    })?;
    finish(&db, work)
}

/// As [`with`], for work that no server can be asked to do.
pub(crate) fn with_own<T>(
    dir: &Path,
    options: Options,
    work: impl FnOnce(&Db) -> Result<T>,
) -> Result<(T, Outcome)> {
    finish(&open(dir, options)?, work)
}

fn open(dir: &Path, options: Options) -> siltstone::Result<Db> {
    Db::open(dir, Options { create: false, background: Background::Manual, ..options })
}

fn finish<T>(db: &Db, work: impl FnOnce(&Db) -> Result<T>) -> Result<(T, Outcome)> {
    let found = output::report_findings(db.open_report());
    let done = work(db);
    let closed = db.close();
    let done = done?;
    closed?;
    Ok((done, found))
}
