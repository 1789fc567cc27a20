//! How many file descriptors `siltstone serve` may have, and how many of them connections get.
//!
//! A store without descriptors cannot flush, and a flush that fails for want of one stops writes. So at
//! least half of the limit is the store's: the connections get less if need be.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use siltstone_server::PROBE_CONNECTIONS_MAX;

/// Raises the limit of descriptors as far as it goes. How many connections there may be, at most those
/// that are wanted.
pub(super) fn provide(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, limit = current, "cannot raise the limit of file descriptors");
            current
        }
    };
    let Some(limit) = limit else { return wanted };
    let allowed = connections(limit);
    if allowed < wanted {
        tracing::warn!(
            limit,
            connections_max = allowed,
            wanted,
            "fewer connections than wanted: half of the file descriptors are the store's"
        );
    }
    allowed.min(wanted)
}

/// Most connections with so many descriptors, besides those of probes.
fn connections(limit: u64) -> usize {
    let half = usize::try_from(limit / 2).unwrap_or(usize::MAX);
    half.saturating_sub(PROBE_CONNECTIONS_MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_left_to_the_store() {
        for (limit, allowed) in [(1024, 480), (1089, 512), (256, 96), (20, 1), (0, 1)] {
            assert_eq!(connections(limit), allowed, "{limit}");
        }
        assert_eq!(connections(u64::MAX), usize::try_from(u64::MAX / 2).unwrap() - 32);
    }
}
