//! Differences between Prometheus 3.5 and 3.14, whose semantics are ours.
//!
//! Each row says by what it is recognised, as narrowly as texts allow, and why it is no fault. Rows
//! about annotations rewrite texts of one side; the sides must be equal then.

use std::collections::BTreeSet;

use crate::answer::{Answer, Labels, Outcome, Sample, Times, Value};
use crate::compare::{Aspect, Difference};

/// A finding: the query, both outcomes, and in what they differ.
pub(crate) struct Finding<'a> {
    pub(crate) query: &'a str,
    pub(crate) times: Times,
    pub(crate) theirs: &'a Outcome,
    pub(crate) ours: &'a Outcome,
    pub(crate) difference: &'a Difference,
}

/// A known difference.
struct Known {
    reason: &'static str,
    holds: fn(&Finding<'_>) -> bool,
}

/// Known differences of values and errors.
const KNOWN: &[Known] = &[
    Known {
        reason: "info(): 3.5 looks for info series at the query's time, whatever offset and @ say",
        holds: |f| {
            f.query.contains("info(")
                && [" offset", "@"].iter().any(|shift| f.query.contains(shift))
                && matches!(f.difference.aspect, Aspect::Labels | Aspect::Presence)
        },
    },
    Known {
        reason: "info(): 3.5 loses track of info series that come and go in range queries",
        holds: |f| {
            let fails = their_error(f)
                .is_some_and(|e| e.starts_with("found duplicate series for info metric"));
            let differs = f.difference.aspect >= Aspect::Labels;
            f.query.contains("info(")
                && matches!(f.times, Times::Range { .. })
                && (fails || differs)
        },
    },
    Known {
        reason: "info(): 3.14 names the info series in conflict",
        holds: |f| {
            let conflict = |e: Option<&str>| {
                e.is_some_and(|e| e.starts_with("found duplicate series for info metric"))
            };
            conflict(their_error(f)) && conflict(our_error(f))
        },
    },
    Known {
        reason: "lengths out of range: 3.5 takes what is left of the overflow",
        holds: |f| our_error(f).is_some_and(|e| e.ends_with("duration is out of range")),
    },
    Known {
        reason: "info(): 3.5 drops series without info series where a matcher names info metrics",
        holds: |f| {
            let empty = |outcome: &Outcome| matches!(outcome, Outcome::Answer(answer) if answer.value.is_empty());
            f.query.contains("info(") && empty(f.theirs)
        },
    },
    Known {
        reason: "count_values: last digits of the values",
        holds: |f| {
            f.query.contains("count_values")
                && f.difference.aspect == Aspect::Labels
                && rounded(f.theirs) == rounded(f.ours)
        },
    },
    Known {
        reason: "delayed name removal: 3.5 forgets it behind subqueries and info()",
        holds: |f| {
            let forgets = f.query.contains("info(") || f.query.contains(':');
            forgets && f.difference.aspect == Aspect::Labels && unnamed(f.theirs) == unnamed(f.ours)
        },
    },
    Known {
        reason: "mad_over_time: 3.14 has NaN if there is one among the samples",
        holds: |f| {
            // NaN is filtered by comparisons.
            f.query.contains("mad_over_time(") && is_of_values(f.difference)
        },
    },
    Known {
        reason: "deriv, predict_linear: ours are exact where Prometheus cancels large times or overflows",
        holds: |f| {
            ["deriv(", "predict_linear("].iter().any(|name| f.query.contains(name))
                && (["extreme", "Inf"].iter().any(|part| f.query.contains(part))
                    || nearly(f.theirs, f.ours))
        },
    },
    Known {
        reason: "limitk: Prometheus has its series in the order of a heap, which later ties show",
        holds: |f| {
            f.query.contains("limitk")
                && ["topk", "bottomk", "limitk", "sort", "limit_ratio"].iter().any(|op| {
                    f.query.matches(op).count() > 1 || *op != "limitk" && f.query.contains(op)
                })
                && matches!(f.difference.aspect, Aspect::Labels | Aspect::Presence)
        },
    },
    Known {
        reason: "3.5 fails on texts and range vectors in parentheses",
        holds: |f| {
            let own = ["unexpected result in StepInvariantExpr", "unexpected number of samples"];
            their_error(f).is_some_and(|e| own.iter().any(|own| e.contains(own)))
        },
    },
    Known {
        reason: "timestamp() of a selector with @ and offset: Prometheus forgets the offset (#8433)",
        holds: |f| {
            ["timestamp(", "@", "offset"].iter().all(|part| f.query.contains(part))
                && f.difference.aspect >= Aspect::Labels
        },
    },
    Known {
        reason: "series that come to have equal labels at different steps: 3.14 merges them",
        holds: |f| {
            their_error(f) == Some("vector cannot contain metrics with the same labelset")
                && matches!(f.ours, Outcome::Answer(_))
                && matches!(f.times, Times::Range { .. })
        },
    },
    Known {
        reason: "absent: Prometheus's storage puts matchers that take away last, if it has the time",
        holds: |f| {
            let negative = ["!=", "!~"].iter().any(|op| f.query.contains(op));
            f.query.contains("absent") && negative && f.difference.aspect == Aspect::Labels
        },
    },
    Known {
        reason: "3.5 reads words behind a length, and a newer function as a name",
        holds: |f| {
            let words = our_error(f).is_some_and(|e| e.contains("expected ':'"));
            let newer = their_error(f).is_some_and(|e| e.contains("parse error: unexpected \"(\""));
            words || newer && ["start", "end"].iter().any(|name| f.query.contains(name))
        },
    },
    Known {
        reason: "the two series of an ambiguous match are named in another order",
        holds: |f| {
            let errors = their_error(f).zip(our_error(f));
            let group = |e: &str| e.split_once(" hand-side").map(|(group, _)| group.to_owned());
            errors.is_some_and(|(a, b)| {
                // Of more than two series others may come first where ties are sorted.
                let sorts = ["sort", "limitk"].iter().any(|op| f.query.contains(op))
                    && group(a).is_some()
                    && group(a) == group(b);
                a != b && (sorts || match_series(a).is_some() && match_series(a) == match_series(b))
            })
        },
    },
    Known {
        reason: "topk, bottomk, limitk, limit_ratio: 3.14 refuses NaN and infinities before any series",
        holds: |f| {
            let refuses = our_error(f).is_some_and(|e| {
                e == "Parameter value is NaN" || e == "Ratio value is NaN" || e.contains("int64")
            });
            refuses && their_error(f) != our_error(f)
        },
    },
    Known {
        reason: "many-to-one matches: 3.5 overlooks pairs that a comparison filters out",
        holds: |f| {
            our_error(f).is_some_and(|e| e.starts_with("multiple matches for labels: "))
                && our_error(f) != their_error(f)
                && ["==", "!=", "<", ">"].iter().any(|op| f.query.contains(op))
        },
    },
    Known {
        reason: "of two errors Prometheus names that of an operator's own arguments",
        holds: |f| {
            let own = [
                "invalid regular expression in label_replace",
                "invalid destination label",
                "invalid label name",
            ];
            their_error(f).is_some_and(|e| own.iter().any(|own| e.starts_with(own)))
                && our_error(f).is_some()
        },
    },
    Known {
        reason: "custom buckets: 3.14 reconciles different bounds, 3.5 has no result",
        holds: |f| {
            has(f.ours, "mismatched custom buckets were reconciled")
                || has(f.theirs, "incompatible custom buckets")
        },
    },
    Known {
        reason: "rate of histograms: 3.14 extrapolates to no time before the count was zero",
        holds: |f| {
            f.difference.aspect == Aspect::Value
                && ["rate(", "increase("].iter().any(|name| f.query.contains(name))
                && (has_histograms(f.theirs) || f.query.contains("histogram_"))
        },
    },
    Known {
        reason: "histogram_fraction: 3.5 does not sort classic buckets and has NaN",
        holds: |f| f.query.contains("histogram_fraction(") && is_of_values(f.difference),
    },
    Known {
        reason: "parse errors: 3.5 has no step() and range() in lengths, and other words for some places",
        holds: |f| {
            let errors = their_error(f).zip(our_error(f));
            let parse = |e: &str| e.contains("parse error: ");
            errors.is_some_and(|(a, b)| {
                (parse(a) || a.ends_with("unexpected error")) && parse(b) && same_refusal(a, b)
            })
        },
    },
];

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

/// The reason of the known difference that explains this finding.
pub(crate) fn find(finding: &Finding<'_>) -> Option<&'static str> {
    if matches!(finding.difference.aspect, Aspect::Warnings | Aspect::Infos)
        && let (Outcome::Answer(theirs), Outcome::Answer(ours)) = (finding.theirs, finding.ours)
        && let Some(reason) = rewriting(finding.query, theirs, ours)
    {
        return Some(reason);
    }
    KNOWN.iter().find(|known| (known.holds)(finding)).map(|known| known.reason)
}

/// The reason of the last rewriting that is needed to make annotations equal.
fn rewriting(query: &str, theirs: &Answer, ours: &Answer) -> Option<&'static str> {
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

fn error(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Error(failure) => Some(&failure.message),
        Outcome::Answer(_) => None,
    }
}

fn their_error<'a>(finding: &Finding<'a>) -> Option<&'a str> {
    error(finding.theirs)
}

