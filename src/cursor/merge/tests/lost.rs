//! Losses in the merge, against a map of what is known of each tick.

use std::collections::BTreeSet;

use super::*;
use crate::types::{LostChunk, LostPlace};

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Readable,
    Lost,
    /// Its times are lost too.
    Unknown,
    /// Accepted.
    Mask,
}

#[derive(Debug, Clone)]
struct Layer {
    batches: Vec<(Vec<(i64, u64)>, Fate)>,
    hidden: Vec<TimeRange>,
    next: usize,
}

impl Layer {
    fn hidden(&self) -> HiddenRanges {
        let mut hidden = HiddenRanges::default();
        self.hidden.iter().for_each(|&range| hidden.insert(range));
        hidden
    }
}

impl SeriesCursor for Layer {
    fn open(&mut self, _key: u32) -> Result<Option<Extent>> {
        self.next = 0;
        let times: Vec<i64> = self.batches.iter().flat_map(|b| &b.0).map(|s| s.0).collect();
        let has_lost = self.batches.iter().any(|(_, fate)| *fate != Fate::Readable);
        let ends = times.first().zip(times.last());
        Ok(ends.map(|(&first, &last)| Extent { first, last, rows: times.len() as u64, has_lost }))
    }

    fn skip_hidden(&mut self, _hidden: &HiddenRanges) {}

    fn footprint(&mut self, _hidden: &HiddenRanges) -> Result<Footprint> {
        unreachable!("a merge reads")
    }

    fn append(&mut self, columns: &mut Columns) -> Result<usize, Unread> {
        let Some((batch, fate)) = self.batches.get(self.next) else { return Ok(0) };
        self.next += 1;
        if *fate == Fate::Readable {
            for &(time, bits) in batch {
                columns.timestamps.push(time);
                columns.values.f64_mut().push(f64::from_bits(bits));
            }
            return Ok(batch.len());
        }
        let times = match fate {
            Fate::Unknown => Vec::new(),
            _ => batch.iter().map(|s| s.0).collect(),
        };
        let (first, last) = (batch[0].0, batch[batch.len() - 1].0);
        let (rows, place) = (batch.len() as u32, LostPlace::anywhere());
        let is_accepted = *fate == Fate::Mask;
        Err(Unread::Lost(Box::new(LostChunk { first, last, rows, times, is_accepted, place })))
    }

    fn summary(&self) -> Option<Summary> {
        None
    }

    fn skip(&mut self) {
        unreachable!("there is no summary")
    }
}

/// What a merge says, or should say.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    samples: BTreeMap<i64, u64>,
    lost: BTreeSet<i64>,
    masks: BTreeSet<i64>,
    /// Somewhere from the first to the last, and whether a tick is hidden of that.
    extents: Vec<(i64, i64, HiddenRanges)>,
}

impl Said {
    /// Whether a sample may be lost at `time`, deleted or not.
    fn may_lack(&self, time: i64) -> bool {
        self.extents.iter().any(|(first, last, _)| (*first..=*last).contains(&time))
    }

    /// Whether one may be lost there that was not deleted.
    fn lacks(&self, time: i64) -> bool {
        let lacks = |(first, last, hidden): &(i64, i64, HiddenRanges)| {
            (*first..=*last).contains(&time) && !hidden.hides(time)
        };
        self.extents.iter().any(lacks)
    }
}

fn expected(layers: &[Layer], range: TimeRange) -> Said {
    let mut said = Said::default();
    if range.is_empty() {
        return said;
    }
    for layer in layers {
        let hidden = layer.hidden();
        let is_seen = |t: i64| range.contains(t) && !hidden.hides(t);
        for (batch, fate) in &layer.batches {
            if *fate == Fate::Unknown {
                let first = batch[0].0.max(range.start);
                let last = batch[batch.len() - 1].0.min(range.last());
                if first > last || hidden.hides_all(first, last) {
                    continue;
                }
                said.extents.push((first, last, hidden.clone()));
                for times in [&mut said.lost, &mut said.masks] {
                    times.retain(|t| !(first..=last).contains(t));
                }
                said.samples.retain(|t, _| !(first..=last).contains(t));
            }
            for &(time, bits) in batch.iter().filter(|s| is_seen(s.0)) {
                if *fate == Fate::Unknown {
                    continue;
                }
                said.samples.remove(&time);
                said.lost.remove(&time);
                said.masks.remove(&time);
                match fate {
                    Fate::Readable => drop(said.samples.insert(time, bits)),
                    Fate::Lost => drop(said.lost.insert(time)),
                    _ => drop(said.masks.insert(time)),
                }
            }
        }
    }
    said
}

