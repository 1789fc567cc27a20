//! The join of [`Info`]: for each base series and step the labels that info series add.

use std::collections::{BTreeMap, HashMap};

use siltstone::Timestamp;

use super::info::{IDENTIFYING_LABELS, Info, InfoSample, InfoSeries};
use crate::eval::merge::merge_same_labels;
use crate::eval::meter::Meter;
use crate::query_error::QueryError;
use crate::value::{LabelSet, Point, Series, StepColumn};

/// The values of the identifying labels, empty where there is none.
type Identity<'a> = [&'a str; 2];

/// The info series that compete for one target: those of one metric with the same identity.
#[derive(Debug, Default)]
struct Contest {
    /// Their numbers, in order of labels.
    series: Vec<usize>,
}

/// The base series with the labels of the info series, each of which
/// [`InfoSelection::accepts`](super::InfoSelection::accepts).
///
/// At each step a base series gets the labels of the newest info series of each info metric: all
/// but the name, or only those that the second argument names; labels that it has itself stay.
/// Without an info series it stays as it is, or has no value if one of the matchers of the second
/// argument refuses an empty label. Info series among the base series stay as they are.
///
/// # Errors
/// An info series has a histogram; two info series of one metric for the same target have their
/// newest samples at the same time; two info metrics give one label different values; two results
/// have equal labels at one step. What is made takes more memory than there is to be: the columns
/// of the result are held by `meter` while they are made, and released in the end.
pub(crate) fn join_info(
    call: &Info,
    (base, info): (&[Series], &[InfoSeries]),
    meter: &Meter,
) -> Result<Vec<Series>, QueryError> {
    let contests = contests(info);
    let steps = base.first().map_or(0, |series| series.values.steps());
    let mut held = contests.len().saturating_mul(steps * size_of::<Option<u32>>());
    meter.hold(held)?;
    let winners = winners(base, info, &contests)?;
    // The contests of each identity, in order of metrics.
    let mut by_identity: HashMap<Identity<'_>, Vec<usize>> = HashMap::new();
    for (number, (_, identity)) in contests.keys().enumerate() {
        by_identity.entry(*identity).or_default().push(number);
    }
    let mut result = Vec::with_capacity(base.len());
    for series in base {
        meter.check()?;
        if call.is_info(&series.labels) {
            held += series.held_bytes();
            meter.hold(series.held_bytes())?;
            result.push(series.clone());
            continue;
        }
        let entered = by_identity.get(&identity(&series.labels)).map_or(&[][..], Vec::as_slice);
        let columns: Vec<&[Option<u32>]> =
            entered.iter().map(|number| winners[*number].as_slice()).collect();
        held += Enrichment { call, info, meter }.enrich(series, &columns, &mut result)?;
    }
    let merged = merge_same_labels(result);
    meter.release(held);
    merged
}

fn identity(labels: &LabelSet) -> Identity<'_> {
    IDENTIFYING_LABELS.map(|name| labels.get(name))
}