fn our_error<'a>(finding: &Finding<'a>) -> Option<&'a str> {
    error(finding.ours)
}

/// The message about two series of one match group, with the series in order.
fn match_series(message: &str) -> Option<(String, [String; 2])> {
    let (start, rest) = message.split_once(" hand-side of the operation: [")?;
    let (series, end) = rest.split_once("];many-to-many")?;
    let (first, second) = series.split_once("}, {")?;
    let mut series = [format!("{first}}}"), format!("{{{second}")];
    series.sort();
    Some((format!("{start}{end}"), series))
}

/// Whether both sides refuse a text for one reason, or 3.5 for one that is known to be its own.
pub(crate) fn same_refusal(theirs: &str, ours: &str) -> bool {
    // Its lexer of lengths has words of its own.
    let own = ["in duration expression: ", "unexpected colon "];
    parse_error(theirs) == parse_error(ours)
        || own.iter().any(|own| theirs.contains(own))
        || ours.contains("expected ':'")
        || theirs.ends_with("unexpected error")
}

/// A parse error with the words of 3.5 for those of 3.14.
fn parse_error(message: &str) -> String {
    let message = message.strip_prefix("invalid parameter \"query\": ").unwrap_or(message);
    let message = message
        .replace("number, duration, step(), or range()", "number or duration")
        .replace("number, duration, step(), range(), or ", "number or duration or ")
        .replace(" in grouping opts, expected \"(\"", "")
        .replace("subquery or range selector", "subquery selector");
    let mut out = String::new();
    let mut rest = message.as_str();
    while let Some((start, end)) = rest.split_once("\"<Item ") {
        out.push_str(start);
        rest = end.split_once(">\" ").map_or("", |(_, rest)| rest);
    }
    out + rest
}

