//! A store that runs on a directory of its own, below the directory of work; both go when it is done.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use siltstone_rig::error::RigError;
use siltstone_rig::http::HttpClient;
use siltstone_rig::interrupt::Interrupt;
use siltstone_rig::process::{Process, free_address};
use siltstone_rig::store::{END_TIMEOUT, Store};

use crate::settle;

/// How long a request may take; a merge is one.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(600);

/// A store that runs on a directory of its own.
#[derive(Debug)]
pub struct Running<'s> {
    store: &'s Store,
    server: Process,
    address: SocketAddr,
    state: String,
    // Removed after the process has ended.
    _dir: tempfile::TempDir,
}

impl<'s> Running<'s> {
    /// Starts the store on an empty directory below `work`.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(store: &'s Store, work: &Path, interrupt: &Interrupt) -> Result<Self, RigError> {
        let dir = tempfile::tempdir_in(work).map_err(RigError::io("making a directory"))?;
        let address = free_address()?;
        let log = dir.path().join("log");
        let (server, _) = store.start_ready(&dir.path().join("data"), address, &log, interrupt)?;
        Ok(Self { store, server, address, state: String::new(), _dir: dir })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &'s Store {
        self.store
    }

    /// In which state it came to rest; empty before.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    #[must_use]
    pub fn server(&self) -> &Process {
        &self.server
    }

    /// A client on a new connection.
    #[must_use]
    pub fn client(&self) -> HttpClient {
        HttpClient::new(self.address, REQUEST_TIMEOUT)
    }

    /// Writes out and merges everything and waits until nothing is done in the background.
    ///
    /// # Errors
    /// If the store refuses or does not come to rest.
    pub fn settle(&mut self, interrupt: &Interrupt) -> Result<(), RigError> {
        let mut client = self.client();
        settle::merge(self.store, &mut client)?;
        self.state = settle::rest(self.store, &self.server, &mut client, interrupt)?;
        Ok(())
    }

    /// Ends the store.
    ///
    /// # Errors
    /// If it does not end.
    pub fn stop(mut self) -> Result<(), RigError> {
        self.server.terminate(END_TIMEOUT).map(drop)
    }
}
