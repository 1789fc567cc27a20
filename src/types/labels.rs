//! Label sets in their canonical encoding.
//!
//! The encoding is `name FF value FF` for each label, sorted by name bytes. 0xFF occurs in no UTF-8
//! string, so the encoding is unambiguous, and *label order*, the order in which the whole engine
//! sorts and merges series, is simply the byte order of encodings. (It differs from comparing name
//! and value strings one by one only where one string is a prefix of another.)

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use super::{DecodeError, LabelsLimits, SeriesId};

/// Ends each name and each value in the canonical encoding.
pub(crate) const SEPARATOR: u8 = 0xFF;

/// One label, borrowed: name and value.
pub type Label<'a> = (&'a str, &'a str);

/// The labels of one series: at least one, sorted by name bytes, names unique and not empty, values
/// not empty, all UTF-8 kept byte for byte. Clones share them.
///
/// ```
/// # use siltstone::Labels;
/// let labels = Labels::from_pairs([("__name__", "دما"), ("شهر", "تهران"), ("gone", "")])?;
/// assert_eq!(labels.get("شهر"), Some("تهران"));
/// assert_eq!(labels.len(), 2, "an empty value means that the label is absent");
/// # Ok::<(), siltstone::LabelError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels {
    encoded: Arc<[u8]>,
}

/// Why a label set was refused. Nothing of the series is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabelError {
    /// No label is left after those with empty values are dropped.
    Empty,
    /// A label has an empty name; the value is given to find it by.
    EmptyName(String),
    /// The name occurs twice.
    DuplicateName(String),
    /// A name or value is not UTF-8; shown with replacement characters.
    NotUtf8(String),
    /// More labels than the limit.
    TooMany {
        /// Labels given.
        found: usize,
        /// Most labels allowed.
        max: usize,
    },
    /// A name, value or whole set is longer than its limit.
    TooLong {
        /// "label name", "label value" or "label set".
        what: &'static str,
        /// Its first characters.
        start: String,
        /// Its length in bytes.
        bytes: usize,
        /// Longest allowed, in bytes.
        max: usize,
    },
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the series has no labels"),
            Self::EmptyName(value) => {
                write!(f, "a label with the value {value:?} has an empty name")
            }
            Self::DuplicateName(name) => write!(f, "the label name {name:?} occurs twice"),
            Self::NotUtf8(shown) => write!(f, "the label text {shown:?} is not valid UTF-8"),
            Self::TooMany { found, max } => {
                write!(f, "{found} labels, more than the limit of {max}")
            }
            Self::TooLong { what, start, bytes, max } => {
                write!(f, "the {what} {start:?}... has {bytes} bytes, more than the limit of {max}")
            }
        }
    }
}

impl std::error::Error for LabelError {}