/// A formatted query without what 3.14 formats in another way: names in quotes in lists of labels (and
/// the lines that they make too long), `ignoring ()`, infinity, the empty second argument of `info`.
pub(crate) fn formatted(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
    let mut out = String::new();
    let mut rest = text.as_str();
    // 3.5 loses the group of `ignoring ()`.
    while let Some((before, behind)) = rest.split_once("ignoring()") {
        out.push_str(before);
        let group = ["group_left(", "group_right("].iter().find_map(|g| behind.strip_prefix(g));
        rest = group.and_then(|group| group.split_once(')')).map_or(behind, |(_, rest)| rest);
    }
    (out + rest).replace("+Inf", "Inf").replace(",{})", ",)")
}

fn has(outcome: &Outcome, annotation: &str) -> bool {
    let Outcome::Answer(answer) = outcome else { return false };
    answer.warnings.union(&answer.infos).any(|text| text.contains(annotation))
}

fn has_histograms(outcome: &Outcome) -> bool {
    let Outcome::Answer(Answer { value: Value::Vector(rows) | Value::Matrix(rows), .. }) = outcome
    else {
        return false;
    };
    rows.iter().flat_map(|row| &row.points).any(|(_, s)| matches!(s, Sample::Histogram(_)))
}

/// Whether values differ, or what a comparison made of them.
fn is_of_values(difference: &Difference) -> bool {
    matches!(difference.aspect, Aspect::Value | Aspect::Labels | Aspect::Presence)
}

