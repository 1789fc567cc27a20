//! Where threads start. Called by `db/` only: every other floor runs on its caller's thread or on an
//! [`Executor`](super::Executor), so that a simulation needs one thread.

use std::io;

use super::sync::thread::{Builder, JoinHandle};

/// Starts a thread that shows as `name` (the system keeps 15 bytes of it) in debuggers and `top`.
///
/// # Errors
///
/// If the system refuses another thread.
///
/// # Panics
///
/// If `name` holds a NUL.
pub fn spawn<T: Send + 'static>(
    name: &str,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).spawn(f)
}

#[cfg(test)]
mod tests {
    use super::spawn;

    #[test]
    fn the_thread_has_its_name_and_hands_back_its_result() {
        let thread = spawn("siltstone-flush", || std::thread::current().name().map(str::to_owned));
        assert_eq!(thread.unwrap().join().unwrap().as_deref(), Some("siltstone-flush"));
    }
}
