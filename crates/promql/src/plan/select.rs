//! The selections of a plan: what each selector reads, equal ones once.

use std::collections::HashMap;

use siltstone::{Matcher, Timestamp};

use super::{PlannedSelection, SelectionId};

/// Gathers selections.
#[derive(Default)]
pub(super) struct Selections {
    all: Vec<PlannedSelection>,
    /// By the text of the matchers and the times.
    known: HashMap<(String, Timestamp, Timestamp), SelectionId>,
}

/// What the samples of a selection are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Purpose {
    pub(super) function: Option<&'static str>,
    pub(super) range: Option<i64>,
    pub(super) step: i64,
}

impl Selections {
    /// The selection of `matchers` between two times, both inclusive; with `share` one that is there
    /// already, if it is equal.
    pub(super) fn add(
        &mut self,
        matchers: &[Matcher],
        (start, end): (Timestamp, Timestamp),
        purpose: Purpose,
        share: bool,
    ) -> SelectionId {
        let mut key = String::new();
        for matcher in matchers {
            key.push_str(&matcher.to_string());
            key.push(',');
        }
        if share && let Some(id) = self.known.get(&(key.clone(), start, end)) {
            let shared = &mut self.all[id.index()];
            shared.readers += 1;
            let told =
                Purpose { function: shared.function, range: shared.range, step: shared.step };
            if told != purpose {
                (shared.function, shared.range, shared.step) = (None, None, 0);
            }
            return *id;
        }
        let id = SelectionId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        self.all.push(PlannedSelection {
            matchers: matchers.to_vec(),
            start,
            end,
            function: purpose.function,
            range: purpose.range,
            step: purpose.step,
            labels_kept: None,
            names_go: true,
            readers: 1,
        });
        self.known.insert((key, start, end), id);
        id
    }

    pub(super) fn finish(self) -> Vec<PlannedSelection> {
        self.all
    }
}
