//! What signals do to `siltstone serve`. To be called within the runtime.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

use crate::failure;

/// Ready at the first SIGTERM or SIGINT. From then on the second one ends the process at once: who sends
/// it does not want to wait for the requests that run, and the store is as safe as after a crash.
pub(super) fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    Ok(async move {
        let name = next().await;
        tracing::info!(signal = name, "stopping; once more to end at once");
        tokio::spawn(async move {
            let name = next().await;
            tracing::warn!(signal = name, "ended at once");
            std::process::exit(i32::from(failure::INTERRUPTED));
        });
    })
}

/// Says so instead of ending, as SIGHUP would: there is nothing yet that could be read anew.
pub(super) fn ignore_hangup() -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("SIGHUP is ignored: there is no configuration to read anew");
        }
    });
    Ok(())
}
