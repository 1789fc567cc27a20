//! `label_replace` and `label_join`: one label of each series is made of others.
//!
//! A call is prepared once; it then maps one label set after the other, whatever the values are, and
//! holds nothing between series. Series that come out with equal labels are the caller's to merge
//! (`eval::merge`), because it takes all of them to see.
//!
//! Arguments are texts of the query and so may be any bytes. Names of labels are any non-empty UTF-8.
//! What becomes part of a value (the replacement, the separator) has its invalid bytes replaced by
//! U+FFFD, as Prometheus shows such values.

use siltstone::{AnchoredRegex, MatcherError, Patterns};

use crate::query_error::QueryError;
use crate::value::{LabelSet, METRIC_NAME};

/// A call of `label_replace` or `label_join` with all but its series.
#[derive(Debug, Clone)]
pub(crate) struct LabelTransform {
    /// The label that is set; removed if the new value is empty.
    target: String,
    value: NewValue,
}

#[derive(Debug, Clone)]
enum NewValue {
    /// The replacement with what the regular expression captured of the source.
    Replace { replacement: String, source: String, regex: Box<AnchoredRegex> },
    /// The values of the sources with the separator in between.
    Join { separator: String, sources: Vec<String> },
}

impl LabelTransform {
    /// `label_replace(v, target, replacement, source, regex)`: where the whole value of `source`
    /// (empty if the series has no such label) matches `regex`, `target` becomes `replacement`, in
    /// which `$1`, `${1}` and `${name}` stand for captured groups as in Go's `Regexp.Expand`. Other
    /// series stay as they are.
    ///
    /// # Errors
    /// The regular expression is none, or beyond the limits of [`AnchoredRegex`]; `target` is no name
    /// of a label.
    pub(crate) fn replace(
        [target, replacement, source, regex]: [&[u8]; 4],
        patterns: &mut Patterns,
    ) -> Result<Self, QueryError> {
        let refused = |reason: String| {
            let regex = String::from_utf8_lossy(regex);
            let message = format!("invalid regular expression in label_replace(): {regex}{reason}");
            QueryError::Execution(message)
        };
        let pattern = str::from_utf8(regex).map_err(|_| refused(String::new()))?;
        let regex = patterns.captures(pattern).map_err(|error| match error {
            // Prometheus's text, which says no more.
            MatcherError::Syntax { .. } => refused(String::new()),
            limit => refused(format!(": {limit}")),
        })?;
        let value = NewValue::Replace {
            replacement: lossy(replacement),
            // A label with another name than UTF-8 exists nowhere, nor does one without a name.
            source: str::from_utf8(source).unwrap_or_default().to_owned(),
            regex: Box::new(regex),
        };
        Ok(Self { target: label_name(target, "destination", "label_replace")?, value })
    }

    /// `label_join(v, target, separator, sources...)`: `target` becomes the values of `sources` (empty
    /// for labels that the series does not have) with `separator` in between.
    ///
    /// # Errors
    /// `target` or one of `sources` is no name of a label.
    pub(crate) fn join<'a>(
        target: &[u8],
        separator: &[u8],
        sources: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, QueryError> {
        let names = sources.into_iter().map(|name| label_name(name, "source", "label_join"));
        let sources = names.collect::<Result<_, _>>()?;
        let value = NewValue::Join { separator: lossy(separator), sources };
        Ok(Self { target: label_name(target, "destination", "label_join")?, value })
    }