impl Labels {
    /// Builds a label set under the default [`LabelsLimits`]: sorts the labels and drops those with
    /// empty values.
    ///
    /// # Errors
    /// [`LabelError`] says which label was refused and why.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, LabelError> {
        let owned: Vec<(N, V)> = pairs.into_iter().collect();
        let mut raw: Vec<(&[u8], &[u8])> =
            owned.iter().map(|(n, v)| (n.as_ref().as_bytes(), v.as_ref().as_bytes())).collect();
        Self::from_raw(&mut raw, &LabelsLimits::default())
    }

    /// Builds a label set from bytes that have not been checked for UTF-8; `pairs` is sorted in
    /// place.
    ///
    /// # Errors
    /// [`LabelError`] says which label was refused and why.
    pub fn from_raw(
        pairs: &mut Vec<(&[u8], &[u8])>,
        limits: &LabelsLimits,
    ) -> Result<Self, LabelError> {
        pairs.retain(|(_, value)| !value.is_empty());
        pairs.sort_unstable();
        check_pairs(pairs, limits)?;
        let bytes = pairs.iter().map(|(n, v)| n.len() + v.len() + 2).sum();
        if bytes > limits.set_bytes_max {
            return Err(too_long("label set", pairs[0].0, bytes, limits.set_bytes_max));
        }
        let mut encoded = Vec::with_capacity(bytes);
        for (name, value) in pairs {
            encoded.extend_from_slice(name);
            encoded.push(SEPARATOR);
            encoded.extend_from_slice(value);
            encoded.push(SEPARATOR);
        }
        Ok(Self { encoded: encoded.into() })
    }

    /// Takes a canonical encoding read from a file.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] if the bytes are not exactly what [`Labels::encoded`] yields for
    /// some label set. Limits are not applied: they may have been higher when it was written.
    pub fn from_encoded(encoded: &[u8]) -> Result<Self, DecodeError> {
        let mut rest = encoded;
        let mut previous: Option<&[u8]> = None;
        while !rest.is_empty() {
            let (name, after) = split_field(rest).ok_or(DecodeError::Truncated("label name"))?;
            let (value, after) = split_field(after).ok_or(DecodeError::Truncated("label value"))?;
            if name.is_empty() || value.is_empty() || previous.is_some_and(|p| p >= name) {
                return Err(DecodeError::Invalid("order of labels"));
            }
            if std::str::from_utf8(name).is_err() || std::str::from_utf8(value).is_err() {
                return Err(DecodeError::Invalid("UTF-8 of labels"));
            }
            previous = Some(name);
            rest = after;
        }
        if previous.is_none() {
            return Err(DecodeError::Invalid("empty label set"));
        }
        Ok(Self { encoded: encoded.into() })
    }

    /// From the canonical encoding of at least one label, all of whose fields the caller has checked, as
    /// [`from_encoded`](Self::from_encoded) would: for who makes many label sets of the same fields.
    pub(crate) fn of_checked_fields(encoded: &[u8]) -> Self {
        debug_assert!(Self::from_encoded(encoded).is_ok(), "fields were checked");
        Self { encoded: encoded.into() }
    }

    /// The canonical encoding: `name FF value FF` for each label in order.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// [`encoded`](Self::encoded), shared with these labels.
    #[must_use]
    pub fn shared_encoding(&self) -> Arc<[u8]> {
        Arc::clone(&self.encoded)
    }

    /// The identity of the series with these labels.
    #[must_use]
    pub fn id(&self) -> SeriesId {
        SeriesId::of_encoded(&self.encoded)
    }

    /// The labels in order of name bytes.
    #[must_use]
    pub fn iter(&self) -> LabelIter<'_> {
        LabelIter { rest: &self.encoded }
    }

    /// The value of the label `name`, or `None` where it is absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// The number of labels, at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a label set is never empty")]
    pub fn len(&self) -> usize {
        self.iter().count()
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = Label<'a>;
    type IntoIter = LabelIter<'a>;
    fn into_iter(self) -> LabelIter<'a> {
        self.iter()
    }
}

/// Iterates over the labels of a set in order of name bytes.
#[derive(Debug, Clone)]
pub struct LabelIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for LabelIter<'a> {
    type Item = Label<'a>;

    fn next(&mut self) -> Option<Label<'a>> {
        let (name, after) = split_field(self.rest)?;
        let (value, after) = split_field(after)?;
        self.rest = after;
        Some((text(name), text(value)))
    }
}

/// Splits at the first separator, which is consumed.
fn split_field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&b| b == SEPARATOR)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// The text of a field; every way to build a `Labels` checks UTF-8 first.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_else(|_| unreachable!("labels are checked UTF-8"))
}

fn check_pairs(pairs: &[(&[u8], &[u8])], limits: &LabelsLimits) -> Result<(), LabelError> {
    if pairs.is_empty() {
        return Err(LabelError::Empty);
    }
    if pairs.len() > limits.labels_max {
        return Err(LabelError::TooMany { found: pairs.len(), max: limits.labels_max });
    }
    let mut previous: Option<&[u8]> = None;
    for &(name, value) in pairs {
        if name.is_empty() {
            return Err(LabelError::EmptyName(start_of(value)));
        }
        match previous.map_or(Ordering::Less, |p| p.cmp(name)) {
            Ordering::Equal => return Err(LabelError::DuplicateName(start_of(name))),
            order => debug_assert_eq!(order, Ordering::Less, "pairs are sorted"),
        }
        if name.len() > limits.name_bytes_max {
            return Err(too_long("label name", name, name.len(), limits.name_bytes_max));
        }
        if value.len() > limits.value_bytes_max {
            return Err(too_long("label value", value, value.len(), limits.value_bytes_max));
        }
        for text in [name, value] {
            if std::str::from_utf8(text).is_err() {
                return Err(LabelError::NotUtf8(start_of(text)));
            }
        }
        previous = Some(name);
    }
    Ok(())
}

