//! The line in `CURRENT`: which manifest is live.

use crate::sys::checksum::crc32c;
use crate::types::{DecodeError, FileName};

/// The format version of `CURRENT`, the newest that this build reads.
const VERSION: u32 = 1;
/// More than any version's line; longer files are not read.
pub(super) const CURRENT_BYTES_MAX: u64 = 256;

/// The content of `CURRENT` that names manifest `number`.
pub(super) fn encode(number: u64) -> String {
    let name = format!("siltstone {VERSION} {}", FileName::Manifest(number));
    format!("{name} {:08x}\n", crc32c(0, name.as_bytes()))
}

/// The number of the manifest that `bytes` names.
pub(super) fn decode(bytes: &[u8]) -> Result<u64, DecodeError> {
    let damaged = DecodeError::Invalid("line in CURRENT");
    let line = std::str::from_utf8(bytes).map_err(|_| damaged)?;
    let (checked, crc) =
        line.strip_suffix('\n').and_then(|line| line.rsplit_once(' ')).ok_or(damaged)?;
    if crc != format!("{:08x}", crc32c(0, checked.as_bytes())) {
        return Err(DecodeError::Checksum("line in CURRENT"));
    }
    let mut words = checked.split(' ');
    if words.next() != Some("siltstone") {
        return Err(damaged);
    }
    let found: u32 = words.next().and_then(|v| v.parse().ok()).ok_or(damaged)?;
    if found > VERSION {
        return Err(DecodeError::Newer { found, supported: VERSION });
    }
    match words.next().and_then(FileName::parse) {
        Some(FileName::Manifest(number)) if encode(number).as_bytes() == bytes => Ok(number),
        _ => Err(damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NUMBER_MAX;

    #[test]
    fn round_trip_and_every_bit() {
        for number in [1, 999_999, 1_000_000, NUMBER_MAX - 1] {
            let good = encode(number).into_bytes();
            assert!(good.len() as u64 <= CURRENT_BYTES_MAX);
            assert_eq!(decode(&good), Ok(number));
            for bit in 0..good.len() * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(decode(&bad).is_err(), "bit {bit}");
            }
            for cut in 0..good.len() {
                assert!(decode(&good[..cut]).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn newer_and_odd_lines() {
        let line = |text: &str| format!("{text} {:08x}\n", crc32c(0, text.as_bytes()));
        assert_eq!(
            decode(line("siltstone 2 whatever").as_bytes()),
            Err(DecodeError::Newer { found: 2, supported: 1 })
        );
        for odd in
            ["siltstone 1 CURRENT", "siltstone 01 MANIFEST-000001", "other 1 MANIFEST-000001"]
        {
            assert_eq!(
                decode(line(odd).as_bytes()),
                Err(DecodeError::Invalid("line in CURRENT")),
                "{odd}"
            );
        }
    }
}
