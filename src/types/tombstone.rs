//! Tombstones: what a delete hides, and its bytes in log, manifest and `.tomb` file.
//!
//! The encoding is specified in `deletes/FORMAT.md`, "Tombstone"; it is here because three formats of
//! one floor share it.

use super::{DecodeError, Fields, Labels, MatchOp, Matcher, SegmentMeta, TimeRange};

/// Most matchers of a tombstone.
pub(crate) const TOMBSTONE_MATCHERS_MAX: usize = 64;
/// Most bytes of an encoded tombstone.
pub(crate) const TOMBSTONE_BYTES_MAX: usize = 64 << 10;
/// Bytes of an encoded tombstone before its matchers.
const FIXED_BYTES: usize = 40;
/// Bytes of an encoded matcher before its strings.
const MATCHER_BYTES: usize = 12;

/// A delete: hides the samples of the series that satisfy every matcher, within a range of time, as
/// far as they were written before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// Its place in the order of writes, at least 1: only samples with a lower seq are hidden.
    pub seq: u64,
    /// The time range, not empty.
    pub range: TimeRange,
    /// The matchers as written, at least one; a series that satisfies all of them is hidden.
    pub matchers: Vec<Matcher>,
    /// When the delete was asked for, in milliseconds of the wall clock since the Unix epoch.
    pub created_ms: i64,
}

impl Tombstone {
    /// Whether it hides the series with these labels.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = |matcher: &Matcher| labels.get(matcher.name()).unwrap_or_default();
        self.matchers.iter().all(|matcher| matcher.matches(value(matcher)))
    }

    /// Whether it may hide samples of a segment: of the whole segment, whose samples are all older,
    /// or of nothing in it.
    #[must_use]
    pub fn applies_to(&self, segment: &SegmentMeta) -> bool {
        segment.max_seq < self.seq
            && segment.tombstone_seq < self.seq
            && self.range.overlaps(segment.min_timestamp, segment.max_timestamp)
    }

    /// The length of its encoding in bytes.
    #[must_use]
    pub fn encoded_bytes(&self) -> usize {
        let strings = |m: &Matcher| MATCHER_BYTES + m.name().len() + m.value().len();
        FIXED_BYTES + self.matchers.iter().map(strings).sum::<usize>()
    }

    /// Appends the encoding to `out`.
    ///
    /// # Panics
    /// If a field is not in the range that it is documented to have.
    pub fn encode(&self, out: &mut Vec<u8>) {
        assert!(self.is_valid(), "callers check what is deleted");
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&self.range.start.to_le_bytes());
        out.extend_from_slice(&self.range.end.to_le_bytes());
        out.extend_from_slice(&self.created_ms.to_le_bytes());
        out.extend_from_slice(&(self.matchers.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for matcher in &self.matchers {
            out.extend_from_slice(&[number_of(matcher.op()), 0, 0, 0]);
            out.extend_from_slice(&(matcher.name().len() as u32).to_le_bytes());
            out.extend_from_slice(&(matcher.value().len() as u32).to_le_bytes());
            out.extend_from_slice(matcher.name().as_bytes());
            out.extend_from_slice(matcher.value().as_bytes());
        }
    }

    /// Decodes what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`DecodeError`] for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > TOMBSTONE_BYTES_MAX {
            return Err(DecodeError::Invalid("length of a tombstone"));
        }
        let mut fields = Fields::new(bytes);
        let seq = fields.u64("seq of a tombstone")?;
        let start = fields.i64("range of a tombstone")?;
        let end = fields.i64("range of a tombstone")?;
        let created_ms = fields.i64("creation time of a tombstone")?;
        let count = fields.u32("matchers of a tombstone")? as usize;
        fields.zeros(4, "reserved bytes of a tombstone")?;
        if count > TOMBSTONE_MATCHERS_MAX {
            return Err(DecodeError::Invalid("number of a tombstone's matchers"));
        }
        let matchers = (0..count).map(|_| decode_matcher(&mut fields));
        let matchers = matchers.collect::<Result<_, _>>()?;
        fields.finish("length of a tombstone")?;
        let range = TimeRange { start, end };
        let tombstone = Self { seq, range, matchers, created_ms };
        match tombstone.is_valid() {
            true => Ok(tombstone),
            false => Err(DecodeError::Invalid("seq, range or matchers of a tombstone")),
        }
    }

    /// Whether it can be encoded.
    pub(crate) fn is_valid(&self) -> bool {
        self.seq > 0
            && !self.range.is_empty()
            && (1..=TOMBSTONE_MATCHERS_MAX).contains(&self.matchers.len())
            && self.encoded_bytes() <= TOMBSTONE_BYTES_MAX
    }
}

