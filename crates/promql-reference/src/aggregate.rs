//! Aggregations of one instant vector.

use siltstone_promql::LabelSet;
use siltstone_promql::ast::{AggregateOp, Grouping};
use siltstone_promql::go_float::format_f;

use crate::labels::label_name;
use crate::value::{Failure, Sample};
use crate::window::{avg, quantile, sum, variance};

/// The parameter of an aggregation at one time.
pub(crate) enum Parameter {
    None,
    Number(f64),
    Label(Vec<u8>),
}

/// What an aggregation of one vector gives, and whether equal values left open which series stay.
pub(crate) struct Aggregated {
    pub(crate) samples: Vec<Sample>,
    pub(crate) is_open: bool,
}

/// Refuses numbers that an aggregation does not take, at whatever time.
pub(crate) fn check_numbers(op: AggregateOp, numbers: &[f64]) -> Result<(), Failure> {
    let has_nan = numbers.iter().any(|number| number.is_nan());
    match op {
        AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk => {
            if numbers.iter().all(|number| *number < 1.0) {
                return Ok(());
            }
            let is_integer = |number: &f64| number.abs() < 9.223_372_036_854_774e18;
            if has_nan || !numbers.iter().all(is_integer) {
                return Err(Failure::Forbidden("no number of series"));
            }
        }
        AggregateOp::LimitRatio if has_nan => return Err(Failure::Forbidden("no ratio")),
        _ => {}
    }
    Ok(())
}

/// Aggregates the groups of `vector`.
pub(crate) fn aggregate(
    op: AggregateOp,
    grouping: &Grouping,
    parameter: &Parameter,
    mut vector: Vec<Sample>,
) -> Result<Aggregated, Failure> {
    if let Parameter::Label(label) = parameter {
        let label = label_name(label)?;
        for sample in &mut vector {
            let value = format_f(sample.value);
            sample.labels = sample.labels.with(&label, &value);
        }
    }
    let by_values = matches!(parameter, Parameter::Label(_));
    let mut groups: Vec<(LabelSet, Vec<Sample>)> = Vec::new();
    for sample in vector {
        let mut labels = group_labels(grouping, &sample.labels);
        if let (Parameter::Label(label), false) = (parameter, grouping.without) {
            let label = label_name(label)?;
            labels = labels.with(&label, sample.labels.get(&label));
        }
        match groups.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, members)) => members.push(sample),
            None => groups.push((labels, vec![sample])),
        }
    }
    let mut all = Aggregated { samples: Vec::new(), is_open: false };
    for (labels, members) in groups {
        if let (Parameter::Number(number), false) = (parameter, op == AggregateOp::Quantile) {
            let (chosen, is_open) = choose(op, *number, members);
            all.samples.extend(chosen);
            all.is_open |= is_open;
            continue;
        }
        // A name that `count_values` sets is there to stay.
        let drop_name = !by_values && members.iter().any(|sample| sample.drop_name);
        let value =
            if by_values { members.len() as f64 } else { of_group(op, parameter, &members) };
        all.samples.push(Sample { labels, drop_name, value });
    }
    Ok(all)
}

/// `without` drops the name of the metric, too.
fn group_labels(grouping: &Grouping, labels: &LabelSet) -> LabelSet {
    let is_listed = |name: &str| grouping.labels.iter().any(|listed| listed == name);
    match grouping.without {
        true => labels.filter(|name| !is_listed(name) && name != "__name__"),
        false => labels.filter(is_listed),
    }
}

fn of_group(op: AggregateOp, parameter: &Parameter, members: &[Sample]) -> f64 {
    let values: Vec<f64> = members.iter().map(|sample| sample.value).collect();
    // A NaN stays only if all are.
    let extreme = |better: fn(f64, f64) -> f64| values.iter().copied().fold(f64::NAN, better);
    match op {
        AggregateOp::Sum => sum(&values),
        AggregateOp::Avg => avg(&values),
        AggregateOp::Min => extreme(f64::min),
        AggregateOp::Max => extreme(f64::max),
        AggregateOp::Group => 1.0,
        AggregateOp::Stddev => variance(&values).sqrt(),
        AggregateOp::Stdvar => variance(&values),
        AggregateOp::Quantile => match parameter {
            Parameter::Number(q) => quantile(*q, values),
            _ => f64::NAN,
        },
        _ => values.len() as f64,
    }
}

/// The members that stay as they are. Open is which, if values at the edge are equal.
fn choose(op: AggregateOp, number: f64, mut members: Vec<Sample>) -> (Vec<Sample>, bool) {
    if op == AggregateOp::LimitRatio {
        let ratio = number.clamp(-1.0, 1.0);
        let share = |s: &Sample| s.labels.prometheus_hash() as f64 / u64::MAX as f64;
        members.retain(|sample| match ratio >= 0.0 {
            true => share(sample) < ratio,
            false => share(sample) >= 1.0 + ratio,
        });
        return (members, false);
    }
    let count = if number < 1.0 { 0 } else { number as usize };
    let mut is_open = false;
    if op != AggregateOp::Limitk {
        let sign = if op == AggregateOp::Topk { -1.0 } else { 1.0 };
        // NaN is last in both.
        let key = |sample: &Sample| (sample.value.is_nan(), sign * sample.value);
        members.sort_by(|a, b| {
            let (a, b) = (key(a), key(b));
            a.0.cmp(&b.0).then(a.1.partial_cmp(&b.1).unwrap_or(std::cmp::Ordering::Equal))
        });
        if let (Some(last), Some(next)) =
            (count.checked_sub(1).and_then(|at| members.get(at)), members.get(count))
        {
            is_open = last.value == next.value || (last.value.is_nan() && next.value.is_nan());
        }
    }
    members.truncate(count);
    (members, is_open)
}
