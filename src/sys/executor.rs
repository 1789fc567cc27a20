//! Parallel work on the caller's terms: a thread pool that the embedder chose, or none.

use std::fmt;
use std::io;
use std::sync::Arc;

use rayon::prelude::*;

/// Runs a function over items, inline or on a pool. The result does not depend on which.
#[derive(Clone, Default)]
pub enum Executor {
    /// One after the other on the calling thread: simulations, and embedders without threads.
    #[default]
    Inline,
    /// On the pool; the calling thread waits.
    Threads(Arc<rayon::ThreadPool>),
}

impl Executor {
    /// A pool of `threads` threads of its own; inline for 0.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn with_threads(threads: usize) -> io::Result<Self> {
        if threads == 0 {
            return Ok(Self::Inline);
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("siltstone-read{number}"))
            .build()
            .map_err(io::Error::other)?;
        Ok(Self::Threads(Arc::new(pool)))
    }

    /// The results of `f`, in the order of `items`. A panic of `f` reaches the caller.
    pub fn map<T: Send, R: Send>(&self, items: Vec<T>, f: impl Fn(T) -> R + Sync) -> Vec<R> {
        match self {
            Self::Threads(pool) if items.len() > 1 => {
                pool.install(|| items.into_par_iter().map(&f).collect())
            }
            Self::Threads(_) | Self::Inline => items.into_iter().map(f).collect(),
        }
    }

    /// Runs `f` on a thread of the pool, whose rayon calls then use the pool; here if there is none. A
    /// panic of `f` reaches the caller.
    pub fn install<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        match self {
            Self::Inline => f(),
            Self::Threads(pool) => pool.install(f),
        }
    }

    /// How many items may run at once.
    #[must_use]
    pub fn width(&self) -> usize {
        match self {
            Self::Inline => 1,
            Self::Threads(pool) => pool.current_num_threads(),
        }
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline => f.write_str("Inline"),
            Self::Threads(pool) => write!(f, "Threads({})", pool.current_num_threads()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

    use super::Executor;

    fn pool(threads: usize) -> Executor {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        Executor::Threads(Arc::new(pool))
    }

    #[test]
    fn keeps_the_order_of_the_items() {
        let expected: Vec<u64> = (0..1000).map(|i| i * i).collect();
        for executor in [Executor::Inline, pool(2)] {
            assert_eq!(executor.map((0..1000).collect(), |i: u64| i * i), expected);
            assert!(executor.map(Vec::<u64>::new(), |i| i).is_empty());
        }
    }

    #[test]
    fn a_pool_runs_items_at_the_same_time() {
        // Each waits for the other: one after the other would never end.
        let meeting = Barrier::new(2);
        pool(2).map(vec![(), ()], |()| meeting.wait());
    }
}
