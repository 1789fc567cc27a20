//! The labels of a series during an evaluation.
//!
//! The encoding is the engine's, `name FF value FF` for each label, sorted by name bytes, but a set
//! may be empty: `sum(x)` has no labels. Sets are shared by reference count; a change builds a new
//! one.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh64::xxh64;

use crate::quote::quoted;

/// Ends each name and each value; occurs in no UTF-8 text.
pub(crate) const SEPARATOR: u8 = 0xFF;

/// The label that holds the name of the metric.
pub(crate) const METRIC_NAME: &str = "__name__";
/// The label that holds the type of the metric.
pub(crate) const METRIC_TYPE: &str = "__type__";
/// The label that holds the unit of the metric.
pub(crate) const METRIC_UNIT: &str = "__unit__";

/// Labels sorted by name bytes; names are unique and values are not empty.
#[derive(Clone, PartialEq, Eq)]
pub struct LabelSet {
    encoded: Arc<[u8]>,
}

impl Default for LabelSet {
    fn default() -> Self {
        Self { encoded: Arc::from([]) }
    }
}

impl From<&siltstone::Labels> for LabelSet {
    fn from(labels: &siltstone::Labels) -> Self {
        Self { encoded: labels.shared_encoding() }
    }
}

impl Hash for LabelSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.encoded);
    }
}

impl LabelSet {
    /// The set of these labels; those with empty values are left out, of two with one name the later
    /// wins.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let owned: Vec<(N, V)> = pairs.into_iter().collect();
        let mut pairs: Vec<(&str, &str)> =
            owned.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
        // A stable sort: of equal names the last one stays.
        pairs.sort_by(|a, b| a.0.cmp(b.0));
        let mut builder = Encoder::default();
        for (at, (name, value)) in pairs.iter().enumerate() {
            if pairs.get(at + 1).is_none_or(|next| next.0 != *name) {
                builder.push(name, value);
            }
        }
        builder.finish()
    }

    /// The engine's canonical encoding.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Whether there are no labels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty()
    }

    /// The labels in order of name bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        LabelIter { fields: Fields { rest: &self.encoded } }
    }

    /// The value of `name`, empty where it is absent.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        let found = self.fields().find(|(own, _)| *own == name.as_bytes());
        found.and_then(|(_, value)| std::str::from_utf8(value).ok()).unwrap_or("")
    }

    /// The labels in order of name bytes, as bytes of UTF-8.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        Fields { rest: &self.encoded }
    }

    /// The name of the metric, empty where it is absent.
    #[must_use]
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME)
    }

    /// The labels for which `keep` holds.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Self {
        let mut builder = Encoder::default();
        self.iter().filter(|(name, _)| keep(name)).for_each(|(n, v)| builder.push(n, v));
        if builder.bytes.len() == self.encoded.len() { self.clone() } else { builder.finish() }
    }

    /// These labels with `name` set to `value`; an empty value removes it.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut builder = Encoder::default();
        let mut set = false;
        for (n, v) in self.iter() {
            if !set && n >= name {
                builder.push(name, value);
                set = true;
            }
            if n != name {
                builder.push(n, v);
            }
        }
        if !set {
            builder.push(name, value);
        }
        builder.finish()
    }

    /// These labels without those that describe the metric: name, type and unit.
    #[must_use]
    pub fn without_metric(&self) -> Self {
        let mut kept = Vec::new();
        write_without_metric(&self.encoded, &mut kept);
        if kept.len() == self.encoded.len() { self.clone() } else { Self { encoded: kept.into() } }
    }

    /// Whether these labels are those of `rest`, which describe no metric, and the name `metric`.
    pub(crate) fn has_only_name(&self, metric: &str, rest: &Self) -> bool {
        let name_bytes = METRIC_NAME.len() + metric.len() + 2;
        self.encoded.len() == rest.encoded.len() + name_bytes && self.metric_name() == metric
    }

    /// The set with this encoding, which is canonical.
    pub(crate) fn of_encoded(encoded: &[u8]) -> Self {
        Self { encoded: encoded.into() }
    }

    /// XXH64 (seed 0) over Prometheus's `stringlabels` encoding: for each label the length of the
    /// name, the name, the length of the value, the value; a length below 255 is one byte, others
    /// are 255 and three bytes, little-endian. `limit_ratio` samples by it.
    #[must_use]
    pub fn prometheus_hash(&self) -> u64 {
        let mut bytes = Vec::with_capacity(self.encoded.len() + 8);
        for text in self.iter().flat_map(|(name, value)| [name, value]) {
            match u8::try_from(text.len()) {
                Ok(len) if len < 255 => bytes.push(len),
                _ => {
                    bytes.push(255);
                    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes()[..3]);
                }
            }
            bytes.extend_from_slice(text.as_bytes());
        }
        xxh64(&bytes, 0)
    }
}

/// Appends an encoding without the labels that describe the metric.
fn write_without_metric(encoded: &[u8], out: &mut Vec<u8>) {
    out.reserve(encoded.len());
    // Neighbours that are kept are copied together.
    let (mut at, mut from) = (0, 0);
    for (name, value) in (Fields { rest: encoded }) {
        let end = at + name.len() + value.len() + 2;
        if is_metric_field(name) {
            out.extend_from_slice(&encoded[from..at]);
            from = end;
        }
        at = end;
        if !may_be_behind(name) {
            break;
        }
    }
    out.extend_from_slice(&encoded[from..]);
}

/// The hash of an encoding without the labels that describe the metric: XXH64 (seed 0). `memory` is used
/// again.
pub(crate) fn hash_without_metric(encoded: &[u8], memory: &mut Vec<u8>) -> u64 {
    memory.clear();
    write_without_metric(encoded, memory);
    xxh64(memory, 0)
}