/// The label sets without names, sorted.
fn unnamed(outcome: &Outcome) -> Vec<Labels> {
    let Outcome::Answer(Answer { value: Value::Vector(rows) | Value::Matrix(rows), .. }) = outcome
    else {
        return Vec::new();
    };
    let mut all: Vec<Labels> = rows.iter().map(|row| row.labels.clone()).collect();
    all.iter_mut().for_each(|labels| drop(labels.remove("__name__")));
    all.sort();
    all
}

/// The label sets with all numbers cut to ten digits, sorted.
fn rounded(outcome: &Outcome) -> Vec<Labels> {
    let mut all = unnamed(outcome);
    for value in all.iter_mut().flat_map(Labels::values_mut) {
        if let Ok(number) = value.parse::<f64>() {
            *value = format!("{number:.9e}");
        }
    }
    all.sort();
    all
}

/// Whether all floats are equal but for a millionth.
fn nearly(theirs: &Outcome, ours: &Outcome) -> bool {
    let floats = |outcome: &Outcome| -> Vec<f64> {
        let Outcome::Answer(Answer { value: Value::Vector(rows) | Value::Matrix(rows), .. }) =
            outcome
        else {
            return Vec::new();
        };
        let points = rows.iter().flat_map(|row| &row.points);
        let float = |sample: &Sample| match sample {
            Sample::Float(value) => *value,
            Sample::Histogram(_) => f64::NAN,
        };
        points.map(|(_, sample)| float(sample)).collect()
    };
    let (theirs, ours) = (floats(theirs), floats(ours));
    theirs.len() == ours.len()
        && theirs.iter().zip(&ours).all(|(a, b)| {
            a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-6 * a.abs().max(b.abs())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_series_are_compared_in_any_order() {
        let message = |series: &str| {
            format!(
                "found duplicate series for the match group {{}} on the right hand-side of the \
                 operation: [{series}];many-to-many matching not allowed"
            )
        };
        let one = match_series(&message("{a=\"1\"}, {a=\"2\"}"));
        assert!(one.is_some());
        assert_eq!(one, match_series(&message("{a=\"2\"}, {a=\"1\"}")));
        assert_ne!(one, match_series(&message("{a=\"2\"}, {a=\"3\"}")));
    }

    #[test]
    fn words_of_older_parsers_are_exchanged() {
        let theirs =
            "invalid parameter \"query\": 1:1: parse error: unexpected \"<Item 57400>\" <op:@>";
        assert!(same_refusal(theirs, "1:1: parse error: unexpected <op:@>"));
        assert!(!same_refusal(theirs, "1:2: parse error: unexpected <op:@>"));
        assert_eq!(formatted("a + b"), formatted("a + ignoring () group_left (\"x\") b"));
        assert_ne!(formatted("a + b"), formatted("a + on () b"));
    }
}
