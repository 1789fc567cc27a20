//! By how much the memory of the process grows while a request is answered. It is measured for one request at a
//! time; other tests run beside, so that bounds leave room for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

static MEASURED: Mutex<()> = Mutex::new(());

fn rss_anon_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// What `work` returns, and by how much the memory of the process grew at most meanwhile.
pub(crate) fn growth<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let _alone = MEASURED.lock().unwrap_or_else(PoisonError::into_inner);
    let before = rss_anon_bytes();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = rss_anon_bytes();
            while !ended.load(Ordering::Relaxed) {
                most = most.max(rss_anon_bytes());
                std::thread::yield_now();
            }
            most
        });
        let result = work();
        ended.store(true, Ordering::Relaxed);
        (result, watch.join().unwrap().saturating_sub(before))
    })
}