/// Whether the label describes the metric and goes with its name.
pub(crate) fn is_metric_label(name: &str) -> bool {
    matches!(name, METRIC_NAME | METRIC_TYPE | METRIC_UNIT)
}

/// The same of the bytes of a name.
fn is_metric_field(name: &[u8]) -> bool {
    [METRIC_NAME, METRIC_TYPE, METRIC_UNIT].iter().any(|metric| metric.as_bytes() == name)
}

/// Whether a label that describes the metric may come behind one with this name.
fn may_be_behind(name: &[u8]) -> bool {
    name < METRIC_UNIT.as_bytes()
}

/// Prometheus's order: labels are compared one by one, name then value, and of two sets of which
/// one begins the other the shorter comes first. It differs from the engine's label order (that of
/// the encodings) where one text is a prefix of another: `"1"` is before `"10"` here.
impl Ord for LabelSet {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.encoded, &other.encoded);
        let equal = equal_start(a, b);
        match (a.get(equal), b.get(equal)) {
            // The separator ends the shorter text, which comes first: it counts as the lowest byte.
            (Some(a), Some(b)) => a.wrapping_add(1).cmp(&b.wrapping_add(1)),
            _ => a.len().cmp(&b.len()),
        }
    }
}

/// How many bytes at the start are equal: eight at a time, because sets of one metric begin alike.
pub(crate) fn equal_start(a: &[u8], b: &[u8]) -> usize {
    let words = a.chunks_exact(8).zip(b.chunks_exact(8)).take_while(|(a, b)| a == b).count() * 8;
    let rest = a[words..].iter().zip(&b[words..]);
    words + rest.take_while(|(a, b)| a == b).count()
}

impl PartialOrd for LabelSet {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `{__name__="up", job="a"}`, as Prometheus shows label sets in its errors, quoted by Go's rules.
impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            if is_plain_label_name(name) {
                f.write_str(name)?;
            } else {
                f.write_str(&quoted(name.as_bytes()))?;
            }
            write!(f, "={}", quoted(value.as_bytes()))?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether `name` needs no quotes as a label name.
pub(crate) fn is_plain_label_name(name: &str) -> bool {
    name.bytes().enumerate().all(|(at, byte)| {
        byte.is_ascii_alphabetic() || byte == b'_' || (at > 0 && byte.is_ascii_digit())
    }) && !name.is_empty()
}

struct LabelIter<'a> {
    fields: Fields<'a>,
}

impl<'a> Iterator for LabelIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.fields.next()?;
        Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?))
    }
}

struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut field = || {
            let end = self.rest.iter().position(|b| *b == SEPARATOR)?;
            let field = &self.rest[..end];
            self.rest = &self.rest[end + 1..];
            Some(field)
        };
        Some((field()?, field()?))
    }
}

/// Builds an encoding from labels in order of names.
#[derive(Default)]
struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    fn push(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        for text in [name, value] {
            self.bytes.extend_from_slice(text.as_bytes());
            self.bytes.push(SEPARATOR);
        }
    }

    fn finish(self) -> LabelSet {
        LabelSet { encoded: self.bytes.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> LabelSet {
        LabelSet::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn the_order_is_that_of_names_and_values() {
        let ordered = [
            set(&[]),
            set(&[("a", "1")]),
            set(&[("a", "1"), ("b", "1")]),
            set(&[("a", "1"), ("bc", "1")]),
            set(&[("a", "10")]),
            set(&[("a", "2")]),
            set(&[("aa", "1")]),
        ];
        for (at, a) in ordered.iter().enumerate() {
            for (other, b) in ordered.iter().enumerate() {
                assert_eq!(a.cmp(b), at.cmp(&other), "{a} {b}");
            }
        }
    }

    #[test]
    fn labels_are_set_and_removed() {
        let labels = set(&[("b", "2"), ("a", "1"), ("b", "3"), ("c", "")]);
        assert_eq!(labels, set(&[("a", "1"), ("b", "3")]));
        assert_eq!(labels.with("aa", "x"), set(&[("a", "1"), ("aa", "x"), ("b", "3")]));
        assert_eq!(labels.with("b", ""), set(&[("a", "1")]));
        assert_eq!(labels.with("b", "4").get("b"), "4");
        assert_eq!(labels.with("c", "4").get("c"), "4");
        assert_eq!(labels.filter(|name| name == "z"), LabelSet::default());
        let metric = set(&[("__name__", "m"), ("__type__", "t"), ("__unit__", "u"), ("a", "1")]);
        assert_eq!(metric.without_metric(), set(&[("a", "1")]));
        let around = [("A", "1"), ("__name__", "m"), ("__t", "2"), ("__unit__", "u"), ("a", "3")];
        let kept = set(&[("A", "1"), ("__t", "2"), ("a", "3")]);
        assert_eq!(set(&around).without_metric(), kept);
        assert_eq!(kept.without_metric(), kept);
    }

    #[test]
    fn texts_are_quoted_as_go_does() {
        let labels = set(&[("a", "\0\u{7f}\u{200b}\t\"\\"), ("b\u{1}", "دما é")]);
        assert_eq!(labels.to_string(), r#"{a="\x00\x7f\u200b\t\"\\", "b\x01"="دما é"}"#);
    }

    #[test]
    fn the_hash_is_prometheus_s() {
        // XXH64 of nothing, from the reference implementation.
        assert_eq!(set(&[]).prometheus_hash(), 0xef46_db37_51d8_e999);
        assert_eq!(
            set(&[("a", "bc")]).prometheus_hash(),
            xxh64(b"\x01a\x02bc", 0),
            "lengths stand before texts"
        );
    }
}
