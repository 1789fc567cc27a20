//! Randomness of the operating system: keys, salts and uuids. Never for simulations, which have
//! seeds. Under the schedules (see `sys::sync`) they come from the schedule, so that it can be run again.

use std::io;

/// `N` unpredictable bytes.
///
/// # Errors
///
/// If the system has no source of randomness; there is nothing to fall back to.
pub fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    #[cfg(not(siltstone_schedules))]
    getrandom::fill(&mut bytes).map_err(io::Error::from)?;
    #[cfg(siltstone_schedules)]
    shuttle::rand::RngCore::fill_bytes(&mut shuttle::rand::thread_rng(), &mut bytes);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::random_bytes;

    #[test]
    fn two_draws_differ() {
        assert_ne!(random_bytes::<16>().unwrap(), random_bytes::<16>().unwrap());
    }
}