fn too_long(what: &'static str, text: &[u8], bytes: usize, max: usize) -> LabelError {
    LabelError::TooLong { what, start: start_of(text), bytes, max }
}

/// At most 40 characters, for error messages.
fn start_of(text: &[u8]) -> String {
    let text: Cow<'_, str> = String::from_utf8_lossy(text);
    text.chars().take(40).collect()
}

impl fmt::Display for Labels {
    /// As Prometheus writes it: `name{label="value"}`; names outside `[a-zA-Z_][a-zA-Z0-9_]*` (with
    /// `:` in metric names) are quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metric = self.get("__name__");
        let bare = metric.filter(|name| is_bare(name, true));
        if let Some(name) = bare {
            f.write_str(name)?;
        }
        let rest = self.iter().filter(|(name, _)| bare.is_none() || *name != "__name__");
        let mut open = false;
        for (name, value) in rest {
            f.write_str(if open { ", " } else { "{" })?;
            open = true;
            if is_bare(name, false) {
                write!(f, "{name}=")?;
            } else {
                write_quoted(f, name)?;
                f.write_str("=")?;
            }
            write_quoted(f, value)?;
        }
        if open { f.write_str("}") } else { Ok(()) }
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(super) fn is_bare(name: &str, metric: bool) -> bool {
    let first = name.as_bytes().first();
    first.is_some_and(|b| !b.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || (metric && b == b':'))
}

/// Escapes `\`, `"` and newline, as the exposition formats do; other characters stay readable.
pub(super) fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '\\' => f.write_str("\\\\")?,
            '"' => f.write_str("\\\"")?,
            '\n' => f.write_str("\\n")?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_and_drops_empty_values() {
        let labels = Labels::from_pairs([("b", "2"), ("a", "1"), ("c", "")]).unwrap();
        assert_eq!(labels.encoded(), b"a\xff1\xffb\xff2\xff");
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!(Labels::from_encoded(labels.encoded()), Ok(labels));
    }

    #[test]
    fn refuses_what_cannot_be_a_series() {
        let from = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        assert_eq!(from(&[]), Err(LabelError::Empty));
        assert_eq!(from(&[("a", "")]), Err(LabelError::Empty));
        assert_eq!(from(&[("", "v")]), Err(LabelError::EmptyName("v".into())));
        assert_eq!(from(&[("a", "1"), ("a", "2")]), Err(LabelError::DuplicateName("a".into())));
        let long = "x".repeat(8193);
        assert!(matches!(from(&[("a", &long)]), Err(LabelError::TooLong { bytes: 8193, .. })));
        let raw = Labels::from_raw(&mut vec![(b"a", b"\xc0\x80")], &LabelsLimits::default());
        assert!(matches!(raw, Err(LabelError::NotUtf8(_))));
    }

    #[test]
    fn encodings_that_no_writer_makes_are_refused() {
        for bad in [&b""[..], b"a", b"a\xff", b"a\xffb", b"\xffb\xff", b"a\xff\xff"] {
            assert!(Labels::from_encoded(bad).is_err(), "{bad:?}");
        }
        assert!(Labels::from_encoded(b"b\xff1\xffa\xff1\xff").is_err(), "unsorted");
        assert!(Labels::from_encoded(b"a\xff1\xffa\xff2\xff").is_err(), "duplicate");
    }

    #[test]
    fn prints_as_prometheus_does() {
        let show =
            |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied()).unwrap().to_string();
        assert_eq!(show(&[("__name__", "up"), ("job", "a\"b\\\n")]), r#"up{job="a\"b\\\n"}"#);
        assert_eq!(show(&[("__name__", "up")]), "up");
        assert_eq!(
            show(&[("__name__", "دما"), ("شهر", "تبریز")]),
            r#"{"__name__"="دما", "شهر"="تبریز"}"#.replace("\"__name__\"", "__name__")
        );
    }

    #[test]
    fn the_id_is_pinned() {
        let labels = Labels::from_pairs([("__name__", "up")]).unwrap();
        assert_eq!(labels.id(), SeriesId::of_encoded(b"__name__\xffup\xff"));
        assert_ne!(labels.id(), Labels::from_pairs([("__name__", "u")]).unwrap().id());
    }
}
