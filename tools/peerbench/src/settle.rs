//! Brings a store to rest after it was filled, so that what is measured next is not its background
//! work.
//!
//! 1. It is asked to write out and merge everything ([`merge`]), where it can be.
//! 2. Prometheus takes whole blocks out of its head by itself, within a minute: that is waited for.
//! 3. It is at rest when it has used next to no CPU for a while ([`rest`]).

use std::time::{Duration, Instant};

use siltstone_rig::error::RigError;
use siltstone_rig::http::HttpClient;
use siltstone_rig::interrupt::Interrupt;
use siltstone_rig::process::Process;
use siltstone_rig::store::Store;

use crate::cpu_meter::CpuMeter;

/// How often the CPU time is looked at, ...
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// ... how much of it may be used between two looks, ...
const IDLE_CPU: Duration = Duration::from_millis(25);
/// ... and how many looks in a row have to find that.
const IDLE_LOOKS: u32 = 6;
/// How long a store may take to come to rest.
const REST_TIMEOUT: Duration = Duration::from_secs(600);
/// Prometheus writes a block of two hours when its head holds more than this many seconds.
const HEAD_MAX_S: f64 = 3.0 * 3600.0;

/// Asks for everything to be written out and merged.
///
/// # Errors
/// If the store does not answer with a success.
pub fn merge(store: &Store, client: &mut HttpClient) -> Result<(), RigError> {
    for path in store.merge_paths() {
        let response = client.post(path, &[], &[]).map_err(RigError::io("asking for a merge"))?;
        if !response.is_success() {
            return Err(RigError::failed(format!("{path} was answered with {response}")));
        }
    }
    Ok(())
}

/// Waits until the server has nothing to do in the background; says in words what state that is.
///
/// # Errors
/// If it does not come to rest within ten minutes, or ends.
pub fn rest(
    store: &Store,
    server: &Process,
    client: &mut HttpClient,
    interrupt: &Interrupt,
) -> Result<String, RigError> {
    let started = Instant::now();
    let mut meter = CpuMeter::new(server);
    let mut used = meter.read()?;
    let mut idle_looks = 0;
    while idle_looks < IDLE_LOOKS {
        if started.elapsed() > REST_TIMEOUT {
            return Err(server.failed(&format!("did not come to rest within {REST_TIMEOUT:?}")));
        }
        interrupt.sleep(LOOK_EVERY)?;
        let now = meter.read()?;
        let idle = now.saturating_sub(used) < IDLE_CPU;
        idle_looks = if idle { idle_looks + 1 } else { 0 };
        used = now;
        if idle_looks == IDLE_LOOKS && store.takes_blocks_by_itself() {
            let head = Head::read(client)?;
            if head.is_due() {
                idle_looks = 0;
            } else {
                return Ok(head.in_words());
            }
        }
    }
    Ok(match store.merge_paths() {
        [] => "at rest".into(),
        paths => format!("at rest after {}", paths.join(" and ")),
    })
}

/// What Prometheus holds outside and inside of blocks, from its own metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Head {
    seconds: f64,
    blocks: f64,
}

impl Head {
    fn read(client: &mut HttpClient) -> Result<Self, RigError> {
        let page = client.get("/metrics").map_err(RigError::io("Prometheus's /metrics"))?;
        Self::parse(&String::from_utf8_lossy(&page.body))
            .ok_or_else(|| RigError::failed("Prometheus's /metrics do not tell about its head"))
    }

    fn parse(page: &str) -> Option<Self> {
        let value = |name: &str| -> Option<f64> {
            page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
        };
        let newest = value("prometheus_tsdb_head_max_time_seconds")?;
        let oldest = value("prometheus_tsdb_head_min_time_seconds")?;
        Some(Self { seconds: newest - oldest, blocks: value("prometheus_tsdb_blocks_loaded")? })
    }

    fn is_due(self) -> bool {
        self.seconds > HEAD_MAX_S
    }

    fn in_words(self) -> String {
        format!("{} blocks and a head of {:.1} h, by itself", self.blocks, self.seconds / 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_of_more_than_three_hours_is_due() {
        let page = |newest: &str| {
            format!(
                "# HELP x y\nprometheus_tsdb_blocks_loaded 2\n\
                 prometheus_tsdb_head_max_time_seconds {newest}\n\
                 prometheus_tsdb_head_min_time_seconds 1.79574e+09\n"
            )
        };
        let short = Head::parse(&page("1.7957508e+09")).unwrap();
        assert_eq!(short, Head { seconds: 10_800.0, blocks: 2.0 });
        assert!(!short.is_due());
        assert_eq!(short.in_words(), "2 blocks and a head of 3.0 h, by itself");
        assert!(Head::parse(&page("1.7957509e+09")).unwrap().is_due());
        assert_eq!(Head::parse("prometheus_tsdb_blocks_loaded 2\n"), None);
    }
}
