//! `label_replace`, `label_join`, and the labels of `absent`.

use siltstone::{AnchoredRegex, MatchOp, Matcher};
use siltstone_promql::LabelSet;
use siltstone_promql::ast::Selector;

use crate::value::{Failure, Sample};

/// `label_replace`: where the whole value of `source` matches, `target` becomes `replacement`.
pub(crate) fn replace(samples: &mut [Sample], texts: &[Vec<u8>]) -> Result<(), Failure> {
    let [target, replacement, source, regex] = texts else { return Err(Failure::Unsupported) };
    let bad = Failure::Forbidden("invalid regular expression in label_replace()");
    let regex = String::from_utf8(regex.clone()).map_err(|_| bad.clone())?;
    let regex = AnchoredRegex::new(&regex).map_err(|_| bad)?;
    let target = label_name(target)?;
    let replacement = String::from_utf8_lossy(replacement);
    let source = str::from_utf8(source).unwrap_or_default();
    for sample in samples {
        if let Some(value) = regex.expand(&replacement, sample.labels.get(source)) {
            set(sample, &target, &value);
        }
    }
    Ok(())
}

/// `label_join`: `target` becomes the values of the sources with the separator in between.
pub(crate) fn join(samples: &mut [Sample], texts: &[Vec<u8>]) -> Result<(), Failure> {
    let [target, separator, sources @ ..] = texts else { return Err(Failure::Unsupported) };
    let sources = sources.iter().map(|name| label_name(name)).collect::<Result<Vec<_>, _>>()?;
    let (target, separator) = (label_name(target)?, String::from_utf8_lossy(separator));
    for sample in samples {
        let values: Vec<&str> = sources.iter().map(|name| sample.labels.get(name)).collect();
        set(sample, &target, &values.join(&separator));
    }
    Ok(())
}

/// A metric name that is set is there to stay.
fn set(sample: &mut Sample, name: &str, value: &str) {
    sample.labels = sample.labels.with(name, value);
    sample.drop_name &= name != "__name__";
}

pub(crate) fn label_name(name: &[u8]) -> Result<String, Failure> {
    match str::from_utf8(name) {
        Ok(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(Failure::Forbidden("invalid label name")),
    }
}

/// What the selector demands with `=`: the first `=` of a label sets it, any other matcher of the
/// label that follows removes it. Matchers that only take series away follow all others.
pub(crate) fn of_absent(selector: &Selector) -> LabelSet {
    let takes_away = |m: &&Matcher| !m.op().is_positive() && m.matches_empty();
    let all = || selector.matchers.iter().filter(|matcher| matcher.name() != "__name__");
    let mut labels = LabelSet::default();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in all().filter(|m| !takes_away(m)).chain(all().filter(takes_away)) {
        let name = matcher.name();
        if matcher.op() == MatchOp::Equal && !seen.contains(&name) {
            labels = labels.with(name, matcher.value());
            seen.push(name);
        } else {
            labels = labels.with(name, "");
        }
    }
    labels
}