fn number_of(op: MatchOp) -> u8 {
    match op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    }
}

fn decode_matcher(fields: &mut Fields<'_>) -> Result<Matcher, DecodeError> {
    let op = match fields.u8("operator of a matcher")? {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        _ => return Err(DecodeError::Invalid("operator of a matcher")),
    };
    fields.zeros(3, "reserved bytes of a matcher")?;
    let name_bytes = fields.u32("name of a matcher")? as usize;
    let value_bytes = fields.u32("value of a matcher")? as usize;
    let mut text = |bytes, what| {
        let text = std::str::from_utf8(fields.bytes(bytes, what)?);
        text.map_err(|_| DecodeError::Invalid(what))
    };
    let name = text(name_bytes, "name of a matcher")?;
    let value = text(value_bytes, "value of a matcher")?;
    // Limits of regular expressions may only ever grow: what was once accepted must be readable.
    Matcher::new(op, name, value).map_err(|_| DecodeError::Invalid("pattern of a matcher"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tombstone() -> Tombstone {
        Tombstone {
            seq: 7,
            range: TimeRange::new(-5, 1_000),
            matchers: vec![
                Matcher::equal("__name__", "دما"),
                Matcher::not_equal("", ""),
                Matcher::regex("شهر", "ته.*").unwrap(),
                Matcher::not_regex("a", "x|y").unwrap(),
            ],
            created_ms: 1_700_000_000_000,
        }
    }

    fn encoded(tombstone: &Tombstone) -> Vec<u8> {
        let mut out = Vec::new();
        tombstone.encode(&mut out);
        out
    }

    #[test]
    fn round_trip_and_every_cut() {
        let bytes = encoded(&tombstone());
        assert_eq!(bytes.len(), tombstone().encoded_bytes());
        assert_eq!(Tombstone::decode(&bytes), Ok(tombstone()));
        for cut in 0..bytes.len() {
            assert!(Tombstone::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(Tombstone::decode(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn what_no_writer_produces_is_refused() {
        let changed = |at: usize, new: &[u8]| {
            let mut bytes = encoded(&tombstone());
            bytes[at..at + new.len()].copy_from_slice(new);
            Tombstone::decode(&bytes)
        };
        assert!(changed(0, &[0; 8]).is_err(), "seq 0");
        assert!(changed(8, &2_000i64.to_le_bytes()).is_err(), "an inverted range");
        assert!(changed(8, &1_000i64.to_le_bytes()).is_err(), "an empty range");
        assert!(changed(32, &[0; 4]).is_err(), "no matchers");
        assert!(changed(32, &u32::MAX.to_le_bytes()).is_err(), "more matchers than bytes");
        assert!(changed(36, &[1]).is_err(), "reserved");
        assert!(changed(40, &[4]).is_err(), "an unknown operator");
        assert!(changed(41, &[1]).is_err(), "reserved");
        assert!(changed(44, &u32::MAX.to_le_bytes()).is_err(), "a long name");
        assert!(changed(52, &[0xFF]).is_err(), "not UTF-8");
    }

    #[test]
    fn matches_what_satisfies_every_matcher_and_absent_is_empty() {
        let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied()).unwrap();
        let mut tombstone = tombstone();
        tombstone.matchers.remove(1);
        assert!(tombstone.matches(&labels(&[("__name__", "دما"), ("شهر", "تهران")])));
        assert!(!tombstone.matches(&labels(&[("__name__", "دما"), ("شهر", "قم")])));
        assert!(!tombstone.matches(&labels(&[("__name__", "دما")])));
        assert!(!tombstone.matches(&labels(&[("__name__", "دما"), ("شهر", "ته"), ("a", "x")])));
        tombstone.matchers = vec![Matcher::equal("b", "")];
        assert!(
            tombstone.matches(&labels(&[("a", "x")])) && !tombstone.matches(&labels(&[("b", "x")]))
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_bytes_are_safe(
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = encoded(&tombstone());
            for (at, byte) in flips {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(bytes.len() - cut.index(8));
            if let Ok(tombstone) = Tombstone::decode(&bytes) {
                prop_assert_eq!(encoded(&tombstone), bytes);
            }
        }
    }
}
