//! Ctrl-C and SIGTERM as a flag that the rigs look at, so that guards get to end what was started.
//!
//! A second signal finds the same flag set; only SIGKILL ends a rig at once, and then the kernel ends
//! its children (see [`crate::process`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::error::RigError;

/// How often a sleeping rig looks at the flag.
const STEP: Duration = Duration::from_millis(10);

/// Whether the person at the terminal wants the rig to end; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    raised: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over SIGINT and SIGTERM for the life of the process.
    ///
    /// # Errors
    /// If the signals cannot be taken over.
    pub fn install() -> Result<Self, RigError> {
        let interrupt = Self::default();
        let raised = Arc::clone(&interrupt.raised);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(RigError::io("starting the signal watcher"))?;
        let (mut int, mut term) = {
            let _context = runtime.enter();
            let take = |kind| signal(kind).map_err(RigError::io("taking over signals"));
            (take(SignalKind::interrupt())?, take(SignalKind::terminate())?)
        };
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! { _ = int.recv() => {}, _ = term.recv() => {} }
                    raised.store(true, Ordering::Relaxed);
                    std::future::pending::<()>().await;
                });
            })
            .map_err(RigError::io("starting the signal watcher"))?;
        Ok(interrupt)
    }

    /// Whether a signal came.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`RigError::Interrupted`] if a signal came.
    pub fn check(&self) -> Result<(), RigError> {
        if self.is_raised() { Err(RigError::Interrupted) } else { Ok(()) }
    }

    /// Sleeps, unless a signal comes.
    ///
    /// # Errors
    /// [`RigError::Interrupted`] if one came.
    pub fn sleep(&self, duration: Duration) -> Result<(), RigError> {
        let end = Instant::now() + duration;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(STEP));
        }
    }
}
