//! Sizes, counts and policies as people write them, read and printed. Times are in [`crate::times`].

use siltstone::Durability;
use siltstone_server::protocol::number;

use crate::times::parse_duration;

const SIZES: [(&str, u64); 9] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
];

/// Reads `256MiB`, `1GB`, `4096`.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = SIZES
        .iter()
        .find_map(|(name, unit)| text.strip_suffix(name).map(|number| (number, *unit)))
        .unwrap_or((text, 1));
    let bytes = number.trim_end().parse::<u64>().ok().and_then(|n| n.checked_mul(unit));
    bytes.ok_or_else(|| format!("{text:?} is not a size such as 256MiB, 1GB or a number of bytes"))
}

/// As [`parse_bytes`], for what is held in memory.
pub(crate) fn parse_bytes_usize(text: &str) -> Result<usize, String> {
    let bytes = parse_bytes(text)?;
    usize::try_from(bytes).map_err(|_| format!("{text:?} is more than this machine can address"))
}

/// Reads `always`, `never`, or the interval of a timer.
pub(crate) fn parse_durability(text: &str) -> Result<Durability, String> {
    match text {
        "always" => Ok(Durability::Always),
        "never" => Ok(Durability::Never),
        interval => parse_duration(interval)
            .map(Durability::Interval)
            .map_err(|_| format!("{text:?} is not always, never, or an interval such as 1s")),
    }
}

/// Says what a policy promises.
pub(crate) fn describe_durability(durability: Durability) -> String {
    match durability {
        Durability::Always => "always (acknowledged means synced to the disk)".to_owned(),
        Durability::Interval(every) => {
            format!("every {every:?} (a power cut takes at most that, a killed process nothing)")
        }
        Durability::Never => {
            "never (a power cut takes what is not flushed, a killed process nothing)".to_owned()
        }
    }
}

/// A value in the fewest digits that read back bit for bit.
pub(crate) fn exact(value: f64) -> String {
    let mut text = Vec::with_capacity(24);
    number::write(value, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// `1,234,567`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 merge`, `2,000 merges`.
pub(crate) fn counted(n: u64, one: &str) -> String {
    format!("{} {one}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// `1.5 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    let unit = SIZES[..3].iter().find(|(_, unit)| n >= *unit);
    unit.map_or_else(
        || format!("{n} B"),
        |(name, unit)| format!("{:.1} {name}", n as f64 / *unit as f64),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sizes() {
        for (text, n) in [
            ("4096", 4096),
            ("1KiB", 1024),
            ("256MiB", 256 << 20),
            ("2 GB", 2_000_000_000),
            ("1G", 1 << 30),
        ] {
            assert_eq!(parse_bytes(text), Ok(n), "{text}");
        }
        for bad in ["", "MiB", "-1", "1.5GiB", "18446744073709551615K", "1TB"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
        assert_eq!((bytes(1023), bytes(1536)), ("1023 B".to_owned(), "1.5 KiB".to_owned()));
    }

    #[test]
    fn policies() {
        assert_eq!(parse_durability("1s"), Ok(Durability::Interval(Duration::from_secs(1))));
        assert_eq!(parse_durability("always"), Ok(Durability::Always));
        assert!(parse_durability("sometimes").is_err());
    }

    #[test]
    fn thousands() {
        let shown: Vec<String> = [0, 999, 1000, 1_658_880].map(grouped).to_vec();
        assert_eq!(
            (counted(1, "merge"), counted(2000, "merge")),
            ("1 merge".into(), "2,000 merges".into())
        );
        assert_eq!(shown, ["0", "999", "1,000", "1,658,880"]);
    }
}
