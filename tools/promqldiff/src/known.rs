//! Differences between Prometheus 3.5 and 3.14, whose semantics are ours.
//!
//! `judge` asks, of each difference that it finds. Each row says by what it is recognised, as narrowly
//! as texts allow, and why it is no fault. Differences of annotations are in [`annotations`], the words
//! of both versions' messages and formatters in [`words`].

mod annotations;
mod words;

use self::words::match_series;
pub(crate) use self::words::{formatted, same_refusal};
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

/// The reason of the known difference that explains this finding.
pub(crate) fn find(finding: &Finding<'_>) -> Option<&'static str> {
    if matches!(finding.difference.aspect, Aspect::Warnings | Aspect::Infos)
        && let (Outcome::Answer(theirs), Outcome::Answer(ours)) = (finding.theirs, finding.ours)
        && let Some(reason) = annotations::rewriting(finding.query, theirs, ours)
    {
        return Some(reason);
    }
    KNOWN.iter().find(|known| (known.holds)(finding)).map(|known| known.reason)
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
