//! Labels that a request adds to all its series: the parameter `extra_label=name=value` of VictoriaMetrics, and
//! the path of a push as to a Pushgateway.
//!
//! A label of the series that has the same name is replaced; an empty value removes it.

use crate::refusal::Refusal;

/// Most labels of one request.
const EXTRA_LABELS_MAX: usize = 100;

/// Names and values, each name once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExtraLabels(Vec<(String, String)>);

impl ExtraLabels {
    /// Those of the values of `extra_label`.
    ///
    /// # Errors
    /// 400 for one that is not `name=value`.
    pub(crate) fn of<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, Refusal> {
        let mut labels = Self::default();
        for text in texts {
            let (name, value) = text.split_once('=').unwrap_or_default();
            if name.is_empty() {
                let message =
                    format!("invalid parameter \"extra_label\": {text:?} is not name=value");
                return Err(Refusal::bad_request(message));
            }
            labels.set(name, value)?;
        }
        Ok(labels)
    }

    /// Adds a label; of two with one name the later holds.
    ///
    /// # Errors
    /// 400 for too many.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        self.0.retain(|(known, _)| known != name);
        if self.0.len() == EXTRA_LABELS_MAX {
            return Err(Refusal::bad_request(format!("more than {EXTRA_LABELS_MAX} extra labels")));
        }
        self.0.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them stands in the place of a label of the series.
    pub(crate) fn replaces(&self, name: &[u8]) -> bool {
        self.0.iter().any(|(extra, _)| extra.as_bytes() == name)
    }

    /// Names and values. Empty values are left out where labels are made of pairs.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Result<ExtraLabels, Refusal> {
        ExtraLabels::of(texts.iter().copied())
    }

    #[test]
    fn labels_are_added_and_replaced() {
        let labels = of(&["a=1", "b=x=y", "a=2"]).unwrap();
        assert!(labels.replaces(b"a") && labels.replaces(b"b") && !labels.replaces(b"z"));
        assert_eq!(labels.pairs().collect::<Vec<_>>(), [(&b"b"[..], &b"x=y"[..]), (b"a", b"2")]);
        assert!(of(&[]).unwrap().is_empty());
        for bad in ["a", "=1", ""] {
            assert!(of(&[bad]).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..101).map(|i| format!("a{i}=1")).collect();
        assert!(ExtraLabels::of(many.iter().map(String::as_str)).is_err());
    }
}
