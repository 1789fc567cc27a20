//! Where the large parts of an evaluation run.
//!
//! Handing work to a thread costs some microseconds, as much as many small queries take in all. So an
//! evaluation stays on the thread of its caller, and only its large parts go to the pool.

use siltstone::sys::Executor;

/// One thread, or a pool.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Threads<'a> {
    /// The caller's.
    One,
    /// Rayon's threads, those of the caller's pool if it is in one.
    Rayon,
    /// Those of this pool.
    Pool(&'a Executor),
}

impl<'a> Threads<'a> {
    /// As an engine has them: `parallel`, and a pool of its own or not.
    pub(super) fn of(parallel: bool, executor: Option<&'a Executor>) -> Self {
        match executor {
            _ if !parallel => Self::One,
            Some(executor) if executor.width() == 1 => Self::One,
            Some(executor) => Self::Pool(executor),
            None => Self::Rayon,
        }
    }

    /// Whether there is more than one.
    pub(crate) fn are_many(self) -> bool {
        !matches!(self, Self::One)
    }

    /// How many there are.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Rayon => rayon::current_num_threads(),
            Self::Pool(executor) => executor.width(),
        }
    }

    /// Runs `work`, whose rayon calls then use these threads.
    pub(crate) fn run<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        match self {
            Self::One | Self::Rayon => work(),
            Self::Pool(executor) => executor.install(work),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_used_if_it_has_threads() {
        let pool = Executor::with_threads(3).unwrap();
        let threads = Threads::of(true, Some(&pool));
        assert_eq!((threads.are_many(), threads.count()), (true, 3));
        assert_eq!(threads.run(rayon::current_num_threads), 3);
        assert!(!Threads::of(false, Some(&pool)).are_many());
        assert_eq!(Threads::of(true, Some(&Executor::Inline)).count(), 1);
        assert!(Threads::of(true, None).are_many());
    }
}