    /// The labels that `labels` become. A metric name that is set is there to stay: it clears
    /// `drop_name`.
    pub(crate) fn apply(&self, labels: &LabelSet, drop_name: &mut bool) -> LabelSet {
        let value = match &self.value {
            NewValue::Replace { replacement, source, regex } => {
                match regex.expand(replacement, labels.get(source)) {
                    Some(value) => value,
                    None => return labels.clone(),
                }
            }
            NewValue::Join { separator, sources } => {
                let values: Vec<&str> = sources.iter().map(|name| labels.get(name)).collect();
                values.join(separator)
            }
        };
        if self.target == METRIC_NAME {
            *drop_name = false;
        }
        labels.with(&self.target, &value)
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// A name of a label: not empty and UTF-8.
fn label_name(name: &[u8], role: &str, function: &str) -> Result<String, QueryError> {
    match str::from_utf8(name) {
        Ok(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => {
            let name = String::from_utf8_lossy(name);
            let message = format!("invalid {role} label name in {function}(): {name}");
            Err(QueryError::Execution(message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> LabelSet {
        LabelSet::from_pairs([("__name__", "m"), ("src", "source-value-10"), ("dst", "old")])
    }

    /// The labels after `label_replace`, and whether the name still goes.
    fn replaced(target: &str, replacement: &str, source: &str, regex: &str) -> (LabelSet, bool) {
        let arguments = [target, replacement, source, regex].map(str::as_bytes);
        let transform = LabelTransform::replace(arguments, &mut Patterns::default());
        let mut drop_name = true;
        let labels = transform.unwrap().apply(&labels(), &mut drop_name);
        (labels, drop_name)
    }

    #[test]
    fn the_whole_source_must_match() {
        let with = |value| (labels().with("dst", value), true);
        assert_eq!(replaced("dst", "to-$1", "src", "source-value-(.*)"), with("to-10"));
        assert_eq!(replaced("dst", "to-$1", "src", "value-(.*)"), with("old"));
        assert_eq!(
            replaced("dst", "${b}-${a}", "src", "(?P<a>.*)-value-(?P<b>.*)"),
            with("10-source")
        );
        assert_eq!(replaced("dst", "", "dst", ".*"), with(""));
    }

    #[test]
    fn a_missing_source_is_empty() {
        assert_eq!(replaced("dst", "v-$1", "none", "(.*)").0.get("dst"), "v-");
        assert_eq!(replaced("dst", "v-$1", "none", "(.+)").0.get("dst"), "old");
        assert_eq!(replaced("d t", "v", "", "").0.get("d t"), "v", "any UTF-8 is a name");
    }

    #[test]
    fn a_name_that_is_set_stays() {
        let (labels, drop_name) = replaced("__name__", "n_$1", "__name__", "(.*)");
        assert_eq!((labels.metric_name(), drop_name), ("n_m", false));
        let (labels, drop_name) = replaced("__name__", "n_$1", "__name__", "other");
        assert_eq!((labels.metric_name(), drop_name), ("m", true), "nothing was set");
        let join = LabelTransform::join(b"__name__", b"_", [b"src".as_slice()]).unwrap();
        let mut drop_name = true;
        assert_eq!(join.apply(&labels, &mut drop_name).metric_name(), "source-value-10");
        assert!(!drop_name);
    }

    #[test]
    fn sources_are_joined_in_order() {
        let joined = |separator: &[u8], sources: &[&str]| {
            let sources = sources.iter().map(|name| name.as_bytes());
            let join = LabelTransform::join(b"dst", separator, sources).unwrap();
            join.apply(&labels(), &mut false).get("dst").to_owned()
        };
        assert_eq!(joined(b"-", &["dst", "none", "__name__"]), "old--m");
        assert_eq!(joined(b", ", &[]), "");
        assert_eq!(joined(b"\xff", &["dst", "dst"]), "old\u{fffd}old");
    }

    #[test]
    fn errors_are_prometheus_s() {
        let replace = |target: &[u8], regex: &[u8]| {
            LabelTransform::replace([target, b"", b"src", regex], &mut Patterns::default())
                .unwrap_err()
                .to_string()
        };
        let expected = "invalid regular expression in label_replace(): (.*";
        assert_eq!(replace(b"dst", b"(.*"), expected);
        assert_eq!(replace(b"", b"(.*"), expected, "the regular expression is looked at first");
        let expected = "invalid destination label name in label_replace(): ";
        assert_eq!(replace(b"", b""), expected);
        assert_eq!(replace(b"\xff", b""), format!("{expected}\u{fffd}"));
        let join = |target: &[u8], source: &[u8]| {
            LabelTransform::join(target, b"", [source]).unwrap_err().to_string()
        };
        assert_eq!(join(b"", b"a"), "invalid destination label name in label_join(): ");
        assert_eq!(join(b"", b""), "invalid source label name in label_join(): ");
    }
}
