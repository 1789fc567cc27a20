//! What senders say of their metrics: type, help text and unit, the newest of each metric.
//!
//! Held in memory alone: senders repeat it (Prometheus each minute), so that a restart loses it for
//! that long. Filled by remote write, read by `/api/v1/metadata`.
//!
//! # Invariants
//!
//! - At most [`FAMILIES_MAX`] metrics and [`BYTES_MAX`] of text are held; beyond, those that have not
//!   been sent again for longest make room.
//! - A metric whose texts are longer than [`TEXT_BYTES_MAX`] is not kept.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::protocol::remote_write::MetricMetadata as Sent;

/// Most metrics that are remembered.
const FAMILIES_MAX: usize = 50_000;
/// Most bytes that they take, with what holds them.
const BYTES_MAX: usize = 16 << 20;
/// Longest name, help text and unit of one metric together.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// What a metric takes beside its texts: two nodes of trees, and reference counts.
const OVERHEAD_BYTES: usize = 192;

/// What is known of one metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) kind: &'static str,
    pub(crate) help: Box<str>,
    pub(crate) unit: Box<str>,
}

#[derive(Debug)]
struct Held {
    family: Family,
    /// When it was last sent, as a number that only grows.
    sent: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct MetricMetadata(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    families: BTreeMap<Arc<str>, Held>,
    /// The metrics by when they were last sent.
    order: BTreeSet<(u64, Arc<str>)>,
    bytes: usize,
    clock: u64,
}

impl MetricMetadata {
    /// Remembers what was sent of a metric, in place of what was sent before. What is not UTF-8 or
    /// has no name or is too long is passed over.
    pub(crate) fn note(&self, sent: &Sent<'_>) {
        let text = std::str::from_utf8;
        let (Ok(name), Ok(help), Ok(unit)) = (text(sent.name), text(sent.help), text(sent.unit))
        else {
            return;
        };
        let family = Family { kind: sent.kind(), help: help.into(), unit: unit.into() };
        if !name.is_empty() && name.len() + help.len() + unit.len() <= TEXT_BYTES_MAX {
            self.lock().insert(name, family);
        }
    }

    /// At most `count` metrics behind the name `after`, in the order of their names.
    pub(crate) fn next(&self, after: Option<&str>, count: usize) -> Vec<(Arc<str>, Family)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.lock();
        let behind = state.families.range::<str, _>((start, Bound::Unbounded));
        behind.take(count).map(|(name, held)| (Arc::clone(name), held.family.clone())).collect()
    }

    /// What is known of the metric `name`.
    pub(crate) fn get(&self, name: &str) -> Option<Family> {
        self.lock().families.get(name).map(|held| held.family.clone())
    }

    /// Metrics and bytes that are held.
    pub(crate) fn size(&self) -> (usize, usize) {
        let state = self.lock();
        (state.families.len(), state.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn insert(&mut self, name: &str, family: Family) {
        self.clock += 1;
        self.remove(name);
        let name: Arc<str> = name.into();
        self.bytes += bytes(&name, &family);
        self.order.insert((self.clock, Arc::clone(&name)));
        self.families.insert(name, Held { family, sent: self.clock });
        while self.families.len() > FAMILIES_MAX || self.bytes > BYTES_MAX {
            let Some((_, oldest)) = self.order.first().cloned() else { break };
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, name: &str) {
        if let Some((name, held)) = self.families.remove_entry(name) {
            self.bytes -= bytes(&name, &held.family);
            self.order.remove(&(held.sent, name));
        }
    }
}

fn bytes(name: &str, family: &Family) -> usize {
    OVERHEAD_BYTES + name.len() + family.help.len() + family.unit.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent<'a>(name: &'a str, help: &'a str) -> Sent<'a> {
        Sent { kind_number: 1, name: name.as_bytes(), help: help.as_bytes(), unit: b"" }
    }

    #[test]
    fn the_newest_is_kept_and_the_oldest_makes_room() {
        let metadata = MetricMetadata::default();
        metadata.note(&sent("a", "first"));
        metadata.note(&sent("b", "x"));
        metadata.note(&sent("a", "second"));
        assert_eq!(metadata.get("a").map(|f| (f.kind, f.help)), Some(("counter", "second".into())));
        assert_eq!(metadata.size(), (2, 2 * OVERHEAD_BYTES + 2 + 7));
        let long = "h".repeat(TEXT_BYTES_MAX - 6);
        for number in 0..BYTES_MAX / TEXT_BYTES_MAX {
            metadata.note(&sent("a", "again"));
            metadata.note(&sent(&format!("m{number:05}"), &long));
        }
        let (families, bytes) = metadata.size();
        assert!(bytes <= BYTES_MAX && bytes + 2 * TEXT_BYTES_MAX > BYTES_MAX, "{bytes}");
        assert_eq!(metadata.0.lock().unwrap().order.len(), families);
        assert!(metadata.get("a").is_some(), "sent again all the time");
        assert_eq!(metadata.get("b"), None, "the oldest");
        assert_eq!(metadata.get("m00000"), None, "the next");
    }

    #[test]
    fn what_cannot_be_shown_is_passed_over() {
        let metadata = MetricMetadata::default();
        metadata.note(&sent("", "no name"));
        metadata.note(&sent("long", &"h".repeat(TEXT_BYTES_MAX)));
        metadata.note(&Sent { help: b"\xff", ..sent("bytes", "") });
        assert_eq!(metadata.size(), (0, 0));
    }

    #[test]
    fn the_number_of_metrics_is_bounded() {
        let metadata = MetricMetadata::default();
        for number in 0..FAMILIES_MAX + 3 {
            metadata.note(&sent(&number.to_string(), ""));
        }
        assert_eq!(metadata.size().0, FAMILIES_MAX);
        assert!(metadata.get("2").is_none() && metadata.get("3").is_some());
    }
}