/// All contests, by metric and identity.
fn contests(info: &[InfoSeries]) -> BTreeMap<(&str, Identity<'_>), Contest> {
    let mut order: Vec<usize> = (0..info.len()).collect();
    order.sort_by(|a, b| info[*a].labels.cmp(&info[*b].labels));
    let mut contests: BTreeMap<(&str, Identity<'_>), Contest> = BTreeMap::new();
    for number in order {
        let labels = &info[number].labels;
        contests.entry((labels.metric_name(), identity(labels))).or_default().series.push(number);
    }
    contests
}

/// For each contest, in order, the number of the info series that wins at each step: the one with
/// the newest sample. Steps without any base series are left out.
fn winners(
    base: &[Series],
    info: &[InfoSeries],
    contests: &BTreeMap<(&str, Identity<'_>), Contest>,
) -> Result<Vec<Vec<Option<u32>>>, QueryError> {
    let steps = base.first().map_or(0, |series| series.values.steps());
    let needed: Vec<bool> =
        (0..steps).map(|step| base.iter().any(|series| series.values.is_present(step))).collect();
    let of_contest = |contest: &Contest| {
        let at_step = |(step, needed): (usize, &bool)| {
            if *needed { winner(contest, info, step) } else { Ok(None) }
        };
        needed.iter().enumerate().map(at_step).collect::<Result<Vec<_>, _>>()
    };
    contests.values().map(of_contest).collect()
}

fn winner(contest: &Contest, info: &[InfoSeries], step: usize) -> Result<Option<u32>, QueryError> {
    let mut newest: Option<(usize, Timestamp)> = None;
    for number in &contest.series {
        let time = match info[*number].samples[step] {
            InfoSample::None => continue,
            InfoSample::Float(time) => time,
            InfoSample::Histogram => {
                return Err(QueryError::execution("info sample should be float"));
            }
        };
        match newest {
            Some((other, at)) if at == time => {
                let (existing, new) = (&info[other].labels, &info[*number].labels);
                return Err(QueryError::execution(format!(
                    "found duplicate series for info metric: existing {existing} @ {at}, new {new} \
                     @ {time}"
                )));
            }
            Some((_, at)) if at > time => {}
            _ => newest = Some((*number, time)),
        }
    }
    Ok(newest.map(|(number, _)| u32::try_from(number).unwrap_or(u32::MAX)))
}

/// What base series are joined with.
struct Enrichment<'a> {
    call: &'a Info,
    info: &'a [InfoSeries],
    meter: &'a Meter,
}

impl Enrichment<'_> {
    /// Appends what becomes of `series` with the winners of its contests at each step, and tells how
    /// many bytes of it the meter holds.
    fn enrich(
        &self,
        series: &Series,
        winners: &[&[Option<u32>]],
        result: &mut Vec<Series>,
    ) -> Result<usize, QueryError> {
        let mut held = 0;
        let steps = series.values.steps();
        // The place in `result` for each combination of winners; `None` where there is no value.
        let mut places: HashMap<Vec<Option<u32>>, Option<usize>> = HashMap::new();
        let mut combination: Vec<Option<u32>> = Vec::with_capacity(winners.len());
        let mut place = None;
        for (step, point) in series.values.iter() {
            let current = || winners.iter().map(|column| column[step]);
            // Most steps have the combination of the one before.
            if places.is_empty() || !current().eq(combination.iter().copied()) {
                combination.clear();
                combination.extend(current());
                place = match places.get(&combination) {
                    Some(place) => *place,
                    None => {
                        let labels = self.labels_with(&series.labels, &combination)?;
                        let mut bytes = size_of_val(combination.as_slice());
                        if let Some(labels) = &labels {
                            bytes += steps * size_of::<f64>()
                                + size_of::<Series>()
                                + labels.encoded().len();
                        }
                        self.meter.hold(bytes)?;
                        held += bytes;
                        let place = labels.map(|labels| {
                            let values = StepColumn::absent(steps);
                            result.push(Series { labels, drop_name: series.drop_name, values });
                            result.len() - 1
                        });
                        places.insert(combination.clone(), place);
                        place
                    }
                };
            }
            let Some(place) = place else { continue };
            match point {
                Point::Float(value) => result[place].values.set_float(step, value),
                Point::Histogram(histogram) => result[place].values.push_histogram(step, histogram),
            }
        }
        Ok(held)
    }

    /// `base` with the labels that the info series of one combination add; `None` where there is to be no
    /// value.
    fn labels_with(
        &self,
        base: &LabelSet,
        combination: &[Option<u32>],
    ) -> Result<Option<LabelSet>, QueryError> {
        let mut added: BTreeMap<&str, &str> = BTreeMap::new();
        let mut matched = false;
        for number in combination.iter().flatten() {
            matched = true;
            for (name, value) in self.info[*number as usize].labels.iter() {
                if !self.call.adds(name) || !base.get(name).is_empty() {
                    continue;
                }
                if added.insert(name, value).is_some_and(|other| other != value) {
                    return Err(QueryError::execution(format!("conflicting label: {name}")));
                }
            }
        }
        if !matched && !self.call.keeps_unmatched() {
            return Ok(None);
        }
        Ok(Some(if added.is_empty() {
            base.clone()
        } else {
            LabelSet::from_pairs(base.iter().chain(added))
        }))
    }
}
