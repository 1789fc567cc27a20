//! Known differences of annotations: texts of both sides are rewritten, and must be equal then.
//!
//! `known` asks first, where warnings or infos differ, and then looks at its own rows.

use std::collections::BTreeSet;

use crate::answer::Answer;

/// A rewriting of annotations: `None` drops the text.
struct Rewriting {
    reason: &'static str,
    applies: fn(&str) -> bool,
    rewrite: fn(&str) -> Option<String>,
}

/// Known differences of annotations; both sides are rewritten.
const REWRITINGS: &[Rewriting] = &[
    Rewriting {
        reason: "annotations: 3.5 does not warn of sort in range queries",
        applies: |text| text.contains("is ineffective for range queries"),
        rewrite: |_| None,
    },
    Rewriting {
        reason: "annotations: 3.5 does not warn of conflicting counter resets",
        applies: |text| text.contains("conflicting counter resets"),
        rewrite: |_| None,
    },
    Rewriting {
        reason: "annotations: histograms times a negative number are gauges in 3.14",
        applies: |text| text.contains("histogram metric is not a gauge"),
        rewrite: |_| None,
    },
    Rewriting {
        reason: "annotations: names of metrics in texts about histograms",
        applies: |text| {
            ["bucket label", "for monotonicity", "NaN observations", "classic and native"]
                .iter()
                .any(|part| text.contains(part))
        },
        rewrite: |text| {
            let (start, rest) = text.split_once(" for metric name ").unwrap_or((text, ""));
            let end = rest.rfind(" (").map_or("", |at| &rest[at..]);
            Some(format!("{start}{end}"))
        },
    },
    Rewriting {
        reason: "annotations: the place of NaN observations",
        applies: |text| text.contains("NaN observations"),
        rewrite: |text| Some(unplaced(text)),
    },
    Rewriting {
        reason: "annotations: 3.5 counts parentheses to the operand of an aggregation or a call",
        applies: |text| text.contains("aggregation (") || text.contains("value should be between"),
        rewrite: |text| Some(unplaced(text)),
    },
    Rewriting {
        reason: "annotations: what a subquery causes is at 1:1 in Prometheus",
        applies: |text| text.contains("(1:"),
        rewrite: |text| Some(unplaced(text)),
    },
    Rewriting {
        reason: "annotations: 3.5 does not say that ranges of both kinds lose their histograms",
        applies: |text| text.contains("ignored histograms in a range"),
        rewrite: |_| None,
    },
];

fn unplaced(text: &str) -> String {
    text.rfind(" (").map_or(text, |at| &text[..at]).to_owned()
}

/// The reason of the last rewriting that is needed to make annotations equal.
pub(super) fn rewriting(query: &str, theirs: &Answer, ours: &Answer) -> Option<&'static str> {
    let all = |answer: &Answer| -> BTreeSet<String> {
        answer.warnings.union(&answer.infos).cloned().collect()
    };
    let (mut theirs, mut ours) = (all(theirs), all(ours));
    for rewriting in REWRITINGS {
        // A place at 1:1 is Prometheus's word for no place, of subqueries only.
        if rewriting.reason.contains("subquery") && !query.contains(':') {
            continue;
        }
        let apply = |texts: BTreeSet<String>| -> BTreeSet<String> {
            let one = |text: String| {
                if (rewriting.applies)(&text) { (rewriting.rewrite)(&text) } else { Some(text) }
            };
            texts.into_iter().filter_map(one).collect()
        };
        (theirs, ours) = (apply(theirs), apply(ours));
        if theirs == ours {
            return Some(rewriting.reason);
        }
    }
    None
}
