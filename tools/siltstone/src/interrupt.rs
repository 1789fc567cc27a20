//! Ctrl-C where work must not be cut off: the first asks it to stop, the second ends the process.

use std::path::Path;

use siltstone::Cancel;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{self, Failure, Result};
use crate::messages;

/// Turns SIGINT and SIGTERM into a request to stop, while it lives.
pub(crate) struct Interrupt {
    requested: Cancel,
    _runtime: Runtime,
}

impl Interrupt {
    pub(crate) fn watch() -> Result<Self> {
        let failed = |error| Failure::io("wait for", Path::new("signals"), &error);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(failed)?;
        let requested = Cancel::default();
        let request = requested.clone();
        let within = runtime.enter();
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        drop(within);
        runtime.spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            };
            next().await;
            request.cancel();
            messages::warning("stopping; once more to end at once");
            next().await;
            // The store is as safe as after a crash.
            std::process::exit(i32::from(failure::INTERRUPTED));
        });
        Ok(Self { requested, _runtime: runtime })
    }

    /// What the signal cancels.
    pub(crate) fn cancel(&self) -> Cancel {
        self.requested.clone()
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.requested.is_cancelled()
    }
}
