//! What the runner needs of an implementation of the language, so that it can be tried with answers
//! that are wrong on purpose.

use crate::model::{Answer, Labels, Times};
use crate::store::StoredSample;

/// How a query is evaluated. The answer must not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// As users have it: optimised, on several threads.
    Default,
    /// Optimised.
    OnOneThread,
    /// On several threads.
    Unoptimised,
    /// Neither.
    UnoptimisedOnOneThread,
}

impl Setting {
    /// All but the default.
    pub const OTHERS: [Self; 3] =
        [Self::OnOneThread, Self::Unoptimised, Self::UnoptimisedOnOneThread];

    /// Whether plans are optimised.
    pub fn optimises(self) -> bool {
        matches!(self, Self::Default | Self::OnOneThread)
    }

    /// Whether shares of series are evaluated on several threads.
    pub fn uses_threads(self) -> bool {
        matches!(self, Self::Default | Self::Unoptimised)
    }
}

/// An implementation of the language.
pub trait Language {
    /// A query that was parsed.
    type Query;
    /// Series that can be queried.
    type Store: Default;

    /// Parses a query; an error is the text that users see.
    fn parse(&self, text: &str) -> Result<Self::Query, String>;

    /// The query with the time of every selector and subquery set to `time` that has none; `None` if
    /// it would depend on the time of the evaluation nevertheless, by a call of `time` or the like.
    fn pinned(&self, query: &Self::Query, time: i64) -> Option<Self::Query>;

    /// Adds samples of one series, in order of time.
    fn insert(&self, store: &mut Self::Store, labels: &Labels, samples: &[StoredSample]);

    /// Evaluates a query; an error is the text that users see.
    fn evaluate(
        &self,
        store: &Self::Store,
        query: &Self::Query,
        times: Times,
        setting: Setting,
    ) -> Result<Answer, String>;
}