fn read(layers: &[Layer], range: TimeRange) -> Said {
    let mut merge = Merge::new(range, layers.len());
    for (rank, layer) in layers.iter().enumerate() {
        merge.add_hidden(rank, 0, &layer.hidden(), || Box::new(layer.clone())).unwrap();
    }
    let mut said = Said::default();
    let mut latest = None;
    loop {
        let mut out = Columns::default();
        let read = merge.append(&mut out);
        for (time, value) in &out {
            assert!(latest.replace(time) < Some(time), "rows and losses are in order of time");
            said.samples.insert(time, value.to_bits());
        }
        match read {
            Ok(0) => break,
            Ok(rows) => assert_eq!(rows, out.len()),
            Err(Unread::Lost(lost)) if lost.times.is_empty() => {
                said.extents.push((lost.first, lost.last, HiddenRanges::default()));
            }
            Err(Unread::Lost(lost)) => {
                assert_eq!(lost.rows as usize, lost.times.len());
                let times = if lost.is_accepted { &mut said.masks } else { &mut said.lost };
                for &time in &lost.times {
                    assert!(latest.replace(time) < Some(time), "in order of time");
                    assert!(times.insert(time));
                }
            }
            Err(Unread::Failed(e)) => panic!("{e}"),
        }
    }
    said
}

fn layer() -> impl Strategy<Value = Layer> {
    let fate = prop_oneof![
        4 => Just(Fate::Readable),
        2 => Just(Fate::Lost),
        1 => Just(Fate::Unknown),
        1 => Just(Fate::Mask),
    ];
    let fates = prop::collection::vec(fate, 1..5);
    let hidden = prop::collection::vec(
        (-20i64..60, 0i64..15).prop_map(|(start, ticks)| TimeRange::new(start, start + ticks)),
        0..2,
    );
    (batches(), fates, hidden).prop_map(|(batches, fates, hidden)| {
        let batches = batches.into_iter().zip(fates.into_iter().cycle()).collect();
        Layer { batches, hidden, next: 0 }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What is lost hides what is older, is hidden by what is newer, and is said once.
    #[test]
    fn losses_take_part_as_what_they_were(
        layers in prop::collection::vec(layer(), 1..5),
        range in range(),
    ) {
        let (said, expected) = (read(&layers, range), expected(&layers, range));
        prop_assert_eq!(&said.samples, &expected.samples);
        prop_assert_eq!((&said.lost, &said.masks), (&expected.lost, &expected.masks));
        let ends = expected.extents.iter().flat_map(|&(first, last, _)| [first, last]);
        let near = |t: i64| [t.saturating_sub(1), t, t.saturating_add(1)];
        for time in ends.flat_map(near).chain(-22..62) {
            // One that newer ones and deletes hide together may be said, and need not be.
            prop_assert!(!expected.lacks(time) || said.may_lack(time), "{}", time);
            prop_assert!(!said.may_lack(time) || expected.may_lack(time), "{}", time);
        }
    }
}

/// The rule in one small case: a newer value stands, an older one is not shown.
#[test]
fn an_older_value_is_not_shown_in_place_of_a_lost_one() {
    let of = |times: &[i64], bits, fate| {
        let batch: Vec<_> = times.iter().map(|&t| (t, bits)).collect();
        Layer { batches: vec![(batch, fate)], hidden: vec![], next: 0 }
    };
    let layers = [
        of(&[1, 2, 3, 4], 7, Fate::Readable),
        of(&[2, 3], 8, Fate::Lost),
        of(&[3], 9, Fate::Readable),
    ];
    let said = read(&layers, TimeRange::ALL);
    assert_eq!(said.samples, BTreeMap::from([(1, 7), (3, 9), (4, 7)]));
    assert_eq!(said.lost, BTreeSet::from([2]));
}
