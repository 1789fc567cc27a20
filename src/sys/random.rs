//! Randomness of the operating system: keys, salts and uuids. Never for simulations, which have
//! seeds.

use std::io;

/// `N` unpredictable bytes.
///
/// # Errors
///
/// If the system has no source of randomness; there is nothing to fall back to.
pub fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(io::Error::from)?;
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
